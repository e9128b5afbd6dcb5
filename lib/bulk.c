/* Bursts: ks_alloc_bulk, ks_free_bulk. The check of key and heap is made once for a burst. */
#include "blocks.h"

/* Runs of pointers, copied from the magazine's top; only each block's state is looked up. C0.1. */
static size_t heap_pop_bulk(struct heap *heap, uint32_t class, void **blocks, size_t count)
{
    struct bin *bin = &heap->bins[class];
    void **top = bin->top;
    size_t level = (size_t)(top - bin->floor);
    if (count > level)
        count = level;
    for (size_t i = 0; i < count; i++) {
        blocks[i] = *--top;
        state_hand_out(slab_place(blocks[i]));
    }
    store_relaxed(&bin->top, top);
    if (unlikely(bin_count(bin, count)))
        heap_beat(heap);
    return count;
}

static size_t heap_alloc_bulk(struct heap *heap, size_t size, void **blocks, size_t count, ks_status *status)
{
    size_t done = 0;
    while (done < count) {
        if (size <= CLASS_TOP)
            done += heap_pop_bulk(heap, class_of_size(size), blocks + done, count - done);
        if (done == count)
            break;
        /* One block the ordinary way leaves a fresh magazine for the next run. */
        blocks[done] = heap_alloc(heap, size, CLASS_GRANULE, status);
        if (!blocks[done])
            break;
        done++;
    }
    return done;
}

size_t ks_alloc_bulk(ks_key_t key, size_t size, void **blocks, size_t count, ks_status *status)
{
    thread_begin();
    ks_status why;
    size_t done = 0;
    struct heap *heap = heap_to_allocate(key, &why);
    if (heap)
        done = heap_alloc_bulk(heap, size, blocks, count, &why);
    thread_end_slow();
    answer(status, why);
    return done;
}

/* Until the thread's room for reports is used up: the caller delivers them and goes on. */
static size_t heap_free_some(struct heap *heap, void *const *blocks, size_t count, size_t *freed, ks_status *first)
{
    size_t i = 0;
    for (; i < count && report_room(thread_self, MAGAZINE_SLOTS); i++) {
        ks_status status = blocks[i] ? heap_free(heap, blocks[i]) : KS_OK;
        if (status == KS_OK)
            ++*freed;
        else if (*first == KS_OK)
            *first = status;
    }
    return i;
}

size_t ks_free_bulk(ks_key_t key, void *const *blocks, size_t count, ks_status *status)
{
    ks_status why = KS_OK;
    ks_status first = KS_OK;
    size_t freed = 0;
    for (size_t done = 0; done < count && why != KS_BAD_KEY && why != KS_NO_MEMORY;) {
        thread_begin();
        struct heap *heap = heap_current_or_enter(key, &why);
        if (heap)
            done += heap_free_some(heap, blocks + done, count - done, &freed, &first);
        thread_end_slow();
    }
    answer(status, why != KS_OK ? why : first);
    return freed;
}
