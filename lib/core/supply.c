#include "core/supply.h"

/* The lowest group of the first slab that has any, so that few pages are touched. */
static bool load_partial(struct heap *heap, struct bin *bin, uint32_t class)
{
    struct slab *slab = TAILQ_FIRST(&heap->supplies[class].partial);
    if (!slab)
        return false;
    uint32_t group = slab_unsummarize(heap, slab);
    bin_load(bin, slab_group(slab, group), group_base(slab, group) | (slab->is_shared ? RECENT_REMOTE : 0));
    return true;
}

bool heap_supply_partial(struct heap *heap, struct bin *bin)
{
    uint32_t class = (uint32_t)(bin - heap->bins);
    return stack_is_empty(&heap->queue) && load_partial(heap, bin, class);
}

#define NEIGHBOURS 8
#define PAUSED_MS  4

/*
 * Another slab. What the arena has to map anew costs more than a look at some of the key's other heaps, whose owners may have paused with
 * memory that is free: there may be many more threads than processors.
 */
static struct slab *heap_grow(struct heap *heap, uint32_t class, ks_status *status)
{
    uint64_t before = heap->arena_bytes;
    struct slab *slab = slab_begin(heap, class, status);
    if (heap->arena_bytes > before)
        neighbours_trim(thread_self, heap, NEIGHBOURS, PAUSED_MS);
    return slab;
}

/* The next group of the slab that is being carved, or of a new one. */
static bool load_carved(struct heap *heap, uint32_t class, ks_status *status)
{
    struct slab *slab = heap->supplies[class].carving;
    if (!slab)
        slab = heap_grow(heap, class, status);
    if (slab)
        heap_carve(heap, slab);
    return slab;
}

/* A group with free blocks: the one that remote frees have filled last, a partial slab's, or a new one. */
static bool heap_refill(struct heap *heap, uint32_t class, ks_status *status)
{
    struct bin *bin = &heap->bins[class];
    remote_take(thread_self, heap);
    if (bin->group->free || bin_load_recent(bin))
        return true;
    return load_partial(heap, bin, class) || load_carved(heap, class, status);
}

bool heap_supply(struct heap *heap, uint32_t class, ks_status *status)
{
    struct bin *bin = &heap->bins[class];
    *status = KS_OK;
    if (bin->group->free || bin_load_recent(bin))
        return true;
    heap_slow_path(thread_self, heap);
    bool supplied = heap_refill(heap, class, status);
    if (!supplied) {
        heap_make_room(heap);
        supplied = heap_refill(heap, class, status);
    }
    if (supplied)
        *status = KS_OK;
    return supplied;
}
