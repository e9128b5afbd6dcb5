/* What the public calls on blocks share. */
#ifndef LIB_API_BLOCKS_H
#define LIB_API_BLOCKS_H

#include "core/key.h"
#include "core/large.h"
#include "core/report.h"
#include "core/supply.h"
#include "core/validate.h"
#include "trace/traced.h"

/* A free of a block in a slab that is not the heap's own, inside an operation, which it ends. */
__attribute__((noinline)) ks_status free_batched(ks_key_t key, void *block, struct heap *heap, struct thread *thread,
                                                 struct slab *slab);

#define ALIGNMENT_MOST ((size_t)1 << 30)

FAST_PATH void answer(ks_status *status, ks_status value)
{
    if (status)
        *status = value;
}

/*
 * The heap to allocate from, inside an operation; NULL with the reason, which is counted where there is a key
 * (C0.6).
 */
static inline struct heap *heap_to_allocate(ks_key_t key, ks_status *status)
{
    struct heap *heap = heap_current_or_enter(key, status);
    if (!heap || *status == KS_OK)
        return heap;
    key_count_refusal(heap->key, *status);
    return NULL;
}

/* A block from a heap of a live key, inside an operation. */
void *heap_alloc(struct heap *heap, size_t size, size_t alignment, ks_status *status);

/* Bytes that a block of `size` has with this table; 0 where it would be refused as too large. */
size_t good_size(const struct classes *classes, size_t size);

/* Frees a block that has been looked up, inside an operation, or reports why not. */
ks_status heap_free(struct heap *heap, const void *block, const struct lookup *found);

#endif
