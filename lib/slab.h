/*
 * Slabs: their lives, and the blocks that lie in them rather than in magazines.
 *
 * A slab is carved lazily, from its start: only what has been handed out is ever touched. Blocks that
 * magazines cannot hold are shelved: a bit in the slab's bitmap. The heap's holder alone calls these.
 */
#ifndef LIB_SLAB_H
#define LIB_SLAB_H

#include "arena.h"

/* Where a block lies. */
struct place {
    struct slab *slab;
    uint8_t *state;
    uint8_t value; /* that the state had */
};

/*
 * The place of an address that is known to be a block of the caller's heap, because it comes from its
 * magazine. Its slab is written by nobody else.
 */
FAST_PATH struct place slab_place(const void *block)
{
    size_t offset = (size_t)((const char *)block - range.base);
    struct slab *slab = arena_slab(offset);
    uint32_t index;
    class_index(offset & (SLAB_BYTES - 1), slab->reciprocal, &index);
    uint8_t *state = slab->states + index;
    return (struct place){slab, state, *state};
}

/* An allocation: an even state is 254 at the most. C7.1. */
FAST_PATH void state_hand_out(struct place place)
{
    store_relaxed(place.state, (uint8_t)(place.value + 1));
}

/* The free that counts: 255 is followed by 2, because 0 says that the block was never out. C7.1. */
FAST_PATH void state_take_back(struct place place)
{
    uint32_t next = place.value + 1u;
    store_relaxed(place.state, (uint8_t)(next + (next >> 8) * 2));
}

/*
 * A slab for the class, rewound, on heap->slabs, with nothing carved: one that was set aside, the longest
 * first, else one from the arena. NULL with KS_QUOTA or KS_NO_MEMORY.
 */
struct slab *slab_begin(struct heap *heap, uint32_t class, ks_status *status);

/*
 * Makes `slab` the first slab of a large block of `bytes`, with one block, carved; the slabs behind it are
 * covered.
 */
void slab_begin_large(struct heap *heap, struct slab *slab, size_t bytes);

/* Up to `most` blocks never handed out in this life, so that popping from `top` downwards yields rising
 * addresses. */
uint32_t slab_carve(struct heap *heap, struct slab *slab, void **floor, uint32_t most);

/* Up to `most` shelved blocks of one slab, in the same order. */
uint32_t slab_unshelve(struct heap *heap, struct slab *slab, void **floor, uint32_t most);

/* A free block goes from a magazine to its slab; a slab that is empty then is set aside. */
void slab_shelve(struct heap *heap, void *block);

/*
 * Gives a slab that is on no list any more back to the arena. Its tag is marked first: the heap's own thread may be handed
 * an old pointer into it at any time, and must not take it for its own while somebody else begins a life there.
 */
void slab_give(struct heap *heap, struct slab *slab, size_t bytes);

/* Gives up to `most` of the slabs that are set aside back to the arena; how many were given. */
uint64_t slab_give_aside(struct heap *heap, uint64_t most);

#endif
