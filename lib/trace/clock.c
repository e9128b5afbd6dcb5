#include "clock.h"

#include <time.h>

#define SECOND_NS 1000000000ull

THREAD_LOCAL struct trace_told trace_told;
_Atomic uint32_t trace_ticks = 1;

uint64_t trace_now(void)
{
    struct timespec now;
    trace_told.tick = atomic_load_explicit(&trace_ticks, memory_order_relaxed);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return trace_told.time = (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

void trace_tick(void)
{
    uint32_t tick = atomic_load_explicit(&trace_ticks, memory_order_relaxed) + 1;
    atomic_store_explicit(&trace_ticks, tick ? tick : 1, memory_order_relaxed);
}
