/* Bursts: ks_alloc_bulk, ks_free_bulk. The check of key and heap is made once for a burst, that of a slab's and a group's once for a run. */
#include "api/blocks.h"

static size_t at_most(size_t value, size_t limit)
{
    return value < limit ? value : limit;
}

/* ------------------------------------------------------------------ allocation */

/* A run from one group, as long as the countdown lasts; 0 where there is none. */
static size_t heap_take_run(struct heap *heap, struct bin *bin, void **blocks, size_t count)
{
    if (unlikely(!bin_has_blocks(bin) && !bin_load_recent(bin)))
        return 0;
    count = bin_take_run(bin, blocks, at_most(count, bin->countdown));
    owner_add(&bin->countdown, -count);
    if (unlikely(!bin->countdown))
        heap_pass(heap, bin);
    return count;
}

/*
 * Of a traced key each run is recorded before the next is made sure of, which may find that a reset has dropped it
 * (C13.3).
 */
static size_t heap_alloc_runs(struct heap *heap, size_t size, void **blocks, size_t count, ks_status *status)
{
    uint32_t class = class_of_size(heap->classes, size);
    struct bin *bin = &heap->bins[class];
    size_t done = 0;
    while (done < count) {
        size_t run = heap_take_run(heap, bin, blocks + done, count - done);
        if (unlikely(!run && !heap_supply_partial(heap, bin) && !heap_supply(heap, class, status)))
            break;
        if (unlikely(heap->key->trace))
            for (size_t i = 0; i < run; i++)
                traced_alloc(heap, blocks[done + i], size);
        done += run;
    }
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
    if (likely(size <= CLASS_TOP && !heap->key->checks))
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

/* ------------------------------------------------------------------ freeing */

/* The first of the blocks that lie in one group: how many, and their bits. */
struct run {
    size_t count;
    uint32_t bits;
};

/*
 * As far as they are first bytes, and none is there twice or has a bit in `taken`. `index` is the first one's, in the slab that begins
 * at `start`. A block that follows the one before it in memory, as most do, is known without a multiplication. The slab
 * may be another thread's, and its fields of two epochs where a block is not live (C6.1).
 */
FAST_PATH struct run run_of(const struct slab *slab, uintptr_t start, void *const *blocks, size_t count, uint32_t index,
                            uint32_t taken)
{
    struct run run = {0};
    uint32_t group = group_of(index);
    uint64_t reciprocal = load_relaxed(&slab->reciprocal);
    size_t bytes = load_relaxed(&slab->block_bytes);
    while (likely(!((taken | run.bits) & bit_of(index)))) {
        run.bits |= bit_of(index);
        if (++run.count == count)
            break;
        uintptr_t next = (uintptr_t)blocks[run.count];
        if (next - (uintptr_t)blocks[run.count - 1] == bytes)
            ++index;
        else if (next - start >= SLAB_BYTES || !class_index(next - start, reciprocal, &index))
            break;
        if (group_of(index) != group)
            break;
    }
    return run;
}

/* The bits of a group that are of no block. */
static inline uint32_t bits_beyond(uint32_t carved, uint32_t group)
{
    uint32_t count = carved - group * GROUP_BLOCKS;
    return count < GROUP_BLOCKS ? UINT32_MAX << count : 0;
}

/*
 * How many of the first blocks are the heap's own, of one slab, and free now. Not for a paranoid key, nor for large
 * blocks (C7.1).
 */
static __attribute__((noinline)) size_t heap_free_runs(struct heap *heap, void *const *blocks, size_t count)
{
    size_t within;
    struct slab *slab = validate_range(blocks[0], &within);
    if (!slab || !validate_owner(heap, slab) || slab->class == CLASS_LARGE)
        return 0;
    uintptr_t start = (uintptr_t)slab_start(slab);
    size_t done = 0;
    uint32_t index;
    while (within < SLAB_BYTES && validate_own(slab, within, &index)) {
        uint32_t group = group_of(index);
        uint32_t taken = slab_group(slab, group)->free | bits_beyond(slab->carved, group);
        struct run run = run_of(slab, start, blocks + done, count - done, index, taken);
        heap_free_blocks(heap, slab, group, run.bits);
        done += run.count;
        if (done == count)
            break;
        within = (uintptr_t)blocks[done] - start;
    }
    owner_add(&heap_bin(heap, slab->bin)->freed, done);
    return done;
}

/*
 * The same for live blocks of another heap's slab that has an open batch: they are in it now, or sent. What is read
 * of the slab is read after its epoch (C6.1).
 */
static __attribute__((noinline)) size_t heap_send_runs(struct heap *heap, void *const *blocks, size_t count)
{
    size_t within;
    const struct slab *slab = validate_range(blocks[0], &within);
    if (!slab)
        return 0;
    uint64_t tag = load_acquire(&slab->tag);
    POINT("free: tag read");
    struct batch *batch = heap_batch(heap, tag);
    uintptr_t start = (uintptr_t)slab_start(slab);
    size_t done = 0;
    struct remote_block found;
    while (within < SLAB_BYTES && batch->tag == tag && remote_find(slab, within, &found)) {
        if (PLACE_CLASS(found.entry.place) == CLASS_LARGE)
            break;
        uint32_t group = group_of(found.index);
        uint32_t taken = found.free | bits_beyond(load_relaxed(&slab->carved), group);
        struct run run = run_of(slab, start, blocks + done, count - done, found.index, taken);
        /* None, where the slab has begun anew since it was looked up. */
        if (unlikely(!run.count))
            break;
        found.entry.mask = run.bits;
        enum added added = batch_add(batch, &found.entry, run.count * load_relaxed(&slab->block_bytes));
        if (added == ADDED_TWICE)
            break;
        if (added != ADDED_NOT) {
            owner_add(&heap->bins[PLACE_CLASS(found.entry.place)].sent, run.count);
            done += run.count;
        }
        if (added != ADDED)
            heap_send(thread_self, heap, batch);
        if (done == count)
            break;
        within = (uintptr_t)blocks[done] - start;
    }
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
    while (i < count && report_room(thread_self, 1)) {
        size_t run = key->checks ? 0 : heap_free_runs(heap, blocks + i, count - i);
        if (!run && !key->checks)
            run = heap_send_runs(heap, blocks + i, count - i);
        ks_status status = KS_OK;
        if (!run && blocks[i]) {
            struct lookup found = validate(heap, blocks[i]);
            status = heap_free(heap, blocks[i], &found);
        }
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
