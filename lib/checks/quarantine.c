#include "checks/quarantine.h"

#include "core/heap.h"
#include "core/report.h"

#include <string.h>

#define POISON_BYTE 0xdb
#define POISON_WORD ((uint64_t)0xdbdbdbdbdbdbdbdb)

/* ------------------------------------------------------------------ pattern */

static bool is_poisoned(const uint64_t *words, size_t bytes)
{
    uint64_t differs = 0;
    for (size_t i = 0; i < bytes / sizeof *words; i++)
        differs |= words[i] ^ POISON_WORD;
    return !differs;
}

/* One that has not been handed out in this epoch of its slab was never filled. */
void quarantine_check(struct heap *heap, const struct bin *bin, uint32_t block)
{
    const void *start = bin->base + (size_t)block * bin->block_bytes;
    if (bin->group->born[block] && !is_poisoned(start, bin->block_bytes))
        report_damaged(thread_self, heap, start, bin->block_bytes);
}

/* ------------------------------------------------------------------ order */

/* Steele, Lea and Flood: Fast splittable pseudorandom number generators, 2014. Any seed will do. */
static uint64_t random_next(uint64_t *state)
{
    uint64_t word = *state += 0x9e3779b97f4a7c15;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
    word = (word ^ word >> 27) * 0x94d049bb133111eb;
    return word ^ word >> 31;
}

/* The upper word of a product is below its factor, and as evenly spread as 2^64 allows. */
uint32_t quarantine_choose(struct heap *heap, uint32_t free)
{
    unsigned count = (unsigned)__builtin_popcount(free);
    for (uint64_t skip = (uint64_t)((unsigned __int128)random_next(&heap->random) * count >> 64); skip; skip--)
        free &= free - 1;
    return free & -free;
}

/* ------------------------------------------------------------------ waiting */

static uint32_t most_waiting(uint32_t block_bytes)
{
    uint32_t blocks = QUARANTINE_BYTES / block_bytes;
    return blocks > QUARANTINE_BLOCKS ? QUARANTINE_BLOCKS : blocks < QUARANTINE_LEAST ? QUARANTINE_LEAST : blocks;
}

/* Any thread may ask, also for a slab that is beginning anew: it reads inside the side areas (C7.2). */
uint32_t quarantine_waiting(const struct slab *slab, uint32_t group)
{
    return load_relaxed(slab_waiting(slab, group));
}

/* The block that has waited longest becomes free (C7.1). */
static void waiting_free(struct heap *heap, struct supply *supply)
{
    struct message *first = TAILQ_FIRST(&supply->waiting);
    struct remote_entry entry = first->entries[first->accepted++];
    struct slab *slab = &range.slabs[entry.slab];
    uint32_t *waiting = slab_waiting(slab, PLACE_GROUP(entry.place));
    if (first->accepted == first->count) {
        TAILQ_REMOVE(&supply->waiting, first, link);
        message_put(thread_self, first);
    }
    supply->waiting_count--;
    store_relaxed(waiting, *waiting & ~entry.mask);
    POINT("quarantine: left");
    heap_free_blocks(heap, slab, PLACE_GROUP(entry.place), entry.mask);
}

/* The message that takes the next block; NULL without memory. */
static struct message *waiting_last(struct supply *supply)
{
    struct message *last = TAILQ_LAST(&supply->waiting, message_list);
    if (last && last->count < MESSAGE_ENTRIES)
        return last;
    last = message_get(thread_self);
    if (!last)
        return NULL;
    last->accepted = 0;
    TAILQ_INSERT_TAIL(&supply->waiting, last, link);
    return last;
}

/* Without memory for the list, the block does not wait (C7.1). */
static void waiting_add(struct heap *heap, struct slab *slab, uint32_t group, uint32_t bit)
{
    struct supply *supply = &heap->supplies[slab->class];
    struct message *last = waiting_last(supply);
    if (!last) {
        heap_free_blocks(heap, slab, group, bit);
        return;
    }
    last->entries[last->count++] = (struct remote_entry){
        .slab = slab_index(slab),
        .mask = bit,
        .place = slab->place | group,
    };
    uint32_t *waiting = slab_waiting(slab, group);
    store_relaxed(waiting, *waiting | bit);
    POINT("quarantine: waits");
    if (++supply->waiting_count > most_waiting((uint32_t)slab->block_bytes))
        waiting_free(heap, supply);
}

void quarantine_freed(struct heap *heap, struct slab *slab, uint32_t group, uint32_t mask)
{
    for (; mask; mask &= mask - 1) {
        uint32_t index = group * GROUP_BLOCKS + (uint32_t)__builtin_ctz(mask);
        memset(slab_start(slab) + index * slab->block_bytes, POISON_BYTE, slab->block_bytes);
        waiting_add(heap, slab, group, mask & -mask);
    }
}

void quarantine_release(struct heap *heap)
{
    for (uint64_t left = heap->used; left; left &= left - 1) {
        struct supply *supply = &heap->supplies[__builtin_ctzl(left)];
        while (supply->waiting_count)
            waiting_free(heap, supply);
    }
}

void quarantine_dropped(struct heap *heap)
{
    for (uint64_t left = heap->used; left; left &= left - 1) {
        struct supply *supply = &heap->supplies[__builtin_ctzl(left)];
        message_put_list(thread_self, &supply->waiting);
        supply->waiting_count = 0;
    }
}
