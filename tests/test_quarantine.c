/*
 * What a paranoid key's freed blocks wait for: so many others of their class, in the order in which they were freed,
 * and whoever frees one meanwhile is told at once. And what `held` counts.
 */
#include "freers.h"

#include <stdlib.h>

enum { SLAB = 256 << 10, PAGE = 4096, GROUP = 32, POISON = 0xdb, WAITING_MOST = 480, WAITING_LEAST = 32 };

static ks_key_t key;

static void key_begin(struct ks_key_options options)
{
    options.checks = KS_CHECKS_PARANOID;
    assert_status(ks_key_create(&options, &key), KS_OK);
}

/* Blocks that wait, of a class. */
static size_t waiting_most(size_t bytes)
{
    size_t blocks = ((size_t)1 << 20) / bytes;
    return blocks > WAITING_MOST ? WAITING_MOST : blocks < WAITING_LEAST ? WAITING_LEAST : blocks;
}

static size_t sizes_of(uint32_t *sizes)
{
    ks_key_t any = key_new();
    struct ks_key_stats stats = stats_of(any);
    for (uint32_t i = 0; i + 1 < stats.class_count; i++)
        sizes[i] = (uint32_t)stats.classes[i].size;
    key_end(any);
    return stats.class_count - 1;
}

static uint64_t held(void)
{
    return stats_of(key).held;
}

/* Allocates what is free in the groups that have been begun, but for `left` blocks, which wait. */
static void drain(size_t size, uint64_t left)
{
    while (held() > left)
        alloc_ok(key, size);
    assert_int_equal(held(), left);
}

/* Freed blocks; each can be handed out again when so many more have been freed, and no sooner. */
static void blocks_wait_in_order(void **state)
{
    (void)state;
    enum { MORE = 70 };
    static void *blocks[WAITING_MOST + MORE];
    uint32_t sizes[KS_CLASSES_MAX];
    size_t count = sizes_of(sizes);
    for (size_t s = 0; s < count; s++) {
        size_t most = waiting_most(sizes[s]);
        key_begin((struct ks_key_options){0});
        for (size_t i = 0; i < most + MORE; i++)
            blocks[i] = alloc_ok(key, sizes[s]);
        for (size_t i = 0; i < most; i++)
            assert_status(ks_free(key, blocks[i]), KS_OK);
        drain(sizes[s], most);
        for (size_t i = 0; i < MORE; i++) {
            assert_status(ks_free(key, blocks[most + i]), KS_OK);
            assert_int_equal(held(), most + 1);
            if (alloc_ok(key, sizes[s]) != blocks[i])
                fail_msg("%u bytes: another block than the one that has waited longest, the %zuth", sizes[s], i);
            assert_int_equal(held(), most);
        }
        assert_int_equal(stats_of(key).damaged, 0);
        key_end(key);
    }
}

/* While none of those that wait may be handed out, others are: never one of them. */
static void none_that_waits_is_handed_out(void **state)
{
    (void)state;
    static const size_t sizes[] = {16, 112, 1500, 9000, 65536};
    for (size_t s = 0; s < COUNT(sizes); s++) {
        size_t most = waiting_most(ks_good_size(sizes[s]));
        key_begin((struct ks_key_options){0});
        unsigned char *block = alloc_ok(key, sizes[s]);
        assert_status(ks_free(key, block), KS_OK);
        for (size_t i = 1; i < most; i++) {
            void *other = alloc_ok(key, sizes[s]);
            assert_ptr_not_equal(other, block);
            assert_status(ks_free(key, other), KS_OK);
            assert_status(ks_free(key, block), KS_DOUBLE_FREE);
            for (size_t at = 0; at < ks_good_size(sizes[s]); at++)
                if (block[at] != POISON)
                    fail_msg("byte %zu of a block that waits is %#x", at, block[at]);
        }
        assert_int_equal(stats_of(key).double_free, most - 1);
        assert_int_equal(stats_of(key).live, 0);
        key_end(key);
    }
}

/* The same after it was freed by another thread, and has got home. */
static void whoever_frees_one_that_waits_is_told(void **state)
{
    (void)state;
    static const size_t sizes[] = {64, 1500, 65536};
    for (size_t s = 0; s < COUNT(sizes); s++)
        for (int remote = 0; remote < 2; remote++) {
            ks_status status;
            key_begin((struct ks_key_options){.outbox_bytes = 65536});
            void *block = alloc_ok(key, sizes[s]);
            void *neighbour = alloc_ok(key, sizes[s]);
            if (remote) {
                assert_status(free_in(0, key, block), KS_OK);
                flush_in(0);
                owner_takes(key);
                assert_int_equal(stats_of(key).in_flight, 0);
            } else {
                assert_status(ks_free(key, block), KS_OK);
            }
            assert_int_equal(ks_size(key, block), 0);
            assert_status(ks_free(key, block), KS_DOUBLE_FREE);
            assert_null(ks_realloc(key, block, 100000, &status));
            assert_status(status, KS_DOUBLE_FREE);
            /*
             * With and without another one of its group held back; what is as large as all that may be is sent at
             * once.
             */
            bool sent = sizes[s] == 65536;
            for (size_t i = 0; i < 2; i++) {
                assert_status(free_in(1, key, block), KS_DOUBLE_FREE);
                assert_status(free_in(1, key, neighbour), i && !sent ? KS_DOUBLE_FREE : KS_OK);
            }
            flush_in(1);
            assert_status(ks_key_purge(key), KS_OK);
            struct ks_key_stats stats = stats_of(key);
            assert_int_equal(stats.live + stats.in_flight + stats.arena_bytes, 0);
            assert_int_equal(stats.refused_at_home, sent);
            assert_int_equal(stats.double_free, 5);
            assert_int_equal(stats.damaged, 0);
            key_end(key);
        }
}

/* It waits while the free of another thread gets home: that one is a double. */
static void a_block_waits_while_a_second_free_gets_home(void **state)
{
    (void)state;
    key_begin((struct ks_key_options){0});
    void *block = alloc_ok(key, 64);
    assert_status(free_in(0, key, block), KS_OK);
    assert_status(free_in(1, key, block), KS_OK);
    assert_status(ks_free(key, block), KS_OK);
    flush_in(0);
    owner_takes(key);
    assert_int_equal(stats_of(key).refused_at_home, 1);
    assert_status(ks_free(key, block), KS_DOUBLE_FREE);
    flush_in(1);
    owner_takes(key);
    assert_int_equal(stats_of(key).refused_at_home, 2);
    assert_int_equal(stats_of(key).live + stats_of(key).in_flight, 0);
    key_end(key);
}

/* ------------------------------------------------------------------ the end of waiting */

enum { SOME = 100 };

static void some_wait(void **blocks, size_t size)
{
    for (size_t i = 0; i < SOME; i++)
        blocks[i] = alloc_ok(key, size);
    for (size_t i = 0; i < SOME; i++)
        assert_status(ks_free(key, blocks[i]), KS_OK);
}

static bool is_among(void *const *blocks, const void *block)
{
    for (size_t i = 0; i < SOME; i++)
        if (blocks[i] == block)
            return true;
    return false;
}

static void a_purge_ends_it(void **state)
{
    (void)state;
    void *blocks[SOME];
    key_begin((struct ks_key_options){0});
    void *kept = alloc_ok(key, 64);
    some_wait(blocks, 64);
    assert_status(ks_key_purge(key), KS_OK);
    size_t again = 0;
    for (size_t i = 0; i < SOME; i++)
        again += is_among(blocks, alloc_ok(key, 64));
    assert_in_range(again, SOME / 2, SOME); /* those of groups that had been begun */
    assert_int_equal(stats_of(key).damaged, 0);
    assert_status(ks_free(key, kept), KS_OK);
    key_end(key);
}

/* An allocation that would be refused ends it too. */
static void a_shortage_ends_it(void **state)
{
    (void)state;
    void *blocks[SOME];
    key_begin((struct ks_key_options){.quota = SLAB});
    some_wait(blocks, 1500);
    assert_int_equal(stats_of(key).arena_bytes, SLAB);
    alloc_ok(key, 64);
    assert_int_equal(stats_of(key).refused_quota, 0);
    assert_int_equal(stats_of(key).arena_bytes, SLAB);
    key_end(key);
}

/* What waited is stale, and what is handed out afterwards was not damaged by it. */
static void a_reset_ends_it(void **state)
{
    (void)state;
    void *blocks[SOME];
    key_begin((struct ks_key_options){0});
    some_wait(blocks, 64);
    for (size_t i = 0; i < SOME; i++)
        memset(blocks[i], 1, 64);
    assert_status(ks_key_reset(key), KS_OK);
    for (size_t i = 0; i < SOME; i++)
        assert_status(ks_free(key, blocks[i]), KS_STALE);
    assert_int_equal(held(), 0);
    for (size_t i = 0; i < 10 * SOME; i++)
        memset(alloc_ok(key, 64), 2, 64);
    assert_int_equal(stats_of(key).damaged, 0);
    assert_int_equal(stats_of(key).stale, SOME);
    assert_int_equal(stats_of(key).dropped, 0);
    key_end(key);
}

/* ------------------------------------------------------------------ damage */

struct heard {
    unsigned count;
    const void *block;
    size_t class_size;
};

static void hear(void *context, const struct ks_error *error)
{
    struct heard *heard = context;
    heard->count++;
    heard->block = error->block;
    heard->class_size = error->class_size;
    assert_int_equal(error->status, KS_DAMAGED);
    assert_false(error->at_home);
}

/* Any byte of it, told when it is handed out, and not a second time. */
static void a_write_to_one_that_waits_is_told_once(void **state)
{
    (void)state;
    static const size_t sizes[] = {16, 64, 1472, 9216};
    for (size_t s = 0; s < COUNT(sizes); s++)
        for (size_t at = 0; at < sizes[s]; at += at < 20 || at + 100 > sizes[s] ? 1 : 50) {
            struct heard heard = {0};
            key_begin((struct ks_key_options){.on_error = hear, .on_error_context = &heard});
            unsigned char *block = alloc_ok(key, sizes[s]);
            if (at % 2) {
                assert_status(free_in(0, key, block), KS_OK);
                flush_in(0);
                owner_takes(key);
            } else {
                assert_status(ks_free(key, block), KS_OK);
            }
            block[at] ^= 0x10;
            for (int round = 0; round < 2; round++) {
                for (void *other; (other = alloc_ok(key, sizes[s])) != block;)
                    assert_status(ks_free(key, other), KS_OK);
                assert_int_equal(heard.count, 1);
                assert_int_equal(stats_of(key).damaged, 1);
                assert_status(ks_free(key, block), KS_OK);
            }
            assert_ptr_equal(heard.block, block);
            assert_int_equal(heard.class_size, sizes[s]);
            key_end(key);
        }
}

/* ------------------------------------------------------------------ held, of any key */

static uint64_t held_of(ks_key_t of, size_t size)
{
    struct ks_key_stats stats = stats_of(of);
    for (uint32_t i = 0; i < stats.class_count; i++)
        if (stats.classes[i].size == size)
            return stats.classes[i].held;
    fail_msg("no class of %zu bytes", size);
    return 0;
}

/* The blocks of groups that have been begun, but for those that are out. */
static void held_counts_what_has_been_begun(void **state)
{
    (void)state;
    enum { MOST = 3 * GROUP };
    uint32_t sizes[KS_CLASSES_MAX];
    size_t count = sizes_of(sizes);
    for (size_t s = 0; s < count; s++)
        for (int paranoid = 0; paranoid < 2; paranoid++) {
            void *blocks[MOST];
            size_t room = (SLAB - (paranoid ? PAGE : 0)) / sizes[s];
            size_t taken = room < MOST ? room : MOST;
            enum ks_checks checks = paranoid ? KS_CHECKS_PARANOID : KS_CHECKS_STANDARD;
            assert_status(ks_key_create(&(struct ks_key_options){.checks = checks}, &key), KS_OK);
            assert_int_equal(held(), 0);
            for (size_t i = 0; i < taken; i++) {
                blocks[i] = alloc_ok(key, sizes[s]);
                size_t begun = (i / GROUP + 1) * GROUP;
                assert_int_equal(held_of(key, sizes[s]), (begun < room ? begun : room) - (i + 1));
            }
            uint64_t before = held();
            for (size_t i = 0; i < taken; i++) {
                if (i % 2)
                    assert_status(ks_free(key, blocks[i]), KS_OK);
                else
                    assert_status(free_in(0, key, blocks[i]), KS_OK);
                assert_int_equal(stats_of(key).live, taken - i - 1);
                if (i % 2)
                    before++;
                /* What is on its way is out still. */
                uint64_t in_flight = stats_of(key).in_flight;
                assert_in_range(held(), before, before + taken - in_flight);
            }
            flush_in(0);
            owner_takes(key);
            assert_int_equal(stats_of(key).in_flight, 0);
            size_t begun = (taken + GROUP - 1) / GROUP * GROUP;
            assert_int_equal(held_of(key, sizes[s]), begun < room ? begun : room);
            assert_int_equal(held_of(key, sizes[s]), held());
            assert_status(ks_key_reset(key), KS_OK);
            assert_int_equal(held(), 0);
            alloc_ok(key, sizes[s]);
            assert_int_equal(held_of(key, sizes[s]), (room < GROUP ? room : GROUP) - 1);
            assert_status(ks_key_reset(key), KS_OK);
            assert_status(ks_key_purge(key), KS_OK);
            assert_int_equal(held(), 0);
            key_end(key);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_wait_in_order),
        cmocka_unit_test(none_that_waits_is_handed_out),
        cmocka_unit_test(whoever_frees_one_that_waits_is_told),
        cmocka_unit_test(a_block_waits_while_a_second_free_gets_home),
        cmocka_unit_test(a_purge_ends_it),
        cmocka_unit_test(a_shortage_ends_it),
        cmocka_unit_test(a_reset_ends_it),
        cmocka_unit_test(a_write_to_one_that_waits_is_told_once),
        cmocka_unit_test(held_counts_what_has_been_begun),
    };
    return cmocka_run_group_tests_name("quarantine", tests, freers_start, freers_end);
}
