/*
 * Blocks above the top class: each is a slab of one group with one block, straight from the arena, so that a free meets no
 * other case than in a small one. They are listed in their heap for the reset.
 */
#ifndef LIB_CORE_LARGE_H
#define LIB_CORE_LARGE_H

#include "core/slab.h"

/* A live block, or NULL with KS_TOO_LARGE, KS_QUOTA or KS_NO_MEMORY. `alignment` is a power of two. */
void *large_take(struct heap *heap, size_t bytes, size_t alignment, ks_status *status);

/* Gives the slab of a live block back. */
void large_release(struct heap *heap, struct slab *slab);

/* Gives up to `most` blocks that a reset has dropped back to the arena. */
void large_give_dropped(struct heap *heap, uint64_t most);

#endif
