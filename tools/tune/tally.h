/*
 * What sizes a key's blocks have, and for how long they live: counted from events, a granule of 8 bytes at a time, and apart for
 * the first and the second half of the events, so that a table made for one half can be tried on the other.
 *
 * Sums are exact, in whole bytes and nanoseconds: the same input gives the same answer everywhere.
 */
#ifndef TUNE_TALLY_H
#define TUNE_TALLY_H

#include "classes/classes.h"
#include "live.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GRANULE = CLASS_GRANULE,
    SIZE_TOP = CLASS_TOP,              /* larger blocks have no class */
    GRANULES = SIZE_TOP / GRANULE + 1, /* granule g has the sizes above 8 * (g - 1), up to 8 * g */
    HALVES = 2,
    ALIGNMENTS = 17, /* by their logarithms: 1 to SIZE_TOP; up to GRANULE every block has it, and counts as 1 */
    KEYS_MOST = 1000,
    KEY_NAME = 64,
};

typedef __int128 wide;

/* For each granule. lifetime and size_lifetime count what is live as if it had ended at time 0: tally_end makes that good. */
struct counts {
    uint64_t blocks[GRANULES];
    uint64_t bytes[GRANULES]; /* that were asked for */
    uint64_t live[GRANULES];
    uint64_t live_bytes[GRANULES];
    wide lifetime[GRANULES];      /* sum of the blocks' lifetimes */
    wide size_lifetime[GRANULES]; /* sum of lifetime times bytes asked for */
};

struct tally_key {
    char name[KEY_NAME];
    bool unnamed;  /* the source has no name for it: this one is made up */
    uint32_t life; /* counts resets */
    bool touched;  /* by the source that is read */
    bool timed;    /* every source had times: lifetimes mean something */
    uint64_t duration;
    uint64_t large; /* blocks above SIZE_TOP */
    uint64_t large_bytes;
    uint64_t now_bytes; /* asked for and live */
    uint64_t peak_bytes;
    struct counts *halves[ALIGNMENTS]; /* HALVES of them for each alignment that was asked for, or NULL; [0] is there */
};

struct tally {
    uint32_t keys_count;
    struct tally_key keys[KEYS_MOST];
    struct live live;
    uint64_t start; /* time of the source's first event */
    uint64_t events;
    uint64_t expected;  /* events of the source that is read */
    uint64_t unmatched; /* frees of blocks that no event allocated */
    bool full;          /* out of memory, or too many keys: what was counted is not all */
};

/* A source begins, with so many events. */
void tally_begin(struct tally *tally, uint64_t events, uint64_t time);

/* The key of that name, found or made; UINT32_MAX where there are too many, or without memory. */
uint32_t tally_key(struct tally *tally, const char *name);

void tally_alloc(struct tally *tally, uint32_t key, uint64_t address, uint64_t size, uint64_t time);
void tally_alloc_aligned(struct tally *tally, uint32_t key, uint64_t address, uint64_t size, uint8_t alignment_shift,
                         uint64_t time);
void tally_free(struct tally *tally, uint64_t address, uint64_t time);
void tally_reset(struct tally *tally, uint32_t key, uint64_t time);

/* Blocks of which only the size is known, half of them for each half. */
void tally_blocks(struct tally *tally, uint32_t key, uint64_t size, uint64_t count);
/* One such, in the order of the source. */
void tally_block(struct tally *tally, uint32_t key, uint64_t size);

/* The source has ended: what is live lived until now. `timed` is false for one without times. */
void tally_end(struct tally *tally, uint64_t time, bool timed);

void tally_close(struct tally *tally);

#endif
