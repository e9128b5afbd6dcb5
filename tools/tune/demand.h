/*
 * What blocks ask for beside their size: an alignment of their own, which only some of a table's classes have. The optimum knows
 * sizes only. Here a table is judged by the class that each block would really get, and mended.
 */
#ifndef TUNE_DEMAND_H
#define TUNE_DEMAND_H

#include "optimum.h"

/* Blocks of one alignment: [g] is of all sizes up to granule g. */
struct level {
    uint32_t alignment;
    double weight[GRANULES];
    double bytes[GRANULES];
};

struct demand {
    uint32_t count;
    uint32_t slab;
    double standing;
    struct level levels[ALIGNMENTS];
};

/* Blocks that must be at multiples of `alignment`, 1 for those that ask for none. */
void demand_add(struct demand *demand, uint32_t alignment, const struct weights *weights);

/* What the table spends on them beyond what was asked for. */
double demand_cost(const struct demand *demand, const struct size_table *table, double threads);

/* Moves single classes, within the limits, while that spends less. Blocks that ask for nothing leave the table as it is. */
void demand_mend(const struct demand *demand, const struct limits *limits, struct size_table *table);

#endif
