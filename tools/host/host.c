#include "host.h"

#include "command.h"
#include "interrupt.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct host *host_running;

void host_fatal(const char *what, ks_status status)
{
    complain("%s: %s", what, ks_strerror(status));
    exit(EXIT_FAILED);
}

static bool expert_start(struct expert *expert)
{
    struct host *host = expert->host;
    EXPERTSTARTUPINFO startup = {0};
    ks_status status = ks_key_create(&(struct ks_key_options){.name = expert->name}, &expert->key);
    if (status != KS_OK)
        host_fatal("a key for an expert", status);
    if (expert->info.pConfigProc && expert->info.Flags & EXPERT_ENUM_FLAG_CONFIGURABLE &&
        !expert->info.pConfigProc((HEXPERTKEY)expert->key, &expert->config, &startup, 0, NULL)) {
        complain("expert %s: Configure refused", expert->name);
        return false;
    }
    if (!expert->threads)
        expert->threads = host->threads;
    expert->lanes = calloc(expert->threads, sizeof *expert->lanes);
    if (!expert->lanes)
        host_fatal("starting an expert", KS_NO_MEMORY);
    for (unsigned t = 0; t < expert->threads; t++) {
        struct lane *lane = &expert->lanes[t];
        lane->expert = expert;
        lane->seek.share = t;
        ck_ring_init(&lane->ring, RING);
        int error = pthread_create(&lane->thread, NULL, lane_main, lane);
        if (error) {
            complain("expert %s: thread %u: %s", expert->name, t + 1, strerror(error));
            exit(EXIT_FAILED);
        }
    }
    return true;
}

bool host_start(struct host *host, const struct capture *capture, struct history_options options)
{
    ks_status status = ks_key_create(&(struct ks_key_options){.name = "frames"}, &host->key);
    if (status != KS_OK)
        host_fatal("a key for the frames", status);
    fragments_open(&host->fragments, host->key, frame_deliver, host);
    options.key = host->key;
    host->history = history_open(&options, capture);
    /* Signals are for the capture thread. */
    host_running = host;
    sigset_t before;
    bool started = true;
    interrupt_block(&before);
    for (size_t i = 0; started && i < host->experts_count; i++)
        started = expert_start(&host->experts[i]);
    interrupt_unblock(&before);
    return started;
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
    if (status == KS_OK)
        status = ks_key_purge(key);
    if (status == KS_OK)
        status = ks_key_stats(key, after);
    if (status != KS_OK)
        host_fatal("dropping a key", status);
    return (double)(end.tv_sec - start.tv_sec) * 1e6 + (double)(end.tv_nsec - start.tv_nsec) / 1e3;
}

void host_drain(struct host *host)
{
    host_settle(host);
    host_flush(host);
    history_end(host->history);
    atomic_store_explicit(&host->capture_ended, true, memory_order_release);
    for (size_t i = 0; i < host->experts_count; i++) {
        struct expert *expert = &host->experts[i];
        for (unsigned t = 0; t < expert->threads; t++) {
            pthread_join(expert->lanes[t].thread, NULL);
            expert->broken |= !expert->lanes[t].ran_well && !atomic_load(&expert->failed);
        }
    }
    stashes_free(host);
    history_close(host->history);
    host->history = NULL;
}

bool host_ran_well(const struct host *host)
{
    bool well = !host->refused;
    if (host->refused)
        complain("%llu frames found no memory", (unsigned long long)host->refused);
    for (size_t i = 0; i < host->experts_count; i++) {
        const struct expert *expert = &host->experts[i];
        if (!expert->broken)
            continue;
        well = false;
        complain("expert %s gave up%s%s", expert->name, *expert->problem ? ": " : "", expert->problem);
    }
    return well;
}

void host_finish(struct host *host)
{
    for (size_t i = 0; i < host->experts_count; i++) {
        struct expert *expert = &host->experts[i];
        expert->reset_us = key_drop(expert->key, &expert->stats, &expert->stats_after);
    }
    host->reset_us = key_drop(host->key, &host->stats, &host->stats_after);
}

void host_close(struct host *host)
{
    for (size_t i = 0; i < host->experts_count; i++) {
        struct expert *expert = &host->experts[i];
        ks_key_destroy(expert->key);
        dlclose(expert->library);
        free(expert->lanes);
        events_free(expert);
        filters_free(expert);
    }
    ks_key_destroy(host->key);
    free(host->experts);
}
