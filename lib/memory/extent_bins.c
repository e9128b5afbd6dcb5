#include "memory/extent_bins.h"

#include "base/stretch.h"
#include "classes/classes.h"

#define LOOKS_MOST 32                 /* into the one bin whose extents may be too short */
#define ROWS_MOST  ((size_t)1 << 22)  /* of a terabyte, */
#define ROWS_STEP  ((size_t)96 << 10) /* bytes of them that are mapped at once: of a gigabyte */

static struct extent *rows;    /* rows[0] is OUTSIDE, as is the row behind the last: nobody's neighbour is missing */
static struct stretch stretch; /* of the rows */
static char *base;             /* the address of rows[1] */
static size_t absent;          /* ABSENT extents */

bool extent_rows_start(void)
{
    if (!stretch_start(&stretch, (window_share(ROWS_MOST) + 2) * sizeof *rows, ROWS_STEP))
        return false;
    rows = (struct extent *)stretch.base;
    return true;
}

struct extent *extent_at(const void *start)
{
    return &rows[1 + ((size_t)((const char *)start - base) >> SLAB_SHIFT)];
}

char *extent_start(const struct extent *extent)
{
    return base + ((size_t)(extent - rows - 1) << SLAB_SHIFT);
}

/* Rows up to `count`, and the one behind them. */
static bool rows_reach(size_t count)
{
    return stretch_reach(&stretch, (count + 1) * sizeof *rows);
}

struct extent *extent_rows(char *start, uint32_t length)
{
    if (!base)
        base = start;
    struct extent *extent = extent_at(start);
    return rows_reach((size_t)(extent - rows) + length) ? extent : NULL;
}

static uint32_t bin_of_length(uint32_t length)
{
    if (length < BINS_FINE)
        return length;
    uint32_t log = 31 - (uint32_t)__builtin_clz(length);
    return BINS_FINE + 4 * (log - 4) + (length >> (log - 2) & 3);
}

void extent_use(const struct bins *bins, struct extent *extent, uint32_t length, enum extent_kind kind)
{
    struct extent *last = extent + length - 1;
    extent->length = last->length = length;
    extent->arena = last->arena = bins->arena;
    extent->kind = last->kind = (uint8_t)kind;
}

static bool is_alike(const struct bins *bins, const struct extent *extent, enum extent_kind kind)
{
    return extent->kind == kind && extent->arena == bins->arena;
}

void extent_remove(struct bins *bins, struct extent *extent)
{
    LIST_REMOVE(extent, link);
    if (extent->kind == DIRTY)
        bins->dirty -= extent->length;
    absent -= extent->kind == ABSENT;
}

void extent_insert(struct bins *bins, struct extent *extent, uint32_t length, enum extent_kind kind)
{
    struct extent *after = extent + length;
    if (is_alike(bins, after, kind)) {
        extent_remove(bins, after);
        length += after->length;
    }
    if (is_alike(bins, extent - 1, kind)) {
        struct extent *before = extent - extent[-1].length;
        extent_remove(bins, before);
        length += before->length;
        extent = before;
    }
    extent_use(bins, extent, length, kind);
    LIST_INSERT_HEAD(&bins->lists[kind - DIRTY][bin_of_length(length)], extent, link);
    if (kind == DIRTY)
        bins->dirty += length;
    absent += kind == ABSENT;
}

size_t extents_absent(void)
{
    return absent;
}

void extent_merge_zero(struct bins *bins)
{
    for (uint32_t bin = 0; bin < BINS; bin++)
        for (struct extent *extent; (extent = LIST_FIRST(&bins->lists[ZERO - DIRTY][bin]));) {
            extent_remove(bins, extent);
            extent_insert(bins, extent, extent->length, DIRTY);
        }
}

struct extent *extent_find(struct bins *bins, uint32_t length, enum extent_kind kind)
{
    struct bin_list *lists = bins->lists[kind - DIRTY];
    uint32_t bin = bin_of_length(length);
    struct extent *best = NULL;
    struct extent *extent;
    int looks = LOOKS_MOST;
    LIST_FOREACH (extent, &lists[bin], link) {
        if (extent->length >= length && (!best || extent->length < best->length))
            best = extent;
        if ((best && best->length == length) || !--looks)
            break;
    }
    while (!best && ++bin < BINS)
        best = LIST_FIRST(&lists[bin]);
    return best;
}

struct extent *extent_longest_dirty(struct bins *bins)
{
    uint32_t bin = BINS - 1;
    while (LIST_EMPTY(&bins->lists[0][bin]))
        bin--;
    return LIST_FIRST(&bins->lists[0][bin]);
}

struct extent *extent_cut(struct bins *bins, struct extent *extent, uint32_t length, size_t alignment)
{
    enum extent_kind kind = extent->kind;
    uint32_t whole = extent->length;
    uintptr_t start = (uintptr_t)extent_start(extent);
    uintptr_t aligned = (start + alignment - 1) & -alignment;
    uint32_t before = (uint32_t)((aligned - start) >> SLAB_SHIFT);
    extent_remove(bins, extent);
    extent_use(bins, extent + before, length, kind == ZERO ? USED_ZERO : USED);
    if (before)
        extent_insert(bins, extent, before, kind);
    if (before + length < whole)
        extent_insert(bins, extent + before + length, whole - before - length, kind);
    return extent + before;
}
