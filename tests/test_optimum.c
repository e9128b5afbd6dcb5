/* The optimum, against trying every table; the tally, against counting by hand. */
#include "classes.h"
#include "live.h"
#include "optimum.h"
#include "tally.h"

#include "test.h"

#include <math.h>
#include <stdlib.h>

/* What the tool believes of the library. */
static_assert(SLAB == SLAB_BYTES, "a slab's size");
static_assert(CLASSES_MOST == CLASS_LIMIT - 1, "as many classes as fit beside that of the large blocks");
static_assert(SIZE_TOP == CLASS_TOP && GRANULE == CLASS_GRANULE, "the top class, and the granule");
static_assert(MAGAZINE_BLOCKS == MAGAZINE_SLOTS, "blocks in a magazine");

static uint64_t random_state = 88172645463325252;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* ------------------------------------------------------------------ the optimum */

/* Sizes up to 12 granules, and 65,536: so few that every table of them can be tried. */
enum { SMALL = 12, TABLES = 1 << SMALL };

static void random_weights(struct weights *weights, bool standing)
{
    memset(weights, 0, sizeof *weights);
    for (uint32_t granule = 1; granule <= SMALL; granule++) {
        if (random_next() % 3 == 0)
            continue;
        uint64_t blocks = 1 + random_next() % 1000;
        uint64_t size = granule * GRANULE - random_next() % GRANULE;
        weights->weight[granule] = (double)blocks;
        weights->bytes[granule] = (double)(blocks * size);
    }
    weights->slab = SLAB >> random_next() % 3;
    weights->standing = standing ? (double)(random_next() % 100) / 50 : 0;
}

static bool steps_are_good(const struct size_table *table, double step)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i < table->count; before = table->bytes[i++]) {
        uint32_t next = before + (before < ALIGNED_FROM ? GRANULE : ALIGNED);
        if (table->bytes[i] != next && table->bytes[i] - (before + 1) > step * table->bytes[i])
            return false;
    }
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
        for (uint32_t granule = 1; granule <= SMALL; granule++)
            if (bits >> (granule - 1) & 1)
                table.bytes[table.count++] = granule * GRANULE;
        table.bytes[table.count++] = SIZE_TOP;
        if (!steps_are_good(&table, limits->step))
            continue;
        struct spending spending = spend(weights, &table, limits->threads);
        least = fmin(least, spending.internal + spending.tails + spending.magazines);
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
        struct limits limits = {.classes = SMALL, .step = 1, .threads = (double)(random_next() % 3)};
        random_weights(&weights, round % 2);
        uint32_t best = optimum(&weights, &limits, costs, tables);
        assert_in_range(best, 1, SMALL);
        for (uint32_t n = 1; n <= SMALL; n++) {
            double least = least_of_all(&weights, &limits, n);
            struct spending spending = spend(&weights, &tables[n - 1], limits.threads);
            double said = spending.internal + spending.tails + spending.magazines;
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
    struct limits limits = {.classes = 6, .step = 1, .threads = 1};
    for (unsigned round = 0; round < 40; round++) {
        double costs[CLASSES_MOST];
        random_weights(&weights, true);
        weights.weight[SMALL] += 1; /* so that a class of 192 or above is used */
        weights.bytes[SMALL] += SMALL * GRANULE;
        optimum(&weights, &limits, costs, NULL);
        double least = INFINITY;
        for (uint32_t n = 1; n <= limits.classes; n++)
            least = fmin(least, least_of_all(&weights, &limits, n));
        double said = INFINITY;
        for (uint32_t n = 1; n <= limits.classes; n++)
            said = fmin(said, costs[n - 1]);
        /* 65,536 in use costs more than any class near the sizes, so the best of both has one at 192. */
        assert_true(fabs(said - least) <= 1e-6 * (1 + least));
    }
}

static void every_table_keeps_the_constraints(void **state)
{
    (void)state;
    static struct weights weights;
    static struct size_table tables[CLASSES_MOST];
    for (unsigned round = 0; round < 30; round++) {
        memset(&weights, 0, sizeof weights);
        weights.slab = SLAB;
        for (unsigned i = 0; i < 300; i++) {
            uint32_t granule = 1 + (uint32_t)(random_next() % (GRANULES - 1)) / (1 + (uint32_t)(random_next() % 256));
            weights.weight[granule ? granule : 1] += 1;
            weights.bytes[granule ? granule : 1] += granule * GRANULE;
        }
        weights.standing = round % 2;
        double costs[CLASSES_MOST];
        struct limits limits = {.classes = CLASSES_MOST, .step = (double)(20 + random_next() % 81) / 100, .threads = 1};
        uint32_t least = optimum_least(limits.step);
        uint32_t best = optimum(&weights, &limits, costs, tables);
        for (uint32_t n = 1; n <= CLASSES_MOST; n++) {
            const char *wrong;
            assert_int_equal(isfinite(costs[n - 1]), n >= least);
            if (n < least)
                continue;
            if (!table_is_good(&tables[n - 1], &wrong))
                fail_msg("a table of %u: %s", n, wrong);
            assert_int_equal(tables[n - 1].count, n);
            assert_true(steps_are_good(&tables[n - 1], limits.step));
        }
        assert_int_equal(best == 0, least > CLASSES_MOST);
    }
}

static void tables_that_the_library_refuses_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct size_table table;
        const char *wrong;
    } cases[] = {
        {{0, {0}}, "a table has 1 to 47 classes"},
        {{1, {32768}}, "the top class is 65536"},
        {{2, {24, 65536}}, "classes are multiples of 16"},
        {{2, {528, 65536}}, "classes from 512 up are multiples of 64"},
        {{3, {64, 64, 65536}}, "classes rise"},
        {{2, {496, 65536}}, NULL},
        {{2, {512, 65536}}, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *wrong;
        assert_int_equal(table_is_good(&cases[i].table, &wrong), !cases[i].wrong);
        if (cases[i].wrong)
            assert_string_equal(wrong, cases[i].wrong);
    }
}

static void the_tables_of_others_are_as_they_are(void **state)
{
    (void)state;
    struct size_table table;
    const char *wrong;
    table_default(&table);
    assert_true(table_is_good(&table, &wrong));
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
        random_weights(&weights, false);
        table_default(&table);
        assert_true(spend_least(&weights).internal <= spend(&weights, &table, 1).internal);
        double rounded = 0;
        for (uint32_t granule = 1; granule <= SMALL; granule++)
            rounded += weights.weight[granule] * granule * GRANULE - weights.bytes[granule];
        assert_true(fabs(spend_least(&weights).internal - rounded) < 1e-6);
    }
}

static void a_blend_adds_what_it_says(void **state)
{
    (void)state;
    static struct weights weights;
    static struct weights blended;
    double bytes[2] = {0};
    random_weights(&weights, true);
    blend(&weights, 0.25, &blended);
    for (uint32_t granule = 0; granule < GRANULES; granule++) {
        bytes[0] += weights.bytes[granule];
        bytes[1] += blended.bytes[granule];
        assert_true(blended.weight[granule] >= weights.weight[granule]);
    }
    assert_true(fabs(bytes[1] / bytes[0] - 1.25) < 1e-6);
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
    tally_alloc(&tally, dns, 16, 110, 1060);   /* until the reset: 10 */
    tally_reset(&tally, dns, 1070);            /* second half from here on */
    tally_alloc(&tally, dns, 48, 70000, 1080); /* too large for a class */
    tally_alloc(&tally, dns, 16, 100, 1090);   /* the address of a block that the reset dropped; until the end: 10 */
    tally_free(&tally, 4096, 1095);            /* of nobody */
    tally_end(&tally, 1100, true);
    const struct tally_key *key = &tally.keys[dns];
    assert_int_equal(key->halves[0][0].blocks[7], 2);
    assert_int_equal(key->halves[0][0].bytes[7], 210);
    assert_int_equal(key->halves[0][0].lifetime[7], 50);
    assert_int_equal(key->halves[0][0].size_lifetime[7], 40 * 100 + 10 * 110);
    assert_int_equal(key->halves[0][1].lifetime[7], 10);
    assert_int_equal(key->large, 1);
    assert_int_equal(key->large_bytes, 70000);
    assert_int_equal(key->peak_bytes, 70100);
    assert_int_equal(key->duration, 100);
    assert_int_equal(tally.keys[http].halves[0][0].lifetime[7], 80);
    assert_int_equal(tally.unmatched, 1);
    assert_true(key->timed);
    tally_close(&tally);
}

/* 1,536 bytes are cut from a slab of 256 KiB 170 times, with 1,024 left, and from one of 64 KiB 42 times, with as many left. */
static void tails_go_by_the_slab(void **state)
{
    (void)state;
    struct weights weights = {.slab = SLAB};
    weights.weight[1536 / GRANULE] = 1;
    weights.bytes[1536 / GRANULE] = 1536;
    const struct size_table table = {.count = 2, .bytes = {1536, SIZE_TOP}};
    assert_true(fabs(spend(&weights, &table, 0).tails - (1024.0 / 170 + STATE)) < 1e-9);
    weights.slab = SLAB / 4;
    assert_true(fabs(spend(&weights, &table, 0).tails - (1024.0 / 42 + STATE)) < 1e-9);
}

/* A block of 240 bytes at a multiple of 256 needs a class that is one; at a multiple of 16 it has a class of its own. */
static void alignment_needs_a_class(void **state)
{
    (void)state;
    struct weights weights = {.slab = SLAB};
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
    tally_alloc_aligned(&tally, key, 8192, 240, 4, 10); /* as every block is */
    tally_alloc_aligned(&tally, key, 1 << 20, 240, 20, 10);
    tally_free(&tally, 4096, 30);
    tally_end(&tally, 40, true);
    struct counts *const *halves = tally.keys[key].halves;
    assert_int_equal(halves[8][0].lifetime[15], 20);
    assert_int_equal(halves[0][0].lifetime[15], 30);
    assert_int_equal(halves[ALIGNMENTS - 1][0].blocks[15] + halves[ALIGNMENTS - 1][1].blocks[15], 1);
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
    assert_int_equal(tally.keys[key].halves[0][0].blocks[4], 5);
    assert_int_equal(tally.keys[key].halves[0][1].blocks[4], 5);
    assert_false(tally.keys[key].timed);
    tally_close(&tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_optimum_is_the_least_of_all_tables),
        cmocka_unit_test(no_table_is_better_than_the_tried_ones),
        cmocka_unit_test(every_table_keeps_the_constraints),
        cmocka_unit_test(tables_that_the_library_refuses_are_refused),
        cmocka_unit_test(the_tables_of_others_are_as_they_are),
        cmocka_unit_test(alignment_alone_is_a_floor),
        cmocka_unit_test(a_blend_adds_what_it_says),
        cmocka_unit_test(addresses_are_found_until_they_are_taken),
        cmocka_unit_test(lifetimes_are_added_up),
        cmocka_unit_test(tails_go_by_the_slab),
        cmocka_unit_test(alignment_needs_a_class),
        cmocka_unit_test(alignments_are_counted_apart),
        cmocka_unit_test(counted_blocks_go_to_both_halves),
    };
    return cmocka_run_group_tests_name("optimum", tests, NULL, NULL);
}
