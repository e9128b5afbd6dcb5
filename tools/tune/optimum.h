/*
 * The best table of size classes for a distribution of sizes: exact, by dynamic programming over all tables that lib/classes.h
 * allows.
 */
#ifndef TUNE_OPTIMUM_H
#define TUNE_OPTIMUM_H

#include "tally.h"

enum {
    CLASSES_MOST = 47,
    SLAB = 256 * 1024,  /* unless the key says otherwise */
    ALIGNED_FROM = 512, /* classes from here up are multiples of ALIGNED */
    ALIGNED = 64,
    STATE = 1,            /* bytes beside each block */
    MAGAZINE = 1024,      /* bytes of one */
    MAGAZINE_BLOCKS = 60, /* most in one */
};

/* Weights of the sizes, granule by granule: blocks, or the time that they live. */
struct weights {
    double weight[GRANULES];
    double bytes[GRANULES]; /* weight times size */
    uint32_t slab;          /* bytes of the slabs that blocks are cut from */
    double
        standing; /* weight of what is there all the time: a byte of a magazine, for as long as the blocks were watched */
};

struct size_table {
    uint32_t count;
    uint32_t bytes[CLASSES_MOST];
};

/* Where the memory goes, as sums of bytes times weight. */
struct spending {
    double asked;
    double internal;  /* class bytes beyond what was asked for */
    double tails;     /* of slabs, and state bytes */
    double magazines; /* and the blocks that lie free in them: an estimate, half of each */
    uint32_t used;    /* classes that have blocks */
};

struct limits {
    uint32_t classes; /* most, CLASSES_MOST or fewer */
    double step;      /* most of a block that may be lost between one class and the next: 0.5 for half */
    double threads;   /* each has a magazine of each class that is used */
};

/*
 * costs[n - 1]: what the best table of exactly n classes spends beyond what was asked for, INFINITY where none keeps the limits;
 * tables[n - 1] is that table. Either may be NULL. Returns the number of classes that spends least, the fewest of equals; 0 where no
 * table keeps the limits, or without memory.
 */
uint32_t optimum(const struct weights *weights, const struct limits *limits, double *costs, struct size_table *tables);

/* The least number of classes that keeps the limits on steps. */
uint32_t optimum_least(double step);

struct spending spend(const struct weights *weights, const struct size_table *table, double threads);

/* The same of blocks that only classes whose sizes are multiples of `alignment` may hold. Without magazines. */
struct spending spend_aligned(const struct weights *weights, const struct size_table *table, uint32_t alignment);

/* What no table can spare: the best that alignment allows, if every size that may be a class were one. Without magazines. */
struct spending spend_least(const struct weights *weights);

/*
 * `seen`, with a part of its bytes taken to be of sizes that were not seen, spread evenly over the logarithm of the size: a
 * table that is made for the blend has classes wherever sizes may come, and more where they have come.
 */
void blend(const struct weights *seen, double unseen, struct weights *blended);

/* True for a table that the library takes; else what is wrong with it, in `wrong`. */
bool table_is_good(const struct size_table *table, const char **wrong);

/* The library's own table, and jemalloc's spacing: four classes to a doubling, from a quantum of 16. */
void table_default(struct size_table *table);
void table_jemalloc(struct size_table *table);

#endif
