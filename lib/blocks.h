/* What the public calls on blocks share. */
#ifndef LIB_BLOCKS_H
#define LIB_BLOCKS_H

#include "judge.h"
#include "key.h"
#include "large.h"
#include "report.h"
#include "returns.h"
#include "thread.h"

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
    fetch_add(&heap->key->refusals[*status], 1);
    return NULL;
}

/* A block from a heap of a live key, inside an operation. */
void *heap_alloc(struct heap *heap, size_t size, size_t alignment, ks_status *status);

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
 * A block that judge_local has accepted becomes free and goes to the bin's magazine. False when that is full:
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

/*
 * Another thread's block, its home and class already in an open outbox, so that the key, the generation and
 * the owner are known to be right: it must be the first byte of a live block. C6.1.
 */
FAST_PATH bool free_to_outbox(struct thread *thread, struct heap *heap, void *block)
{
    size_t offset = (size_t)((uintptr_t)block - (uintptr_t)range.base);
    if (unlikely(!is_below_relaxed(&range.high, offset)))
        return false;
    struct slab *slab = arena_slab(offset);
    uint64_t tag = load_acquire(&slab->tag);
    uint32_t class = load_relaxed(&slab->class);
    struct outbox *box = outbox_of(heap, tag, class);
    uint32_t index;
    if (unlikely(!tag || !outbox_is_for(box, tag, class) ||
                 !class_index(offset & (SLAB_BYTES - 1), load_relaxed(&slab->reciprocal), &index)))
        return false;
    /* The life first: an old one never goes with a young block's state, and with an old state it is refused. */
    uint8_t life = load_acquire(&slab->life);
    POINT("free: life read");
    uint8_t state = load_relaxed(load_relaxed(&slab->states) + index);
    if (unlikely(!(state & STATE_LIVE)))
        return false;
    POINT("free: state read");
    if (outbox_put(box, block, carried_of(state, life)))
        heap_send(thread, heap, box);
    return true;
}

#endif
