/*
 * The judgement of a pointer that a caller hands in: what no free, resize or size query gets around.
 *
 * The fast path accepts a live block of the caller's own heap on four facts: the address lies in the range;
 * the slab's tag is the heap's, which stands for owner, key and generation at once; it is a block's first
 * byte; the block is live. Whatever is not accepted there is looked into by judge_slow, which finds the
 * reason or another thread's live block.
 */
#ifndef LIB_JUDGE_H
#define LIB_JUDGE_H

#include "refill.h"
#include "slab.h"

/* The slab that an address lies in, and where; NULL where nothing is read, because it cannot be ours. C8.3. */
FAST_PATH struct slab *judge_range(const void *block, size_t *within)
{
    size_t offset = (size_t)((uintptr_t)block - (uintptr_t)range.base);
    if (unlikely(!is_below_relaxed(&range.high, offset)))
        return NULL;
    struct slab *slab = arena_slab(offset);
    assume(slab);
    *within = offset & (SLAB_BYTES - 1);
    return slab;
}

/* With the heap's tag the slab is the caller's, and the rest of it is written by nobody else: slab_judge. C7.1. */
FAST_PATH bool judge_owner(const struct heap *heap, const struct slab *slab)
{
    if (unlikely(!equals_relaxed(&slab->tag, heap->tag)))
        return false;
    POINT("free: own tag");
    return true;
}

/* Whether an address is a live block of the heap's own, and where it lies. */
FAST_PATH bool judge_local(const struct heap *heap, const void *block, struct place *place)
{
    size_t within;
    struct slab *slab = judge_range(block, &within);
    return slab && judge_owner(heap, slab) && slab_judge(slab, within, place);
}

/*
 * What a block is, for a heap at its key's generation. With KS_OK, which a live block of any thread gets: its
 * place, its home, and the tag that was found.
 */
struct verdict {
    ks_status status;
    struct place place;
    struct heap *home;
    uint64_t tag;
    uint8_t life;
    size_t class_size; /* 0 where the block is not ours */
};

struct verdict judge_slow(const struct heap *heap, const void *block);

#endif
