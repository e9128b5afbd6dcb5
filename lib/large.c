#include "large.h"

#include "magazine.h"

void *large_take(struct heap *heap, size_t bytes, size_t alignment, ks_status *status)
{
    if (alignment < SLAB_BYTES)
        alignment = SLAB_BYTES;
    size_t rounded = arena_round(bytes, alignment);
    *status = KS_TOO_LARGE;
    if (!rounded)
        return NULL;
    size_t taken = heap->key->paranoid ? arena_round(rounded + PAGE, alignment) : rounded;
    if (!taken)
        return NULL;
    struct slab *slab = slab_take(heap, taken, alignment, status);
    if (!slab)
        return NULL;
    struct shelf *shelf = &heap->shelves[CLASS_LARGE];
    slab_begin_large(heap, slab, rounded);
    state_hand_out(slab->states);
    owner_add(&shelf->carved, 1);
    if (owner_decrement(&heap->bins[CLASS_LARGE].credit))
        bin_renew(&heap->bins[CLASS_LARGE]);
    owner_add(&heap->large_allocated, rounded);
    owner_add(&heap->large_out, rounded);
    return arena_slab_start(slab);
}

void large_release(struct heap *heap, void *block)
{
    struct slab *slab = arena_slab((size_t)((char *)block - range.base));
    struct shelf *shelf = &heap->shelves[CLASS_LARGE];
    TAILQ_REMOVE(&heap->large, slab, link);
    owner_add(&shelf->carved, -1ul);
    owner_add(&shelf->slabs, -1ul);
    owner_add(&heap->large_out, -slab->block_bytes);
    slab_give(heap, slab);
}

void large_give_aside(struct heap *heap, uint64_t most)
{
    struct slab *slab;
    while (most-- && (slab = TAILQ_FIRST(&heap->aside_large))) {
        TAILQ_REMOVE(&heap->aside_large, slab, link);
        slab_give(heap, slab);
    }
}
