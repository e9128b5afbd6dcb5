#include "host.h"

#include "command.h"
#include "interrupt.h"
#include "origin.h"
#include "process.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

enum { SHOW_MILLISECONDS = 200 };

struct host *host_running;

void host_fatal(const char *what, ks_status status)
{
    complain("%s: %s", what, ks_strerror(status));
    /* On an expert's thread, too, it is the program that ends. */
    host_guest = NULL;
    exit(EXIT_FAILED);
}

void host_remember(struct host *host, const struct history_options *options, const struct capture *capture)
{
    host->origin = options->source ? origin_open(options, capture) : NULL;
}

void host_start(struct host *host)
{
    ks_status status = ks_key_create(&(struct ks_key_options){.name = "frames"}, &host->key);
    if (status != KS_OK)
        host_fatal("a key for the frames", status);
    fragments_open(&host->fragments, host->key, frame_deliver, host);
    if (host->isolate) {
        processes_start(host);
        return;
    }
    host->history = host->origin ? history_open(host->origin, host->key) : NULL;
    host_running = host;
    contain_begin();
    for (size_t i = 0; i < host->experts_count; i++) {
        expert_make_key(&host->experts[i]);
        if (!atomic_load(&host->experts[i].failed))
            expert_configure(&host->experts[i]);
    }
    /* Signals are for the capture thread. */
    sigset_t before;
    interrupt_block(&before);
    for (size_t i = 0; i < host->experts_count; i++)
        if (!atomic_load(&host->experts[i].failed)) {
            host->readers++;
            expert_start(&host->experts[i]);
        }
    watchdog_start(host);
    interrupt_unblock(&before);
}

static void key_purge(ks_key_t key, struct ks_key_stats *after)
{
    ks_status status = ks_key_purge(key);
    if (status == KS_OK)
        status = ks_key_stats(key, after);
    if (status != KS_OK)
        host_fatal("dropping a key", status);
}

/* Takes the statistics, drops the key, and gives its memory back. */
static double key_drop(ks_key_t key, struct ks_key_stats *before, struct ks_key_stats *after)
{
    struct timespec start;
    struct timespec end;
    ks_key_stats(key, before);
    clock_gettime(CLOCK_MONOTONIC, &start);
    ks_status status = ks_key_reset(key);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (status != KS_OK)
        host_fatal("dropping a key", status);
    key_purge(key, after);
    return (double)(end.tv_sec - start.tv_sec) * 1e6 + (double)(end.tv_nsec - start.tv_nsec) / 1e3;
}

void expert_drop(struct expert *expert)
{
    expert->reset_us = key_drop(expert->key, &expert->stats, &expert->stats_after);
}

/* Nothing comes to it any more, and no thread of it runs; the watchdog sees to it that this is so in time. */
static bool expert_is_over(struct expert *expert)
{
    if (!expert->lanes)
        return true;
    for (unsigned t = 0; t < expert->lanes_count; t++)
        if (!atomic_load(&expert->lanes[t].is_over))
            return false;
    return atomic_load(&expert->failed) ? atomic_load(&expert->is_dropped) : !guests_run(expert);
}

/* Destructors of a thread's data are the expert's, too: one that does not end is left alone. */
static void lane_join(struct lane *lane)
{
    struct timespec end;
    int state = atomic_load(&lane->guest.state);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += 1;
    if (state == GUEST_PARKED || state == GUEST_RUNNING ||
        pthread_clockjoin_np(lane->thread, NULL, CLOCK_MONOTONIC, &end))
        lane->expert->is_stuck = true;
}

/* Threads that it has begun give their memory back as they end, which the last purge is to find. */
static void begun_wait(struct expert *expert)
{
    enum { MILLISECONDS_MOST = 1000 };
    for (int waited = 0; waited < MILLISECONDS_MOST && !expert->is_stuck && guests_remain(expert); waited++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* It is the host's since Configure has handed it over; the expert may have freed it all the same. */
static void free_config(struct expert *expert)
{
    if (expert->config && !atomic_load(&expert->failed) && ks_size(expert->key, expert->config))
        ks_free(expert->key, expert->config);
    expert->config = NULL;
}

/* What is known of an expert only when all of its threads have ended. */
static void expert_look_back(struct expert *expert)
{
    struct ks_key_stats stats;
    quota_look(expert);
    free_config(expert);
    if (!expert->host->is_strict || atomic_load(&expert->failed))
        return;
    ks_status status = ks_key_stats(expert->key, &stats);
    if (status != KS_OK)
        host_fatal("the statistics of a key", status);
    if (stats.live)
        expert_fail(expert, NULL, FAILURE_LEFT, 0, "left %llu blocks, %llu bytes", (unsigned long long)stats.live,
                    (unsigned long long)stats.live_bytes);
}

void host_show(struct host *host)
{
    static struct timespec last;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    int64_t passed = (int64_t)(now.tv_sec - last.tv_sec) * 1000 + (now.tv_nsec - last.tv_nsec) / 1000000;
    if (!host->show || passed < SHOW_MILLISECONDS)
        return;
    last = now;
    host->show(host);
}

bool host_is_late(const struct host *host)
{
    return interrupt_is_late() || (host->ring.shared && ring_is_cut_short(&host->ring));
}

static bool some_are_stuck(const struct host *host)
{
    bool some = false;
    for (size_t i = 0; i < host->experts_count; i++)
        some |= host->experts[i].is_stuck;
    return some;
}

/* A thread that was parked may have been in the middle of it. */
static void forget(struct host *host)
{
    struct history *history = host->history;
    struct origin *origin = host->origin;
    host->history = NULL;
    host->origin = NULL;
    if (some_are_stuck(host))
        return;
    if (history)
        history_close(history);
    if (origin)
        origin_close(origin);
}

void experts_wait(struct host *host)
{
    atomic_store_explicit(&host->capture_ended, true, memory_order_release);
    for (size_t i = 0; i < host->experts_count; i++) {
        unsigned spins = 0;
        while (!expert_is_over(&host->experts[i])) {
            host_show(host);
            wait_a_little(&spins);
        }
    }
    watchdog_stop();
    for (size_t i = 0; i < host->experts_count; i++) {
        struct expert *expert = &host->experts[i];
        for (unsigned t = 0; expert->lanes && t < expert->lanes_count; t++)
            lane_join(&expert->lanes[t]);
        begun_wait(expert);
        expert_look_back(expert);
    }
}

void host_drain(struct host *host)
{
    host_settle(host);
    host_flush(host);
    origin_end(host->origin);
    if (host->isolate)
        processes_drain(host);
    else
        experts_wait(host);
    stashes_free(host, &host->stashes);
    forget(host);
}

bool host_ran_well(const struct host *host)
{
    if (host->refused)
        complain("%llu frames found no memory", (unsigned long long)host->refused);
    return !host->refused && !host->unsaved;
}

/* The code of an expert that has failed is not run again, not even to unload it. */
static bool may_unload(const struct expert *expert)
{
    return !atomic_load(&expert->failed) && !expert->is_stuck;
}

bool host_has_failures(const struct host *host)
{
    bool some = false;
    for (size_t i = 0; i < host->experts_count; i++) {
        const struct expert *expert = &host->experts[i];
        if (!atomic_load(&expert->failed))
            continue;
        some = true;
        complain("expert %s failed: %s", expert->name, expert->failure.text);
    }
    return some;
}

bool host_is_stuck(const struct host *host)
{
    for (size_t i = 0; !host->isolate && i < host->experts_count; i++)
        if (!may_unload(&host->experts[i]))
            return true;
    return host->was_stuck;
}

void expert_finish(struct expert *expert)
{
    if (!atomic_load(&expert->is_dropped))
        expert_drop(expert);
    else if (expert->stats_after.arena_bytes)
        key_purge(expert->key, &expert->stats_after);
    if (atomic_load(&expert->failed))
        failure_describe(expert);
}

void host_finish(struct host *host)
{
    for (size_t i = 0; !host->isolate && i < host->experts_count; i++)
        expert_finish(&host->experts[i]);
    host->reset_us = key_drop(host->key, &host->stats, &host->stats_after);
}

static void expert_close(struct expert *expert)
{
    if (expert->process) {
        process_close(expert->process);
        settings_free(expert);
        events_free(expert);
        free(expert->path);
        return;
    }
    ks_key_destroy(expert->key);
    settings_free(expert);
    expert->is_stuck |= guests_remain(expert);
    if (may_unload(expert))
        dlclose(expert->library);
    if (expert->is_stuck)
        return;
    free(expert->path);
    filters_free(expert);
    free(expert->lanes);
    events_free(expert);
}

void host_close(struct host *host)
{
    for (size_t i = 0; i < host->experts_count; i++)
        expert_close(&host->experts[i]);
    if (host->isolate)
        ring_close(&host->ring);
    free(host->sockets);
    host->was_stuck = host_is_stuck(host);
    if (!some_are_stuck(host))
        free(host->experts);
    host->experts_count = 0;
    ks_key_destroy(host->key);
}
