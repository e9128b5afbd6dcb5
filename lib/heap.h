/*
 * Heaps: one key in one thread. What its holder does with one: birth, reset, settling, death. A heap, not its thread, owns
 * slabs.
 */
#ifndef LIB_HEAP_H
#define LIB_HEAP_H

#include "thread.h"

static_assert(offsetof(struct heap, bins) == 0, "a bin lies at its class's multiple of BIN_BYTES");

bool heap_start(void);

extern struct heap *heaps;
extern uint32_t heaps_used; /* any, atomic: heaps[1] up to, not including, this one have been in use */

FAST_PATH struct heap *heap_at(uint64_t tag)
{
    return &heaps[tag & TAG_INDEX_MASK];
}

/* The bin that lies at bin_of_size or slab.bin. */
FAST_PATH struct bin *heap_bin(struct heap *heap, uint32_t bin)
{
    return (struct bin *)((char *)heap + bin);
}

/* An empty heap of the key, in the hands of `thread`, and on the key's list for good. NULL without memory. */
struct heap *heap_new(struct thread *thread, struct key *key, ks_key_t handle);

/* How many more slabs are set aside than `kept`. */
static inline uint64_t heap_aside_above(const struct heap *heap, uint64_t kept)
{
    return heap->aside_count > kept ? heap->aside_count - kept : 0;
}

/* Rewinds the heap if its key has been reset since. */
void heap_catch_up(struct thread *thread, struct heap *heap);

/* Large blocks that have come home go to the arena. */
void heap_receive_large(struct heap *heap);

/* Frees all that is free, and was dropped: magazines and queues into slabs, empty slabs but for `kept` to the arena. */
void heap_settle(struct heap *heap, uint64_t kept);

/* Drops every block and gives all memory back: its key is destroyed. */
void heap_reclaim(struct thread *thread, struct heap *heap);

#endif
