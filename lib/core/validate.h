/*
 * The validation of a pointer that a caller hands in: what no free, resize or size query gets around.
 *
 * The fast path accepts a block of the caller's own heap on five facts: the address lies in the range; the slab's tag is the heap's,
 * which stands for owner, key and generation at once; it is a block's first byte; its group has been carved; its bit is clear.
 * Whatever is not accepted there is looked into by validate, which finds the reason, or another thread's live block.
 */
#ifndef LIB_CORE_VALIDATE_H
#define LIB_CORE_VALIDATE_H

#include "core/ownership.h"

/*
 * The slab that an address lies in, and where; NULL where nothing is read, because it cannot be the library's
 * (C8.3).
 */
FAST_PATH struct slab *validate_range(const void *block, size_t *within)
{
    size_t offset = (size_t)((uintptr_t)block - (uintptr_t)range.base);
    if (unlikely(!is_below_relaxed(&range.high, offset)))
        return NULL;
    struct slab *slab = slab_at(offset);
    assume(slab);
    *within = offset & (SLAB_BYTES - 1);
    return slab;
}

/* With the heap's tag the slab is the caller's, and nobody else writes the rest of its descriptor (C7.1). */
FAST_PATH bool validate_owner(const struct heap *heap, const struct slab *slab)
{
    if (unlikely(!equals_relaxed(&slab->tag, heap->tag)))
        return false;
    POINT("free: own tag");
    return true;
}

/*
 * Whether an offset into a slab of the caller's own is the first byte of a block of a group that has been carved,
 * and which (C7.1).
 */
FAST_PATH bool validate_index(const struct slab *slab, size_t within, uint32_t *index)
{
    return likely(class_index(within, slab->reciprocal, index)) && likely(*index < slab->carved);
}

/* The same of a block that is out (C7.1). */
static inline bool validate_own(const struct slab *slab, size_t within, uint32_t *index)
{
    return validate_index(slab, within, index) && !(slab_group(slab, group_of(*index))->free & bit_of(*index));
}

/*
 * What a block is, for a heap at its key's generation. With KS_OK, which a live block of any thread gets: its slab
 * and index, the heap that owns it, and for another thread's block the entry that frees it.
 */
struct lookup {
    ks_status status;
    struct slab *slab;
    struct heap *home;
    uint64_t tag;
    struct remote_block block; /* of the caller's own, too */
    size_t class_size;         /* 0 where the block is not ours */
};

struct lookup validate(struct heap *heap, const void *block);

/*
 * A block that was found good earlier in this operation. What the operation has done since may have accepted an
 * earlier free of it, and handed its address out again: it must still be the one that was found.
 */
struct lookup validate_again(const struct heap *heap, const void *block, const struct lookup *before);

#endif
