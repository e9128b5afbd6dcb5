#include "optimum.h"

#include <keyslab/keyslab.h>
#include <math.h>
#include <stdlib.h>

enum {
    MAGAZINE_BLOCK_BYTES = 128 * 1024,
    MAGAZINE_LEAST = 4,
    CANDIDATES = ALIGNED_FROM / GRANULE + (SIZE_TOP - ALIGNED_FROM) / ALIGNED,
};

/* ------------------------------------------------------------------ what a class costs */

static double tail_of(uint32_t slab, uint32_t bytes)
{
    uint32_t capacity = slab / bytes;
    return (double)(slab - capacity * bytes) / capacity + STATE;
}

/* In one thread: the magazine, and half of its blocks. */
static double magazine_of(uint32_t bytes)
{
    uint32_t blocks = MAGAZINE_BLOCK_BYTES / bytes;
    if (blocks > MAGAZINE_BLOCKS)
        blocks = MAGAZINE_BLOCKS;
    if (blocks < MAGAZINE_LEAST)
        blocks = MAGAZINE_LEAST;
    return MAGAZINE + (double)blocks * bytes / 2;
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
        sum.magazines += weight > 0 ? threads * weights->standing * magazine_of(table->bytes[class]) : 0;
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

static uint32_t next_candidate(uint32_t size)
{
    return size + (size < ALIGNED_FROM ? GRANULE : ALIGNED);
}

struct spending spend_least(const struct weights *weights)
{
    struct spending sum = {0};
    uint32_t granule = 0;
    for (uint32_t size = GRANULE; size <= SIZE_TOP; size = next_candidate(size)) {
        double weight = 0;
        double asked = 0;
        for (; granule * GRANULE <= size; granule++) {
            weight += weights->weight[granule];
            asked += weights->bytes[granule];
        }
        sum.asked += asked;
        sum.internal += weight * size - asked;
        sum.tails += weight * STATE;
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
 * candidate before it. least[n][c] = min over p of least[n - 1][p] + cost(p, c): 47 times half a million sums, which is
 * little enough to leave alone.
 */
struct search {
    uint32_t sizes[CANDIDATES + 1]; /* sizes[0] is 0 */
    double weight[CANDIDATES + 1];  /* of all sizes up to that candidate */
    double bytes[CANDIDATES + 1];
    double least[CLASSES_MOST + 1][CANDIDATES + 1];
    uint16_t from[CLASSES_MOST + 1][CANDIDATES + 1];
    double standing;
    uint32_t slab;
};

static void list_candidates(struct search *search, const struct weights *weights)
{
    uint32_t granule = 0;
    uint32_t size = 0;
    for (uint32_t c = 1; c <= CANDIDATES; c++) {
        size = next_candidate(size);
        search->sizes[c] = size;
        search->weight[c] = search->weight[c - 1];
        search->bytes[c] = search->bytes[c - 1];
        for (; granule * GRANULE <= size; granule++) {
            search->weight[c] += weights->weight[granule];
            search->bytes[c] += weights->bytes[granule];
        }
    }
}

/* The smallest request above `before` loses no more than `step` of a block of `size`; or no class could lie between the two. */
static bool step_is_good(uint32_t before, uint32_t size, double step)
{
    return size - before <= (size <= ALIGNED_FROM ? GRANULE : ALIGNED) || size - (before + 1) <= step * size;
}

static double cost(const struct search *search, uint32_t before, uint32_t class)
{
    double weight = search->weight[class] - search->weight[before];
    if (weight <= 0)
        return 0;
    double bytes = search->bytes[class] - search->bytes[before];
    uint32_t size = search->sizes[class];
    return weight * (size + tail_of(search->slab, size)) - bytes + search->standing * magazine_of(size);
}

static void fill(struct search *search, uint32_t classes, double step)
{
    for (uint32_t n = 0; n <= classes; n++)
        for (uint32_t c = 0; c <= CANDIDATES; c++)
            search->least[n][c] = n || c ? INFINITY : 0;
    for (uint32_t c = 1; c <= CANDIDATES; c++)
        for (uint32_t p = c; p-- > 0 && step_is_good(search->sizes[p], search->sizes[c], step);) {
            double here = cost(search, p, c);
            for (uint32_t n = 1; n <= classes; n++) {
                double sum = search->least[n - 1][p] + here;
                if (sum < search->least[n][c]) {
                    search->least[n][c] = sum;
                    search->from[n][c] = (uint16_t)p;
                }
            }
        }
}

static void read_table(const struct search *search, uint32_t count, struct size_table *table)
{
    table->count = count;
    for (uint32_t n = count, c = CANDIDATES; n > 0; c = search->from[n][c], n--)
        table->bytes[n - 1] = search->sizes[c];
}

uint32_t optimum(const struct weights *weights, const struct limits *limits, double *costs, struct size_table *tables)
{
    struct search *search = calloc(1, sizeof *search);
    if (!search)
        return 0;
    search->standing = limits->threads * weights->standing;
    search->slab = weights->slab;
    list_candidates(search, weights);
    fill(search, limits->classes, limits->step);
    uint32_t best = 0;
    for (uint32_t n = 1; n <= limits->classes; n++) {
        double least = search->least[n][CANDIDATES];
        if (costs)
            costs[n - 1] = least;
        if (least == INFINITY)
            continue;
        if (tables)
            read_table(search, n, &tables[n - 1]);
        if (!best || least < search->least[best][CANDIDATES])
            best = n;
    }
    free(search);
    return best;
}

uint32_t optimum_least(double step)
{
    uint32_t count = 0;
    for (uint32_t size = 0; size < SIZE_TOP; count++) {
        uint32_t furthest = size;
        for (uint32_t c = size; c < SIZE_TOP;) {
            c = next_candidate(c);
            if (step_is_good(size, c, step))
                furthest = c;
        }
        size = furthest;
    }
    return count;
}

/* ------------------------------------------------------------------ tables */

bool table_is_good(const struct size_table *table, const char **wrong)
{
    *wrong = NULL;
    if (!table->count || table->count > CLASSES_MOST)
        *wrong = "a table has 1 to 47 classes";
    else if (table->bytes[table->count - 1] != SIZE_TOP)
        *wrong = "the top class is 65536";
    for (uint32_t i = 0; i < table->count && !*wrong; i++) {
        if (i && table->bytes[i] <= table->bytes[i - 1])
            *wrong = "classes rise";
        else if (!table->bytes[i] || table->bytes[i] % GRANULE)
            *wrong = "classes are multiples of 16";
        else if (table->bytes[i] >= ALIGNED_FROM && table->bytes[i] % ALIGNED)
            *wrong = "classes from 512 up are multiples of 64";
    }
    return !*wrong;
}

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
    for (uint32_t size = GRANULE, step = GRANULE; size <= SIZE_TOP; size += step) {
        table->bytes[table->count++] = size;
        if (size >= 8 * step)
            step *= 2;
    }
}
