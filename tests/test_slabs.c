/* Slabs of every size that a key may ask for: what is taken and charged, where blocks lie, and what the addresses between them are. */
#include "test.h"

#include <stdlib.h>

enum { KIB = 1024, SPAN = 256 * KIB /* of addresses, for each slab */, BLOCKS = 16384 };

static const size_t slab_sizes[] = {64 * KIB, 128 * KIB, 256 * KIB};
static const size_t block_sizes[] = {16, 48, 496, 1472, 1536, 9216, 21824, 43648, 65536};

static ks_key_t key_of_slabs(size_t slab_bytes, size_t quota)
{
    ks_key_t key;
    const struct ks_key_options options = {.name = "slabs", .slab_bytes = slab_bytes, .quota = quota};
    assert_status(ks_key_create(&options, &key), KS_OK);
    return key;
}

static size_t within(const void *block)
{
    return (uintptr_t)block % SPAN;
}

/* ------------------------------------------------------------------ what is taken */

/* As many blocks as the slab has room for, in its own bytes, and the next one costs a slab more. */
static void a_slab_has_the_bytes_that_the_key_says(void **state)
{
    (void)state;
    static char *blocks[BLOCKS + 1];
    for (size_t s = 0; s < COUNT(slab_sizes); s++)
        for (size_t b = 0; b < COUNT(block_sizes); b++) {
            size_t room = slab_sizes[s] / block_sizes[b];
            ks_key_t key = key_of_slabs(slab_sizes[s], 0);
            for (size_t i = 0; i < room; i++) {
                blocks[i] = alloc_ok(key, block_sizes[b]);
                assert_int_equal(ks_size(key, blocks[i]), block_sizes[b]);
                assert_true(within(blocks[i]) + block_sizes[b] <= slab_sizes[s]);
                assert_int_equal((uintptr_t)blocks[i] / SPAN, (uintptr_t)blocks[0] / SPAN);
                blocks[i][0] = blocks[i][block_sizes[b] - 1] = (char)i;
            }
            assert_int_equal(stats_of(key).arena_bytes, slab_sizes[s]);
            blocks[room] = alloc_ok(key, block_sizes[b]);
            assert_int_equal(stats_of(key).arena_bytes, 2 * slab_sizes[s]);
            assert_int_not_equal((uintptr_t)blocks[room] / SPAN, (uintptr_t)blocks[0] / SPAN);
            for (size_t i = 0; i <= room; i++)
                assert_status(ks_free(key, blocks[i]), KS_OK);
            assert_stats_balance(key);
            assert_status(ks_key_purge(key), KS_OK);
            assert_int_equal(stats_of(key).arena_bytes, 0);
            key_end(key);
        }
}

static void a_quota_goes_by_the_slab(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(slab_sizes); s++) {
        ks_status status;
        ks_key_t key = key_of_slabs(slab_sizes[s], 3 * slab_sizes[s] + slab_sizes[s] - 1);
        for (size_t b = 0; b < 3; b++)
            alloc_ok(key, block_sizes[b]);
        assert_null(ks_alloc(key, block_sizes[3], &status));
        assert_status(status, KS_QUOTA);
        assert_int_equal(stats_of(key).arena_bytes, 3 * slab_sizes[s]);
        key_end(key);
    }
}

/* ------------------------------------------------------------------ what an address is */

/* No address of the 256 KiB is a live block but those that were handed out, and no free of another one harms them. */
static void addresses_beyond_the_slab_are_no_blocks(void **state)
{
    (void)state;
    static char live[SPAN / 16];
    for (size_t s = 0; s < COUNT(slab_sizes); s++)
        for (size_t b = 0; b < COUNT(block_sizes); b++) {
            ks_key_t key = key_of_slabs(slab_sizes[s], 0);
            ks_key_t other = key_of_slabs(slab_sizes[s], 0);
            size_t count = slab_sizes[s] / block_sizes[b];
            memset(live, 0, sizeof live);
            char *start = NULL;
            for (size_t i = 0; i < count; i++) {
                char *block = alloc_ok(key, block_sizes[b]);
                start = block - within(block);
                live[within(block) / 16] = 1;
            }
            for (size_t at = 0; at < SPAN; at += 8) {
                if (at % 16 == 0 && live[at / 16])
                    continue;
                assert_int_equal(ks_size(key, start + at), 0);
                assert_status(ks_free(key, start + at), KS_BAD_BLOCK);
                assert_status(ks_free(other, start + at), KS_BAD_BLOCK);
            }
            assert_int_equal(stats_of(key).live, count);
            assert_key_whole(key);
            for (size_t at = 0; at < SPAN; at += 16)
                if (live[at / 16])
                    assert_status(ks_free(key, start + at), KS_OK);
            assert_int_equal(stats_of(key).live, 0);
            key_end(key);
            key_end(other);
        }
}

struct errand {
    ks_key_t key;
    char *start;
    ks_status status;
};

static void free_at(void *argument)
{
    struct errand *errand = argument;
    errand->status = ks_free(errand->key, errand->start);
    ks_flush();
}

/* The same from another thread, which sends what it takes for a block to its owner. */
static void another_thread_is_told_the_same(void **state)
{
    (void)state;
    struct worker worker;
    worker_start(&worker);
    struct errand errand = {.key = key_of_slabs(64 * KIB, 0)};
    char *block = alloc_ok(errand.key, 1536);
    char *start = block - within(block);
    for (size_t at = 64 * KIB / 1536 * 1536; at < SPAN; at += 1536) {
        errand.start = start + at;
        worker_do(&worker, free_at, &errand);
        assert_status(errand.status, KS_BAD_BLOCK);
    }
    errand.start = block;
    worker_do(&worker, free_at, &errand);
    assert_status(errand.status, KS_OK);
    assert_status(ks_key_purge(errand.key), KS_OK);
    assert_int_equal(stats_of(errand.key).arena_bytes, 0);
    assert_int_equal(stats_of(errand.key).double_free, 0);
    key_end(errand.key);
    worker_end(&worker);
}

/*
 * A small slab where a large one was: old pointers beyond it are no blocks any more. Keys follow each other until one has the place,
 * since some of them share the old one's arena.
 */
static void what_lay_beyond_a_small_slab_is_no_block(void **state)
{
    (void)state;
    enum { OLD = SPAN / 1536 };
    char *blocks[OLD];
    ks_key_t old = key_of_slabs(SPAN, 0);
    for (size_t i = 0; i < OLD; i++)
        blocks[i] = alloc_ok(old, 1536);
    assert_status(ks_key_reset(old), KS_OK);
    assert_status(ks_key_purge(old), KS_OK);
    ks_key_t young[64];
    size_t count = 0;
    for (ks_status status = KS_STALE; count < COUNT(young) && status == KS_STALE; count++) {
        young[count] = key_of_slabs(64 * KIB, 0);
        for (size_t i = 0; i < 64 * KIB / 1536; i++)
            alloc_ok(young[count], 1536);
        status = ks_free(old, blocks[0]);
    }
    for (size_t i = 0; i < OLD; i++) {
        ks_status expected = i < 64 * KIB / 1536 ? KS_WRONG_KEY : KS_BAD_BLOCK;
        assert_status(ks_free(old, blocks[i]), expected);
        assert_status(ks_free(old, blocks[i] + 16), KS_BAD_BLOCK);
    }
    assert_key_whole(young[count - 1]);
    while (count)
        key_end(young[--count]);
    key_end(old);
}

/* ------------------------------------------------------------------ the arena */

enum { KEYS = 24, ROUNDS = 40 };

struct extremes {
    uintptr_t lowest, highest;
};

static void note(struct extremes *extremes, const void *block)
{
    uintptr_t address = (uintptr_t)block;
    if (address < extremes->lowest)
        extremes->lowest = address;
    if (address > extremes->highest)
        extremes->highest = address;
}

static void use_and_purge(ks_key_t key, unsigned round, struct extremes *extremes)
{
    for (size_t b = 0; b < COUNT(block_sizes); b++)
        if ((b + round) % 3)
            note(extremes, memset(alloc_ok(key, block_sizes[b]), 1, block_sizes[b]));
    note(extremes, memset(alloc_ok(key, 70000 + round * 5000), 1, 70000));
    if (round % 2)
        assert_status(ks_key_reset(key), KS_OK);
    if (round % 4)
        assert_status(ks_key_purge(key), KS_OK);
}

/* Slabs of all sizes and large blocks take turns at the same addresses, again and again: neither addresses nor pages pile up. */
static void nothing_piles_up_between_slabs(void **state)
{
    (void)state;
    ks_key_t keys[KEYS];
    for (size_t k = 0; k < KEYS; k++)
        keys[k] = key_of_slabs(slab_sizes[k % COUNT(slab_sizes)], 0);
    struct extremes early = {UINTPTR_MAX, 0};
    struct extremes late = {UINTPTR_MAX, 0};
    for (unsigned round = 0; round < ROUNDS; round++)
        for (size_t k = 0; k < KEYS; k++)
            use_and_purge(keys[k], round, round < ROUNDS / 4 ? &early : &late);
    assert_true(late.highest - late.lowest <= 2 * (early.highest - early.lowest));
    for (size_t k = 0; k < KEYS; k++) {
        assert_status(ks_key_reset(keys[k]), KS_OK);
        assert_status(ks_key_purge(keys[k]), KS_OK);
        assert_int_equal(stats_of(keys[k]).arena_bytes, 0);
    }
    uint64_t before = resident_bytes();
    for (size_t k = 0; k < KEYS; k++) {
        use_and_purge(keys[k], 1, &late);
        assert_int_equal(stats_of(keys[k]).arena_bytes, 0);
    }
    assert_true(resident_bytes() < before + 4096 * KIB);
    for (size_t k = 0; k < KEYS; k++)
        key_end(keys[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slab_has_the_bytes_that_the_key_says),   cmocka_unit_test(a_quota_goes_by_the_slab),
        cmocka_unit_test(addresses_beyond_the_slab_are_no_blocks),  cmocka_unit_test(another_thread_is_told_the_same),
        cmocka_unit_test(what_lay_beyond_a_small_slab_is_no_block), cmocka_unit_test(nothing_piles_up_between_slabs),
    };
    return cmocka_run_group_tests_name("slabs", tests, NULL, NULL);
}
