/*
 * Threads: the table that leads each of them to its heaps, and the flag that says it is inside an operation.
 *
 * The flag is a plain store on each side of an operation. A reclaimer, a thread that purges or destroys, locks the
 * heap and clears the handle, lets every thread pass a full fence by membarrier(2), and then reads the flag: the
 * owner set the flag before it looked for the handle, so either the owner finds no handle or the reclaimer finds
 * the flag up (C5.1).
 */
#ifndef LIB_CORE_THREAD_H
#define LIB_CORE_THREAD_H

#include "core/model.h"

/*
 * What a thread that has not registered points to: every entry of its table is empty, so its first operation
 * takes the slow path, which registers it.
 */
extern struct thread thread_nobody;

extern THREAD_LOCAL struct thread *thread_self;

bool thread_start(void);

/* The calling thread, registered if need be, its flag up; NULL where the system has no more memory. */
struct thread *thread_register(void);

/*
 * The end of an operation that took the slow path: lowers the flag, then calls the error hooks for what the
 * operation has refused. A thread whose exit hook has run lets go of everything again.
 */
void thread_end_slow(void);

/* A plain store; membarrier of the other side orders it (C1.1). */
FAST_PATH struct thread *thread_begin(void)
{
    struct thread *thread = thread_self;
    store_relaxed(&thread->busy, BUSY);
    /* The handle in the table is looked at after the flag is up: see above for why the compiler alone
     * matters. */
    fence_compiler();
    POINT("operation: flag up");
    return thread;
}

/* Release: a thread that reads the flag as down sees all that the operation wrote (C1.2). */
FAST_PATH void thread_end(struct thread *thread)
{
    POINT("operation: over");
    store_release(&thread->busy, (uint64_t)0);
}

/*
 * The last block: a program that frees what it has just allocated need not wait until the address has led to the
 * group. At the free it is checked that the bin is one of the heap's, and that the bit is clear (C7.6).
 */
FAST_PATH void last_set(struct thread *thread, const void *block, const struct bin *bin, size_t number)
{
    thread->last = block;
    thread->last_place = (uintptr_t)bin + number;
}

/* A bin gets another group, or may have got one while the thread was outside every operation (C7.6). */
static inline void last_forget(void)
{
    store_relaxed(&thread_self->last_place, (uintptr_t)0);
}

static_assert(GROUP_BLOCKS <= sizeof(struct bin), "a bin's address leaves room for a block's number");

/* Of a handle that is no key's, with the index 0, it is the flag's place. */
static inline struct entry *thread_entry(struct thread *thread, ks_key_t handle)
{
    return (struct entry *)((char *)thread + HANDLE_OFFSET(handle));
}

/* ------------------------------------------------------------------ thread.entries */

static inline struct entry *entry_at(struct thread *thread, uint32_t index)
{
    return index ? &thread->table[index - 1] : NULL;
}

static inline uint32_t entry_index(const struct thread *thread, const struct entry *entry)
{
    return (uint32_t)(entry - thread->table) + 1;
}

static inline struct entry *entry_first(struct thread *thread)
{
    return entry_at(thread, thread->entries);
}

static inline struct entry *entry_next(struct thread *thread, const struct entry *entry)
{
    return entry_at(thread, entry->next);
}

static inline void entry_link(struct thread *thread, struct entry *entry)
{
    entry->previous = 0;
    entry->next = thread->entries;
    thread->entries = entry_index(thread, entry);
    if (entry->next)
        entry_at(thread, entry->next)->previous = thread->entries;
}

static inline void entry_unlink(struct thread *thread, struct entry *entry)
{
    if (entry->next)
        entry_at(thread, entry->next)->previous = entry->previous;
    if (entry->previous)
        entry_at(thread, entry->previous)->next = entry->next;
    else
        thread->entries = entry->next;
}

#endif
