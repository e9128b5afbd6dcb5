#include "optimum.h"

#include <keyslab/keyslab.h>
#include <math.h>
#include <stdlib.h>

enum {
    CANDIDATES_MOST = CLASS_SMALL / GRANULE + (SIZE_TOP - CLASS_SMALL) / CLASS_ALIGNED,
};

/* ------------------------------------------------------------------ what a class costs */

/* A block's part of what its slab takes beside blocks. */
static double tail_of(uint32_t slab, uint32_t bytes)
{
    uint32_t capacity = slab / bytes;
    uint32_t groups = (capacity + GROUP_BLOCKS - 1) / GROUP_BLOCKS;
    return (double)(slab - capacity * bytes + groups * GROUP_BYTES) / capacity;
}

double block_cost(uint32_t slab, uint32_t bytes)
{
    return bytes + tail_of(slab, bytes);
}

double partial_cost(uint32_t slab, uint32_t bytes)
{
    uint32_t capacity = slab / bytes;
    uint32_t blocks = capacity < GROUP_BLOCKS ? capacity : GROUP_BLOCKS;
    return (GROUP_BYTES + (double)blocks * bytes) / 2;
}

static struct spending spend_on(const struct weights *weights, const struct size_table *table, double threads,
                                uint32_t alignment)
{
    struct spending sum = {0};
    uint32_t granule = 0;
    for (uint32_t class = 0; class < table->count; class ++) {
        if (table->bytes[class] % alignment)
            continue;
        double weight = 0;
        double asked = 0;
        for (; granule * GRANULE <= table->bytes[class]; granule++) {
            weight += weights->weight[granule];
            asked += weights->bytes[granule];
        }
        sum.asked += asked;
        sum.internal += weight * table->bytes[class] - asked;
        sum.tails += weight * tail_of(weights->slab, table->bytes[class]);
        sum.partial += weight > 0 ? threads * weights->standing * partial_cost(weights->slab, table->bytes[class]) : 0;
        sum.used += weight > 0;
    }
    return sum;
}

struct spending spend(const struct weights *weights, const struct size_table *table, double threads)
{
    return spend_on(weights, table, threads, 1);
}

struct spending spend_aligned(const struct weights *weights, const struct size_table *table, uint32_t alignment)
{
    return spend_on(weights, table, 0, alignment);
}

uint32_t size_after(uint32_t size, const struct limits *limits)
{
    return size < CLASS_LEAST ? CLASS_LEAST : size + class_multiple(size, limits->alignment);
}

bool step_is_good(uint32_t before, uint32_t size, const struct limits *limits)
{
    return size <= size_after(before, limits) || size - (before + 1) <= limits->step * size;
}

struct spending spend_least(const struct weights *weights, uint32_t alignment)
{
    const struct limits limits = {.alignment = alignment};
    struct spending sum = {0};
    uint32_t granule = 0;
    for (uint32_t size = CLASS_LEAST; size <= SIZE_TOP; size = size_after(size, &limits)) {
        double weight = 0;
        double asked = 0;
        for (; granule * GRANULE <= size; granule++) {
            weight += weights->weight[granule];
            asked += weights->bytes[granule];
        }
        sum.asked += asked;
        sum.internal += weight * size - asked;
        sum.tails += weight * GROUP_BYTES / GROUP_BLOCKS;
        sum.used += weight > 0;
    }
    return sum;
}

void blend(const struct weights *seen, double unseen, struct weights *blended)
{
    double bytes = 0;
    *blended = *seen;
    for (uint32_t granule = 0; granule < GRANULES; granule++)
        bytes += seen->bytes[granule];
    for (uint32_t granule = 1; granule < GRANULES; granule++) {
        double size = granule * GRANULE - GRANULE / 2.0;
        double part = log2(granule == 1 ? GRANULE : (double)granule / (granule - 1)) / log2(SIZE_TOP);
        blended->bytes[granule] += unseen * bytes * part;
        blended->weight[granule] += unseen * bytes * part / size;
    }
}

/* ------------------------------------------------------------------ the optimum
 *
 * least[n][c]: the least that n classes spend on all sizes up to candidate c, which is the last of them; from[n][c] is the
 * candidate before it. least[n][c] = min over p of least[n - 1][p] + cost(p, c), where cost(p, c) = W(p, c) e(c) - B(p, c) + M(c):
 * the weight of the sizes above p and up to c times what a block takes of its slab, without what was asked for, and the partial group.
 *
 * A block takes no less of its slab where it is larger, e(c) <= e(c'); tests look at every size. So for p < p' < c < c'
 *
 *     cost(p, c) + cost(p', c') - cost(p, c') - cost(p', c) = W(p, p') (e(c) - e(c')) <= 0,
 *
 * which is Monge's condition, and the best p rises with c: that of one c bounds those of all smaller and all larger ones. A step
 * that loses too much costs INFINITY, and the condition holds with that as well, since the least good p rises with c. So N
 * candidates take N log N sums for each n and not N^2. (Aggarwal et al., Geometric applications of a matrix-searching
 * algorithm, 1987, have the general case.)
 *
 * The condition would not hold with a class of no weight, which has no partial group: these are looked at by themselves.
 */
struct search {
    uint32_t count;
    uint32_t classes;
    uint32_t sizes[CANDIDATES_MOST + 1]; /* sizes[0] is 0 */
    uint32_t first[CANDIDATES_MOST + 1]; /* the least candidate that one may follow */
    double weight[CANDIDATES_MOST + 1];  /* of all sizes up to that candidate */
    double bytes[CANDIDATES_MOST + 1];
    double taken[CANDIDATES_MOST + 1];   /* of a slab by one block */
    double partial[CANDIDATES_MOST + 1]; /* what the partial groups of all threads cost */
    double least[CLASSES_MOST + 1][CANDIDATES_MOST + 1];
    uint16_t from[CLASSES_MOST + 1][CANDIDATES_MOST + 1];
};

static void list_candidates(struct search *search, const struct weights *weights, const struct limits *limits)
{
    uint32_t granule = 0;
    uint32_t c = 0;
    for (uint32_t size = CLASS_LEAST; size <= SIZE_TOP; size = size_after(size, limits)) {
        uint32_t first = search->first[c++];
        while (!step_is_good(search->sizes[first], size, limits))
            first++;
        search->sizes[c] = size;
        search->first[c] = first;
        search->weight[c] = search->weight[c - 1];
        search->bytes[c] = search->bytes[c - 1];
        for (; granule * GRANULE <= size; granule++) {
            search->weight[c] += weights->weight[granule];
            search->bytes[c] += weights->bytes[granule];
        }
        search->taken[c] = block_cost(weights->slab, size);
        search->partial[c] = limits->threads * weights->standing * partial_cost(weights->slab, size);
    }
    search->count = c;
}

static double cost(const struct search *search, uint32_t before, uint32_t class)
{
    return (search->weight[class] - search->weight[before]) * search->taken[class] -
           (search->bytes[class] - search->bytes[before]) + search->partial[class];
}

/* What least[n][c] is with `before` as the class before, if that is less. */
static void offer(struct search *search, uint32_t n, uint32_t c, uint32_t before, double sum)
{
    if (sum >= search->least[n][c])
        return;
    search->least[n][c] = sum;
    search->from[n][c] = (uint16_t)before;
}

/* least[n] of the candidates from low to high, each of which n classes can reach, and whose best `before` are between those two. */
static void fill_between(struct search *search, uint32_t n, uint32_t low, uint32_t high, uint32_t before_low,
                         uint32_t before_high)
{
    if (low > high)
        return;
    uint32_t c = low + (high - low) / 2;
    uint32_t begin = before_low > search->first[c] ? before_low : search->first[c];
    uint32_t end = before_high < c - 1 ? before_high : c - 1;
    for (uint32_t p = begin; p <= end; p++)
        offer(search, n, c, p, search->least[n - 1][p] + cost(search, p, c));
    uint32_t best = search->from[n][c];
    fill_between(search, n, low, c - 1, before_low, best);
    fill_between(search, n, c + 1, high, best, before_high);
}

/*
 * Where no size lies between two candidates, the class costs nothing: the least of least[n - 1] over all from which that is so.
 * Both ends of that window rise with c. `rising` has the places in it that nothing behind them undercuts.
 */
static void fill_unused(struct search *search, uint32_t n)
{
    static uint16_t rising[CANDIDATES_MOST + 1];
    uint32_t begin = 0;
    uint32_t end = 0;
    for (uint32_t c = 1; c <= search->count; c++) {
        const double *before = search->least[n - 1];
        while (end > begin && before[rising[end - 1]] >= before[c - 1])
            end--;
        rising[end++] = (uint16_t)(c - 1);
        while (begin < end && (rising[begin] < search->first[c] || search->weight[rising[begin]] < search->weight[c]))
            begin++;
        if (begin < end)
            offer(search, n, c, rising[begin], before[rising[begin]]);
    }
}

static void fill(struct search *search)
{
    for (uint32_t n = 0; n <= search->classes; n++)
        for (uint32_t c = 0; c <= search->count; c++)
            search->least[n][c] = n || c ? INFINITY : 0;
    uint32_t reach = 0;
    for (uint32_t n = 1; n <= search->classes; n++) {
        uint32_t before = reach;
        while (reach < search->count && search->first[reach + 1] <= before)
            reach++;
        fill_between(search, n, n, reach, n - 1, before);
        fill_unused(search, n);
    }
}

static void read_table(const struct search *search, uint32_t count, struct size_table *table)
{
    table->count = count;
    for (uint32_t n = count, c = search->count; n > 0; c = search->from[n][c], n--)
        table->bytes[n - 1] = search->sizes[c];
}

uint32_t optimum(const struct weights *weights, const struct limits *limits, double *costs, struct size_table *tables)
{
    struct search *search = calloc(1, sizeof *search);
    if (!search)
        return 0;
    search->classes = limits->classes;
    list_candidates(search, weights, limits);
    fill(search);
    uint32_t best = 0;
    for (uint32_t n = 1; n <= limits->classes; n++) {
        double least = search->least[n][search->count];
        if (costs)
            costs[n - 1] = least;
        if (least == INFINITY)
            continue;
        if (tables)
            read_table(search, n, &tables[n - 1]);
        if (!best || least < search->least[best][search->count])
            best = n;
    }
    free(search);
    return best;
}

uint32_t optimum_least(const struct limits *limits)
{
    uint32_t count = 0;
    for (uint32_t size = 0; size < SIZE_TOP; count++) {
        uint32_t furthest = size;
        for (uint32_t c = size; c < SIZE_TOP;) {
            c = size_after(c, limits);
            if (step_is_good(size, c, limits))
                furthest = c;
        }
        size = furthest;
    }
    return count;
}

/* ------------------------------------------------------------------ tables */

void table_default(struct size_table *table)
{
    table->count = 0;
    for (size_t size = 1; size <= SIZE_TOP; size++) {
        size = ks_good_size(size);
        table->bytes[table->count++] = (uint32_t)size;
    }
}

void table_jemalloc(struct size_table *table)
{
    table->count = 0;
    for (uint32_t size = CLASS_LEAST, step = CLASS_LEAST; size <= SIZE_TOP; size += step) {
        table->bytes[table->count++] = size;
        if (size >= 8 * step)
            step *= 2;
    }
}
