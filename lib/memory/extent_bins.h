/*
 * Extents, the free ones in bins by length. A row for each slab of the range, from the lowest that was drawn. At all times, under the
 * lock of extents.c, which all of this is called with
 *
 *     the first and the last row of an extent have its kind, length and arena; the others are not looked at
 *     a free extent, DIRTY, ZERO or ABSENT, is in its arena's bin of its kind and length, and no neighbour of its arena is of its kind
 *     bins.dirty == slabs in the arena's DIRTY extents
 */
#ifndef LIB_EXTENT_BINS_H
#define LIB_EXTENT_BINS_H

#include "base/platform.h"

#include <sys/queue.h>

enum extent_kind { OUTSIDE, USED, USED_ZERO, DIRTY, ZERO, ABSENT /* not mapped */ };

#define FREE_KINDS (1 + ABSENT - DIRTY)

struct extent {
    LIST_ENTRY(extent) link; /* a bin */
    uint32_t length;         /* slabs */
    uint16_t arena;
    uint8_t kind;
};

LIST_HEAD(bin_list, extent);

#define BINS_FINE 16 /* one for each length below; then four for each power of two */
#define BINS      (BINS_FINE + 4 * (32 - 4))

/* An arena's. */
struct bins {
    uint16_t arena;
    size_t dirty;
    struct bin_list lists[FREE_KINDS][BINS]; /* DIRTY, ZERO, ABSENT */
};

/* Once, before any other. False where the system refuses. */
bool extent_rows_start(void);

/* The rows of what was drawn at `start`, which is its first. The first one ever is the lowest there will be. NULL where the system refuses. */
struct extent *extent_rows(char *start, uint32_t length);

struct extent *extent_at(const void *start);
char *extent_start(const struct extent *extent);

/* Is neither free nor in a bin. */
void extent_use(const struct bins *bins, struct extent *extent, uint32_t length, enum extent_kind kind);

/* Becomes free, one with the neighbours that are free alike. */
void extent_insert(struct bins *bins, struct extent *extent, uint32_t length, enum extent_kind kind);

void extent_remove(struct bins *bins, struct extent *extent);

/* How many extents are ABSENT, in all arenas. */
size_t extents_absent(void);

/* All that is ZERO becomes DIRTY, so that free neighbours of both kinds are one. */
void extent_merge_zero(struct bins *bins);

/* A free extent of a kind, `length` slabs or more: of the shortest there are, where the bins tell. NULL: none. */
struct extent *extent_find(struct bins *bins, uint32_t length, enum extent_kind kind);

/* The longest DIRTY one, nearly. There is one. */
struct extent *extent_longest_dirty(struct bins *bins);

/* `length` slabs of a free extent, aligned; the rest stays free. */
struct extent *extent_cut(struct bins *bins, struct extent *extent, uint32_t length, size_t alignment);

#endif
