/* Aligned blocks over the process's key: posix_memalign, aligned_alloc, memalign, valloc, pvalloc. */
#include "malloc/process_key.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#define ALIGNMENT_LEAST ((size_t)16) /* what malloc gives */

/* KS_OK, or why not. */
static ks_status take(size_t alignment, size_t size, void **block)
{
    ks_status status = KS_NO_MEMORY;
    *block = NULL;
    if (!process_key() && !process_key_start())
        return status;
    *block = ks_aligned_alloc(process_key(), alignment, size, &status);
    return status;
}

EXPORTED int posix_memalign(void **block, size_t alignment, size_t size)
{
    if (!alignment || alignment % sizeof(void *) || alignment & (alignment - 1))
        return EINVAL;
    if (alignment < ALIGNMENT_LEAST)
        alignment = ALIGNMENT_LEAST;
    void *taken;
    int before = errno;
    ks_status status = take(alignment, size, &taken);
    errno = before;
    if (status != KS_OK)
        return ENOMEM;
    *block = taken;
    return 0;
}

static void *take_or_errno(size_t alignment, size_t size)
{
    void *block;
    if (take(alignment, size, &block) != KS_OK)
        errno = ENOMEM;
    return block;
}

/* As in glibc, an alignment that is no power of two stands for the next one. */
EXPORTED void *memalign(size_t alignment, size_t size)
{
    if (alignment <= ALIGNMENT_LEAST)
        return malloc(size);
    if (alignment > SIZE_MAX / 2 + 1) {
        errno = EINVAL;
        return NULL;
    }
    unsigned bits = 64 - (unsigned)__builtin_clzl(alignment - 1);
    return take_or_errno((size_t)1 << bits, size);
}

EXPORTED void *valloc(size_t size)
{
    return take_or_errno(PAGE, size);
}

/* Whole pages. */
EXPORTED void *pvalloc(size_t size)
{
    size_t pages = size / PAGE + (size % PAGE != 0);
    return take_or_errno(PAGE, pages > SIZE_MAX / PAGE ? SIZE_MAX : pages * PAGE);
}

SAME_AS(memalign) void *aligned_alloc(size_t alignment, size_t size);
SAME_AS(memalign) void *__libc_memalign(size_t alignment, size_t size);
SAME_AS(valloc) void *__libc_valloc(size_t size);
SAME_AS(pvalloc) void *__libc_pvalloc(size_t size);
