#include "core/large.h"

#include "core/heap.h"

void *large_take(struct heap *heap, size_t bytes, size_t alignment, ks_status *status)
{
    const struct checks *checks = heap->key->checks;
    if (alignment < SLAB_BYTES)
        alignment = SLAB_BYTES;
    size_t rounded = arena_round(bytes, alignment);
    *status = KS_TOO_LARGE;
    if (!rounded)
        return NULL;
    size_t taken = checks ? arena_round(rounded + checks->slab_tail, alignment) : rounded;
    if (!taken)
        return NULL;
    struct slab *slab = slab_take(heap, taken, alignment, status);
    if (!slab)
        return NULL;
    struct bin *bin = &heap->bins[CLASS_LARGE];
    slab_begin_large(heap, slab, rounded);
    if (owner_decrement(&bin->countdown))
        bin_renew(bin);
    owner_add(&heap->large_allocated, rounded);
    owner_add(&heap->large_out, rounded);
    return slab_start(slab);
}

/* Its bit is set, so that late frees are refused (C7.1). */
void large_release(struct heap *heap, struct slab *slab)
{
    struct supply *supply = &heap->supplies[CLASS_LARGE];
    struct group *group = slab_group(slab, 0);
    group_free(group, group->word, 1);
    TAILQ_REMOVE(&heap->large, slab, link);
    owner_add(&supply->carved, -1ul);
    owner_add(&supply->slabs, -1ul);
    owner_add(&heap->large_out, -slab->block_bytes);
    slab_give(heap, slab);
}

void large_give_dropped(struct heap *heap, uint64_t most)
{
    struct slab *slab;
    while (most-- && (slab = TAILQ_FIRST(&heap->dropped_large))) {
        TAILQ_REMOVE(&heap->dropped_large, slab, link);
        slab_give(heap, slab);
    }
}
