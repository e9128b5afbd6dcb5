/*
 * The watchdog: one thread that looks at every expert now and then, so that experts' own threads need no clock. It finds those that
 * take too long or have used up their quota, stops those that have failed, takes their keys back, and reads in the place of
 * lanes that are parked.
 */
#include "host.h"

#include "command.h"
#include "interrupt.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds. */
enum {
    LOOK = 20,       /* between two looks */
    LOOK_BUSY = 1,   /* while somebody is being stopped, or a lane is parked */
    LOOK_MOST = 100, /* that a look counts for: a program that was itself stopped has not been late */
    STOP_MOST = 5,   /* the same, where threads are sent signals: they need a processor to heed them */
    QUOTA_EVERY = 100,
    GRACE_STEP = 20,   /* until a thread goes on by single steps */
    GRACE = 200,       /* until a thread is parked that cannot be unwound yet */
    GRACE_DEAF = 2000, /* until a thread that cannot be stopped is not waited for any more */
    GRACE_BEGUN = 200, /* for threads that an expert has begun, behind the end of Run */
};

enum { HELD_UP_MOST = 10 }; /* limits */

enum { INTERRUPT_STOPS = INTERRUPT_LATE + 10 }; /* ticks */

static sem_t woken;
static pthread_t thread;
static atomic_bool over;

void watchdog_wake(void)
{
    sem_post(&woken);
}

/* ------------------------------------------------------------------ who has failed */

/* Of the processor's time that the lane's thread has had. */
static double lane_milliseconds(const struct lane *lane)
{
    clockid_t clock;
    struct timespec used = {0};
    if (!pthread_getcpuclockid(lane->guest.thread, &clock))
        clock_gettime(clock, &used);
    return (double)used.tv_sec * 1e3 + (double)used.tv_nsec / 1e6;
}

/* Whether it could run, or runs: as the kernel has it behind the thread's name. */
static bool lane_is_ready(const struct lane *lane)
{
    char path[64];
    char line[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)lane->guest.task);
    FILE *file = fopen(path, "r");
    bool read = file && fgets(line, sizeof line, file);
    if (file)
        fclose(file);
    const char *name_end = read ? strrchr(line, ')') : NULL;
    return name_end && name_end[1] == ' ' && name_end[2] == 'R';
}

/*
 * A machine with too much to do is nothing that an expert has done: one that waits for a processor, or for others in a call of the host, has
 * more time.
 */
static bool lane_is_held_up(struct lane *lane, double limit)
{
    if (lane->unmoved > HELD_UP_MOST * limit)
        return false;
    if (lane_milliseconds(lane) - lane->unmoved_cpu < limit / 2 && lane_is_ready(lane))
        return true;
    bool is_in_expert = atomic_load(&lane->guest.found) == FOUND_IN_EXPERT;
    if (!is_in_expert)
        guest_ask(&lane->guest);
    return !is_in_expert;
}

/* What the lane's thread does for one frame, or after the last, has no limit but time. */
static void lane_look(struct lane *lane, double elapsed)
{
    struct expert *expert = lane->expert;
    double limit = expert->host->timeout * 1000;
    uint64_t moved = atomic_load(&lane->moved);
    if (atomic_load(&lane->guest.state) != GUEST_RUNNING)
        return;
    if (atomic_load(&lane->is_waiting) || moved != lane->seen) {
        lane->seen = moved;
        lane->unmoved = 0;
        return;
    }
    if (lane->unmoved == 0) {
        lane->unmoved_cpu = lane_milliseconds(lane);
        atomic_store(&lane->guest.found, FOUND_NOT_YET);
    }
    lane->unmoved += elapsed;
    if (!limit || lane->unmoved < limit || lane_is_held_up(lane, limit))
        return;
    if (atomic_load(&lane->at))
        expert_fail(expert, &lane->guest, FAILURE_TIME, 0, "one frame took more than %g s", limit / 1000);
    else if (atomic_load(&lane->has_ended))
        expert_fail(expert, &lane->guest, FAILURE_IGNORED, 0, "did not return within %g s of the end of the frames",
                    limit / 1000);
    else
        expert_fail(expert, &lane->guest, FAILURE_TIME, 0, "did not ask for a frame within %g s", limit / 1000);
}

/* The lane that is the furthest behind: it has been at its frame the longest. NULL where none is at one. */
static struct lane *lane_behind(const struct expert *expert)
{
    struct lane *behind = NULL;
    uint32_t least = UINT32_MAX;
    for (unsigned t = 0; expert->lanes && t < expert->lanes_count; t++) {
        uint32_t at = atomic_load(&expert->lanes[t].at);
        if (!at || at > least)
            continue;
        least = at;
        behind = &expert->lanes[t];
    }
    return behind;
}

void quota_look(struct expert *expert)
{
    const struct lane *lane = lane_behind(expert);
    struct ks_key_stats stats;
    if (atomic_load(&expert->failed) || ks_key_stats(expert->key, &stats) != KS_OK || !stats.refused_quota)
        return;
    expert_fail(expert, lane ? &lane->guest : NULL, FAILURE_QUOTA, 0, "its quota of %s is used up",
                bytes_text((double)stats.quota));
}

/* Interrupted, and the lanes have been told so long ago. */
static void interrupt_look(struct expert *expert)
{
    if (atomic_load(&interrupt_ticks) < INTERRUPT_STOPS)
        return;
    for (unsigned t = 0; t < expert->lanes_count; t++)
        if (atomic_load(&expert->lanes[t].guest.state) == GUEST_RUNNING)
            expert_fail(expert, &expert->lanes[t].guest, FAILURE_IGNORED, 0,
                        "did not return when the run was interrupted");
}

/* A thread that works with the key, in code that is about to be unloaded. */
static void begun_look(struct expert *expert, double elapsed)
{
    if (!lanes_have_returned(expert) || !guests_run(expert)) {
        expert->left_for = 0;
        return;
    }
    expert->left_for += elapsed;
    if (expert->left_for > GRACE_BEGUN)
        expert_fail(expert, NULL, FAILURE_LEFT, 0, "a thread that it began was running when Run had returned");
}

static void well_look(struct expert *expert, double elapsed)
{
    for (unsigned t = 0; t < expert->lanes_count; t++)
        lane_look(&expert->lanes[t], elapsed);
    interrupt_look(expert);
    begun_look(expert, elapsed);
    expert->quota_unseen += elapsed;
    if (expert->quota_unseen < QUOTA_EVERY)
        return;
    expert->quota_unseen = 0;
    quota_look(expert);
}

/* ------------------------------------------------------------------ who is stopped */

/* An expert that only has to return gets time to do so; its memory and its threads are all right. */
static bool may_return(const struct expert *expert)
{
    switch (expert->failure.kind) {
    case FAILURE_PRETENDED:
    case FAILURE_GAVE_UP:
    case FAILURE_QUOTA:
    case FAILURE_MISUSE:
        return !expert->host->timeout || expert->stopping < expert->host->timeout * 1000;
    default:
        return false;
    }
}

/* One that the host has told to return, and that has not: this is how it has failed. */
static void note_ignored(struct expert *expert)
{
    if (expert->failure.kind != FAILURE_PRETENDED)
        return;
    expert->failure.kind = FAILURE_IGNORED;
    snprintf(expert->failure.text, sizeof expert->failure.text, "did not return within %g s of NMERR_EXPERT_TERMINATE",
             expert->host->timeout);
}

static enum insist insist_after(double milliseconds)
{
    if (milliseconds < GRACE_STEP)
        return INSIST_UNWIND;
    return milliseconds < GRACE ? INSIST_STEP : INSIST_PARK;
}

/* Whether no thread of the expert runs any more, or can be made to stop. A lane that has yet to begin is waited for. */
static bool is_stopped(struct expert *expert, double elapsed)
{
    expert->stopping += elapsed;
    if (!expert->insisting && may_return(expert) && atomic_load(&interrupt_ticks) < INTERRUPT_STOPS)
        return lanes_have_returned(expert) && !guests_run(expert);
    if (!expert->insisting && !lanes_have_returned(expert))
        note_ignored(expert);
    unsigned running = guests_stop(expert, insist_after(expert->insisting));
    expert->insisting += elapsed < STOP_MOST ? elapsed : STOP_MOST;
    bool is_deaf = expert->insisting > GRACE_DEAF;
    expert->is_stuck |= running && is_deaf;
    return is_deaf || (!running && lanes_have_returned(expert));
}

void expert_stop_all(struct expert *expert)
{
    while (!is_stopped(expert, LOOK_BUSY))
        nanosleep(&(struct timespec){.tv_nsec = LOOK_BUSY * 1000000L}, NULL);
}

/* Every thread of the process passes a full fence; false where the kernel refuses. */
static bool barrier_everywhere(void)
{
    return !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) &&
           !syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

/*
 * Whether the lane's thread never gives a frame back again: it is parked, or could not be stopped and is outside of the host, whose calls
 * do nothing for it any more. The barrier is the other half of lane_enter's fence: a thread that is not seen inside sees that
 * its expert has failed.
 */
static bool is_lost(const struct lane *lane)
{
    int state = atomic_load(&lane->guest.state);
    if (state != GUEST_RUNNING)
        return state == GUEST_PARKED;
    return barrier_everywhere() && !atomic_load(&lane->is_inside);
}

/* The lanes whose threads cannot go on: what is sent to them is read here. Whether there are some. */
static bool lanes_take_over(struct expert *expert)
{
    bool some = false;
    for (unsigned t = 0; t < expert->lanes_count; t++) {
        struct lane *lane = &expert->lanes[t];
        if (!lane->is_taken_over)
            lane->is_taken_over = is_lost(lane) && lane_claim(lane);
        if (!lane->is_taken_over || atomic_load(&lane->is_over))
            continue;
        lane_take_over(lane);
        some = expert->is_stuck = true;
    }
    return some;
}

/* Whether it needs another look soon. */
static bool failed_look(struct expert *expert, double elapsed)
{
    if (!expert->is_stopped) {
        if (expert->stopping == 0)
            ks_key_terminate(expert->key);
        expert->is_stopped = is_stopped(expert, elapsed);
        if (!expert->is_stopped)
            return true;
        expert_drop(expert);
        atomic_store(&expert->is_dropped, true);
    }
    if (expert->is_stuck)
        guests_stop(expert, INSIST_PARK);
    return lanes_take_over(expert);
}

/* ------------------------------------------------------------------ the thread */

double milliseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void wait_milliseconds(int milliseconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += milliseconds * 1000000L;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    sem_clockwait(&woken, CLOCK_MONOTONIC, &until);
}

static void *watchdog_main(void *argument)
{
    struct host *host = argument;
    double before = milliseconds_now();
    while (!atomic_load(&over)) {
        double now = milliseconds_now();
        double elapsed = now - before < LOOK_MOST ? now - before : LOOK_MOST;
        bool is_busy = false;
        before = now;
        for (size_t i = 0; i < host->experts_count; i++) {
            struct expert *expert = &host->experts[i];
            if (expert->lanes && !atomic_load(&expert->failed))
                well_look(expert, elapsed);
            if (expert->lanes && atomic_load(&expert->failed))
                is_busy |= failed_look(expert, elapsed);
        }
        wait_milliseconds(is_busy ? LOOK_BUSY : LOOK);
    }
    return NULL;
}

void watchdog_start(struct host *host)
{
    sem_init(&woken, 0, 0);
    atomic_store(&over, false);
    int error = pthread_create(&thread, NULL, watchdog_main, host);
    if (!error)
        return;
    complain("a thread that watches the experts: %s", strerror(error));
    exit(EXIT_FAILED);
}

void watchdog_stop(void)
{
    atomic_store(&over, true);
    watchdog_wake();
    pthread_join(thread, NULL);
}
