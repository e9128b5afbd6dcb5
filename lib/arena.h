/*
 * Memory from arenas, all of it inside of the range, so that a shift finds its slab's descriptor.
 */
#ifndef LIB_ARENA_H
#define LIB_ARENA_H

#include "range.h"

bool arena_start(void);

/* What arenas come from in this process. */
enum ks_backend arena_backend(void);

FAST_PATH struct slab *arena_slab(size_t offset)
{
    return &range.slabs[offset >> SLAB_SHIFT];
}

/* That so many bytes reach into. */
static inline size_t arena_slabs(size_t bytes)
{
    return (bytes + SLAB_BYTES - 1) >> SLAB_SHIFT;
}

static inline char *arena_slab_start(const struct slab *slab)
{
    return range.base + ((size_t)(slab - range.slabs) << SLAB_SHIFT);
}

/* The bytes that arena_take charges for a block of `bytes`; 0 for more than can be addressed. */
size_t arena_round(size_t bytes, size_t alignment);

/*
 * Memory aligned to a slab at least, charged to the heap's key. NULL with KS_QUOTA or KS_NO_MEMORY. `bytes`
 * is a result of arena_round.
 */
void *arena_take(struct heap *heap, size_t bytes, size_t alignment, ks_status *status);

/* Gives it back, with the bytes that were charged. */
void arena_give(struct heap *heap, void *start, size_t bytes);

/* The same of memory whose guard cannot be lifted: nobody gets it any more, and its pages go back to the system. */
void arena_abandon(struct heap *heap, void *start, size_t bytes);

/* A key's arena, by its settings. False where it is to have its own and none is left. */
bool arena_choose(const struct settings *settings, uint32_t key_index, struct arena_choice *arena);

/* How long the shared arenas keep unused pages: milliseconds, DECAY_FOR_EVER or DECAY_AS_EVER. */
void arena_decay_shared(int64_t decay);

/* Gives the unused pages of every arena that a key may have taken from back to the system. */
void arena_purge(struct arena_choice arena);

#endif
