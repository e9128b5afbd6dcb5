/* The optimum, against trying every table; the tally, against counting by hand. */
#include "classes/classes.h"
#include "demand.h"
#include "live.h"
#include "optimum.h"
#include "tally.h"

#include "test.h"

#include <math.h>
#include <stdlib.h>

static uint64_t random_state = 88172645463325252;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* ------------------------------------------------------------------ the optimum */

/* The first 12 sizes that a class may have, and 65,536: so few that every table of them can be tried. */
enum { SMALL = 12, TABLES = 1 << SMALL };

static const uint32_t alignments[] = {8, 16, 32, 64};

enum { ALIGNMENT = 64 /* unless the key says otherwise */ };

/* The i-th from 1; at the least alignment they begin with 16 and 24. */
static uint32_t candidate(uint32_t i, uint32_t alignment)
{
    return alignment == 8 ? 8 + 8 * i : 16 * i;
}

static uint32_t random_alignment(void)
{
    return alignments[random_next() % COUNT(alignments)];
}

/* Sizes up to the last of those. */
static void random_weights(struct weights *weights, uint32_t alignment, bool standing)
{
    memset(weights, 0, sizeof *weights);
    for (uint32_t granule = 1; granule <= candidate(SMALL, alignment) / GRANULE; granule++) {
        if (random_next() % 3 == 0)
            continue;
        uint64_t blocks = 1 + random_next() % 1000;
        uint64_t size = granule * GRANULE - random_next() % GRANULE;
        weights->weight[granule] = (double)blocks;
        weights->bytes[granule] = (double)(blocks * size);
    }
    weights->slab = SLAB_BYTES >> random_next() % 3;
    weights->standing = standing ? (double)(random_next() % 100) / 50 : 0;
}

/* Of all sizes, most of them small. */
static void random_sizes(struct weights *weights, uint64_t blocks)
{
    memset(weights, 0, sizeof *weights);
    weights->slab = SLAB_BYTES;
    weights->standing = 1;
    for (uint64_t i = 0; i < blocks; i++) {
        uint32_t granule = 1 + (uint32_t)(random_next() % (GRANULES - 1)) / (1 + (uint32_t)(random_next() % 256));
        weights->weight[granule] += 1;
        weights->bytes[granule] += granule * GRANULE;
    }
}

static uint32_t next_size(uint32_t size, uint32_t alignment)
{
    static const uint32_t steps[][2] = {{8, 16}, {16, 16}, {16, 32}, {16, 64}}; /* below 512 bytes, and from there up */
    size_t i = 0;
    while (alignments[i] != alignment)
        i++;
    return size ? size + steps[i][size >= 512] : 16;
}

static bool step_keeps(uint32_t before, uint32_t size, const struct limits *limits)
{
    return size == next_size(before, limits->alignment) || size - (before + 1) <= limits->step * size;
}

static bool steps_are_good(const struct size_table *table, const struct limits *limits)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i < table->count; before = table->bytes[i++])
        if (!step_keeps(before, table->bytes[i], limits))
            return false;
    return true;
}

/* The least that any table of exactly `count` classes spends; all its classes but the last are small. */
static double least_of_all(const struct weights *weights, const struct limits *limits, uint32_t count)
{
    double least = INFINITY;
    for (uint32_t bits = 0; bits < TABLES; bits++) {
        if ((uint32_t)__builtin_popcount(bits) != count - 1)
            continue;
        struct size_table table = {0};
        for (uint32_t i = 1; i <= SMALL; i++)
            if (bits >> (i - 1) & 1)
                table.bytes[table.count++] = candidate(i, limits->alignment);
        table.bytes[table.count++] = SIZE_TOP;
        if (!steps_are_good(&table, limits))
            continue;
        struct spending spending = spend(weights, &table, limits->threads);
        least = fmin(least, spending.internal + spending.tails + spending.partial);
    }
    return least;
}

/* A table of more classes than sizes can only put the rest where nothing is: the search above does not go there. */
static void the_optimum_is_the_least_of_all_tables(void **state)
{
    (void)state;
    static struct weights weights;
    static struct size_table tables[CLASSES_MOST];
    for (unsigned round = 0; round < 60; round++) {
        double costs[CLASSES_MOST];
        struct limits limits = {.classes = SMALL,
                                .step = 1,
                                .threads = (double)(random_next() % 3),
                                .alignment = alignments[round % COUNT(alignments)]};
        random_weights(&weights, limits.alignment, round / COUNT(alignments) % 2);
        uint32_t best = optimum(&weights, &limits, costs, tables);
        assert_in_range(best, 1, SMALL);
        for (uint32_t n = 1; n <= SMALL; n++) {
            double least = least_of_all(&weights, &limits, n);
            struct spending spending = spend(&weights, &tables[n - 1], limits.threads);
            double said = spending.internal + spending.tails + spending.partial;
            assert_int_equal(tables[n - 1].count, n);
            if (fabs(costs[n - 1] - said) > 1e-6 * (1 + said))
                fail_msg("round %u, %u classes: costs %f, its table spends %f", round, n, costs[n - 1], said);
            if (costs[n - 1] > least + 1e-6 * (1 + least))
                fail_msg("round %u, %u classes: %f, a table there is spends %f", round, n, costs[n - 1], least);
            assert_true(costs[n - 1] >= costs[best - 1] - 1e-9);
        }
    }
}

/* Where the cost of a class that nobody uses is nothing, tables outside of the tried ones are no better. */
static void no_table_is_better_than_the_tried_ones(void **state)
{
    (void)state;
    static struct weights weights;
    for (unsigned round = 0; round < 40; round++) {
        struct limits limits = {.classes = 6, .step = 1, .threads = 1, .alignment = random_alignment()};
        double costs[CLASSES_MOST];
        random_weights(&weights, limits.alignment, true);
        uint32_t last = candidate(SMALL, limits.alignment); /* so that a class of this size or above is used */
        weights.weight[last / GRANULE] += 1;
        weights.bytes[last / GRANULE] += last;
        optimum(&weights, &limits, costs, NULL);
        double least = INFINITY;
        for (uint32_t n = 1; n <= limits.classes; n++)
            least = fmin(least, least_of_all(&weights, &limits, n));
        double said = INFINITY;
        for (uint32_t n = 1; n <= limits.classes; n++)
            said = fmin(said, costs[n - 1]);
        /* 65,536 in use costs more than any class near the sizes, so the best of both has one at `last`. */
        assert_true(fabs(said - least) <= 1e-6 * (1 + least));
    }
}

/* What a class of `size` bytes spends on a weight of blocks, with half a group if it has any. */
static double cost_of(const struct weights *weights, const struct limits *limits, uint32_t size, double weight,
                      double bytes)
{
    uint32_t capacity = weights->slab / size;
    if (weight <= 0)
        return 0;
    return weight * (weights->slab + 72 * ceil(capacity / 32.0)) / capacity - bytes +
           limits->threads * weights->standing * (36 + fmin(capacity, 32) * size / 2);
}

/* The same by trying each class before each other, for all sizes that a class may have. */
static void plain_optimum(const struct weights *weights, const struct limits *limits, double costs[CLASSES_MOST])
{
    enum { MOST = 1100 };
    static uint32_t sizes[MOST];
    static double weight[MOST], bytes[MOST], least[CLASSES_MOST + 1][MOST];
    uint32_t count = 0;
    for (uint32_t granule = 0; sizes[count] < SIZE_TOP;) {
        sizes[count + 1] = next_size(sizes[count], limits->alignment);
        count++;
        weight[count] = weight[count - 1];
        bytes[count] = bytes[count - 1];
        for (; granule * GRANULE <= sizes[count]; granule++) {
            weight[count] += weights->weight[granule];
            bytes[count] += weights->bytes[granule];
        }
    }
    for (uint32_t n = 0; n <= CLASSES_MOST; n++)
        for (uint32_t c = 0; c <= count; c++)
            least[n][c] = n || c ? INFINITY : 0;
    for (uint32_t c = 1; c <= count; c++)
        for (uint32_t p = c; p-- > 0;) {
            if (!step_keeps(sizes[p], sizes[c], limits))
                break;
            double here = cost_of(weights, limits, sizes[c], weight[c] - weight[p], bytes[c] - bytes[p]);
            for (uint32_t n = 1; n <= CLASSES_MOST; n++)
                least[n][c] = fmin(least[n][c], least[n - 1][p] + here);
        }
    for (uint32_t n = 1; n <= CLASSES_MOST; n++)
        costs[n - 1] = least[n][count];
}

static void the_quick_way_finds_what_the_plain_way_finds(void **state)
{
    (void)state;
    static struct weights weights;
    for (unsigned round = 0; round < 12; round++) {
        struct limits limits = {.classes = CLASSES_MOST,
                                .step = (double)(30 + random_next() % 71) / 100,
                                .threads = (double)(random_next() % 3),
                                .alignment = 64};
        random_sizes(&weights, round % 3 ? 10 + random_next() % 300 : 20000);
        weights.slab = SLAB_BYTES >> random_next() % 3;
        double costs[CLASSES_MOST];
        double plain[CLASSES_MOST];
        optimum(&weights, &limits, costs, NULL);
        plain_optimum(&weights, &limits, plain);
        for (uint32_t n = 0; n < CLASSES_MOST; n++)
            if (isfinite(costs[n]) != isfinite(plain[n]) ||
                (isfinite(plain[n]) && fabs(costs[n] - plain[n]) > 1e-9 * (1 + plain[n])))
                fail_msg("round %u, %u classes: %f, not %f", round, n + 1, costs[n], plain[n]);
    }
}

static void every_table_keeps_the_constraints(void **state)
{
    (void)state;
    static struct weights weights;
    static struct size_table tables[CLASSES_MOST];
    for (unsigned round = 0; round < 30; round++) {
        random_sizes(&weights, 300);
        weights.standing = round % 2;
        double costs[CLASSES_MOST];
        struct limits limits = {.classes = CLASSES_MOST,
                                .step = (double)(20 + random_next() % 81) / 100,
                                .threads = 1,
                                .alignment = random_alignment()};
        uint32_t least = optimum_least(&limits);
        uint32_t best = optimum(&weights, &limits, costs, tables);
        for (uint32_t n = 1; n <= CLASSES_MOST; n++) {
            assert_int_equal(isfinite(costs[n - 1]), n >= least);
            if (n < least)
                continue;
            const char *wrong = class_sizes_error(tables[n - 1].bytes, n, limits.alignment);
            if (wrong)
                fail_msg("a table of %u: a size is not %s", n, wrong);
            assert_int_equal(tables[n - 1].count, n);
            assert_true(steps_are_good(&tables[n - 1], &limits));
        }
        assert_int_equal(best == 0, least > CLASSES_MOST);
    }
}

static void the_tables_of_others_are_as_they_are(void **state)
{
    (void)state;
    struct size_table table;
    table_default(&table);
    assert_null(class_sizes_error(table.bytes, table.count, ALIGNMENT));
    for (uint32_t i = 0; i < table.count; i++)
        assert_int_equal(ks_good_size(table.bytes[i]), table.bytes[i]);
    table_jemalloc(&table);
    assert_int_equal(table.count, 44);
    static const uint32_t some[] = {16, 128, 160, 256, 320, 1280, 1536, 1792, 57344, 65536};
    for (size_t i = 0; i < COUNT(some); i++) {
        bool found = false;
        for (uint32_t k = 0; k < table.count; k++)
            found |= table.bytes[k] == some[i];
        assert_true(found);
    }
}

static void alignment_alone_is_a_floor(void **state)
{
    (void)state;
    static struct weights weights;
    struct size_table table;
    for (unsigned round = 0; round < 20; round++) {
        uint32_t alignment = alignments[round % COUNT(alignments)];
        random_weights(&weights, alignment, false);
        table_default(&table);
        double least = spend_least(&weights, alignment).internal;
        assert_true(least <= spend(&weights, &table, 1).internal);
        double rounded = 0;
        for (uint32_t granule = 1, size = 16; granule < GRANULES; granule++) {
            while (size < granule * GRANULE)
                size = next_size(size, alignment);
            rounded += weights.weight[granule] * size - weights.bytes[granule];
        }
        assert_true(fabs(least - rounded) < 1e-6);
    }
}

static void a_blend_adds_what_it_says(void **state)
{
    (void)state;
    static struct weights weights;
    static struct weights blended;
    double bytes[2] = {0};
    random_weights(&weights, ALIGNMENT, true);
    blend(&weights, 0.25, &blended);
    for (uint32_t granule = 0; granule < GRANULES; granule++) {
        bytes[0] += weights.bytes[granule];
        bytes[1] += blended.bytes[granule];
        assert_true(blended.weight[granule] >= weights.weight[granule]);
    }
    assert_true(fabs(bytes[1] / bytes[0] - 1.25) < 1e-6);
}

/* ------------------------------------------------------------------ blocks that ask for an alignment */

static struct demand demand;

/* Some blocks of all sizes, and an eighth as many that ask for 128 bytes. */
static void random_demand(struct weights *rounded)
{
    enum { BLOCKS = 4000, ASKED = 128 };
    static struct weights asked;
    random_sizes(rounded, BLOCKS);
    random_sizes(&asked, BLOCKS / 8);
    demand.count = 0;
    demand_add(&demand, 1, rounded);
    demand_add(&demand, ASKED, &asked);
    for (uint32_t granule = 1; granule < GRANULES; granule++) {
        uint32_t to = (granule * GRANULE + ASKED - 1) / ASKED * ASKED / GRANULE;
        rounded->weight[to] += asked.weight[granule];
        rounded->bytes[to] += asked.bytes[granule];
    }
}

static void a_demand_costs_what_its_blocks_get(void **state)
{
    (void)state;
    static struct weights weights[2];
    struct size_table table;
    table_default(&table);
    for (unsigned round = 0; round < 10; round++) {
        double expected = 0;
        demand.count = 0;
        for (unsigned i = 0; i < 2; i++) {
            random_sizes(&weights[i], 1 + random_next() % 300);
            demand_add(&demand, i ? 256 : 1, &weights[i]);
            struct spending spending = spend_aligned(&weights[i], &table, i ? 256 : 1);
            expected += spending.internal + spending.tails;
        }
        assert_true(fabs(demand_cost(&demand, &table, 0) - expected) <= 1e-9 * expected);
        demand.count = 1;
        struct spending spending = spend(&weights[0], &table, 3);
        expected = spending.internal + spending.tails + spending.partial;
        assert_true(fabs(demand_cost(&demand, &table, 3) - expected) <= 1e-9 * expected);
    }
}

/* The optimum puts blocks that ask for 128 bytes into the next class above their size. Most of its classes have no such blocks. */
static void mending_keeps_the_limits_and_spends_less(void **state)
{
    (void)state;
    static struct weights rounded;
    static struct size_table tables[CLASSES_MOST];
    enum { ROUNDS = 12 };
    double gain = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct limits limits = {
            .classes = 40, .step = 0.5, .threads = round % 2, .alignment = alignments[round % COUNT(alignments)]};
        random_demand(&rounded);
        assert_true(optimum(&rounded, &limits, NULL, tables) > 0);
        struct size_table *table = &tables[limits.classes - 1];
        double before = demand_cost(&demand, table, limits.threads);
        demand_mend(&demand, &limits, table);
        double after = demand_cost(&demand, table, limits.threads);
        assert_int_equal(table->count, limits.classes);
        assert_null(class_sizes_error(table->bytes, table->count, limits.alignment));
        assert_true(steps_are_good(table, &limits));
        assert_true(after <= before);
        if (limits.alignment == 8)
            gain += 1 - after / before;
        struct size_table mended = *table;
        demand_mend(&demand, &limits, table);
        assert_memory_equal(&mended, table, sizeof mended);
    }
    assert_true(gain / (ROUNDS / COUNT(alignments)) > 0.1);
}

static void what_asks_for_nothing_is_not_mended(void **state)
{
    (void)state;
    static struct weights weights;
    const struct limits limits = {.classes = 47, .step = 1, .threads = 1, .alignment = 64};
    struct size_table table;
    struct size_table before;
    random_sizes(&weights, 1000);
    demand.count = 0;
    demand_add(&demand, 1, &weights);
    table_default(&table);
    before = table;
    demand_mend(&demand, &limits, &table);
    assert_memory_equal(&before, &table, sizeof table);
}

/* ------------------------------------------------------------------ the blocks that are live */

static void addresses_are_found_until_they_are_taken(void **state)
{
    (void)state;
    enum { ADDRESSES = 512, STEPS = 200000 };
    struct live live = {0};
    uint32_t there[ADDRESSES] = {0};
    for (unsigned step = 1; step <= STEPS; step++) {
        uint64_t index = random_next() % ADDRESSES;
        uint64_t address = (index + 1) * (index % 2 ? 16 : 4096);
        struct live_block block;
        assert_true(live_reserve(&live));
        bool taken = live_take(&live, address, &block);
        assert_int_equal(taken, there[index] != 0);
        if (taken)
            assert_int_equal(block.size, there[index]);
        there[index] = random_next() % 2 ? step : 0;
        if (there[index])
            live_put(&live, &(struct live_block){.address = address, .size = step});
    }
    live_free(&live);
}

/* ------------------------------------------------------------------ the tally */

static struct tally tally;

static void lifetimes_are_added_up(void **state)
{
    (void)state;
    tally_begin(&tally, 8, 1000);
    uint32_t dns = tally_key(&tally, "dns");
    uint32_t http = tally_key(&tally, "http");
    assert_int_equal(tally_key(&tally, "dns"), dns);
    tally_alloc(&tally, dns, 16, 100, 1010);   /* until 1050: 40 */
    tally_alloc(&tally, http, 32, 100, 1020);  /* until the end: 80 */
    tally_free(&tally, 16, 1050);              /* first half so far */
    tally_alloc(&tally, dns, 16, 104, 1060);   /* until the reset: 10 */
    tally_reset(&tally, dns, 1070);            /* second half from here on */
    tally_alloc(&tally, dns, 48, 70000, 1080); /* too large for a class */
    tally_alloc(&tally, dns, 16, 100, 1090);   /* the address of a block that the reset dropped; until the end: 10 */
    tally_free(&tally, 4096, 1095);            /* of nobody */
    tally_end(&tally, 1100, true);
    const struct tally_key *key = &tally.keys[dns];
    assert_int_equal(key->halves[0][0].blocks[13], 2);
    assert_int_equal(key->halves[0][0].bytes[13], 204);
    assert_int_equal(key->halves[0][0].lifetime[13], 50);
    assert_int_equal(key->halves[0][0].size_lifetime[13], 40 * 100 + 10 * 104);
    assert_int_equal(key->halves[0][1].lifetime[13], 10);
    assert_int_equal(key->large, 1);
    assert_int_equal(key->large_bytes, 70000);
    assert_int_equal(key->peak_bytes, 70100);
    assert_int_equal(key->duration, 100);
    assert_int_equal(tally.keys[http].halves[0][0].lifetime[13], 80);
    assert_int_equal(tally.unmatched, 1);
    assert_true(key->timed);
    tally_close(&tally);
}

/* 1,536 bytes are cut from a slab of 256 KiB 170 times, with 1,024 left, and from one of 64 KiB 42 times, with as many left. */
static void tails_go_by_the_slab(void **state)
{
    (void)state;
    struct weights weights = {.slab = SLAB_BYTES};
    weights.weight[1536 / GRANULE] = 1;
    weights.bytes[1536 / GRANULE] = 1536;
    const struct size_table table = {.count = 2, .bytes = {1536, SIZE_TOP}};
    assert_true(fabs(spend(&weights, &table, 0).tails - (1024.0 + 6 * 72) / 170) < 1e-9);
    weights.slab = SLAB_BYTES / 4;
    assert_true(fabs(spend(&weights, &table, 0).tails - (1024.0 + 2 * 72) / 42) < 1e-9);
}

/* Groups of 32 blocks, or as many as the slab has; 72 bytes each. */
static void a_class_has_half_a_group_in_each_thread(void **state)
{
    (void)state;
    static const struct {
        uint32_t slab, size;
        double bytes;
    } cases[] = {
        {SLAB_BYTES, 16, 16 * 16 + 36},          {SLAB_BYTES, 1536, 16 * 1536 + 36},
        {SLAB_BYTES, 8192, 16 * 8192 + 36},      {SLAB_BYTES, 9216, 14 * 9216 + 36},
        {SLAB_BYTES, 65536, 2 * 65536 + 36},     {SLAB_BYTES / 4, 1536, 16 * 1536 + 36},
        {SLAB_BYTES / 4, 9216, 3.5 * 9216 + 36}, {SLAB_BYTES / 4, 65536, 32768 + 36},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct weights weights = {.slab = cases[i].slab, .standing = 0.5};
        const struct size_table table = {.count = cases[i].size == SIZE_TOP ? 1 : 2,
                                         .bytes = {cases[i].size, SIZE_TOP}};
        assert_true(partial_cost(cases[i].slab, cases[i].size) == cases[i].bytes);
        assert_true(spend(&weights, &table, 3).partial == 0);
        weights.weight[cases[i].size / GRANULE] = 1;
        assert_true(spend(&weights, &table, 3).partial == 3 * 0.5 * cases[i].bytes);
        assert_true(spend(&weights, &table, 0).partial == 0);
    }
}

/* What the search for the optimum relies on. */
static void a_larger_block_takes_no_less_of_its_slab(void **state)
{
    (void)state;
    for (uint32_t slab = SLAB_BYTES / 4; slab <= SLAB_BYTES; slab *= 2)
        for (uint32_t size = CLASS_LEAST; size < SIZE_TOP; size += GRANULE)
            if (block_cost(slab, size) > block_cost(slab, size + GRANULE))
                fail_msg("of a slab of %u bytes a block of %u takes more than one of %u", slab, size, size + GRANULE);
}

/* A block of 240 bytes at a multiple of 256 needs a class that is one; at a multiple of 16 it has a class of its own. */
static void alignment_needs_a_class(void **state)
{
    (void)state;
    struct weights weights = {.slab = SLAB_BYTES};
    weights.weight[240 / GRANULE] = 1;
    weights.bytes[240 / GRANULE] = 240;
    const struct size_table table = {.count = 5, .bytes = {240, 320, 1280, 2048, SIZE_TOP}};
    assert_true(spend(&weights, &table, 0).internal == 0);
    assert_true(spend_aligned(&weights, &table, 16).internal == 0);
    assert_true(spend_aligned(&weights, &table, 64).internal == 320 - 240);
    assert_true(spend_aligned(&weights, &table, 256).internal == 1280 - 240);
    assert_true(spend_aligned(&weights, &table, 1024).internal == 2048 - 240);
    assert_true(spend_aligned(&weights, &table, SIZE_TOP).internal == SIZE_TOP - 240);
}

static void alignments_are_counted_apart(void **state)
{
    (void)state;
    tally_begin(&tally, 4, 0);
    uint32_t key = tally_key(&tally, "aligned");
    tally_alloc_aligned(&tally, key, 4096, 240, 8, 10);
    tally_alloc_aligned(&tally, key, 8192, 240, 3, 10); /* as every block is */
    tally_alloc_aligned(&tally, key, 12288, 240, 4, 30);
    tally_alloc_aligned(&tally, key, 1 << 20, 240, 20, 10);
    tally_free(&tally, 4096, 30);
    tally_end(&tally, 40, true);
    struct counts *const *halves = tally.keys[key].halves;
    assert_int_equal(halves[8][0].lifetime[30], 20);
    assert_int_equal(halves[0][0].lifetime[30], 30);
    assert_int_equal(halves[ALIGNMENTS - 1][0].blocks[30] + halves[ALIGNMENTS - 1][1].blocks[30], 1);
    assert_int_equal(halves[4][0].lifetime[30] + halves[4][1].lifetime[30], 10);
    assert_null(halves[9]);
    tally_close(&tally);
}

static void counted_blocks_go_to_both_halves(void **state)
{
    (void)state;
    memset(&tally, 0, sizeof tally);
    tally_begin(&tally, 0, 0);
    uint32_t key = tally_key(&tally, "frames");
    tally_blocks(&tally, key, 64, 5);
    tally_blocks(&tally, key, 64, 5);
    tally_end(&tally, 0, false);
    assert_int_equal(tally.keys[key].halves[0][0].blocks[8], 5);
    assert_int_equal(tally.keys[key].halves[0][1].blocks[8], 5);
    assert_false(tally.keys[key].timed);
    tally_close(&tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_optimum_is_the_least_of_all_tables),
        cmocka_unit_test(no_table_is_better_than_the_tried_ones),
        cmocka_unit_test(the_quick_way_finds_what_the_plain_way_finds),
        cmocka_unit_test(every_table_keeps_the_constraints),
        cmocka_unit_test(the_tables_of_others_are_as_they_are),
        cmocka_unit_test(alignment_alone_is_a_floor),
        cmocka_unit_test(a_blend_adds_what_it_says),
        cmocka_unit_test(a_demand_costs_what_its_blocks_get),
        cmocka_unit_test(mending_keeps_the_limits_and_spends_less),
        cmocka_unit_test(what_asks_for_nothing_is_not_mended),
        cmocka_unit_test(addresses_are_found_until_they_are_taken),
        cmocka_unit_test(lifetimes_are_added_up),
        cmocka_unit_test(tails_go_by_the_slab),
        cmocka_unit_test(a_class_has_half_a_group_in_each_thread),
        cmocka_unit_test(a_larger_block_takes_no_less_of_its_slab),
        cmocka_unit_test(alignment_needs_a_class),
        cmocka_unit_test(alignments_are_counted_apart),
        cmocka_unit_test(counted_blocks_go_to_both_halves),
    };
    return cmocka_run_group_tests_name("optimum", tests, NULL, NULL);
}
