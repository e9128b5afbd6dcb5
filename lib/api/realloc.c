/* Resizing and size queries: ks_realloc, ks_size. */
#include "api/blocks.h"

#include <string.h>

/* A block stays where it is when its class is the right one, or when moving would gain less than half of it.
 */
static bool block_fits(size_t block_bytes, size_t size)
{
    return size <= block_bytes && size > block_bytes / 2;
}

/*
 * Another thread's block may be dropped by a reset while it is copied, and its memory may be in use elsewhere by
 * then. What was copied is thrown away in that case, when the block is refused as stale. The sanitizer would report
 * the words that are read like this (C7.5).
 */
static void __attribute__((no_sanitize_thread)) copy_words(void *to, const void *from, size_t bytes)
{
    uint64_t *target = to;
    const uint64_t *source = from;
    for (size_t i = 0; i < bytes / sizeof *target; i++)
        target[i] = load_relaxed(&source[i]);
    for (size_t i = bytes & ~(sizeof *target - 1); i < bytes; i++)
        ((uint8_t *)to)[i] = load_relaxed(&((const uint8_t *)from)[i]);
}

/* While the range is held its memory stays readable; the block is looked up once more after that (C7.5). */
static void copy_contested(const struct heap *heap, void *to, const void *block, size_t bytes,
                           const struct lookup *before)
{
    range_hold();
    struct lookup now = validate_again(heap, block, before);
    POINT("realloc: validated");
    if (now.status == KS_OK)
        copy_words(to, block, bytes);
    range_unhold();
}

/* Of the heap's own: nobody else works on it, but making room may have found it reset. */
static void copy_own(const struct heap *heap, void *to, const void *block, size_t bytes, const struct lookup *before)
{
    if (validate_again(heap, block, before).status == KS_OK)
        memcpy(to, block, bytes);
}

static ks_status heap_free_again(struct heap *heap, const void *block, const struct lookup *before)
{
    struct lookup now = validate_again(heap, block, before);
    return heap_free(heap, block, &now);
}

static void *heap_realloc(struct heap *heap, void *block, size_t size, ks_status *status)
{
    struct lookup found = validate(heap, block);
    *status = found.status;
    if (found.status != KS_OK) {
        report_refused(thread_self, heap, found.status, block, found.class_size, false);
        return NULL;
    }
    if (block_fits(found.class_size, size) || good_size(heap->classes, size) == found.class_size)
        return block;
    void *moved = heap_alloc(heap, size, CLASS_GRANULE, status);
    if (!moved)
        return NULL;
    size_t kept = size < found.class_size ? size : found.class_size;
    if (found.home != heap)
        copy_contested(heap, moved, block, kept, &found);
    else
        copy_own(heap, moved, block, kept, &found);
    *status = heap_free_again(heap, block, &found);
    if (*status == KS_OK)
        return moved;
    found = validate(heap, moved);
    heap_free(heap, moved, &found);
    return NULL;
}

static void *heap_realloc_traced(struct heap *heap, void *block, size_t size, ks_status *status)
{
    uint64_t before = traced_before(heap, false);
    void *result = heap_realloc(heap, block, size, status);
    if (result)
        traced_realloc(heap, block, before, result, size);
    return result;
}

void *ks_realloc(ks_key_t key, void *block, size_t size, ks_status *status)
{
    if (!block)
        return ks_alloc(key, size, status);
    if (!size) {
        answer(status, ks_free(key, block));
        return NULL;
    }
    thread_begin();
    ks_status why;
    void *result = NULL;
    struct heap *heap = heap_to_allocate(key, &why);
    if (heap)
        result =
            heap->key->trace ? heap_realloc_traced(heap, block, size, &why) : heap_realloc(heap, block, size, &why);
    thread_end_slow();
    answer(status, why);
    return result;
}

static SLOW_PATH size_t size_slow(ks_key_t key, const void *block)
{
    ks_status status;
    struct heap *heap = heap_current_or_enter(key, &status);
    size_t size = 0;
    if (heap) {
        struct lookup found = validate(heap, block);
        if (found.status == KS_OK)
            size = found.class_size;
    }
    thread_end_slow();
    return size;
}

/* Some programs ask at each free. */
size_t ks_size(ks_key_t key, const void *block)
{
    struct thread *thread = thread_begin();
    struct heap *heap = heap_current(thread, key);
    size_t within;
    uint32_t index;
    const struct slab *slab = heap ? validate_range(block, &within) : NULL;
    if (unlikely(!slab || !validate_owner(heap, slab) || !validate_own(slab, within, &index)))
        return size_slow(key, block);
    size_t size = slab->block_bytes;
    thread_end(thread);
    return size;
}
