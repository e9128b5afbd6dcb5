#include "crew.h"

#include "command.h"
#include "run_report.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGE_BYTES = 4096 };

/* A block that could not be had stands for itself, so that its free finds something. */
static char no_memory;

struct worker {
    pthread_t thread;
    struct crew *crew;
    struct work *work;
    struct timespec from; /* of the window */
    struct timespec to;
    uint64_t failed;
    int64_t live;   /* bytes asked for; frees of others' blocks make it negative */
    uint32_t until; /* operations before the next one that is asked */
    struct given given[PLACES];
} __attribute__((aligned(64)));

/* Of the block in a slot. */
struct note {
    uint64_t size;   /* that was asked for */
    uint64_t usable; /* 0: was not asked */
};

struct crew {
    const struct allocator *allocator;
    struct plan *plan;
    uint32_t workers;
    uint32_t every;
    ks_key_t keys[KEYS_PLANNED];
    uint32_t keys_count;
    struct note *notes; /* by slot */
    uint32_t notes_room;
    bool stop;
    pthread_barrier_t begin;
    pthread_barrier_t end;
    struct worker crew[WORKERS_MOST];
};

/* ------------------------------------------------------------------ the workers */

/* One byte in each page: the block is resident, as in the program that filled it. */
static void touch(char *block, size_t size)
{
    for (size_t at = 0; at < size; at += PAGE_BYTES)
        block[at] = 1;
    if (size)
        block[size - 1] = 1;
}

/* Another worker may have the block's allocation still before it. */
static void *await(struct slot *slot)
{
    void *block;
    while (!(block = atomic_load_explicit(&slot->block, memory_order_acquire)))
        sched_yield();
    return block;
}

/* ------------------------------------------------------------------ what blocks hold */

static uint32_t place_of(uint64_t size)
{
    if (size > SIZE_TOP)
        return PLACE_ABOVE;
    if (size <= CLASS_SMALL)
        return size ? (uint32_t)(size - 1) / CLASS_GRANULE : 0;
    return CLASS_SMALL / CLASS_GRANULE + (uint32_t)(size - CLASS_SMALL - 1) / CLASS_ALIGNED;
}

uint32_t place_size(uint32_t place)
{
    const uint32_t small = CLASS_SMALL / CLASS_GRANULE;
    if (place == PLACE_ABOVE)
        return 0;
    return place < small ? (place + 1) * CLASS_GRANULE : CLASS_SMALL + (place - small + 1) * CLASS_ALIGNED;
}

/* The library's blocks are told apart by their classes, another allocator's by the default class that would hold them. */
static struct given *given_of(struct worker *worker, const struct note *note)
{
    const struct crew *crew = worker->crew;
    if (note->size > SIZE_TOP)
        return &worker->given[PLACE_ABOVE];
    uint64_t size = crew->allocator->resets ? note->usable : ks_good_size(note->size);
    return &worker->given[place_of(size < SIZE_TOP ? size : SIZE_TOP)];
}

static void ask(struct worker *worker, const struct op *op, void *block)
{
    struct crew *crew = worker->crew;
    struct note *note = &crew->notes[op->slot];
    note->usable = crew->allocator->usable(crew->keys[op->key], block);
    struct given *given = given_of(worker, note);
    given->blocks++;
    given->asked += note->size;
    given->usable += note->usable;
    given->asked_time -= (wide)op->time * note->size;
    given->usable_time -= (wide)op->time * note->usable;
}

/* A block's life ends. */
static void end_life(struct worker *worker, struct note *note, uint64_t time)
{
    if (!note->usable)
        return;
    struct given *given = given_of(worker, note);
    given->asked_time += (wide)time * note->size;
    given->usable_time += (wide)time * note->usable;
    note->usable = 0;
}

/* The block of an operation is there: filled, and told to those who wait for it. */
static void settle(struct worker *worker, const struct op *op, void *block)
{
    struct crew *crew = worker->crew;
    bool asked = !--worker->until;
    if (asked)
        worker->until = crew->every;
    crew->notes[op->slot] = (struct note){.size = block ? op->size : 0};
    if (block) {
        touch(block, op->size);
        worker->live += (int64_t)op->size;
        if (asked)
            ask(worker, op, block);
    } else {
        worker->failed++;
        block = &no_memory;
    }
    atomic_store_explicit(&crew->plan->slots[op->slot].block, block, memory_order_release);
}

/* The block of a slot, which is empty from now on; NULL where there was no memory for it. */
static void *leave(struct worker *worker, uint32_t slot, uint64_t time)
{
    struct crew *crew = worker->crew;
    void *block = await(&crew->plan->slots[slot]);
    worker->live -= (int64_t)crew->notes[slot].size;
    end_life(worker, &crew->notes[slot], time);
    atomic_store_explicit(&crew->plan->slots[slot].block, NULL, memory_order_relaxed);
    return block == &no_memory ? NULL : block;
}

static void do_realloc(struct worker *worker, const struct op *op)
{
    const struct allocator *allocator = worker->crew->allocator;
    ks_key_t key = worker->crew->keys[op->key];
    void *block = leave(worker, op->from, op->time);
    void *moved = block ? allocator->realloc(key, block, op->size) : allocator->alloc(key, op);
    if (!moved && block)
        allocator->free(key, block);
    settle(worker, op, moved);
}

static void carry_out(struct worker *worker)
{
    struct crew *crew = worker->crew;
    const struct allocator *allocator = crew->allocator;
    for (const struct op *op = worker->work->ops, *end = op + worker->work->count; op < end; op++) {
        ks_key_t key = crew->keys[op->key];
        switch (op->kind) {
        case OP_ALLOC:
            settle(worker, op, allocator->alloc(key, op));
            break;
        case OP_FREE: {
            void *block = leave(worker, op->slot, op->time);
            if (block)
                allocator->free(key, block);
            break;
        }
        case OP_REALLOC:
            do_realloc(worker, op);
            break;
        default:
            allocator->reset(key);
            break;
        }
    }
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    for (;;) {
        pthread_barrier_wait(&worker->crew->begin);
        if (worker->crew->stop)
            return NULL;
        clock_gettime(CLOCK_MONOTONIC, &worker->from);
        carry_out(worker);
        clock_gettime(CLOCK_MONOTONIC, &worker->to);
        pthread_barrier_wait(&worker->crew->end);
    }
}

/* ------------------------------------------------------------------ the foreman */

static bool make_keys(struct crew *crew)
{
    for (; crew->keys_count < crew->plan->keys_count; crew->keys_count++) {
        /* Not traced, whatever the config says: that would be measured, and the file may be the one that is replayed. */
        const struct ks_key_options options = {
            .name = crew->plan->names[crew->keys_count],
            .trace = KS_TRACE_OFF,
        };
        if (crew->allocator->resets && ks_key_create(&options, &crew->keys[crew->keys_count]) != KS_OK)
            return false;
    }
    if (crew->notes_room == crew->plan->slots_room)
        return true;
    void *notes = realloc(crew->notes, crew->plan->slots_room * sizeof *crew->notes);
    if (notes) {
        crew->notes = notes;
        crew->notes_room = crew->plan->slots_room;
    }
    return notes;
}

static double seconds_between(const struct timespec *from, const struct timespec *to)
{
    return (double)(to->tv_sec - from->tv_sec) + (double)(to->tv_nsec - from->tv_nsec) / 1e9;
}

/* From the first worker's start to the last one's end. */
static double run_window(struct crew *crew)
{
    struct timespec from = {0};
    struct timespec to = {0};
    pthread_barrier_wait(&crew->begin);
    pthread_barrier_wait(&crew->end);
    for (uint32_t i = 0; i < crew->workers; i++) {
        const struct worker *worker = &crew->crew[i];
        if (!worker->work->count)
            continue;
        if (!from.tv_sec || seconds_between(&worker->from, &from) > 0)
            from = worker->from;
        if (!to.tv_sec || seconds_between(&to, &worker->to) > 0)
            to = worker->to;
    }
    return seconds_between(&from, &to);
}

static uint64_t live_now(struct crew *crew)
{
    int64_t live = 0;
    for (uint32_t i = 0; i < crew->workers; i++)
        live += crew->crew[i].live;
    return live > 0 ? (uint64_t)live : 0;
}

/* A reset by the allocator itself drops bytes that no free takes off. */
static void drop_reset(struct crew *crew)
{
    int64_t live = 0;
    for (uint32_t i = 0; i < crew->plan->slots_used; i++)
        if (crew->plan->slots[i].live)
            live += (int64_t)crew->notes[i].size;
        else
            end_life(&crew->crew[0], &crew->notes[i], crew->plan->now);
    crew->crew[0].live -= (int64_t)live_now(crew) - live;
}

static void measure(struct crew *crew, uint64_t before, struct outcome *outcome)
{
    uint64_t own = before + plan_bytes(crew->plan) + crew->notes_room * sizeof *crew->notes;
    uint64_t resident = resident_now();
    outcome->asked_end = live_now(crew);
    outcome->resident_end = resident > own ? resident - own : 0;
    if (outcome->resident_end > outcome->resident_peak)
        outcome->resident_peak = outcome->resident_end;
    if (outcome->asked_end > outcome->asked_peak)
        outcome->asked_peak = outcome->asked_end;
}

static bool run_windows(struct crew *crew, const char *path, struct outcome *outcome)
{
    struct plan *plan = crew->plan;
    uint64_t before = resident_now();
    uint64_t events = trace_events(plan->reader);
    for (bool reset = false; plan_window(plan); reset = plan->reset_waits) {
        if (!make_keys(crew)) {
            plan->problem = "out of memory";
            break;
        }
        outcome->seconds += run_window(crew);
        if (reset && crew->allocator->resets)
            drop_reset(crew);
        measure(crew, before, outcome);
        progress("%s: %.0f %%", path, 100 * (double)plan->operations / (double)events);
    }
    progress_end();
    outcome->operations = plan->operations;
    outcome->unmatched = plan->unmatched;
    if (plan->problem)
        complain("%s: %s", path, plan->problem);
    return !plan->problem;
}

static void stop_workers(struct crew *crew)
{
    crew->stop = true;
    pthread_barrier_wait(&crew->begin);
    for (uint32_t i = 0; i < crew->workers; i++)
        pthread_join(crew->crew[i].thread, NULL);
}

/* What is live at the trace's end. */
static void release(struct crew *crew)
{
    if (crew->allocator->resets) {
        for (uint32_t i = 0; i < crew->keys_count; i++)
            ks_key_destroy(crew->keys[i]);
        return;
    }
    for (uint32_t i = 0; i < crew->plan->slots_used; i++) {
        void *block = atomic_load_explicit(&crew->plan->slots[i].block, memory_order_relaxed);
        if (block && block != &no_memory)
            crew->allocator->free(0, block);
    }
}

static bool start_workers(struct crew *crew)
{
    pthread_barrier_init(&crew->begin, NULL, crew->workers + 1);
    pthread_barrier_init(&crew->end, NULL, crew->workers + 1);
    for (uint32_t i = 0; i < crew->workers; i++) {
        crew->crew[i].crew = crew;
        crew->crew[i].work = &crew->plan->work[i];
        crew->crew[i].until = 1;
        int error = pthread_create(&crew->crew[i].thread, NULL, worker_main, &crew->crew[i]);
        if (error) {
            complain("a thread: %s", strerror(error));
            return false;
        }
    }
    return true;
}

static void add_up(struct crew *crew, struct outcome *outcome)
{
    outcome->duration = crew->plan->now;
    for (uint32_t i = 0; i < crew->plan->slots_used; i++)
        end_life(&crew->crew[0], &crew->notes[i], crew->plan->now);
    for (uint32_t i = 0; i < crew->workers; i++) {
        outcome->failed += crew->crew[i].failed;
        for (uint32_t place = 0; place < PLACES; place++) {
            struct given *sum = &outcome->given[place];
            const struct given *given = &crew->crew[i].given[place];
            sum->blocks += given->blocks;
            sum->asked += given->asked;
            sum->usable += given->usable;
            sum->asked_time += given->asked_time;
            sum->usable_time += given->usable_time;
        }
    }
}

bool crew_replay(const char *path, struct trace_reader *reader, const struct allocator *allocator, uint32_t workers,
                 uint32_t every, struct outcome *outcome)
{
    static struct plan plan;
    static struct crew crew;
    *outcome = (struct outcome){0};
    memset(&crew, 0, sizeof crew); /* resident before anything is measured */
    crew.allocator = allocator;
    crew.plan = &plan;
    crew.workers = workers;
    crew.every = every;
    plan_begin(&plan, reader, workers, !allocator->resets);
    if (!start_workers(&crew))
        return false; /* the process ends with those that were started */
    bool good = run_windows(&crew, path, outcome);
    stop_workers(&crew);
    if (good)
        add_up(&crew, outcome);
    release(&crew);
    plan_end(&plan);
    free(crew.notes);
    return good;
}
