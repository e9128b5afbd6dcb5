/*
 * Heaps: one key in one thread. What the owner does with one: begins it, resets, trims and reclaims it. Slabs
 * belong to a heap, not to its thread.
 */
#ifndef LIB_CORE_HEAP_H
#define LIB_CORE_HEAP_H

#include "core/remote.h"
#include "core/slab.h"
#include "core/thread.h"

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

/* Whether a block is the one that this heap handed out last in the thread: it is of its bin's group (C7.6). */
FAST_PATH bool last_is(const struct thread *thread, const void *block, const struct heap *heap)
{
    return block == thread->last && thread->last_place - (uintptr_t)heap < sizeof heap->bins;
}

FAST_PATH struct bin *last_bin(const struct thread *thread)
{
    return (struct bin *)(thread->last_place & ~(sizeof(struct bin) - 1));
}

FAST_PATH uint32_t last_number(const struct thread *thread)
{
    return (uint32_t)(thread->last_place % sizeof(struct bin));
}

/* Renews a countdown that has ended. A thread that sums up meanwhile reads one count or the other (C0.7). */
static inline void bin_renew(struct bin *bin)
{
    uint64_t target = bin->target;
    store_relaxed(&bin->target, target + 1);
    POINT("renew: begun");
    store_release(&bin->countdown, (uint64_t)PASS_ALLOCATIONS);
    POINT("renew: countdown set");
    store_release(&bin->target, target + PASS_ALLOCATIONS);
    POINT("renew: over");
}

/*
 * From now on nothing of the old incarnation is taken for this heap's: slabs, and messages that are still to come
 * (C3.4).
 */
static inline void heap_reincarnate(struct heap *heap)
{
    store_relaxed(&heap->tag, heap->tag + TAG_INDEX_MASK + 1);
}

static inline struct recent *recents_floor(struct heap *heap, uint32_t class)
{
    return heap->recents[class].places + 1;
}

/* The list of the class of large blocks is full for ever: a free of one meets the slow path. */
static inline struct recent *recents_start(struct heap *heap, uint32_t class)
{
    return class >= CLASS_LARGE ? heap->recents[CLASS_LARGE].places : recents_floor(heap, class);
}

/* An empty heap of the key, owned by `thread`, and on the key's list for good. NULL without memory. */
struct heap *heap_new(struct thread *thread, struct key *key, ks_key_t handle);

/* A heap of a key whose last reference is gone. */
void heap_recycle(struct heap *heap);

/* How many more empty slabs there are than `kept`. */
static inline uint64_t heap_empty_above(const struct heap *heap, uint64_t kept)
{
    return heap->empty_count > kept ? heap->empty_count - kept : 0;
}

/* Makes a group with free blocks, which is in no summary and not recent, the one that the bin's allocations take from. */
FAST_PATH void bin_set(struct bin *bin, struct group *group, uintptr_t base)
{
    bin->group = group;
    bin->base = (char *)base;
}

/*
 * The same, and what groups need now and then: ages that are cut, and a prefetch of blocks that other threads have
 * freed.
 */
void bin_load(struct bin *bin, struct group *group, uintptr_t base);

/* bin_load with the next group of a slab that has one left to carve. */
void heap_carve(struct heap *heap, struct slab *slab);

/*
 * The same with the recent group that was filled last; false where there is none. Where lifetimes are random this is
 * every other allocation, which mostly finds nothing for bin_load to do.
 */
FAST_PATH bool bin_load_recent(struct bin *bin)
{
    if (unlikely(recents_are_empty(bin->top)))
        return false;
    struct recent recent = *--bin->top;
    if (likely(!(recent.base & RECENT_REMOTE) && !born_is_due(recent.group)))
        bin_set(bin, recent.group, recent.base);
    else
        bin_load(bin, recent.group, recent.base);
    return true;
}

/* Whether the bin's group has free blocks, for bin_take and bin_take_run. */
FAST_PATH bool bin_has_blocks(const struct bin *bin)
{
    return bin->group->free;
}

/* The lowest free block of a bin's group that has some, for the thread that owns the heap (C7.1). */
FAST_PATH void *bin_take(struct thread *thread, const struct bin *bin)
{
    struct group *group = bin->group;
    uint64_t word = group->word;
    size_t number = lowest_bit((uint32_t)word);
    born_set(group, number, clock_next(word));
    group_take(group, word & (word - 1));
    void *block = bin->base + number * bin->block_bytes;
    last_set(thread, block, bin, number);
    return block;
}

/* All blocks of a bin's group of which all are free: they follow each other, and there is nothing to search for (C7.1). */
static inline void bin_take_whole(const struct bin *bin, void **blocks)
{
    struct group *group = bin->group;
    uint64_t word = group->word;
    born_set_all(group, clock_next(word));
    char *block = bin->base;
    for (size_t i = 0; i < GROUP_BLOCKS; i++, block += bin->block_bytes)
        blocks[i] = block;
    group_take(group, word & ~(uint64_t)UINT32_MAX);
}

/* Up to `most` free blocks of a bin's group that has some, with one step of the clock (C7.1). */
static inline size_t bin_take_run(const struct bin *bin, void **blocks, size_t most)
{
    struct group *group = bin->group;
    uint64_t word = group->word;
    uint32_t clock = clock_next(word);
    size_t count = 0;
    last_forget();
    if (likely((uint32_t)word == UINT32_MAX && most >= GROUP_BLOCKS)) {
        bin_take_whole(bin, blocks);
        return GROUP_BLOCKS;
    }
    do {
        size_t number = lowest_bit((uint32_t)word);
        word &= word - 1;
        born_set(group, number, clock);
        blocks[count++] = bin->base + number * bin->block_bytes;
    } while ((uint32_t)word && count < most);
    group_take(group, word);
    return count;
}

/* Half of the class's recent groups, the older ones, go into their slabs' summaries. */
void recents_spill(struct heap *heap, uint32_t class);

/* A group becomes recent. False where there is no room: recents_spill. */
FAST_PATH bool bin_push_recent(struct bin *bin, struct group *group, uintptr_t base)
{
    struct recent *top = bin->top;
    if (unlikely(recents_are_full(top)))
        return false;
    *top = (struct recent){group, base};
    bin->top = top + 1;
    return true;
}

/* All groups of the class that have free blocks go into their slabs' summaries, so that a slab of which nothing is in use is found. */
void class_summarize(struct heap *heap, uint32_t class);

/* The first block of a group. */
FAST_PATH uintptr_t group_base(const struct slab *slab, uint32_t group)
{
    return (uintptr_t)slab_start(slab) + (size_t)group * GROUP_BLOCKS * slab->block_bytes;
}

/* A group that had no free blocks has some now, and becomes recent, where it is not the bin's. Of no large block. */
void heap_group_freed(struct heap *heap, const struct slab *slab, uint32_t number);

/* Blocks of a group that are not free become so (C7.1). */
static inline void heap_free_blocks(struct heap *heap, const struct slab *slab, uint32_t number, uint32_t blocks)
{
    struct group *group = slab_group(slab, number);
    uint64_t before = group->word;
    group_free(group, before, blocks);
    if (!(uint32_t)before)
        heap_group_freed(heap, slab, number);
}

/*
 * The same for blocks that other threads have freed. A group comes back in parts: it becomes recent when it is whole, and
 * is in its slab's summary until then. Allocated from at once, it would come back in ever smaller parts, and no free would
 * join another's entry.
 */
void heap_free_remote(struct heap *heap, struct slab *slab, uint32_t number, uint32_t blocks);

/* Takes in what was freed, and gives what is free back to the arena, but for `kept` empty slabs: `most` slabs, and as many large blocks. */
#define TRIM_ALL UINT64_MAX
void heap_trim(struct heap *heap, uint64_t kept, uint64_t most);

#endif
