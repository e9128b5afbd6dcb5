/*
 * Groups: allocating and freeing is clearing and setting bits of one word. The multiplication that finds a block's
 * group finds its bit too, and tells a first byte from an interior address.
 */
#ifndef LIB_CORE_GROUP_H
#define LIB_CORE_GROUP_H

#include "core/address.h"

/* Eight bytes of a record, whatever they are. */
typedef uint64_t __attribute__((may_alias)) record_word;

/* The group of a bin that has none: it has no free blocks, so that no allocation has to ask. */
extern struct group group_none;

FAST_PATH uint32_t group_of(uint32_t index)
{
    return index / GROUP_BLOCKS;
}

FAST_PATH uint32_t bit_of(uint32_t index)
{
    return (uint32_t)1 << index % GROUP_BLOCKS;
}

FAST_PATH struct group *slab_group(const struct slab *slab, uint32_t group)
{
    return (struct group *)(slab->groups + (size_t)group * slab->stride);
}

/* How many groups have been carved. */
static inline uint32_t groups_carved(const struct slab *slab)
{
    return (slab->carved + GROUP_BLOCKS - 1) / GROUP_BLOCKS;
}

/* The bits of a carved group's blocks. */
static inline uint32_t group_blocks(const struct slab *slab, uint32_t group)
{
    uint32_t count = slab->carved - group * GROUP_BLOCKS;
    return count < GROUP_BLOCKS ? ((uint32_t)1 << count) - 1 : UINT32_MAX;
}

/* The clock at the next allocation from a group with this word. */
FAST_PATH uint32_t clock_next(uint64_t word)
{
    return (uint32_t)(word >> CLOCK_SHIFT) + CLOCK_STEP;
}

/* Of each block that is handed out, before group_take (C7.1). */
FAST_PATH void born_set(struct group *group, size_t block, uint32_t clock)
{
    store_relaxed(&group->born[block], (uint16_t)clock);
    POINT("alloc: born noted");
}

/* The same of all blocks of the group, four at a time (C7.1). */
FAST_PATH void born_set_all(struct group *group, uint32_t clock)
{
    uint64_t four = (uint16_t)clock * (uint64_t)0x0001000100010001;
    record_word *born = (record_word *)group->born;
    for (size_t i = 0; i < sizeof group->born / (sizeof *born); i++)
        store_relaxed(&born[i], four);
    POINT("alloc: born noted");
}

/*
 * Hands blocks out: `left` is the group's word without their bits, and the clock goes on in the same store. A
 * thread that reads their bits clear reads the clock that they were handed out at, or a later one (C7.1).
 */
FAST_PATH void group_take(struct group *group, uint64_t left)
{
    store_release(&group->word, left + ((uint64_t)CLOCK_STEP << CLOCK_SHIFT));
    POINT("alloc: bits cleared");
}

/* Sets the bits of blocks that are clear in `word`, the group's. Owner-only store; relaxed is enough (C7.1). */
FAST_PATH void group_free(struct group *group, uint64_t word, uint32_t blocks)
{
    store_relaxed(&group->word, word | blocks);
    POINT("free: bits set");
}

/* ------------------------------------------------------------------ ages
 *
 * An age is how far the clock has risen since a block was handed out. born has 16 bits, so an age is only known
 * while it is short. Before one can come round, it is cut to BORN_AGE_MOST: a group is looked at whenever it
 * becomes a bin's and whenever the bin's countdown ends, so its clock rises by no more than BORN_WINDOW in between,
 * and one of these looks falls into each window, one of which there is in each BORN_PERIOD. What is older than
 * BORN_AGE_MOST cannot be told from what is much older (C7.4).
 */
#define BORN_AGE_MOST 0x4000u
#define BORN_PERIOD   0x8000u
#define BORN_WINDOW   (CLOCK_STEP * PASS_ALLOCATIONS)

static_assert(sizeof(struct group) == GROUP_BYTES, "the layers below know how large a record is");
static_assert(BORN_AGE_MOST + BORN_PERIOD + BORN_WINDOW <= 0x10000u, "an age is cut before it comes round");

FAST_PATH bool born_is_due(const struct group *group)
{
    return (group->clock + BORN_PERIOD / 2) % BORN_PERIOD < BORN_WINDOW;
}

void born_cut(struct group *group);

/*
 * Which of the blocks in `mask` have not been handed out since the group's clock was `stamp`. Where that is longer ago
 * than ages are known, those count that have been out for as long as ages are known (C6.4).
 */
static inline uint32_t blocks_kept(const struct group *group, uint32_t stamp, uint32_t mask)
{
    uint32_t since = group->clock - stamp;
    if (likely(!since))
        return mask;
    if (since > BORN_AGE_MOST)
        since = BORN_AGE_MOST;
    uint32_t kept = 0;
    for (uint32_t left = mask; left; left &= left - 1) {
        uint32_t block = (uint32_t)__builtin_ctz(left);
        if ((uint16_t)(group->clock - group->born[block]) >= since)
            kept |= (uint32_t)1 << block;
    }
    return kept;
}

/* ------------------------------------------------------------------ recent groups */

FAST_PATH bool recents_are_empty(const struct recent *top)
{
    return (uintptr_t)top % RECENTS_BYTES == sizeof *top;
}

FAST_PATH bool recents_are_full(const struct recent *top)
{
    return (uintptr_t)top % RECENTS_BYTES == 0;
}

#endif
