/* What lies in the blocks. */
#include "reference.h"

#include <string.h>

#define WORD sizeof(uint64_t)
#define EDGE (8 * WORD) /* of a block's start and end: every word is signed */

/* All words of a small block; of a larger one those at both ends, and a few between. */
static size_t pattern_next(size_t offset, size_t usable)
{
    size_t next = offset + WORD;
    if (usable <= 2 * EDGE || next < EDGE || next > usable - EDGE)
        return next;
    size_t step = usable / 2 > 512 ? usable / 2 / WORD * WORD : 512;
    return next == EDGE || offset + step < usable - EDGE ? offset + step : usable - EDGE;
}

static uint64_t pattern_word(uint32_t serial, size_t offset)
{
    return (serial + 1) * 0x9e3779b97f4a7c15u ^ offset;
}

void block_sign(struct block *block)
{
    block->serial = reference.serial++;
    for (size_t at = 0; at + WORD <= block->usable; at = pattern_next(at, block->usable)) {
        uint64_t word = pattern_word(block->serial, at);
        memcpy(block->start + at, &word, WORD);
    }
}

void pattern_verify(const char *start, size_t kept, size_t usable, uint32_t serial)
{
    for (size_t at = 0; at + WORD <= kept; at = pattern_next(at, usable)) {
        uint64_t word = pattern_word(serial, at);
        if (memcmp(start + at, &word, WORD) != 0)
            fail("%p: its contents at %zu of %zu have changed", (const void *)start, at, usable);
    }
}

void block_verify(const struct block *block)
{
    pattern_verify(block->start, block->usable, block->usable, block->serial);
}
