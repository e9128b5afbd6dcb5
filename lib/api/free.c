/* Freeing: ks_free, ks_flush. */
#include "api/blocks.h"

/* ------------------------------------------------------------------ slow paths */

/* A block of the heap's own that is out. */
static void free_own(struct heap *heap, struct slab *slab, uint32_t index)
{
    owner_increment(&heap_bin(heap, slab->bin)->freed);
    if (slab->class == CLASS_LARGE)
        large_release(heap, slab);
    else if (heap->key->checks)
        heap->key->checks->freed(heap, slab, group_of(index), bit_of(index));
    else
        heap_free_blocks(heap, slab, group_of(index), bit_of(index));
}

/* Another thread's block, which is sent to its owner (C6.1). */
static ks_status free_remote(struct heap *heap, const struct lookup *found)
{
    struct thread *thread = thread_self;
    struct batch *batch = heap_batch(heap, found->tag);
    if (batch->tag != found->tag && !batch_open(thread, heap, batch, found->tag))
        return KS_NO_MEMORY;
    enum added added = batch_add(batch, &found->block.entry, found->class_size);
    if (added == ADDED_TWICE)
        return KS_DOUBLE_FREE;
    if (added == ADDED_NOT) {
        heap_send(thread, heap, batch);
        return free_remote(heap, found);
    }
    owner_increment(&heap->bins[PLACE_CLASS(found->block.entry.place)].sent);
    if (added == ADDED_LAST)
        heap_send(thread, heap, batch);
    return KS_OK;
}

ks_status heap_free(struct heap *heap, const void *block, const struct lookup *found)
{
    ks_status status = found->status;
    if (status == KS_OK && found->home == heap)
        free_own(heap, found->slab, found->block.index);
    else if (status == KS_OK)
        status = free_remote(heap, found);
    if (status != KS_OK && status != KS_NO_MEMORY)
        report_refused(thread_self, heap, status, block, found->class_size, false);
    return status;
}

/* The time is of before the block goes; it is recorded when it is gone. */
static ks_status heap_free_traced(struct heap *heap, const void *block, const struct lookup *found)
{
    uint64_t before = traced_before(heap, found->status == KS_OK && found->home == heap);
    ks_status status = heap_free(heap, block, found);
    if (status == KS_OK)
        traced_free(heap, block, before);
    return status;
}

static __attribute__((noinline)) ks_status free_slow(ks_key_t key, void *block)
{
    ks_status status = KS_OK;
    struct heap *heap = block ? heap_current_or_enter(key, &status) : NULL;
    if (heap) {
        struct lookup found = validate(heap, block);
        ks_status freed = heap->key->trace ? heap_free_traced(heap, block, &found) : heap_free(heap, block, &found);
        if (status == KS_OK)
            status = freed;
    }
    thread_end_slow();
    return status;
}

/* ------------------------------------------------------------------ fast paths */

/* The class's list of recent groups is full, as that of large blocks always is. */
static SLOW_PATH ks_status free_full(struct heap *heap, void *block)
{
    size_t within;
    struct slab *slab = validate_range(block, &within);
    if (slab->class == CLASS_LARGE)
        large_release(heap, slab);
    else
        heap_group_freed(heap, slab, group_of((uint32_t)(within / slab->block_bytes)));
    thread_end_slow();
    return KS_OK;
}

static SLOW_PATH ks_status free_send(struct thread *thread, struct heap *heap, struct batch *batch)
{
    heap_send(thread, heap, batch);
    thread_end(thread);
    return KS_OK;
}

/*
 * Another thread's block, where its heap has an open batch: apart, so that a free of an own block saves no
 * registers (C6.1).
 */
ks_status free_batched(ks_key_t key, void *block, struct heap *heap, struct thread *thread, struct slab *slab)
{
    struct remote_block found;
    uint64_t tag = load_acquire(&slab->tag);
    struct batch *batch = heap_batch(heap, tag);
    POINT("free: tag read");
    if (unlikely(batch->tag != tag || !remote_find(slab, (uintptr_t)block & (SLAB_BYTES - 1), &found)))
        return free_slow(key, block);
    enum added added = batch_add(batch, &found.entry, load_relaxed(&slab->block_bytes));
    if (unlikely(added >= ADDED_NOT))
        return free_slow(key, block);
    owner_increment(&heap->bins[PLACE_CLASS(found.entry.place)].sent);
    if (unlikely(added == ADDED_LAST))
        return free_send(thread, heap, batch);
    thread_end(thread);
    return KS_OK;
}

/*
 * Sets the bit of a block of the caller's own, unless it is set. The first free block of a group makes it recent:
 * that is every other free where lifetimes are random (C7.1).
 */
FAST_PATH ks_status free_own_fast(struct thread *thread, ks_key_t key, void *block, struct heap *heap, struct bin *bin,
                                  struct group *group, uint32_t index)
{
    uint64_t before = group->word;
    if (unlikely(before & bit_of(index)))
        return free_slow(key, block);
    POINT("free: validated");
    group_free(group, before, bit_of(index));
    owner_increment(&bin->freed);
    if (unlikely(!(uint32_t)before) && bin->group != group &&
        !bin_push_recent(bin, group, (uintptr_t)block - index % GROUP_BLOCKS * bin->block_bytes))
        return free_full(heap, block);
    thread_end(thread);
    return KS_OK;
}

/* docs/fast-path.md has the instructions. NULL is foreign like any other address outside the range (C7.1). */
ks_status ks_free(ks_key_t key, void *block)
{
    struct thread *thread = thread_begin();
    struct heap *heap = heap_current(thread, key);
    if (unlikely(!heap))
        return free_slow(key, block);
    if (last_is(thread, block, heap))
        return free_own_fast(thread, key, block, heap, last_bin(thread), last_bin(thread)->group, last_number(thread));
    size_t within;
    struct slab *slab = validate_range(block, &within);
    if (unlikely(!slab))
        return free_slow(key, block);
    if (unlikely(!validate_owner(heap, slab)))
        return free_batched(key, block, heap, thread, slab);
    uint32_t index;
    if (unlikely(!validate_index(slab, within, &index)))
        return free_slow(key, block);
    return free_own_fast(thread, key, block, heap, heap_bin(heap, slab->bin), slab_group(slab, group_of(index)), index);
}

void ks_flush(void)
{
    struct thread *thread = thread_begin();
    struct entry *entry;
    for (entry = entry_first(thread); entry; entry = entry_next(thread, entry)) {
        struct heap *heap = heap_of_entry(thread, entry);
        if (heap)
            batches_send(thread, heap, 0);
    }
    thread_end_slow();
}
