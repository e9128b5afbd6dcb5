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

/* Whether an offset into a slab of the caller's own is the first byte of a live block. C7.1. */
FAST_PATH bool slab_judge(struct slab *slab, size_t within, struct place *place)
{
    uint32_t index;
    if (unlikely(!class_index(within, slab->reciprocal, &index)))
        return false;
    uint8_t *state = slab->states + index;
    *place = (struct place){slab, state, *state};
    return likely(place->value & STATE_LIVE);
}

/* An allocation: an even state is 254 at the most. C7.1. */
FAST_PATH void state_hand_out(uint8_t *state)
{
    owner_increment(state);
}

/*
 * The free that counts: 255 is followed by 2, because 0 says that the block was never out, which a thread that reads the state
 * must not be told for a moment either. C7.1.
 */
FAST_PATH void state_take_back(struct place place)
{
    uint8_t next = (uint8_t)(place.value + 1);
    if (likely(next != STATE_FRESH))
        store_relaxed(place.state, next);
    else
        store_relaxed(place.state, (uint8_t)(STATE_FRESH + 2));
}

/* The outbox that a heap has for a home and a class, if it has one. */
FAST_PATH uint32_t outbox_place(uint64_t tag, uint32_t class)
{
    return offsetof(struct heap, outboxes) +
           (uint32_t)((tag + (uint64_t) class * 5) % OUTBOXES * sizeof(struct outbox));
}

/* A slab of `bytes` that is on no list yet, and no life of the heap's begun. NULL with KS_QUOTA or KS_NO_MEMORY: arena_take. */
struct slab *slab_take(struct heap *heap, size_t bytes, size_t alignment, ks_status *status);

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
uint32_t slab_carve(struct heap *heap, struct slab *slab, struct slot *floor, uint32_t most);

/* Up to `most` shelved blocks of one slab, in the same order. */
uint32_t slab_unshelve(struct heap *heap, struct slab *slab, struct slot *floor, uint32_t most);

/* A free block goes from a magazine to its slab; a slab that is empty then is set aside. */
void slab_shelve(struct heap *heap, struct slot slot);

/*
 * Gives a slab that is on no list any more back to the arena. Its tag is marked first: the heap's own thread may be handed
 * an old pointer into it at any time, and must not take it for its own while somebody else begins a life there.
 */
void slab_give(struct heap *heap, struct slab *slab);

/* Gives up to `most` of the slabs that are set aside back to the arena; how many were given. */
uint64_t slab_give_aside(struct heap *heap, uint64_t most);

#endif
