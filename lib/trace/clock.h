/* The events' clock, and the cheap way to it. */
#ifndef TRACE_CLOCK_H
#define TRACE_CLOCK_H

#include "base/compiler.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What the calling thread was told last. */
struct trace_told {
    uint64_t time;
    uint32_t tick; /* the clock's at that moment; 0: never */
};

extern THREAD_LOCAL struct trace_told trace_told;
extern _Atomic uint32_t trace_ticks;

/* Nanoseconds of CLOCK_MONOTONIC, which all threads share. */
uint64_t trace_now(void);

/*
 * What trace_now last told the calling thread, or, where the clock has ticked since, tells it now: no later than now, no earlier than
 * any time that the thread has had, and, while the clock ticks, late by less than a tick.
 */
static inline uint64_t trace_lately(void)
{
    uint32_t tick = atomic_load_explicit(&trace_ticks, memory_order_relaxed);
    return likely(trace_told.tick == tick) ? trace_told.time : trace_now();
}

/* One tick: what a thread was told before is told anew. */
void trace_tick(void);

/*
 * A thread that ticks once in a millisecond: by when a tick comes, not by what threads do, no event is closer to one than others. False with
 * errno where there can be no thread.
 */
bool trace_clock_start(void);
void trace_clock_stop(void);

#endif
