#include "host.h"

#include "command.h"
#include "experts/decode.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SPINS = 200, STASHES = 64 };

_Thread_local struct lane *host_lane;

void host_fatal(const char *what, ks_status status)
{
    complain("%s: %s", what, ks_strerror(status));
    exit(EXIT_FAILED);
}

/* ------------------------------------------------------------------ loading */

/* Beside the program where it was built, in the library folder where it is installed. */
static void *library_open(const char *name, char error[256])
{
    char path[4096];
    char self[2048];
    if (strchr(name, '/')) {
        void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
        if (!library)
            snprintf(error, 256, "%s", dlerror());
        return library;
    }
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length < 0 ? 0 : length] = 0;
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = 0;
    const char *const folders[] = {"%s/experts/%s.so", "%s/../" EXPERTS_FOLDER "/%s.so"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, folders[i], self, name);
        if (access(path, R_OK))
            continue;
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!library)
            snprintf(error, 256, "%s", dlerror());
        return library;
    }
    snprintf(error, 256, "no such expert beside the program in experts/, or in " EXPERTS_FOLDER);
    return NULL;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool expert_enter(struct expert *expert)
{
    EXPERTENUMINFO *info = &expert->info;
    /* POSIX makes the pointer that dlsym returns convertible to a function's. */
    *(void **)&info->pRegisterProc = dlsym(expert->library, EXPERTENTRY_REGISTER);
    *(void **)&info->pConfigProc = dlsym(expert->library, EXPERTENTRY_CONFIGURE);
    *(void **)&info->pRunProc = dlsym(expert->library, EXPERTENTRY_RUN);
    if (!info->pRegisterProc || !info->pRunProc) {
        complain("expert %s: no entry point %s", expert->name,
                 info->pRegisterProc ? EXPERTENTRY_RUN : EXPERTENTRY_REGISTER);
        return false;
    }
    if (!info->pRegisterProc(info)) {
        complain("expert %s: Register refused", expert->name);
        return false;
    }
    snprintf(info->szDllName, sizeof info->szDllName, "%s", expert->name);
    return true;
}

bool host_load(struct host *host, const char *name)
{
    char error[256] = "";
    if (host->experts_count == EXPERTS_MOST) {
        complain("--expert %s: no more than %d experts", name, EXPERTS_MOST);
        return false;
    }
    struct expert *expert = &host->experts[host->experts_count];
    *expert = (struct expert){.host = host, .name = base_name(name), .mutex = PTHREAD_MUTEX_INITIALIZER};
    expert->library = library_open(name, error);
    if (!expert->library) {
        complain("--expert %s: %s", name, error);
        return false;
    }
    if (!expert_enter(expert))
        return false;
    if (*expert->info.szName)
        expert->name = expert->info.szName;
    host->experts_count++;
    return true;
}

bool host_fail(struct host *host, const char *name, uint64_t frame)
{
    for (size_t i = 0; i < host->experts_count; i++)
        if (!strcmp(host->experts[i].name, name)) {
            host->experts[i].fail_at = frame;
            return true;
        }
    return false;
}

/* ------------------------------------------------------------------ the capture thread's side */

/* Blocks of one size, taken a burst at a time, for the frames to come. */
struct stash {
    size_t size;
    size_t count;
    void *blocks[BURST];
};

static struct stash stashes[STASHES];

static struct stash *stash_of(size_t size)
{
    size_t i = size / 16 % STASHES;
    while (stashes[i].size && stashes[i].size != size)
        i = (i + 1) % STASHES;
    stashes[i].size = size;
    return &stashes[i];
}

/* Sizes that the allocator would round to the same block come from one burst. */
static void *frame_block(struct host *host, size_t size)
{
    size_t good = ks_good_size(size);
    if (good > 1 << 16)
        return ks_alloc(host->key, size, NULL);
    struct stash *stash = stash_of(good);
    if (!stash->count)
        stash->count = ks_alloc_bulk(host->key, good, stash->blocks, BURST, NULL);
    return stash->count ? stash->blocks[--stash->count] : NULL;
}

static void stashes_free(struct host *host)
{
    for (struct stash *stash = stashes; stash < stashes + STASHES; stash++) {
        ks_free_bulk(host->key, stash->blocks, stash->count, NULL);
        *stash = (struct stash){0};
    }
}

static void wait_a_little(unsigned *spins)
{
    if (++*spins < SPINS)
        ck_pr_stall();
    else if (*spins < 2 * SPINS)
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

static void lane_send(struct lane *lane)
{
    unsigned spins = 0;
    if (!lane->filling)
        return;
    while (!ck_ring_enqueue_spsc(&lane->ring, lane->slots, lane->filling))
        wait_a_little(&spins);
    lane->filling = NULL;
}

static bool lane_add(struct host *host, struct lane *lane, struct frame *frame)
{
    if (!lane->filling) {
        lane->filling = ks_alloc(host->key, sizeof *lane->filling, NULL);
        if (!lane->filling)
            return false;
        lane->filling->count = 0;
    }
    lane->filling->frames[lane->filling->count++] = frame;
    if (lane->filling->count == BURST)
        lane_send(lane);
    return true;
}

static void note_problem(struct host *host, uint64_t frame, const char *text)
{
    if (host->problems_count < PROBLEMS_KEPT)
        host->problems[host->problems_count] = (struct problem){frame, text};
    host->problems_count++;
}

void host_frame(struct host *host, const struct captured *captured)
{
    struct packet packet;
    uint64_t number = atomic_fetch_add_explicit(&host->frames, 1, memory_order_relaxed) + 1;
    host->bytes += captured->length;
    const char *problem = decode(captured->link, captured->bytes, captured->captured, captured->length, &packet);
    if (problem)
        note_problem(host, number, problem);
    struct frame *frame = frame_block(host, sizeof *frame + captured->captured);
    if (!frame) {
        host->refused++;
        return;
    }
    atomic_init(&frame->readers, (uint32_t)host->experts_count);
    frame->number = (uint32_t)number;
    frame->packet = packet;
    frame->data.TimeStamp = captured->time;
    frame->data.FrameLength = captured->length;
    frame->data.nBytesAvail = captured->captured;
    memcpy(frame->data.MacFrame, captured->bytes, captured->captured);

    uint64_t hash = decode_hash(&packet);
    uint32_t refused = 0;
    for (size_t i = 0; i < host->experts_count; i++)
        refused += !lane_add(host, &host->experts[i].lanes[hash % host->threads], frame);
    if (refused) {
        host->refused++;
        if (atomic_fetch_sub(&frame->readers, refused) == refused)
            ks_free(host->key, frame);
    }
}

void host_flush(struct host *host)
{
    for (size_t i = 0; i < host->experts_count; i++)
        for (unsigned t = 0; t < host->threads; t++)
            lane_send(&host->experts[i].lanes[t]);
}

/* ------------------------------------------------------------------ the experts' side */

/* A burst that every frame has been taken from. */
static void lane_free_read(struct lane *lane)
{
    ks_status status = ks_free(lane->expert->host->key, lane->reading);
    if (status != KS_OK)
        host_fatal("freeing frames", status);
    lane->reading = NULL;
}

static void lane_free_done(struct lane *lane)
{
    ks_status status = KS_OK;
    size_t freed = ks_free_bulk(lane->expert->host->key, lane->done, lane->done_count, &status);
    if (freed != lane->done_count)
        host_fatal("freeing frames", status);
    lane->done_count = 0;
}

/* The frame that this expert has looked at: the last of the experts frees it. */
static void lane_release(struct lane *lane)
{
    struct frame *frame = lane->current;
    lane->current = NULL;
    if (!frame || atomic_fetch_sub_explicit(&frame->readers, 1, memory_order_acq_rel) != 1)
        return;
    lane->done[lane->done_count++] = frame;
    if (lane->done_count == BURST)
        lane_free_done(lane);
}

/* The next burst, or NULL when there will be none. An idle lane sends home what it holds. */
static struct burst *lane_wait(struct lane *lane)
{
    struct host *host = lane->expert->host;
    struct burst *burst;
    unsigned spins = 0;
    for (;;) {
        bool ended = atomic_load_explicit(&host->capture_ended, memory_order_acquire);
        if (ck_ring_dequeue_spsc(&lane->ring, lane->slots, &burst))
            return burst;
        if (ended)
            return NULL;
        if (spins == SPINS) {
            lane_free_done(lane);
            ks_flush();
        }
        wait_a_little(&spins);
    }
}

struct frame *lane_next(struct lane *lane)
{
    lane_release(lane);
    if (lane->reading && lane->position == lane->reading->count)
        lane_free_read(lane);
    if (!lane->reading) {
        lane->reading = lane_wait(lane);
        lane->position = 0;
        if (!lane->reading)
            return NULL;
    }
    lane->current = lane->reading->frames[lane->position++];
    return lane->current;
}

void expert_fail(struct expert *expert)
{
    if (!atomic_exchange(&expert->failed, true))
        ks_key_terminate(expert->key);
}

static void *lane_main(void *argument)
{
    struct lane *lane = argument;
    struct expert *expert = lane->expert;
    EXPERTSTARTUPINFO startup = {0};
    host_lane = lane;
    snprintf(startup.szCaptureFile, sizeof startup.szCaptureFile, "%s", expert->host->source);
    lane->ran_well = expert->info.pRunProc((HEXPERTKEY)expert->key, expert->config, &startup, 0, NULL);
    /* What is left of the frames goes home unread. */
    while (lane_next(lane))
        ;
    lane_free_done(lane);
    ks_flush();
    return NULL;
}

/* ------------------------------------------------------------------ the run */

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
    expert->lanes = calloc(host->threads, sizeof *expert->lanes);
    if (!expert->lanes)
        host_fatal("starting an expert", KS_NO_MEMORY);
    for (unsigned t = 0; t < host->threads; t++) {
        struct lane *lane = &expert->lanes[t];
        lane->expert = expert;
        ck_ring_init(&lane->ring, RING);
        int error = pthread_create(&lane->thread, NULL, lane_main, lane);
        if (error) {
            complain("expert %s: thread %u: %s", expert->name, t + 1, strerror(error));
            exit(EXIT_FAILED);
        }
    }
    return true;
}

bool host_start(struct host *host)
{
    ks_status status = ks_key_create(&(struct ks_key_options){.name = "frames"}, &host->key);
    if (status != KS_OK)
        host_fatal("a key for the frames", status);
    for (size_t i = 0; i < host->experts_count; i++)
        if (!expert_start(&host->experts[i]))
            return false;
    return true;
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
    host_flush(host);
    atomic_store_explicit(&host->capture_ended, true, memory_order_release);
    for (size_t i = 0; i < host->experts_count; i++) {
        struct expert *expert = &host->experts[i];
        for (unsigned t = 0; t < host->threads; t++) {
            pthread_join(expert->lanes[t].thread, NULL);
            expert->broken |= !expert->lanes[t].ran_well && !atomic_load(&expert->failed);
        }
    }
    stashes_free(host);
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

static void event_free(struct event *event)
{
    free(event->name);
    for (unsigned i = 0; i < event->columns; i++) {
        free(event->titles[i]);
        free(event->texts[i]);
    }
}

void host_close(struct host *host)
{
    for (size_t i = 0; i < host->experts_count; i++) {
        struct expert *expert = &host->experts[i];
        ks_key_destroy(expert->key);
        dlclose(expert->library);
        free(expert->lanes);
        for (size_t e = 0; e < expert->events_count; e++)
            event_free(&expert->events[e]);
        free(expert->events);
    }
    ks_key_destroy(host->key);
}
