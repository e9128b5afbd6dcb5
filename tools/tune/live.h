/*
 * The blocks that are live at a moment of a trace, by address. Each belongs to a life, which is a key between two of its resets:
 * when a life ends its blocks stay in the table until their addresses are used again, and count as gone.
 */
#ifndef TUNE_LIVE_H
#define TUNE_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct live_block {
    uint64_t address; /* 0: no block */
    uint32_t size;    /* UINT32_MAX for that and more */
    uint32_t key : 31;
    uint32_t half : 1;
    uint32_t life;
    uint8_t alignment_shift;
};

struct live {
    size_t room; /* a power of two, or 0 */
    size_t count;
    struct live_block *blocks;
};

/* Room for one more. False without memory. */
bool live_reserve(struct live *live);

/* After live_reserve: the block of that address, which is taken out where there is one; false for none. */
bool live_take(struct live *live, uint64_t address, struct live_block *block);
void live_put(struct live *live, const struct live_block *block);

void live_free(struct live *live);

#endif
