#include "demand.h"

enum { ROUNDS_MOST = 50 };

/* What is less by no more than this is the same, rounded otherwise. */
#define GAIN_LEAST 1e-9

void demand_add(struct demand *demand, uint32_t alignment, const struct weights *weights)
{
    struct level *level = &demand->levels[demand->count++];
    double weight = 0;
    double bytes = 0;
    level->alignment = alignment;
    for (uint32_t granule = 0; granule < GRANULES; granule++) {
        level->weight[granule] = weight += weights->weight[granule];
        level->bytes[granule] = bytes += weights->bytes[granule];
    }
    demand->slab = weights->slab;
    demand->standing = weights->standing;
}

double demand_cost(const struct demand *demand, const struct size_table *table, double threads)
{
    bool used[CLASSES_MOST] = {false};
    double sum = 0;
    for (const struct level *level = demand->levels; level < demand->levels + demand->count; level++) {
        double weight = 0;
        double bytes = 0;
        for (uint32_t i = 0; i < table->count; i++) {
            uint32_t granule = table->bytes[i] / GRANULE;
            if (table->bytes[i] % level->alignment || level->weight[granule] <= weight)
                continue;
            sum += (level->weight[granule] - weight) * block_cost(demand->slab, table->bytes[i]) -
                   (level->bytes[granule] - bytes);
            weight = level->weight[granule];
            bytes = level->bytes[granule];
            used[i] = true;
        }
    }
    for (uint32_t i = 0; i < table->count; i++)
        sum += used[i] ? threads * demand->standing * partial_cost(demand->slab, table->bytes[i]) : 0;
    return sum;
}

/* The best place for one class between its neighbours. True where that is another. */
static bool move(const struct demand *demand, const struct limits *limits, struct size_table *table, uint32_t class,
                 double *cost)
{
    uint32_t before = class ? table->bytes[class - 1] : 0;
    uint32_t best = table->bytes[class];
    bool moved = false;
    for (uint32_t size = size_after(before, limits); size < table->bytes[class + 1]; size = size_after(size, limits)) {
        if (!step_is_good(before, size, limits) || !step_is_good(size, table->bytes[class + 1], limits))
            continue;
        table->bytes[class] = size;
        double here = demand_cost(demand, table, limits->threads);
        if (here >= *cost * (1 - GAIN_LEAST))
            continue;
        *cost = here;
        best = size;
        moved = true;
    }
    table->bytes[class] = best;
    return moved;
}

void demand_mend(const struct demand *demand, const struct limits *limits, struct size_table *table)
{
    double cost = demand_cost(demand, table, limits->threads);
    bool moved = demand->count > 1;
    for (uint32_t round = 0; moved && round < ROUNDS_MOST; round++) {
        moved = false;
        for (uint32_t class = 0; class + 1 < table->count; class ++)
            moved = move(demand, limits, table, class, &cost) || moved;
    }
}
