#include "core/thread.h"

#include "base/testing.h"
#include "core/message.h"
#include "core/ownership.h"
#include "core/report.h"

#include <keyslab/inline.h>

struct thread thread_nobody;

THREAD_LOCAL struct thread *thread_self = &thread_nobody;

/* Under the name that programs with keyslab/inline.h link to. */
extern THREAD_LOCAL struct ks_thread_ *ks_thread_ __attribute__((alias("thread_self")));

/* Set for ever by the exit hook: what the thread still does, other destructors do. */
static THREAD_LOCAL bool thread_left;

static struct thread *threads; /* any, atomic: pushed to, never popped */
static uint64_t threads_count;

/* Lets go of everything, then gives the structure back (C9.1). */
static void thread_release(struct thread *thread)
{
    heaps_release(thread);
    message_put_all(thread);
    thread_self = &thread_nobody;
    thread_end(thread);
    report_deliver(thread);
    /* Release: the thread that takes the structure next sees it as this one left it. */
    store_release(&thread->taken, 0u);
}

/*
 * The exit hook. Destructors that run later may still allocate and free: each such call registers the thread
 * anew and releases its heaps again at its end, because no further hook would (C9.2).
 */
static void thread_exit(void *value)
{
    struct thread *thread = value;
    thread_left = true;
    store_relaxed(&thread->busy, BUSY);
    fence_compiler();
    thread_release(thread);
}

/* What a thread knew of its heaps; the heaps themselves have been dealt with already (C10.1). */
static void thread_abandon(struct thread *thread)
{
    struct entry *entry;
    while ((entry = entry_first(thread))) {
        store_relaxed(&entry->handle, (ks_key_t)0);
        entry->heap = NULL;
        entry_unlink(thread, entry);
    }
    thread->reports_count = 0;
    message_put_all(thread);
    store_release(&thread->taken, 0u);
}

/*
 * In the child of a fork there is this thread alone. Lock-free structures are whole at every instant; what
 * belonged to one thread is whole where that thread was outside every operation. The rest is left alone for
 * ever (C10.1).
 */
static void thread_forked(void)
{
    const struct thread *self = thread_self;
    heaps_inherit(self);
    for (struct thread *thread = load_acquire(&threads); thread; thread = thread->next)
        if (thread != self && load_acquire(&thread->taken) && !load_acquire(&thread->busy))
            thread_abandon(thread);
}

bool thread_start(void)
{
    return platform_exit_hook(thread_exit) && platform_fork_hook(thread_forked);
}

/* One exchange takes the structure of a thread that has ended (C9.1). */
static struct thread *thread_recycle(void)
{
    for (struct thread *thread = load_acquire(&threads); thread; thread = thread->next) {
        uint32_t taken = 0;
        if (!load_relaxed(&thread->taken) && cas(&thread->taken, &taken, 1u))
            return thread;
    }
    return NULL;
}

/* The list of threads is pushed to, and nothing leaves it (C9.1). */
static struct thread *thread_new(void)
{
    struct thread *thread = platform_map(sizeof *thread);
    if (!thread)
        return NULL;
    thread->taken = 1;
    thread->number = fetch_add(&threads_count, 1) + 1;
    thread->next = load_relaxed(&threads);
    while (!cas(&threads, &thread->next, thread))
        ;
    return thread;
}

/* The flag is up before the thread looks at any heap (C1.1). */
struct thread *thread_register(void)
{
    if (thread_self != &thread_nobody)
        return thread_self;
    struct thread *thread = thread_recycle();
    if (!thread)
        thread = thread_new();
    if (!thread)
        return NULL;
    thread->entries = 0;
    thread->cursor = 0;
    thread->last_place = 0;
    thread->leaving = thread_left || !platform_at_exit(thread);
    store_relaxed(&thread->busy, BUSY);
    fence_compiler();
    thread_self = thread;
    return thread;
}

/*
 * A thread that has not registered raises the flag of nobody, which all such threads share and none lowers: what it does until
 * its registration is whole, it may leave undone. The thread's own plain flag; relaxed is enough (C0.1).
 */
bool ks_thread_is_inside(void)
{
    const struct thread *thread = thread_self;
    return thread != &thread_nobody && load_relaxed(&thread->busy);
}

#if KS_CHECK

void *ks_thread_switch(void *thread)
{
    struct thread *before = thread_self;
    thread_self = thread ? thread : &thread_nobody;
    return before == &thread_nobody ? NULL : before;
}

void ks_thread_leave(void)
{
    if (thread_self != &thread_nobody)
        thread_exit(thread_self);
    thread_left = false;
}

#endif

void thread_end_slow(void)
{
    struct thread *thread = thread_self;
    if (unlikely(thread->leaving)) {
        thread_release(thread);
        return;
    }
    thread_end(thread);
    report_deliver(thread);
}
