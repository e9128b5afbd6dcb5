/* Allocation: ks_alloc, ks_calloc, ks_aligned_alloc. */
#include "api/blocks.h"
#include "classes/tables.h"
#include "core/start.h"

#include <string.h>

/* ------------------------------------------------------------------ slow paths */

/* In a key with checks, any free block of the group (C7.1). */
static void *bin_take_checked(struct heap *heap, struct bin *bin)
{
    const struct checks *checks = heap->key->checks;
    struct group *group = bin->group;
    uint32_t bit = checks->choose(heap, group->free);
    uint32_t index = (uint32_t)__builtin_ctz(bit);
    void *block = bin->base + (size_t)index * bin->block_bytes;
    checks->handed_out(heap, bin, index);
    born_set(group, index, clock_next(group->word));
    group_take(group, group->word - bit);
    return block;
}

static void *heap_alloc_class(struct heap *heap, uint32_t class, ks_status *status)
{
    if (!heap_supply(heap, class, status))
        return NULL;
    struct bin *bin = &heap->bins[class];
    void *block = heap->key->checks ? bin_take_checked(heap, bin) : bin_take(thread_self, bin);
    if (unlikely(owner_decrement(&bin->countdown)))
        heap_pass(heap, bin);
    return block;
}

static void *heap_alloc_large(struct heap *heap, size_t size, size_t alignment, ks_status *status)
{
    remote_take(thread_self, heap);
    void *block = large_take(heap, size, alignment, status);
    if (!block && *status != KS_TOO_LARGE) {
        heap_make_room(heap);
        block = large_take(heap, size, alignment, status);
    }
    return block;
}

/*
 * The smallest class whose every block is aligned: slabs are aligned to their size, so a class is when its
 * size is a multiple of the alignment.
 */
static uint32_t class_aligned(const struct classes *classes, size_t size, size_t alignment)
{
    if (size > CLASS_TOP || alignment > CLASS_TOP)
        return CLASS_LARGE;
    for (uint32_t class = class_of_size(classes, size); class < classes->count; ++class)
        if ((classes->table[class].bytes & (alignment - 1)) == 0)
            return class;
    return CLASS_LARGE;
}

/* Refusals are counted by any thread (C0.6). */
void *heap_alloc(struct heap *heap, size_t size, size_t alignment, ks_status *status)
{
    uint32_t class = class_aligned(heap->classes, size, alignment);
    void *block =
        class == CLASS_LARGE ? heap_alloc_large(heap, size, alignment, status) : heap_alloc_class(heap, class, status);
    if (!block)
        key_count_refusal(heap->key, *status);
    return block;
}

/*
 * Zeroing is part of the operation: a reset may drop the block at once, and until the operation is over its
 * memory cannot be given to another thread.
 */
static void *alloc_entered(ks_key_t key, size_t size, size_t alignment, bool zero, ks_status *status)
{
    ks_status why;
    void *block = NULL;
    struct heap *heap = heap_to_allocate(key, &why);
    if (heap)
        block = heap_alloc(heap, size, alignment, &why);
    if (block && zero)
        memset(block, 0, size);
    if (block && heap->key->trace)
        traced_alloc_special(heap, block, size, alignment, zero);
    thread_end_slow();
    answer(status, why);
    return block;
}

/*
 * Most keys have the default table. It is known by a jump that the processor foresees, and is looked into while the entry is
 * still on its way; another table only when its address has come.
 */
FAST_PATH uint32_t entry_bin(const struct entry *entry, size_t size)
{
    const struct classes *tuned = entry->tuned;
    return bin_of_size(likely(!tuned) ? &tables_default : tuned, size);
}

/* A block of a class whose bin has free ones is recorded here; NULL for any other. */
static void *alloc_traced(struct thread *thread, ks_key_t key, size_t size)
{
    struct entry *entry = entry_current_traced(thread, key);
    if (!entry || size > CLASS_TOP)
        return NULL;
    struct bin *bin = heap_bin(entry->heap, entry_bin(entry, size));
    if (unlikely((!bin_has_blocks(bin) && !bin_load_recent(bin)) || bin->countdown == 1))
        return NULL;
    void *block = bin_take(thread, bin);
    owner_decrement(&bin->countdown);
    traced_alloc(entry->heap, block, size);
    thread_end(thread);
    return block;
}

static __attribute__((noinline)) void *alloc_slow(struct thread *thread, ks_key_t key, size_t size, ks_status *status)
{
    void *block = alloc_traced(thread, key, size);
    if (!block)
        return alloc_entered(key, size, CLASS_GRANULE, false, status);
    answer(status, KS_OK);
    return block;
}

/* ------------------------------------------------------------------ fast paths */

/* The block is the caller's already; the operation is not over yet. */
static SLOW_PATH void *alloc_pass(struct heap *heap, struct bin *bin, void *block, ks_status *status)
{
    heap_pass(heap, bin);
    thread_end_slow();
    answer(status, KS_OK);
    return block;
}

/* The bin of a size, in the heap that an entry leads to. */
FAST_PATH struct bin *alloc_bin(const struct entry *entry, size_t size)
{
    return heap_bin(entry->heap, entry_bin(entry, size));
}

/* From the bin's group, which has free blocks. */
FAST_PATH void *alloc_end(struct thread *thread, const struct entry *entry, struct bin *bin, ks_status *status)
{
    void *block = bin_take(thread, bin);
    if (unlikely(owner_decrement(&bin->countdown)))
        return alloc_pass(entry->heap, bin, block, status);
    thread_end(thread);
    answer(status, KS_OK);
    return block;
}

/*
 * From another group that is known to have free blocks; else the slow path. It looks for the bin once more, so that the fast path need
 * not keep it.
 */
static __attribute__((noinline)) void *alloc_next(struct thread *thread, ks_key_t key, size_t size, ks_status *status)
{
    const struct entry *entry = thread_entry(thread, key);
    struct bin *bin = alloc_bin(entry, size);
    if (unlikely(!bin_load_recent(bin) && !heap_supply_partial(entry->heap, bin)))
        return alloc_slow(thread, key, size, status);
    return alloc_end(thread, entry, bin, status);
}

/* docs/fast-path.md has the instructions. */
void *ks_alloc(ks_key_t key, size_t size, ks_status *status)
{
    struct thread *thread = thread_begin();
    struct entry *entry = entry_current(thread, key);
    if (unlikely(!entry || size > CLASS_TOP))
        return alloc_slow(thread, key, size, status);
    struct bin *bin = alloc_bin(entry, size);
    if (unlikely(!bin_has_blocks(bin)))
        return alloc_next(thread, key, size, status);
    return alloc_end(thread, entry, bin, status);
}

void *ks_calloc(ks_key_t key, size_t count, size_t size, ks_status *status)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = SIZE_MAX; /* more than there is, so that the key's own refusal comes first */
    thread_begin();
    return alloc_entered(key, bytes, CLASS_GRANULE, true, status);
}

void *ks_aligned_alloc(ks_key_t key, size_t alignment, size_t size, ks_status *status)
{
    if (!alignment || alignment & (alignment - 1) || alignment > ALIGNMENT_MOST) {
        answer(status, KS_INVALID);
        return NULL;
    }
    thread_begin();
    return alloc_entered(key, size, alignment, false, status);
}

size_t good_size(const struct classes *classes, size_t size)
{
    return size <= CLASS_TOP ? classes->table[class_of_size(classes, size)].bytes : arena_round(size, SLAB_BYTES);
}

/* It may be asked before there is a key. */
size_t ks_good_size(size_t size)
{
    return library_start() ? good_size(&tables_default, size) : 0;
}

size_t ks_key_good_size(ks_key_t handle, size_t size)
{
    struct key *key = key_reference(handle);
    if (!key)
        return 0;
    size_t bytes = good_size(key->classes, size);
    key_release(key);
    return bytes;
}
