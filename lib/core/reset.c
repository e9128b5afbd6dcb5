#include "core/reset.h"

#include "core/key.h"
#include "core/large.h"

/* Blocks that are out: held by the program, or freed and pending. The owner reads its own counters plainly (C0.1). */
static uint64_t class_out(const struct bin *bin, const struct supply *supply)
{
    return bin->target - bin->countdown - bin->freed - supply->freed_remote - supply->dropped;
}

/* That of a bin's group, which is not group_none. */
static struct slab *bin_slab(const struct bin *bin)
{
    return slab_at((size_t)(bin->base - range.base));
}

/* Whether anything has been allocated from the slab of the bin's group since the last reset. */
static bool slab_was_used(const struct bin *bin, const struct slab *slab)
{
    return slab->carved > GROUP_BLOCKS || bin->group->free != group_blocks(slab, 0);
}

/*
 * The slab that a class goes on with after a reset, so that scopes that are alike find their classes as they have left
 * them: that of the bin's group, where the class has been used since the last reset. NULL for none.
 */
static struct slab *class_kept(const struct heap *heap, uint32_t class)
{
    const struct bin *bin = &heap->bins[class];
    if (bin->group == &group_none || heap->key->checks)
        return NULL;
    struct slab *slab = bin_slab(bin);
    return slab_was_used(bin, slab) ? slab : NULL;
}

/*
 * Of a class that has had a slab; supply.carving is the one that it goes on with. Returns how many others it had.
 * Owner-only stores; relaxed is enough (C0.1).
 */
static uint64_t class_drop(struct heap *heap, uint32_t class, bool goes_on)
{
    struct bin *bin = &heap->bins[class];
    struct supply *supply = &heap->supplies[class];
    uint64_t slabs = class == CLASS_LARGE ? 0 : supply->slabs;
    owner_add(&supply->dropped, class_out(bin, supply));
    store_relaxed(&supply->carved, (uint64_t)0);
    store_relaxed(&supply->slabs, (uint64_t)0);
    supply->carving = goes_on ? class_kept(heap, class) : NULL;
    if (supply->carving)
        TAILQ_REMOVE(&heap->slabs, supply->carving, link);
    TAILQ_INIT(&supply->partial);
    bin->group = &group_none;
    bin->top = recents_start(heap, class);
    return slabs - (supply->carving != NULL);
}

/* Goes on with supply.carving, in the new incarnation. */
static void class_restart(struct heap *heap, uint32_t class)
{
    struct slab *slab = heap->supplies[class].carving;
    if (!slab)
        return;
    slab_restart(heap, slab);
    heap_carve(heap, slab);
}

/*
 * Whether each class has one slab, that of its bin's group: then a reset rewinds those where they are. Most scopes are so, a
 * packet's all.
 */
static bool heap_is_small(const struct heap *heap)
{
    if (heap->used >> CLASS_LARGE & 1 || heap->key->checks)
        return false;
    for (uint64_t left = heap->used; left; left &= left - 1) {
        uint32_t class = (uint32_t)__builtin_ctzl(left);
        if (heap->supplies[class].slabs != 1 || heap->bins[class].group == &group_none)
            return false;
    }
    return true;
}

/* The one slab of a class begins anew, in the new incarnation, or is an empty one where it was not used. Owner-only stores (C0.1). */
static void class_rewind(struct heap *heap, uint32_t class)
{
    struct bin *bin = &heap->bins[class];
    struct supply *supply = &heap->supplies[class];
    struct slab *slab = bin_slab(bin);
    bin->top = recents_floor(heap, class);
    if (!slab_was_used(bin, slab)) {
        heap->used &= ~((uint64_t)1 << class);
        slab_set_empty(heap, slab);
        return;
    }
    if (slab->is_partial)
        TAILQ_INIT(&supply->partial);
    uint32_t carved = slab_rewind(heap, slab);
    store_relaxed(&supply->carved, (uint64_t)carved);
    supply->carving = carved < slab->limit ? slab : NULL;
    bin_set(bin, slab_group(slab, 0), (uintptr_t)slab_start(slab));
}

/* What was sent and received of any class, with slabs here or not. Owner-only stores (C0.1). */
static void counts_drop(struct heap *heap)
{
    for (uint32_t class = 0; class < CLASSES; ++class) {
        store_relaxed(&heap->bins[class].sent, (uint64_t)0);
        store_relaxed(&heap->supplies[class].received, (uint64_t)0);
    }
    store_relaxed(&heap->large_sent, (uint64_t)0);
    store_relaxed(&heap->large_received, (uint64_t)0);
}

/*
 * The slabs become empty ones as they are, and begin anew when they are used again, those first, since they are in the cache. Owner-only stores
 * (C0.1).
 */
static void slabs_drop(struct heap *heap, bool goes_on)
{
    uint64_t slabs = 0;
    for (uint64_t left = heap->used; left; left &= left - 1)
        slabs += class_drop(heap, (uint32_t)__builtin_ctzl(left), goes_on);
    TAILQ_CONCAT(&heap->slabs, &heap->empty, link);
    TAILQ_CONCAT(&heap->empty, &heap->slabs, link);
    owner_add(&heap->empty_count, slabs);
    TAILQ_CONCAT(&heap->dropped_large, &heap->large, link);
    owner_add(&heap->large_dropped, heap->large_out);
    store_relaxed(&heap->large_out, (uint64_t)0);
}

/* Owner-only stores (C0.1). */
static void blocks_drop(struct heap *heap)
{
    for (uint64_t left = heap->used; left; left &= left - 1) {
        struct supply *supply = &heap->supplies[__builtin_ctzl(left)];
        owner_add(&supply->dropped, class_out(&heap->bins[__builtin_ctzl(left)], supply));
    }
}

/*
 * Drops every block of the heap, at a cost that does not grow with their number. The tag changes before the generation
 * (C3.4).
 */
static void heap_drop(struct thread *thread, struct heap *heap, uint64_t generation, bool goes_on)
{
    uint64_t used = heap->used;
    bool is_small = goes_on && heap_is_small(heap);
    last_forget();
    if (heap->key->checks)
        heap->key->checks->dropped(heap);
    if (is_small) {
        blocks_drop(heap);
    } else {
        slabs_drop(heap, goes_on);
        heap->used = 0;
    }
    if (heap->exchanged)
        counts_drop(heap);
    heap->exchanged = false;
    batches_drop(thread, heap);
    message_put_list(thread, &heap->pending);
    POINT("drop: old tag");
    heap_reincarnate(heap);
    POINT("drop: new tag");
    store_relaxed(&heap->generation, generation);
    for (uint64_t left = used; left; left &= left - 1) {
        uint32_t class = (uint32_t)__builtin_ctzl(left);
        if (is_small)
            class_rewind(heap, class);
        else
            class_restart(heap, class);
    }
    store_relaxed(&heap->low_memory, 0u);
}

/* The generation is read in the total order, as the look after publishing is (C3.2). */
void heap_catch_up(struct thread *thread, struct heap *heap)
{
    uint64_t generation = load_ordered(&heap->key->generation);
    if (heap->generation != generation)
        heap_drop(thread, heap, generation, true);
}

void heap_reclaim(struct thread *thread, struct heap *heap)
{
    heap_drop(thread, heap, heap->generation, false);
    remote_take(thread, heap);
    large_give_dropped(heap, UINT64_MAX);
    slabs_give_empty(heap, UINT64_MAX);
}
