/*
 * The malloc family over the process's key, as glibc 2.36 means it: malloc, calloc, realloc, reallocarray, free,
 * malloc_usable_size, and glibc's names for them under which some libraries ask for them.
 */
#include "classes/classes.h"
#include "malloc/misuse.h"
#include "malloc/process_key.h"
#include "memory/extents.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* No block: because there is no key yet, or because there is no memory. */
static SLOW_PATH void *refused(size_t size)
{
    if (!process_key() && process_key_start())
        return malloc(size);
    errno = ENOMEM;
    return NULL;
}

/* Flattened, as free is: the library's fast path is in here, and no call is left on it. */
EXPORTED __attribute__((flatten)) void *malloc(size_t size)
{
    void *block = ks_alloc(process_key(), size, NULL);
    return likely(block) ? block : refused(size);
}

/* Nothing resets the key, so that a block may be zeroed when the operation is over. */
EXPORTED void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (unlikely(__builtin_mul_overflow(count, size, &bytes)))
        return refused(SIZE_MAX);
    void *block = malloc(bytes);
    if (unlikely(!block || (bytes > CLASS_TOP && extent_was_zero(block))))
        return block;
    return memset(block, 0, bytes);
}

/* A misuse has been reported by now: see misuse_found. What the thread frees for want of memory stays allocated. */
EXPORTED __attribute__((flatten)) void free(void *block)
{
    if (block)
        ks_free(process_key(), block);
}

static int errno_of(ks_status status)
{
    switch (status) {
    case KS_NO_MEMORY:
    case KS_QUOTA:
    case KS_TOO_LARGE:
        return ENOMEM;
    default:
        return EINVAL;
    }
}

/*
 * What is asked for a large block that grows by less than a quarter: half as much again, so that a block that grows step by
 * step is copied a few times and not at each step. It costs addresses: a page that nobody has touched is no memory.
 */
static size_t with_room_to_grow(const void *block, size_t size)
{
    if (size <= CLASS_TOP)
        return size;
    size_t before = ks_size(process_key(), block);
    return before < size && size - before < before / 4 ? size + size / 2 : size;
}

EXPORTED void *realloc(void *block, size_t size)
{
    if (!block)
        return malloc(size);
    ks_status status;
    size_t roomy = with_room_to_grow(block, size);
    misuse_call = "realloc";
    void *resized = ks_realloc(process_key(), block, roomy, &status);
    if (unlikely(!resized && roomy > size))
        resized = ks_realloc(process_key(), block, size, &status);
    misuse_call = NULL;
    if (unlikely(status != KS_OK))
        errno = errno_of(status);
    return resized;
}

EXPORTED void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (likely(!__builtin_mul_overflow(count, size, &bytes)))
        return realloc(block, bytes);
    errno = ENOMEM;
    return NULL;
}

EXPORTED size_t malloc_usable_size(void *block)
{
    size_t size = ks_size(process_key(), block);
    if (unlikely(block && !size))
        misuse_of_pointer("malloc_usable_size", block);
    return size;
}

SAME_AS(malloc) void *__libc_malloc(size_t size);
SAME_AS(calloc) void *__libc_calloc(size_t count, size_t size);
SAME_AS(realloc) void *__libc_realloc(void *block, size_t size);
SAME_AS(free) void __libc_free(void *block);
