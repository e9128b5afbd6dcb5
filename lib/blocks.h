/* What the public calls on blocks share. */
#ifndef LIB_BLOCKS_H
#define LIB_BLOCKS_H

#include "judge.h"
#include "key.h"
#include "large.h"
#include "report.h"
#include "returns.h"
#include "thread.h"
#include "traced.h"

#define ALIGNMENT_MOST ((size_t)1 << 30)

FAST_PATH void answer(ks_status *status, ks_status value)
{
    if (status)
        *status = value;
}

/* The heap to allocate from, inside an operation; NULL with the reason, which is counted where there is a key. C0.6. */
static inline struct heap *heap_to_allocate(ks_key_t key, ks_status *status)
{
    struct heap *heap = heap_current_or_enter(key, status);
    if (!heap || *status == KS_OK)
        return heap;
    key_count_refusal(heap->key, *status);
    return NULL;
}

/* Makes sure of a block in the class's bin. False with KS_QUOTA or KS_NO_MEMORY. */
bool heap_stock(struct heap *heap, uint32_t class, ks_status *status);

/* A block from a heap of a live key, inside an operation. */
void *heap_alloc(struct heap *heap, size_t size, size_t alignment, ks_status *status);

/* Bytes that a block of `size` has with this table; 0 where it would be refused as too large. */
size_t good_size(const struct classes *classes, size_t size);

/* Frees a block that the fast path did not accept, inside an operation. */
ks_status heap_free(struct heap *heap, void *block);

/*
 * Frees a block that was judged good earlier in this operation. What the operation has done since may have brought an
 * earlier free of it home, and handed its address out again: it must still be the one that was judged.
 */
ks_status heap_free_again(struct heap *heap, void *block, const struct verdict *before);

static inline bool is_same_life(const struct verdict *now, const struct verdict *before)
{
    return now->tag == before->tag && now->life == before->life && now->place.value == before->place.value;
}

/*
 * A block of the heap's own, judged to be live, becomes free and goes to the bin's magazine. False when that is full:
 * the block is free then, and for heap_overflow or large_release. C0.1.
 */
FAST_PATH bool heap_free_local(struct heap *heap, void *block, struct place place)
{
    POINT("free: judged");
    state_take_back(place);
    struct bin *bin = heap_bin(heap, place.slab->bin);
    struct slot *top = bin->top;
    if (unlikely(magazine_is_full(top)))
        return false;
    *top = (struct slot){block, place.state};
    store_relaxed(&bin->top, top + 1);
    return true;
}

/* Another thread's slab, and an open box for its home and class, so that the key, the generation and the owner are right. */
struct away {
    struct slab *slab;
    struct outbox *box;
    uint8_t life;
};

/* C6.1. */
FAST_PATH bool away_find(struct heap *heap, struct slab *slab, struct away *away)
{
    uint64_t tag = load_acquire(&slab->tag);
    struct outbox *box = heap_outbox(heap, load_relaxed(&slab->box));
    if (unlikely(!tag || !outbox_is_for(box, tag, load_relaxed(&slab->class))))
        return false;
    /* Before any state: an old life never goes with a young block's state, and with an old state it is refused. */
    *away = (struct away){slab, box, load_acquire(&slab->life)};
    POINT("free: life read");
    return true;
}

/* Whether an offset into the slab is the first byte of a live block, and what travels with the block. C6.1. */
FAST_PATH bool away_judge(const struct away *away, size_t within, uint16_t *carried)
{
    uint32_t index;
    if (unlikely(!class_index(within, load_relaxed(&away->slab->reciprocal), &index)))
        return false;
    uint8_t state = load_relaxed(load_relaxed(&away->slab->states) + index);
    *carried = carried_of(state, away->life);
    return likely(state & STATE_LIVE);
}

#endif
