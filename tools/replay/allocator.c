#include "allocator.h"

#include <malloc.h>
#include <stdlib.h>

/* ------------------------------------------------------------------ keyslab */

static void *keyslab_alloc(ks_key_t key, const struct op *op)
{
    if (op->alignment_shift)
        return ks_aligned_alloc(key, (size_t)1 << op->alignment_shift, op->size, NULL);
    return op->zeroed ? ks_calloc(key, 1, op->size, NULL) : ks_alloc(key, op->size, NULL);
}

static void *keyslab_realloc(ks_key_t key, void *block, size_t size)
{
    return ks_realloc(key, block, size ? size : 1, NULL);
}

static void keyslab_free(ks_key_t key, void *block)
{
    ks_free(key, block);
}

static void keyslab_reset(ks_key_t key)
{
    ks_key_reset(key);
}

static size_t keyslab_usable(ks_key_t key, void *block)
{
    return ks_size(key, block);
}

const struct allocator allocator_keyslab = {
    .name = "keyslab",
    .resets = true,
    .alloc = keyslab_alloc,
    .realloc = keyslab_realloc,
    .free = keyslab_free,
    .reset = keyslab_reset,
    .usable = keyslab_usable,
};

/* ------------------------------------------------------------------ malloc */

static void *malloc_alloc(ks_key_t key, const struct op *op)
{
    (void)key;
    if (op->alignment_shift)
        return memalign((size_t)1 << op->alignment_shift, op->size);
    return op->zeroed ? calloc(1, op->size) : malloc(op->size);
}

static void *malloc_realloc(ks_key_t key, void *block, size_t size)
{
    (void)key;
    return realloc(block, size ? size : 1);
}

static void malloc_free(ks_key_t key, void *block)
{
    (void)key;
    free(block);
}

static size_t malloc_usable(ks_key_t key, void *block)
{
    (void)key;
    return malloc_usable_size(block);
}

const struct allocator allocator_malloc = {
    .name = "malloc",
    .alloc = malloc_alloc,
    .realloc = malloc_realloc,
    .free = malloc_free,
    .usable = malloc_usable,
};
