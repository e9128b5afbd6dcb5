/* How an expert begins: its key, its configuration, its threads. */
#include "host.h"

#include "command.h"
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A refused free, with --strict; or what the owner of a free block has found. In the thread that frees, or the owner's. */
static void on_misuse(void *context, const struct ks_error *error)
{
    struct expert *expert = context;
    struct walk walk = {0};
    if (!failure_claim(expert, host_guest))
        return;
    if (expert->blamed)
        walk_stack(&expert->module, (uintptr_t)__builtin_return_address(0), &walk);
    expert->calls = walk.calls;
    expert->failure.detail = (int)error->status;
    snprintf(expert->failure.text, sizeof expert->failure.text,
             error->status == KS_DAMAGED ? "%p is %s" : "freed %p, %s", error->block, ks_strerror(error->status));
    failure_settle(expert, FAILURE_MISUSE);
    ks_key_terminate(expert->key);
    watchdog_wake();
}

/* Half of the machine's memory for all experts together. */
static uint64_t quota_default(const struct host *host)
{
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    return memory / 2 / (host->sharers ? host->sharers : host->experts_count);
}

/* What the config file has for keys of that name; 0 for nothing. */
static uint64_t quota_configured(const char *name)
{
    ks_key_t key;
    struct ks_key_stats stats;
    ks_status status = ks_key_create(&(struct ks_key_options){.name = name, .trace = KS_TRACE_OFF}, &key);
    if (status == KS_OK)
        status = ks_key_stats(key, &stats);
    if (status == KS_OK)
        status = ks_key_destroy(key);
    if (status != KS_OK)
        host_fatal("a key for an expert", status);
    return stats.quota;
}

void expert_make_key(struct expert *expert)
{
    struct host *host = expert->host;
    struct ks_key_options options = {.name = expert->name};
    if (host->quota)
        options.quota = host->quota == HOST_NO_QUOTA ? KS_QUOTA_NONE : host->quota;
    else if (!quota_configured(expert->name))
        options.quota = quota_default(host);
    if (host->is_strict) {
        options.on_error = on_misuse;
        options.on_error_context = expert;
    }
    ks_status status = ks_key_create(&options, &expert->key);
    if (status != KS_OK)
        host_fatal("a key for an expert", status);
}

EXPERTSTARTUPINFO host_startup(struct host *host)
{
    EXPERTSTARTUPINFO startup = {.hCapture = host};
    snprintf(startup.szCaptureFile, sizeof startup.szCaptureFile, "%s", host->source);
    return startup;
}

struct configuration {
    struct expert *expert;
    EXPERTCONFIG *config;
    EXPERTSTARTUPINFO startup;
    bool accepted;
};

static void call_configure(void *argument)
{
    struct configuration *configuration = argument;
    const struct expert *expert = configuration->expert;
    configuration->accepted =
        expert->info.pConfigProc((HEXPERTKEY)expert->key, &configuration->config, &configuration->startup, 0, NULL);
}

void expert_configure(struct expert *expert)
{
    if (!expert->is_configurable)
        return;
    struct configuration *configuration = calloc(1, sizeof *configuration);
    if (!configuration)
        host_fatal("configuring an expert", KS_NO_MEMORY);
    configuration->expert = expert;
    configuration->startup = host_startup(expert->host);
    configuration->config = settings_copy(expert);
    if (guest_call_aside(expert, call_configure, configuration, expert->host->timeout)) {
        if (!configuration->accepted)
            expert_fail(expert, NULL, FAILURE_REFUSED, 0, "Configure returned FALSE");
        expert->config = configuration->config;
    }
    if (atomic_load(&expert->failed))
        expert_stop_all(expert);
    else
        expert->host->unsaved |= !settings_write(expert, expert->config);
    if (!expert->is_stuck)
        free(configuration);
}

void expert_start(struct expert *expert)
{
    if (expert->lanes)
        return;
    struct lane *lanes = calloc(expert->lanes_count, sizeof *lanes);
    if (!lanes)
        host_fatal("starting an expert", KS_NO_MEMORY);
    for (unsigned t = 0; t < expert->lanes_count; t++) {
        lanes[t].expert = expert;
        lanes[t].seek.share = t;
        lanes[t].guest = (struct guest){.expert = expert, .lane = &lanes[t], .number = t + 1};
        if (expert->is_apart)
            cursor_open(&lanes[t].cursor, &expert->host->ring, &expert->process->page->places[t], t,
                        expert->lanes_count);
        else
            ck_ring_init(&lanes[t].ring, RING);
    }
    atomic_fetch_add(&expert->threads, expert->lanes_count);
    expert->lanes = lanes;
    for (unsigned t = 0; t < expert->lanes_count; t++) {
        int error = pthread_create(&lanes[t].thread, NULL, lane_main, &lanes[t]);
        if (error) {
            complain("expert %s: thread %u: %s", expert->name, t + 1, strerror(error));
            exit(EXIT_FAILED);
        }
    }
}
