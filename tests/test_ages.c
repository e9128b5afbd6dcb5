/*
 * Blocks that outlive what their group's clock can tell. A block that is freed once is freed, however often its group
 * has been allocated from since it was handed out, and since another thread has freed it.
 */
#include "freers.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { ROUNDS = 2, STEPS = 1000, EVERY = 7 };
#else
enum { ROUNDS = 5, STEPS = 4000, EVERY = 1 };
#endif

enum { SIZE = 64, GROUP = 32 };

static ks_key_t key;

/* ------------------------------------------------------------------ how the group's clock goes on */

/* The neighbour: the lowest free block of the group, and no other group has any. */
static void pairs(size_t allocations)
{
    for (size_t i = 0; i < allocations; i++)
        assert_status(ks_free(key, alloc_ok(key, SIZE)), KS_OK);
}

/* A burst counts as one allocation. */
static void bursts(size_t allocations)
{
    void *blocks[8];
    for (size_t i = 0; i < allocations; i++) {
        assert_int_equal(ks_alloc_bulk(key, SIZE, blocks, COUNT(blocks), NULL), COUNT(blocks));
        assert_int_equal(ks_free_bulk(key, blocks, COUNT(blocks), NULL), COUNT(blocks));
    }
}

/* Every now and then from another group: this one is left, and come back to. */
static void turns(size_t allocations)
{
    static void *blocks[GROUP + 1];
    for (size_t i = 0; i < allocations; i += GROUP / 2) {
        size_t taken = 0;
        while (taken < COUNT(blocks))
            blocks[taken++] = alloc_ok(key, SIZE);
        while (taken)
            assert_status(ks_free(key, blocks[--taken]), KS_OK);
    }
}

static const struct way {
    const char *name;
    void (*pass)(size_t allocations);
} ways[] = {{"pairs", pairs}, {"bursts", bursts}, {"turns", turns}};

/* Around what the clock's sixteen bits, and ages that are cut, can hold, and a pass of maintenance. */
static const size_t ages[] = {0,     1,     2,     1023,  1024,  1025,  4096,  8190,  8191,  8192,  8193,  12288, 16383,
                              16384, 16385, 24576, 32767, 32768, 32769, 40000, 65535, 65536, 65537, 70000, 131072};

static void assert_freed(const char *way, size_t before, size_t pending)
{
    struct ks_key_stats stats = stats_of(key);
    if (stats.live || stats.in_flight || stats.double_free || stats.refused_at_home || stats.stale)
        fail_msg("%s: %zu allocations before it was freed, %zu while that was pending: %s", way, before, pending,
                 stats.live ? "it is live" : "it was refused");
    assert_int_equal(stats.freed_remote, 1);
    assert_stats_balance(key);
    assert_key_whole(key);
}

static void free_at_age(const struct way *way, size_t before, size_t pending, bool sent)
{
    key = key_new();
    void *block = alloc_ok(key, SIZE);
    way->pass(before);
    assert_status(free_in(0, key, block), KS_OK);
    if (sent)
        flush_in(0);
    way->pass(pending);
    flush_in(0);
    owner_takes(key);
    assert_freed(way->name, before, pending);
    key_end(key);
}

static void a_block_is_freed_whatever_its_age(void **state)
{
    (void)state;
    for (size_t w = 0; w < COUNT(ways); w++)
        for (size_t before = 0; before < COUNT(ages); before += EVERY)
            for (size_t pending = 0; pending < COUNT(ages); pending += EVERY)
                free_at_age(&ways[w], ages[before], ages[pending], (before + pending) / EVERY % 2);
}

/* The owner frees it, and it is handed out and freed again: both are as good, whatever age the block had. */
static void a_block_of_any_age_is_freed_by_its_owner(void **state)
{
    (void)state;
    for (size_t w = 0; w < COUNT(ways); w++)
        for (size_t before = 0; before < COUNT(ages); before++) {
            key = key_new();
            void *block = alloc_ok(key, SIZE);
            ways[w].pass(ages[before]);
            assert_status(ks_free(key, block), KS_OK);
            assert_status(ks_free(key, block), KS_DOUBLE_FREE);
            assert_status(free_in(0, key, block), KS_DOUBLE_FREE);
            uint64_t others = 0;
            while (alloc_ok(key, SIZE) != block)
                others++;
            assert_true(others <= 2 * GROUP);
            assert_status(free_in(0, key, block), KS_OK);
            flush_in(0);
            owner_takes(key);
            assert_int_equal(stats_of(key).live, others);
            assert_int_equal(stats_of(key).refused_at_home, 0);
            key_end(key);
        }
}

/*
 * Another thread has freed it, and so has its owner, who has handed it out again: that block is no old one, however
 * late the free of the first one gets home. What can be told of a block's age can be told for 8,191 allocations from
 * its group.
 */
static void free_late(size_t before, size_t after)
{
    key = key_new();
    void *block = alloc_ok(key, SIZE);
    assert_status(free_in(0, key, block), KS_OK);
    assert_status(ks_free(key, block), KS_OK);
    pairs(before);
    assert_ptr_equal(alloc_ok(key, SIZE), block);
    pairs(after);
    flush_in(0);
    owner_takes(key);
    if (ks_size(key, block) != SIZE)
        fail_msg("an old free has freed a block: %zu allocations before that, %zu since", before, after);
    assert_int_equal(stats_of(key).refused_at_home, 1);
    assert_int_equal(stats_of(key).live, 1);
    assert_status(free_in(0, key, block), KS_OK);
    flush_in(0);
    owner_takes(key);
    assert_int_equal(stats_of(key).live, 0);
    assert_int_equal(stats_of(key).double_free, 1);
    key_end(key);
}

static void an_old_free_frees_no_young_block(void **state)
{
    (void)state;
    enum { KNOWN = 8191 };
    for (size_t before = 0; before < COUNT(ages); before++)
        for (size_t after = 0; after < COUNT(ages) && ages[after] <= KNOWN; after++)
            free_late(ages[before], ages[after]);
}

/* In a large number of groups at once, which are as old as they happen to be. */
enum { HELD = 600 };

struct life {
    void *held[HELD];
    size_t held_count;
    uint64_t freed; /* by the other threads */
};

static void *take_any(void **blocks, size_t *count, unsigned *seed)
{
    size_t i = (size_t)rand_r(seed) % *count;
    void *block = blocks[i];
    blocks[i] = blocks[--*count];
    return block;
}

/*
 * Most of the time the same blocks come and go; some stay for long, and some of those are freed by others, who send
 * them late.
 */
static void live(struct life *life, unsigned *seed)
{
    for (int step = 0; step < STEPS; step++) {
        unsigned what = (unsigned)rand_r(seed) % 64;
        if (what == 0 && life->held_count < HELD) {
            life->held[life->held_count++] = alloc_ok(key, SIZE);
        } else if (what == 1 && life->held_count) {
            assert_status(ks_free(key, take_any(life->held, &life->held_count, seed)), KS_OK);
        } else if (what == 2 && life->held_count) {
            assert_status(free_in(step % 2, key, take_any(life->held, &life->held_count, seed)), KS_OK);
            life->freed++;
        } else {
            pairs((size_t)rand_r(seed) % 100);
        }
    }
}

static void live_and_count(enum ks_checks checks, unsigned seed)
{
    static struct life life;
    life = (struct life){.held_count = 0};
    assert_status(ks_key_create(&(struct ks_key_options){.checks = checks, .outbox_bytes = 1 << 20}, &key), KS_OK);
    for (int round = 0; round < ROUNDS; round++) {
        live(&life, &seed);
        if (round % 2)
            flush_in(round / 2 % 2);
        assert_key_whole(key);
    }
    flush_in(0);
    flush_in(1);
    owner_takes(key);
    struct ks_key_stats stats = stats_of(key);
    assert_int_equal(stats.live, life.held_count);
    assert_int_equal(stats.freed_remote, life.freed);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.double_free + stats.stale + stats.bad_block + stats.damaged, 0);
    assert_stats_balance(key);
    key_end(key);
}

static void long_lives_end_well(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 4; seed++) {
        live_and_count(KS_CHECKS_STANDARD, seed);
        live_and_count(KS_CHECKS_PARANOID, seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_freed_whatever_its_age),
        cmocka_unit_test(a_block_of_any_age_is_freed_by_its_owner),
        cmocka_unit_test(an_old_free_frees_no_young_block),
        cmocka_unit_test(long_lives_end_well),
    };
    return cmocka_run_group_tests_name("ages", tests, freers_start, freers_end);
}
