/*
 * The best table of size classes for a distribution of sizes: exact, by dynamic programming over all tables that
 * lib/classes/classes.h allows.
 */
#ifndef TUNE_OPTIMUM_H
#define TUNE_OPTIMUM_H

#include "tally.h"

#define CLASSES_MOST (CLASS_LIMIT - 1) /* beside that of the large blocks */

/* Weights of the sizes, granule by granule: blocks, or the time that they live. */
struct weights {
    double weight[GRANULES];
    double bytes[GRANULES]; /* weight times size */
    uint32_t slab;          /* bytes of the slabs that blocks are cut from */
    /* weight of what is there all the time: a byte of a partial group, for as long as the blocks were watched */
    double standing;
};

struct size_table {
    uint32_t count;
    uint32_t bytes[CLASSES_MOST];
};

/* Where the memory goes, as sums of bytes times weight. */
struct spending {
    double asked;
    double internal; /* class bytes beyond what was asked for */
    double tails;    /* of slabs, and what groups take beside their blocks */
    double partial;  /* what is free in partial groups, one of each class and thread: an estimate, half of each */
    uint32_t used;   /* classes that have blocks */
};

struct limits {
    uint32_t classes;   /* most, CLASSES_MOST or fewer */
    double step;        /* most of a block that may be lost between one class and the next: 0.5 for half */
    double threads;     /* each has a partial group of each class that is used */
    uint32_t alignment; /* of the key's blocks: see class_multiple in classes/classes.h */
};

/*
 * costs[n - 1]: what the best table of exactly n classes spends beyond what was asked for, INFINITY where none keeps the limits;
 * tables[n - 1] is that table. Either may be NULL. Returns the number of classes that spends least, the fewest of equals; 0 where no
 * table keeps the limits, or without memory.
 */
uint32_t optimum(const struct weights *weights, const struct limits *limits, double *costs, struct size_table *tables);

/* The next size that may be a class's; the first for 0. */
uint32_t size_after(uint32_t size, const struct limits *limits);

/* The smallest request above `before` loses no more than `step` of a block of `size`; or no class could lie between the two. */
bool step_is_good(uint32_t before, uint32_t size, const struct limits *limits);

/* Bytes that a block takes of its slab, its part of the tail and of the groups included: no less for a larger block. */
double block_cost(uint32_t slab, uint32_t bytes);

/* Half a group: of the one that a thread hands out blocks of a class from, so much is free. An estimate. */
double partial_cost(uint32_t slab, uint32_t bytes);

/* The least number of classes that keeps the limits on steps and alignment. */
uint32_t optimum_least(const struct limits *limits);

struct spending spend(const struct weights *weights, const struct size_table *table, double threads);

/* The same of blocks that only classes whose sizes are multiples of `alignment` may hold. Without partial groups. */
struct spending spend_aligned(const struct weights *weights, const struct size_table *table, uint32_t alignment);

/* What no table can spare: the best that alignment allows, if every size that may be a class were one. Without partial groups. */
struct spending spend_least(const struct weights *weights, uint32_t alignment);

/*
 * `seen`, with a part of its bytes taken to be of sizes that were not seen, spread evenly over the logarithm of the size: a
 * table that is made for the blend has classes wherever sizes may come, and more where they have come.
 */
void blend(const struct weights *seen, double unseen, struct weights *blended);

/* The library's own table, and jemalloc's spacing: four classes to a doubling, from a quantum of 16. */
void table_default(struct size_table *table);
void table_jemalloc(struct size_table *table);

#endif
