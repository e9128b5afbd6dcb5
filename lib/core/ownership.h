/*
 * Which thread may work on a heap. When a thread ends, its heap waits on the key's list, and other threads may go
 * on pushing messages to its queue; the next thread that enters the key takes it over.
 *
 * The owner of a heap is in heap.owner:
 *
 *     NONE          nobody: any thread may take it, by exchanging its own address in
 *     T             thread T, for as long as T's flag is up or T's table names the heap
 *     T | LOCKED    another thread works on it, having seen T outside every operation; T, coming back, gives it up
 *     LOCKED        another thread works on it, and nobody will come back
 *     RECLAIMED     its key is destroyed and it has given everything back
 *     LOST          in the child of a fork: its owner was inside an operation, and nobody knows how far it got
 */
#ifndef LIB_CORE_OWNERSHIP_H
#define LIB_CORE_OWNERSHIP_H

#include "core/heap.h"

/* heap.owner: the lowest bits of a thread's address are free. */
#define OWNER_NONE      ((uintptr_t)0)
#define OWNER_LOCKED    ((uintptr_t)1)
#define OWNER_RECLAIMED ((uintptr_t)2)
#define OWNER_LOST      ((uintptr_t)4)

/* What a reclaimer asks of a heap whose owner is inside an operation, in heap.wanted. */
enum wanted {
    WANTED_NOT,
    WANTED_TRIMMED, /* down to what the key retains: a purge */
    WANTED_EMPTIED, /* altogether: an allocation that was refused, a destroy */
};

/*
 * The calling thread's heap for the key, at the key's generation: the first thing in every slow path.
 * Registers the thread, takes over or makes a heap, and drops its blocks after a reset. The flag is up afterwards,
 * and the operation must end with thread_end_slow. NULL with KS_BAD_KEY or KS_NO_MEMORY; in a terminated key
 * the heap, with KS_TERMINATED.
 */
struct heap *heap_enter(ks_key_t handle, ks_status *status);

/*
 * The heap of a thread that is inside an operation, where its table still names the key: the check of the
 * fast path, and what slow paths begin with as long as nothing has happened to the key (C3.1).
 */
FAST_PATH struct entry *entry_current(struct thread *thread, ks_key_t handle)
{
    struct entry *entry = thread_entry(thread, handle);
    if (unlikely(!equals_relaxed(&entry->handle, handle)))
        return NULL;
    CHECKED(assert(!load_relaxed(&entry->heap->worker)));
    assume(entry->heap);
    return entry;
}

/* The comparison of the handle is all that an operation has to know of the key (C3.1). */
FAST_PATH struct heap *heap_current(struct thread *thread, ks_key_t handle)
{
    struct entry *entry = entry_current(thread, handle);
    return likely(entry) ? entry->heap : NULL;
}

/* The same for a traced key, which the check above never knows (C13.1). */
static inline struct entry *entry_current_traced(struct thread *thread, ks_key_t handle)
{
    struct entry *entry = thread_entry(thread, handle);
    bool named = load_relaxed(&entry->handle) == HANDLE_TRACED(handle);
    return named && entry->heap ? entry : NULL; /* one that stands for nothing names the complement of 0 */
}

static inline struct heap *heap_current_traced(struct thread *thread, ks_key_t handle)
{
    const struct entry *entry = entry_current_traced(thread, handle);
    return entry ? entry->heap : NULL;
}

static inline struct heap *heap_current_or_enter(ks_key_t handle, ks_status *status)
{
    struct heap *heap = heap_current(thread_self, handle);
    if (!heap)
        heap = heap_current_traced(thread_self, handle);
    *status = KS_OK;
    return heap ? heap : heap_enter(handle, status);
}

/* The heap that the thread owns for the key already, or NULL. */
struct heap *heap_of_thread(struct thread *thread, ks_key_t handle);

/* Releases the heap that the thread owns for the key, if there is one. */
void heap_leave(struct thread *thread, ks_key_t handle);

/* The heap that one of the thread's entries names, where the thread still owns it, else NULL. */
struct heap *heap_of_entry(struct thread *thread, struct entry *entry);

/* Releases all heaps of a thread that ends. */
void heaps_release(struct thread *thread);

/* Takes an entry off the thread's list, and releases its heap where the thread still owns it. */
void entry_release(struct thread *thread, struct entry *entry);

/* Whether a heap of a destroyed key has not been reclaimed, while no thread is inside an operation. */
bool heap_is_left_behind(struct heap *heap);

/* A heap of a destroyed key, of which the thread has sole possession, gives everything back. */
void heap_retire(struct thread *thread, struct heap *heap);

/* What whoever makes a heap nobody's does after that: retires it, if the key is destroyed and nobody else does. */
void orphan_reclaim(struct thread *thread, struct heap *heap);

/*
 * In the child of a fork, whose only thread is `self`: the heaps of the others are there to be taken over,
 * but for those that an operation was working on.
 */
void heaps_inherit(const struct thread *self);

#endif
