#include "trace/clock.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000ull

enum { TICK_NS = 1000000 };

THREAD_LOCAL struct trace_told trace_told;
_Atomic uint32_t trace_ticks = 1;

static struct {
    pthread_t thread;
    _Atomic uint32_t stopping; /* a futex */
} ticker;

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

static void *tick_on(void *unused)
{
    (void)unused;
    while (!atomic_load(&ticker.stopping)) {
        syscall(SYS_futex, &ticker.stopping, FUTEX_WAIT_PRIVATE, 0, &(struct timespec){.tv_nsec = TICK_NS}, NULL, 0);
        trace_tick();
    }
    return NULL;
}

/* The thread takes none of the program's signals. */
bool trace_clock_start(void)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_store(&ticker.stopping, 0);
    int error = pthread_create(&ticker.thread, NULL, tick_on, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return !error;
}

void trace_clock_stop(void)
{
    atomic_store(&ticker.stopping, 1);
    syscall(SYS_futex, &ticker.stopping, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    pthread_join(ticker.thread, NULL);
}
