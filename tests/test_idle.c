/* What threads that sleep, or have ended, leave behind: whoever works in the key gives it back. */
#include "test.h"

#include <stdbool.h>
#include <time.h>

enum { MIB = 1 << 20, SLAB = 256 << 10, SLABS = 32, SIZE = 1500, KEPT = 100 };

static ks_key_t key;

static int key_begin(void **state)
{
    (void)state;
    key = key_new();
    return 0;
}

static int key_over(void **state)
{
    (void)state;
    assert_key_whole(key);
    key_end(key);
    return 0;
}

static uint64_t arena_bytes(void)
{
    return stats_of(key).arena_bytes;
}

/* ------------------------------------------------------------------ what threads do */

struct load {
    size_t count;
    void *blocks[SLABS * SLAB / SIZE];
};

static void fill_slabs(struct load *load, size_t slabs)
{
    load->count = slabs * (SLAB / ks_key_good_size(key, SIZE));
    assert_true(load->count <= COUNT(load->blocks));
    for (size_t i = 0; i < load->count; i++)
        load->blocks[i] = alloc_ok(key, SIZE);
}

static void fill(void *argument)
{
    fill_slabs(argument, SLABS);
}

/* All but the first so many. */
static void empty_but(struct load *load, size_t kept)
{
    for (size_t i = kept; i < load->count; i++)
        assert_status(ks_free(key, load->blocks[i]), KS_OK);
    load->count = kept;
}

static void fill_and_empty(void *argument)
{
    fill(argument);
    empty_but(argument, 0);
}

static void fill_and_empty_half_a_mebibyte(void *argument)
{
    fill_slabs(argument, MIB / 2 / SLAB);
    empty_but(argument, 0);
}

static void fill_and_keep(void *argument)
{
    fill(argument);
    empty_but(argument, KEPT);
}

static void empty(void *argument)
{
    empty_but(argument, 0);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Works, with nothing live afterwards, until the key has no more than that, or so much time is over. */
static void work(uint64_t bytes, double most)
{
    double start = seconds();
    while (arena_bytes() > bytes && seconds() - start < most)
        for (int i = 0; i < 2048; i++)
            assert_status(ks_free(key, alloc_ok(key, 64)), KS_OK);
}

static void work_until(uint64_t bytes)
{
    work(bytes, 10);
}

/* ------------------------------------------------------------------ sleepers */

static void what_a_sleeper_has_freed_is_given_back(void **state)
{
    (void)state;
    static struct load load;
    struct worker worker;
    worker_start(&worker);
    worker_do(&worker, fill_and_keep, &load);
    assert_true(arena_bytes() >= SLABS * SLAB);
    work_until(2 * SLAB);
    /* One slab of the blocks that it keeps, one of this thread's. */
    assert_int_equal(arena_bytes(), 2 * SLAB);
    assert_int_equal(stats_of(key).live, KEPT);
    worker_do(&worker, empty, &load);
    worker_do(&worker, fill_and_empty, &load);
    worker_end(&worker);
    assert_int_equal(stats_of(key).live, 0);
}

/* Frees that the trimmed owner makes, without another allocation, count as work: they are given back as well. */
static void what_it_frees_after_that_is_given_back_too(void **state)
{
    (void)state;
    static struct load load;
    struct worker worker;
    worker_start(&worker);
    worker_do(&worker, fill, &load);
    work(0, 0.2); /* there is nothing to be had */
    assert_int_equal(arena_bytes(), (SLABS + 1) * SLAB);
    worker_do(&worker, empty, &load);
    work_until(SLAB);
    assert_int_equal(arena_bytes(), SLAB);
    worker_end(&worker);
}

/* It never looks into its queue. */
static void what_others_free_of_a_sleeper_is_given_back(void **state)
{
    (void)state;
    static struct load load;
    struct worker worker;
    worker_start(&worker);
    worker_do(&worker, fill, &load);
    empty(&load);
    ks_flush();
    work_until(SLAB);
    assert_int_equal(arena_bytes(), SLAB);
    assert_int_equal(stats_of(key).in_flight, 0);
    worker_end(&worker);
}

static void a_sleeper_keeps_what_the_key_retains(void **state)
{
    (void)state;
    static struct load load;
    struct worker worker;
    ks_key_t other = key;
    assert_status(ks_key_create(&(struct ks_key_options){.retain = 2 * MIB}, &key), KS_OK);
    worker_start(&worker);
    worker_do(&worker, fill_and_empty, &load);
    work_until(2 * MIB + SLAB);
    assert_int_equal(arena_bytes(), 2 * MIB + SLAB);
    worker_end(&worker);
    key_over(state);
    key = other;
}

/* The trim would cost more than it brings. */
static void a_little_is_not_worth_it(void **state)
{
    (void)state;
    static struct load load;
    struct worker worker;
    worker_start(&worker);
    worker_do(&worker, fill_and_empty_half_a_mebibyte, &load);
    uint64_t before = arena_bytes();
    work(0, 0.2);
    assert_int_equal(arena_bytes(), before + SLAB);
    worker_end(&worker);
}

/* ------------------------------------------------------------------ threads that end */

static void a_thread_that_ends_gives_back_what_is_free(void **state)
{
    (void)state;
    static struct load load;
    struct worker worker;
    worker_start(&worker);
    worker_do(&worker, fill_and_keep, &load);
    worker_end(&worker);
    assert_int_equal(arena_bytes(), SLAB);
    empty(&load);
}

/* Whoever frees the last blocks ends, too. */
static void the_last_one_leaves_nothing(void **state)
{
    (void)state;
    static struct load load;
    struct worker first;
    struct worker second;
    worker_start(&first);
    worker_do(&first, fill, &load);
    worker_end(&first);
    worker_start(&second);
    worker_do(&second, fill_and_empty, &(struct load){0});
    worker_end(&second);
    assert_int_equal(arena_bytes(), SLABS * SLAB);
    worker_start(&second);
    worker_do(&second, empty, &load);
    worker_end(&second);
    assert_int_equal(arena_bytes(), 0);
}

/* A thread that goes on gives back what it has freed of theirs. */
static void whoever_goes_on_cleans_up(void **state)
{
    (void)state;
    static struct load loads[4];
    for (size_t i = 0; i < COUNT(loads); i++) {
        struct worker worker;
        worker_start(&worker);
        worker_do(&worker, fill, &loads[i]);
        if (i == 0)
            alloc_ok(key, 16); /* this thread has a heap of its own: it takes over none of theirs */
        worker_end(&worker);
    }
    for (size_t i = 0; i < COUNT(loads); i++)
        empty(&loads[i]);
    ks_flush();
    work_until(2 * SLAB);
    assert_int_equal(arena_bytes(), 2 * SLAB);
    assert_status(ks_key_reset(key), KS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_sleeper_has_freed_is_given_back, key_begin, key_over),
        cmocka_unit_test_setup_teardown(what_it_frees_after_that_is_given_back_too, key_begin, key_over),
        cmocka_unit_test_setup_teardown(what_others_free_of_a_sleeper_is_given_back, key_begin, key_over),
        cmocka_unit_test_setup_teardown(a_sleeper_keeps_what_the_key_retains, key_begin, key_over),
        cmocka_unit_test_setup_teardown(a_little_is_not_worth_it, key_begin, key_over),
        cmocka_unit_test_setup_teardown(a_thread_that_ends_gives_back_what_is_free, key_begin, key_over),
        cmocka_unit_test_setup_teardown(the_last_one_leaves_nothing, key_begin, key_over),
        cmocka_unit_test_setup_teardown(whoever_goes_on_cleans_up, key_begin, key_over),
    };
    return cmocka_run_group_tests_name("idle", tests, NULL, NULL);
}
