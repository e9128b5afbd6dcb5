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
        if (interrupt_is_late())
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

struct frame *lane_next(struct lane *lane)
{
    lane_release(lane);
    if (interrupt_is_late())
        return NULL;
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

void *lane_main(void *argument)
{
    struct lane *lane = argument;
    struct expert *expert = lane->expert;
    EXPERTSTARTUPINFO startup = {0};
    host_lane = lane;
    snprintf(startup.szCaptureFile, sizeof startup.szCaptureFile, "%s", expert->host->source);
    lane->ran_well = expert->info.pRunProc((HEXPERTKEY)expert->key, expert->config, &startup, 0, NULL);
    seek_release(lane);
    /* What is left of the frames goes home unread. */
    while (lane_next(lane))
        ;
    lane_free_done(lane);
    ks_flush();
    return NULL;
}
