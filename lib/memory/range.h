/*
 * The range: the addresses that all of the library's memory lies in, so that a subtraction and a comparison tell whether a pointer
 * can be the library's, and what is known of its slab is found by arithmetic. It grows with what is drawn from it, upwards, and so do its
 * tables: see stretch.h.
 */
#ifndef LIB_RANGE_H
#define LIB_RANGE_H

#include "classes/classes.h"

/*
 * The records of a slab's groups: room for the smallest class. Classes from some 1,200 bytes up need so little that four slabs
 * share a page.
 */
#define SIDE_BYTES       ((size_t)40960)
#define SMALL_SIDE_BYTES ((size_t)1024)

/* From a slab's first record on, a thread that looks an address up while the slab begins anew may read so far: C7.2. */
#define SIDE_REACH (SLAB_BYTES / CLASS_LEAST / GROUP_BLOCKS * ((size_t)GROUP_STRIDE_MOST + sizeof(uint32_t)))

#define RANGE_MOST ((size_t)1 << 40)

/*
 *     descriptor and records of every slab below `high`, and the words of its huge pages, are readable, for ever
 *
 * What lies below `high` need not be mapped: alignment leaves gaps, and somebody else's mapping may lie there.
 */
struct slab;

struct range {
    /* fixed after start */
    char *base;
    struct slab *slabs; /* slabs[i] describes base + i * SLAB_BYTES; core/address.h */
    uint8_t *sides;
    uint8_t *small_sides;      /* both readable for SIDE_REACH beyond the last one (C7.2) */
    uint32_t *pages;           /* of huge pages: huge.h */
    size_t bytes;              /* that it may have */
    size_t high CACHE_ALIGNED; /* any, atomic, only rises: bytes of the range that have been in use */
};

extern struct range range;

/* `descriptor` bytes describe each slab. */
bool range_start(size_t descriptor);

/* Zeroed memory that nobody has had before. NULL where the system refuses it, or the range ends. */
void *range_draw(size_t bytes, size_t alignment);

/*
 * Unmaps free memory, so that no limit counts it; its addresses stay the range's. False where the system refuses, or while the range is
 * held. range_renew maps it again, zeroed. False where the system refuses.
 */
bool range_release(void *start, size_t bytes);
bool range_renew(void *start, size_t bytes);

/*
 * While the range is held, none of its memory is unmapped or loses its access: for reading a block that another
 * thread may drop meanwhile. In the child of a fork nobody holds it (C7.5).
 */
void range_hold(void);
void range_unhold(void);
bool range_is_held(void);
void range_inherit(void);

static inline bool range_contains(const void *address)
{
    return (size_t)((uintptr_t)address - (uintptr_t)range.base) < range.bytes;
}

#endif
