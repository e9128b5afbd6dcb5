#include "memory/absent.h"

#define ABSENT_MOST ((size_t)16384) /* extents: each parts a mapping in two, and Linux allows a process 65,530 */

static const struct extent_source *source;
static struct bins shared[2]; /* of ordinary and of huge pages */

void absent_start(const struct extent_source *from, uint16_t arena)
{
    source = from;
    shared[false].arena = arena;
    shared[true].arena = (uint16_t)(arena + 1);
}

uint32_t absent_part(const struct extent *extent, bool huge)
{
    if (extents_absent() >= ABSENT_MOST)
        return 0;
    if (!huge)
        return extent->length;
    uintptr_t start = (uintptr_t)extent_start(extent);
    uintptr_t first = (start + HUGE_PAGE - 1) / HUGE_PAGE;
    uintptr_t end = (start + extent->length * SLAB_BYTES) / HUGE_PAGE;
    return end > first ? (uint32_t)((end - first) * (HUGE_PAGE / SLAB_BYTES)) : 0;
}

void absent_share(struct extent *extent, uint32_t length, bool huge)
{
    extent_insert(&shared[huge], extent, length, ABSENT);
}

bool absent_share_all(struct bins *bins, bool huge)
{
    bool any = false;
    for (uint32_t bin = 0; bin < BINS; bin++)
        for (struct extent *extent; (extent = LIST_FIRST(&bins->lists[ABSENT - DIRTY][bin]));) {
            extent_remove(bins, extent);
            absent_share(extent, extent->length, huge);
            any = true;
        }
    return any;
}

struct extent *absent_renew(struct bins *bins, bool huge, uint32_t least, uint32_t wanted)
{
    struct extent *extent = extent_find(bins, least, ABSENT);
    if (!extent)
        extent = extent_find(bins = &shared[huge], least, ABSENT);
    if (!extent)
        return NULL;
    uint32_t length = wanted < extent->length ? wanted : extent->length;
    if (!(huge ? source->renew_huge : source->renew)(extent_start(extent), length * SLAB_BYTES))
        return NULL;
    return extent_cut(bins, extent, length, SLAB_BYTES);
}
