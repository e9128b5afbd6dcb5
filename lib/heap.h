/*
 * Heaps: one key in one thread. A heap, not its thread, owns slabs: when the thread ends, the heap waits on
 * the key's list with its queue alive, and the next thread that enters the key takes it over.
 *
 * Who holds a heap is in heap.holder:
 *
 *     NONE          nobody: any thread may take it, by exchanging its own address in
 *     T             thread T, for as long as T's flag is up or T's table names the heap
 *     T | SHUT      another thread works on it, having seen T outside every operation; T, coming back, gives it up
 *     SHUT          another thread works on it, and nobody will come back
 *     RECLAIMED     its key is destroyed and it has given everything back
 *     LOST          in the child of a fork: its holder was inside an operation, and nobody knows how far it got
 */
#ifndef LIB_HEAP_H
#define LIB_HEAP_H

#include "thread.h"

bool heap_start(void);

extern struct heap *heaps;

FAST_PATH struct heap *heap_at(uint64_t tag)
{
    return &heaps[tag & TAG_INDEX_MASK];
}

/*
 * The calling thread's heap for the key, at the key's generation: the first thing in every slow path.
 * Registers the thread, takes over or makes a heap, and rewinds it after a reset. The flag is up afterwards,
 * and the operation must end with thread_end_slow. NULL with KS_BAD_KEY or KS_NO_MEMORY; in a terminated key
 * the heap, with KS_TERMINATED.
 */
struct heap *heap_enter(ks_key_t handle, ks_status *status);

/*
 * The heap of a thread that is inside an operation, where its table still names the key: the check of the
 * fast path, and the way that slow paths go as long as nothing has happened to the key.
 */
FAST_PATH struct heap *heap_current(struct thread *thread, ks_key_t handle)
{
    struct entry *entry = thread_entry(thread, handle);
    return likely(load_relaxed(&entry->handle) == handle) ? entry->heap : NULL;
}

static inline struct heap *heap_current_or_enter(ks_key_t handle, ks_status *status)
{
    struct heap *heap = heap_current(thread_self, handle);
    *status = KS_OK;
    return heap ? heap : heap_enter(handle, status);
}

/* The heap that the thread holds for the key already, or NULL. */
struct heap *heap_of_thread(struct thread *thread, ks_key_t handle);

/* Lets go of the heap that the thread holds for the key, if there is one. */
void heap_give_up(struct thread *thread, ks_key_t handle);

/* The heap that one of the thread's entries names, where the thread still holds it, else NULL. */
struct heap *heap_of_entry(struct thread *thread, struct entry *entry);

/* Lets go of all heaps of a thread that ends. */
void heaps_leave(struct thread *thread);

/* Loads a magazine that is not empty into the class's bin. False with KS_QUOTA or KS_NO_MEMORY. */
bool heap_refill(struct heap *heap, uint32_t class, ks_status *status);

/* A block that is free already, for a bin whose magazine is full or that has none. */
void heap_overflow(struct heap *heap, uint32_t class, void *block);

/* Large blocks that have come home go to the arena. */
void heap_receive_large(struct heap *heap);

/* Frees all that is free, and was dropped: magazines and queues into slabs, empty slabs to the arena. */
void heap_settle(struct heap *heap);

/*
 * Makes room under the quota, or in memory: settles this heap and those of the key that nobody holds. For an
 * allocation that has been refused, which then tries once more.
 */
void heap_relieve(struct heap *heap);

/*
 * In the child of a fork, whose only thread is `self`: the heaps of the others are there to be taken over,
 * but for those that an operation was working on.
 */
void heaps_inherit(const struct thread *self);

/*
 * Works on every heap of the key that is not inside an operation, its own threads' sleeping ones included:
 * settles it, or reclaims it when the key is destroyed. The others are marked, and their holders do it when
 * they next look. The caller is inside an operation, with a reference to the key.
 */
void heaps_visit(struct thread *thread, struct key *key, ks_key_t handle);

#endif
