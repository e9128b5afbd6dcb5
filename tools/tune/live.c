#include "live.h"

#include <stdlib.h>

enum { ROOM_LEAST = 1024 };

/* Open addressing with linear probing; at most three quarters full. */
static size_t place_of(const struct live *live, uint64_t address)
{
    uint64_t mixed = (address >> 4) * 0x9e3779b97f4a7c15ull;
    return (mixed ^ mixed >> 32) & (live->room - 1);
}

static size_t find(const struct live *live, uint64_t address)
{
    size_t at = place_of(live, address);
    while (live->blocks[at].address && live->blocks[at].address != address)
        at = (at + 1) & (live->room - 1);
    return at;
}

bool live_reserve(struct live *live)
{
    if (live->count + 1 <= live->room / 4 * 3)
        return true;
    struct live grown = {.room = live->room ? live->room * 2 : ROOM_LEAST, .count = live->count};
    grown.blocks = calloc(grown.room, sizeof *grown.blocks);
    if (!grown.blocks)
        return false;
    for (size_t i = 0; i < live->room; i++)
        if (live->blocks[i].address)
            grown.blocks[find(&grown, live->blocks[i].address)] = live->blocks[i];
    free(live->blocks);
    *live = grown;
    return true;
}

/* Those behind move up, so that none has a gap between it and its place. */
static void close_gap(struct live *live, size_t gap)
{
    size_t mask = live->room - 1;
    for (size_t at = (gap + 1) & mask; live->blocks[at].address; at = (at + 1) & mask) {
        size_t distance = (at - place_of(live, live->blocks[at].address)) & mask;
        if (distance < ((at - gap) & mask))
            continue;
        live->blocks[gap] = live->blocks[at];
        gap = at;
    }
    live->blocks[gap].address = 0;
}

bool live_take(struct live *live, uint64_t address, struct live_block *block)
{
    if (!live->room || !address)
        return false;
    size_t at = find(live, address);
    if (!live->blocks[at].address)
        return false;
    *block = live->blocks[at];
    live->count--;
    close_gap(live, at);
    return true;
}

void live_put(struct live *live, const struct live_block *block)
{
    live->blocks[find(live, block->address)] = *block;
    live->count++;
}

void live_free(struct live *live)
{
    free(live->blocks);
    *live = (struct live){0};
}
