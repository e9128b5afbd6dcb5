/*
 * Extents that are unmapped, so that no limit of the address space counts them. They are their arena's, which maps them again before it
 * draws new ones, until the system refuses to map more: then they are anybody's. Under the lock of extents.c, as extent_bins.h.
 */
#ifndef LIB_ABSENT_H
#define LIB_ABSENT_H

#include "classes/classes.h"
#include "memory/backend.h"
#include "memory/extent_bins.h"

/* Once. What is anybody's is in the bins of two arenas more: `arena`, and `arena` + 1 for huge pages. */
void absent_start(const struct extent_source *source, uint16_t arena);

/* Slabs of a free extent that can be unmapped: all, or those of whole huge pages; 0 where too much is unmapped already. */
uint32_t absent_part(const struct extent *extent, bool huge);

/* Where that part begins. */
static inline size_t absent_alignment(bool huge)
{
    return huge ? HUGE_PAGE : SLAB_BYTES;
}

/* Has been unmapped, and is anybody's. */
void absent_share(struct extent *extent, uint32_t length, bool huge);

/* Makes all anybody's that is unmapped in an arena. Whether there was any. */
bool absent_share_all(struct bins *bins, bool huge);

/*
 * Maps `wanted` slabs again for an arena, or as many as there are together, but `least`. They are zeroed, and USED. NULL where there are
 * none, or the system refuses.
 */
struct extent *absent_renew(struct bins *bins, bool huge, uint32_t least, uint32_t wanted);

#endif
