/* A lane: one thread of one expert, and the ring that its frames come through. */
#include "host.h"

#include "interrupt.h"

#include <sched.h>
#include <stdio.h>
#include <time.h>

enum { SPINS = 200 };

_Thread_local struct lane *host_lane;

void wait_a_little(unsigned *spins)
{
    if (++*spins < SPINS)
        ck_pr_stall();
    else if (*spins < 2 * SPINS)
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

/* ------------------------------------------------------------------ giving frames back
 *
 * What is given back leaves the lane first: a thread that is stopped in between loses it, and nobody gives it back twice.
 */

/* A burst that every frame has been taken from. */
static void lane_free_read(struct lane *lane)
{
    struct burst *read = lane->reading;
    lane->reading = NULL;
    ks_status status = ks_free(lane->expert->host->key, read);
    if (status != KS_OK)
        host_fatal("freeing frames", status);
}

static void lane_free_done(struct lane *lane)
{
    ks_status status = KS_OK;
    uint32_t count = lane->done_count;
    lane->done_count = 0;
    if (ks_free_bulk(lane->expert->host->key, lane->done, count, &status) != count)
        host_fatal("freeing frames", status);
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

/* ------------------------------------------------------------------ the expert's side */

static bool lane_is_to_end(const struct lane *lane)
{
    return interrupt_is_late() || atomic_load_explicit(&lane->expert->failed, memory_order_relaxed);
}

/* The next burst, or NULL when there will be none. An idle lane sends home what it holds. */
static struct burst *lane_wait(struct lane *lane, bool drains)
{
    struct host *host = lane->expert->host;
    struct burst *burst;
    unsigned spins = 0;
    for (;;) {
        bool ended = atomic_load_explicit(&host->capture_ended, memory_order_acquire);
        if (drains ? interrupt_is_late() : lane_is_to_end(lane))
            return NULL;
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

/* Of the ring that the expert's process can only read. What is left of the frames when the expert has failed is nobody's. */
static struct frame *lane_read_shared(struct lane *lane)
{
    unsigned spins = 0;
    bool has_ended = atomic_load_explicit(&lane->expert->failed, memory_order_relaxed);
    struct frame *frame = has_ended ? NULL : cursor_next(&lane->cursor, &has_ended);
    if (frame || has_ended)
        return frame;
    atomic_store_explicit(&lane->is_waiting, true, memory_order_relaxed);
    while (!frame && !has_ended && !atomic_load_explicit(&lane->expert->failed, memory_order_relaxed)) {
        if (spins == SPINS)
            ks_flush();
        wait_a_little(&spins);
        frame = cursor_next(&lane->cursor, &has_ended);
    }
    atomic_store_explicit(&lane->is_waiting, false, memory_order_relaxed);
    return frame;
}

static struct frame *lane_read(struct lane *lane, bool drains)
{
    if (lane->expert->is_apart)
        return lane->current = lane_read_shared(lane);
    if (!drains && lane_is_to_end(lane))
        return NULL;
    lane_release(lane);
    if (drains && interrupt_is_late())
        return NULL;
    if (lane->reading && lane->position == lane->reading->count)
        lane_free_read(lane);
    if (!lane->reading) {
        atomic_store_explicit(&lane->is_waiting, true, memory_order_relaxed);
        struct burst *burst = lane_wait(lane, drains);
        atomic_store_explicit(&lane->is_waiting, false, memory_order_relaxed);
        if (!burst)
            return NULL;
        lane->position = 0;
        lane->reading = burst;
    }
    lane->current = lane->reading->frames[lane->position++];
    return lane->current;
}

/* Only the lane's thread writes it. */
void lane_moved(struct lane *lane)
{
    uint64_t moved = atomic_load_explicit(&lane->moved, memory_order_relaxed);
    atomic_store_explicit(&lane->moved, moved + 1, memory_order_relaxed);
}

struct frame *lane_next(struct lane *lane)
{
    if (atomic_load_explicit(&lane->has_ended, memory_order_relaxed))
        return NULL;
    struct frame *frame = lane_read(lane, false);
    atomic_store_explicit(&lane->at, frame ? frame->number : 0, memory_order_relaxed);
    if (frame)
        lane_moved(lane);
    else
        atomic_store_explicit(&lane->has_ended, true, memory_order_relaxed);
    return frame;
}

static bool lane_is_ready(struct lane *lane)
{
    return (lane->reading && lane->position < lane->reading->count) || ck_ring_size(&lane->ring) || interrupt_is_late();
}

bool lane_let_go_by(struct lane *lane)
{
    bool ended;
    if (lane->expert->is_apart) {
        lane->current = NULL;
        return cursor_next(&lane->cursor, &ended);
    }
    if (!lane_is_ready(lane))
        return false;
    lane_next(lane);
    return true;
}

/* ------------------------------------------------------------------ the lane's thread */

bool lane_claim(struct lane *lane)
{
    return !atomic_exchange(&lane->is_claimed, true);
}

/* What is left of the frames goes home unread. */
static void lane_drain(struct lane *lane)
{
    seek_release(lane);
    while (lane_read(lane, true))
        ;
    if (lane->expert->is_apart)
        cursor_close(&lane->cursor);
    else
        lane_free_done(lane);
    ks_flush();
}

static void lane_run(void *argument)
{
    struct lane *lane = argument;
    struct expert *expert = lane->expert;
    EXPERTSTARTUPINFO startup = host_startup(expert->host);
    if (expert->info.pRunProc((HEXPERTKEY)expert->key, expert->config, &startup, 0, NULL))
        return;
    quota_look(expert);
    pthread_mutex_lock(&expert->mutex);
    expert_fail(expert, &lane->guest, FAILURE_GAVE_UP, 0, "%s",
                *expert->problem ? expert->problem : "Run returned FALSE");
    pthread_mutex_unlock(&expert->mutex);
}

void *lane_main(void *argument)
{
    struct lane *lane = argument;
    host_lane = lane;
    guest_call(&lane->guest, lane_run, lane);
    atomic_store(&lane->has_returned, true);
    watchdog_wake();
    if (lane_claim(lane)) {
        lane_drain(lane);
        atomic_store(&lane->is_over, true);
    }
    guest_leave(&lane->guest);
    return NULL;
}

/* ------------------------------------------------------------------ in the place of its thread */

bool lanes_have_returned(const struct expert *expert)
{
    for (unsigned t = 0; expert->lanes && t < expert->lanes_count; t++)
        if (!atomic_load(&expert->lanes[t].has_returned) && atomic_load(&expert->lanes[t].guest.state) != GUEST_PARKED)
            return false;
    return true;
}

static void burst_release(struct lane *lane, struct burst *burst)
{
    lane->reading = burst;
    for (lane->position = 0; lane->position < burst->count;) {
        lane->current = burst->frames[lane->position++];
        lane_release(lane);
    }
    lane_free_read(lane);
}

void lane_take_over(struct lane *lane)
{
    struct burst *burst;
    if (atomic_load(&lane->is_over))
        return;
    if (lane->expert->is_apart) {
        atomic_store(&lane->is_over, true);
        return;
    }
    bool ended = atomic_load_explicit(&lane->expert->host->capture_ended, memory_order_acquire) || interrupt_is_late();
    seek_release(lane);
    lane_release(lane);
    if (lane->reading) {
        while (lane->position < lane->reading->count) {
            lane->current = lane->reading->frames[lane->position++];
            lane_release(lane);
        }
        lane_free_read(lane);
    }
    while (ck_ring_dequeue_spsc(&lane->ring, lane->slots, &burst))
        burst_release(lane, burst);
    lane_free_done(lane);
    atomic_store(&lane->is_over, ended);
}
