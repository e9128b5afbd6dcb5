/* From addresses of the range to slabs and back, by arithmetic. */
#ifndef LIB_CORE_ADDRESS_H
#define LIB_CORE_ADDRESS_H

#include "core/model.h"

/* The slab that an offset into the range lies in. */
FAST_PATH struct slab *slab_at(size_t offset)
{
    return &range.slabs[offset >> SLAB_SHIFT];
}

FAST_PATH uint32_t slab_index(const struct slab *slab)
{
    return (uint32_t)(slab - range.slabs);
}

/* Its first address. */
FAST_PATH char *slab_start(const struct slab *slab)
{
    return range.base + ((size_t)(slab - range.slabs) << SLAB_SHIFT);
}

/* How many slabs so many bytes reach into. */
static inline size_t slabs_of(size_t bytes)
{
    return (bytes + SLAB_BYTES - 1) >> SLAB_SHIFT;
}

#endif
