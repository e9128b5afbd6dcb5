#include "memory/range.h"

#include "base/stretch.h"

#define UNIT       HUGE_PAGE /* of the range: tables are counted by it */
#define UNIT_SLABS (UNIT / SLAB_BYTES)

struct range range;

/* The range's own addresses. It maps them itself, because it leaves gaps. */
static struct stretch memory;
static size_t tried; /* the growing thread's: nothing of the range was ever mapped from here on */

/* Bytes of each table for a unit of the range, and `beyond`, once, behind the last. */
static struct table {
    struct stretch stretch;
    size_t bytes;
    size_t beyond;
} tables[] = {
    {.bytes = 0}, /* range_start */
    {.bytes = UNIT_SLABS * SIDE_BYTES, .beyond = SIDE_REACH},
    {.bytes = UNIT_SLABS * SMALL_SIDE_BYTES, .beyond = SIDE_REACH},
    {.bytes = sizeof *range.pages},
};

enum table_index { SLABS, SIDES, SMALL_SIDES, PAGES, TABLES };

static_assert(sizeof tables / sizeof *tables == TABLES, "each table has an index");

/* ------------------------------------------------------------------ growing */

static size_t table_end(const struct table *table, size_t end)
{
    return (end + UNIT - 1) / UNIT * table->bytes + table->beyond;
}

static bool tables_extend(size_t end)
{
    for (size_t i = 0; i < TABLES; i++)
        if (!stretch_extend(&tables[i].stretch, table_end(&tables[i], end)))
            return false;
    return true;
}

static void tables_cut(const size_t *ends)
{
    for (size_t i = 0; i < TABLES; i++)
        stretch_cut(&tables[i].stretch, ends[i]);
}

static enum platform_mapped map(size_t start, size_t end)
{
    if (!tables_extend(end))
        return MAPPED_REFUSED;
    tried = end;
    return platform_map_at(range.base + start, end - start);
}

/* Maps `bytes` at or after `from`, and skips other mappings in ever longer steps. Returns the offset; range.bytes for none. */
static size_t place(size_t from, size_t bytes, size_t alignment)
{
    for (size_t step = UNIT;; step *= 2) {
        uintptr_t first = ((uintptr_t)range.base + from + alignment - 1) & ~(alignment - 1);
        size_t start = first - (uintptr_t)range.base;
        if (start > range.bytes || bytes > range.bytes - start)
            return range.bytes;
        /* A short gap is mapped, too, so that what lies on both sides of it is one mapping. */
        enum platform_mapped mapped = map(start - from < UNIT ? from : start, start + bytes);
        if (mapped != MAPPED_TAKEN)
            return mapped == MAPPED ? start : range.bytes;
        from = start + step;
    }
}

/*
 * A refused draw leaves everything as it was: it uses up no addresses and, under a limit, nothing of what may still
 * be mapped. What a thread was mapping that a fork left behind stays unused (C8.3).
 */
static void *draw(size_t bytes, size_t alignment)
{
    size_t ends[TABLES];
    for (size_t i = 0; i < TABLES; i++)
        ends[i] = tables[i].stretch.end;
    size_t from = tried;
    size_t start = place(from, bytes, alignment);
    if (start == range.bytes) {
        tried = from;
        tables_cut(ends);
        return NULL;
    }
    store_release(&range.high, start + bytes);
    return range.base + start;
}

void *range_draw(size_t bytes, size_t alignment)
{
    growth_begin();
    void *start = draw(bytes, alignment);
    growth_end();
    return start;
}

/* ------------------------------------------------------------------ memory that is free */

static uint32_t holds; /* any, atomic */

/* Before the block is looked up that is to be read (C7.5). */
void range_hold(void)
{
    fetch_add(&holds, 1);
}

/* After the last byte was read (C7.5). */
void range_unhold(void)
{
    fetch_sub(&holds, 1);
}

/* An exchange, not a load: a thread that holds the range after it sees that the slab's last epoch is over (C7.5). */
bool range_is_held(void)
{
    return fetch_add(&holds, 0);
}

/* The threads that held the range are not in this process (C10.1). */
void range_inherit(void)
{
    store_relaxed(&holds, 0u);
}

bool range_release(void *start, size_t bytes)
{
    return !range_is_held() && platform_unmap(start, bytes);
}

bool range_renew(void *start, size_t bytes)
{
    return platform_map_at(start, bytes) == MAPPED;
}

/* ------------------------------------------------------------------ start */

bool range_start(size_t descriptor)
{
    if (!stretch_start(&memory, window_share(RANGE_MOST), PAGE))
        return false;
    range.base = memory.base;
    range.bytes = memory.most;
    tables[SLABS].bytes = UNIT_SLABS * descriptor;
    for (size_t i = 0; i < TABLES; i++)
        if (!stretch_start(&tables[i].stretch, table_end(&tables[i], range.bytes), PAGE))
            return false;
    range.slabs = (struct slab *)tables[SLABS].stretch.base;
    range.sides = (uint8_t *)tables[SIDES].stretch.base;
    range.small_sides = (uint8_t *)tables[SMALL_SIDES].stretch.base;
    range.pages = (uint32_t *)tables[PAGES].stretch.base;
    return true;
}
