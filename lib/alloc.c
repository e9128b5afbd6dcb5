/* Allocation: ks_alloc, ks_calloc, ks_aligned_alloc. */
#include "blocks.h"
#include "quarantine.h"
#include "start.h"
#include "tables.h"

#include <string.h>

/*
 * Pops a block that heap_refill has made sure of. The bin's top and the block's state are all that is written: the block
 * itself is not touched, and the next one only fetched for its user to write to. C0.1.
 */
FAST_PATH void *bin_pop(struct bin *bin, struct slot *top)
{
    void *block = top[-1].block;
    store_relaxed(&bin->top, top - 1);
    POINT("alloc: popped");
    state_hand_out(top[-1].state);
    /* Below the floor lie words of the same magazine. */
    prefetch_for_write(top[-2].block);
    return block;
}

bool heap_stock(struct heap *heap, uint32_t class, ks_status *status)
{
    const struct bin *bin = &heap->bins[class];
    bool stocked = bin->top != bin->floor || heap_refill(heap, class, status);
    if (!stocked) {
        heap_relieve(heap);
        stocked = heap_refill(heap, class, status);
    }
    if (stocked)
        *status = KS_OK;
    return stocked;
}

static void *heap_alloc_class(struct heap *heap, uint32_t class, ks_status *status)
{
    if (!heap_stock(heap, class, status))
        return NULL;
    struct bin *bin = &heap->bins[class];
    if (heap->key->paranoid)
        poison_check(heap, class, bin->top[-1]);
    void *block = bin_pop(bin, bin->top);
    if (unlikely(owner_decrement(&bin->credit)))
        heap_beat(heap, bin);
    return block;
}

static void *heap_alloc_large(struct heap *heap, size_t size, size_t alignment, ks_status *status)
{
    heap_receive_large(heap);
    void *block = large_take(heap, size, alignment, status);
    if (!block && *status != KS_TOO_LARGE) {
        heap_relieve(heap);
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

/* C0.6. */
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

/* The block is the caller's already; the operation is not over yet. */
static SLOW_PATH void *alloc_beat(struct heap *heap, struct bin *bin, void *block, ks_status *status)
{
    heap_beat(heap, bin);
    thread_end_slow();
    answer(status, KS_OK);
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

/* A block of a class, not at the edge of a magazine, is recorded without more ado; for others NULL. */
static void *alloc_traced(struct thread *thread, ks_key_t key, size_t size)
{
    struct entry *entry = entry_current_traced(thread, key);
    if (!entry || size > CLASS_TOP)
        return NULL;
    struct bin *bin = heap_bin(entry->heap, entry_bin(entry, size));
    struct slot *top = bin->top;
    if (unlikely(top == bin->floor || bin->credit == 1))
        return NULL;
    void *block = bin_pop(bin, top);
    owner_decrement(&bin->credit);
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

/* 37 instructions on x86-64 to a block from the magazine: docs/fast-path.md. */
void *ks_alloc(ks_key_t key, size_t size, ks_status *status)
{
    struct thread *thread = thread_begin();
    struct entry *entry = entry_current(thread, key);
    if (likely(entry && size <= CLASS_TOP)) {
        struct heap *heap = entry->heap;
        struct bin *bin = heap_bin(heap, entry_bin(entry, size));
        struct slot *top = bin->top;
        if (likely(top != bin->floor)) {
            void *block = bin_pop(bin, top);
            if (unlikely(owner_decrement(&bin->credit)))
                return alloc_beat(heap, bin, block, status);
            thread_end(thread);
            answer(status, KS_OK);
            return block;
        }
    }
    return alloc_slow(thread, key, size, status);
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
