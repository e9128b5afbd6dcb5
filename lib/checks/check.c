/*
 * The invariants of model.h, walked: ks_key_check. For test suites: it reads private fields of every heap, so
 * no other thread may be inside a call on the key.
 */
#include "keyslab/keyslab.h"

#if KS_CHECK

#include "base/testing.h"
#include "core/key.h"
#include "core/ownership.h"

#include <stdio.h>

#define HOLDS(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "keyslab: %s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                           \
            return false;                                                                                              \
        }                                                                                                              \
    } while (0)

struct sums {
    uint64_t carved, slabs, free, waiting;
};

static const struct recent *recents_first(const struct heap *heap, uint32_t class)
{
    return heap->recents[class].places + 1;
}

/* The places where a group with free blocks is. */
static uint32_t group_places(const struct heap *heap, const struct slab *slab, uint32_t group)
{
    const struct bin *bin = &heap->bins[slab->class];
    const uint64_t *summary = (const uint64_t *)(slab->groups - CACHE_LINE);
    uint32_t places = summary[group / 64] >> group % 64 & 1;
    places += bin->group == slab_group(slab, group);
    for (const struct recent *recent = recents_first(heap, slab->class); recent < bin->top; recent++)
        places += recent->group == slab_group(slab, group);
    return places;
}

static bool check_born(const struct group *group, uint32_t blocks, uint32_t waiting)
{
    for (uint32_t i = 0; i < GROUP_BLOCKS; i++) {
        bool is_out = blocks >> i & 1 && !(group->free >> i & 1);
        HOLDS(!is_out || group->born[i]);
        HOLDS(group->born[i] == 0 || group->born[i] % 2);
        HOLDS(!(waiting >> i & 1) || is_out);
    }
    return true;
}

static bool check_group(const struct heap *heap, const struct slab *slab, uint32_t number, struct sums *sums)
{
    const struct group *group = slab_group(slab, number);
    uint32_t blocks = group_blocks(slab, number);
    uint32_t waiting = heap->key->checks ? *slab_waiting(slab, number) : 0;
    uint32_t places = slab->class == CLASS_LARGE ? group->free != 0 : group_places(heap, slab, number);
    bool is_current = heap->bins[slab->class].group == group;
    HOLDS(!(group->free & ~blocks));
    HOLDS(group->clock % 2);
    HOLDS(places == 1 || (!group->free && !places));
    HOLDS(group->free || !places || is_current);
    sums->free += (uint64_t)__builtin_popcount(group->free);
    sums->waiting += (uint64_t)__builtin_popcount(waiting);
    return check_born(group, blocks, waiting);
}

static bool check_slab(const struct heap *heap, const struct slab *slab, struct sums *sums)
{
    HOLDS(slab->tag == heap->tag);
    HOLDS(slab->handle == heap->handle);
    HOLDS(slab->class < CLASS_LIMIT);
    HOLDS(heap->used >> slab->class & 1);
    HOLDS(slab->carved && slab->carved <= slab->limit && slab->limit <= slab->capacity);
    HOLDS(slab->carved % GROUP_BLOCKS == 0 || slab->carved == slab->limit);
    HOLDS(slab->limit * slab->block_bytes <= (slab->guard ? slab->guard : slab->taken));
    HOLDS(slab->guard < slab->taken && (!slab->guard || heap->key->checks));
    HOLDS(slab->class == CLASS_LARGE || slab->taken == heap->key->slab_bytes);
    bool summarized = false;
    for (uint32_t group = 0; group < groups_carved(slab); group++) {
        if (!check_group(heap, slab, group, &sums[slab->class]))
            return false;
        summarized |= ((const uint64_t *)(slab->groups - CACHE_LINE))[group / 64] >> group % 64 & 1;
    }
    HOLDS(slab->class == CLASS_LARGE || slab->is_partial == summarized);
    sums[slab->class].carved += slab->carved;
    sums[slab->class].slabs++;
    return true;
}

static bool check_place(const struct heap *heap, uint32_t class, const struct group *group, const char *base)
{
    const struct slab *slab = slab_at((size_t)(base - range.base));
    uint32_t index = (uint32_t)((size_t)(base - slab_start(slab)) / heap->bins[class].block_bytes);
    HOLDS(slab->tag == heap->tag && slab->class == class);
    HOLDS(heap->bins[class].block_bytes == slab->block_bytes);
    HOLDS(index % GROUP_BLOCKS == 0 && index < slab->carved);
    HOLDS(group == slab_group(slab, group_of(index)));
    return true;
}

/* Every group with free blocks is in one place, and what is in a place is a group of the heap's. */
static bool check_bin(const struct heap *heap, uint32_t class)
{
    const struct bin *bin = &heap->bins[class];
    const struct supply *supply = &heap->supplies[class];
    const struct recent *floor = recents_first(heap, class);
    const struct slab *slab;
    HOLDS(bin->countdown > 0 && bin->countdown <= PASS_ALLOCATIONS && bin->target % PASS_ALLOCATIONS == 0);
    HOLDS(bin->top >= floor && bin->top <= floor + RECENTS);
    HOLDS(!group_none.free);
    for (const struct recent *recent = floor; recent < bin->top; recent++) {
        HOLDS(recent->group->free);
        if (!check_place(heap, class, recent->group, (const char *)(recent->base & ~RECENT_REMOTE)))
            return false;
    }
    if (bin->group != &group_none && !check_place(heap, class, bin->group, bin->base))
        return false;
    TAILQ_FOREACH (slab, &supply->partial, of_class) {
        HOLDS(slab->tag == heap->tag && slab->class == class && slab->is_partial);
    }
    HOLDS(!supply->carving || (supply->carving->tag == heap->tag && supply->carving->carved < supply->carving->limit));
    return true;
}

static bool check_class(const struct heap *heap, uint32_t class, const struct sums *sums)
{
    const struct bin *bin = &heap->bins[class];
    const struct supply *supply = &heap->supplies[class];
    uint64_t out = bin->target - bin->countdown - bin->freed - supply->freed_remote - supply->dropped;
    if (class != CLASS_LARGE && !check_bin(heap, class))
        return false;
    HOLDS(supply->carved == sums->carved);
    HOLDS(supply->slabs == sums->slabs);
    HOLDS(supply->waiting_count == sums->waiting);
    HOLDS(supply->carved == out + sums->free + sums->waiting);
    return true;
}

static bool check_batches(const struct heap *heap)
{
    uint32_t open = 0;
    for (const struct batch *batch = heap->batches; batch < heap->batches + BATCHES; batch++) {
        if (batch->tag == BATCH_CLOSED) {
            HOLDS(!batch->message);
            continue;
        }
        HOLDS(batch->tag % BATCHES == (uint64_t)(batch - heap->batches));
        HOLDS(batch->last >= batch->message->entries && batch->last < batch->message->entries + MESSAGE_ENTRIES);
        for (const struct remote_entry *entry = batch->message->entries; entry < batch->last; entry++)
            HOLDS(entry->mask);
        HOLDS(batch->most == heap->key->outbox_bytes && batch->held < batch->most);
        HOLDS(!batch->held == !batch->last->mask);
        open++;
    }
    HOLDS(heap->batches_open == open);
    return true;
}

static bool check_heap(const struct heap *heap)
{
    struct sums sums[CLASS_LIMIT] = {0};
    uint64_t bytes = 0;
    uint64_t empty = 0;
    const struct slab *slab;
    TAILQ_FOREACH (slab, &heap->slabs, link) {
        if (!check_slab(heap, slab, sums))
            return false;
        bytes += slab->taken;
    }
    TAILQ_FOREACH (slab, &heap->large, link) {
        if (!check_slab(heap, slab, sums))
            return false;
        bytes += slab->taken;
    }
    TAILQ_FOREACH (slab, &heap->empty, link) {
        bytes += slab->taken;
        empty++;
    }
    TAILQ_FOREACH (slab, &heap->dropped_large, link)
        bytes += slab->taken;
    HOLDS(heap->empty_count == empty);
    HOLDS(heap->empty_low <= empty);
    HOLDS(heap->arena_bytes == bytes);
    for (uint32_t class = 0; class < CLASS_LIMIT; ++class)
        if (!check_class(heap, class, &sums[class]))
            return false;
    return check_batches(heap);
}

static bool check_key(struct key *key)
{
    uint64_t bytes = 0;
    for (struct heap *heap = key->heaps; heap; heap = heap->key_next) {
        if (!check_heap(heap))
            return false;
        bytes += heap->arena_bytes;
    }
    HOLDS(key->charged == bytes);
    HOLDS(key->charged_peak >= bytes);
    return true;
}

ks_status ks_key_check(ks_key_t handle)
{
    struct key *key = key_reference(handle);
    if (!key)
        return KS_BAD_KEY;
    bool whole = check_key(key);
    key_release(key);
    return whole ? KS_OK : KS_BAD_BLOCK;
}

/* Of every heap that has ever been counted (C8.4). */
size_t ks_leaks(void)
{
    size_t leaks = 0;
    for (uint32_t index = 1; index < load_acquire(&heaps_used); index++)
        leaks += heap_is_left_behind(&heaps[index]);
    return leaks;
}

#else

ks_status ks_key_check(ks_key_t handle)
{
    (void)handle;
    return KS_INVALID;
}

#endif
