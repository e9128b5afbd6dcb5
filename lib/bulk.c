/* Bursts: ks_alloc_bulk, ks_free_bulk. The check of key and heap is made once for a burst. */
#include "blocks.h"

static size_t at_most(size_t value, size_t limit)
{
    return value < limit ? value : limit;
}

/* A run from the magazine's top, as long as blocks and credit last. C0.1. */
static size_t heap_pop_bulk(struct heap *heap, uint32_t class, void **blocks, size_t count)
{
    struct bin *bin = &heap->bins[class];
    struct slot *top = bin->top;
    count = at_most(at_most(count, (size_t)(top - bin->floor)), bin->credit);
    for (size_t i = 0; i < count; i++) {
        void *block = (--top)->block;
        blocks[i] = block;
        state_hand_out(top->state);
        prefetch_for_write(block);
    }
    store_relaxed(&bin->top, top);
    owner_add(&bin->credit, -count);
    if (unlikely(!bin->credit))
        heap_beat(heap, bin);
    return count;
}

/*
 * Of a traced key each run is recorded before the next is made sure of, which may find that a reset has dropped it: C13.3.
 */
static size_t heap_alloc_runs(struct heap *heap, size_t size, void **blocks, size_t count, ks_status *status)
{
    uint32_t class = class_of_size(heap->classes, size);
    size_t done = 0;
    do {
        size_t run = heap_pop_bulk(heap, class, blocks + done, count - done);
        if (unlikely(heap->key->trace))
            for (size_t i = 0; i < run; i++)
                traced_alloc(heap, blocks[done + i], size);
        done += run;
    } while (done < count && heap_stock(heap, class, status));
    if (done < count)
        key_count_refusal(heap->key, *status);
    return done;
}

/* Of a paranoid key, or large. */
static SLOW_PATH size_t heap_alloc_each(struct heap *heap, size_t size, void **blocks, size_t count, ks_status *status)
{
    size_t done = 0;
    for (; done < count && (blocks[done] = heap_alloc(heap, size, CLASS_GRANULE, status)); done++)
        if (heap->key->trace)
            traced_alloc_special(heap, blocks[done], size, CLASS_GRANULE, false);
    return done;
}

static size_t heap_alloc_bulk(struct heap *heap, size_t size, void **blocks, size_t count, ks_status *status)
{
    if (likely(size <= CLASS_TOP && !heap->key->paranoid))
        return heap_alloc_runs(heap, size, blocks, count, status);
    return heap_alloc_each(heap, size, blocks, count, status);
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

/*
 * How many of the first blocks are the heap's own, of one slab, and free now: what is known of the slab is looked up once for
 * the run, each block's place and state for itself. Not for a paranoid key. C0.1, C7.1.
 */
static __attribute__((noinline)) size_t heap_push_bulk(struct heap *heap, void *const *blocks, size_t count)
{
    struct place place;
    if (!judge_local(heap, blocks[0], &place))
        return 0;
    struct slab *slab = place.slab;
    const char *start = arena_slab_start(slab);
    struct bin *bin = heap_bin(heap, slab->bin);
    struct slot *top = bin->top;
    size_t done = 0;
    void *block = blocks[0];
    while (likely(!magazine_is_full(top))) {
        state_take_back(place);
        *top++ = (struct slot){block, place.state};
        if (++done == count)
            break;
        block = blocks[done];
        size_t within = (uintptr_t)block - (uintptr_t)start;
        if (within >= SLAB_BYTES || !slab_judge(slab, within, &place))
            break;
    }
    store_relaxed(&bin->top, top);
    return done;
}

/* The same for live blocks of another heap's slab that has an open box: they are in it now, or sent. C6.1. */
static __attribute__((noinline)) size_t heap_send_bulk(struct heap *heap, void *const *blocks, size_t count)
{
    size_t within;
    struct away away;
    struct slab *slab = judge_range(blocks[0], &within);
    if (!slab || !away_find(heap, slab, &away))
        return 0;
    uintptr_t start = (uintptr_t)arena_slab_start(slab);
    struct outbox *box = away.box;
    packed *top = box->top;
    packed *limit = box->limit;
    size_t done = 0;
    for (; done < count && top < limit; done++) {
        uintptr_t block = (uintptr_t)blocks[done];
        uint16_t carried;
        if (block - start >= SLAB_BYTES || !away_judge(&away, block - start, &carried))
            break;
        *top++ = packed_of(block, carried);
    }
    store_relaxed(&box->top, top);
    if (outbox_is_due(box, top))
        heap_send(thread_self, heap, box);
    return done;
}

/*
 * Until the thread's room for reports is used up: the caller delivers them and goes on. What is freed of a traced key has the
 * time of the burst's beginning, and is recorded when it is gone.
 */
static size_t heap_free_some(struct heap *heap, void *const *blocks, size_t count, size_t *freed, ks_status *first)
{
    const struct key *key = heap->key;
    uint64_t before = key->trace ? traced_before(heap, false) : 0;
    size_t i = 0;
    while (i < count && report_room(thread_self, MAGAZINE_SLOTS)) {
        size_t run = key->paranoid ? 0 : heap_push_bulk(heap, blocks + i, count - i);
        if (!run)
            run = heap_send_bulk(heap, blocks + i, count - i);
        ks_status status = KS_OK;
        if (!run && blocks[i])
            status = heap_free(heap, blocks[i]);
        if (status != KS_OK && *first == KS_OK)
            *first = status;
        size_t gone = status != KS_OK ? 0 : run ? run : 1;
        for (size_t j = i; key->trace && j < i + gone; j++)
            if (blocks[j])
                traced_free(heap, blocks[j], before);
        *freed += gone;
        i += run ? run : 1;
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
