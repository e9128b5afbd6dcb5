/* What threads keep of a key's idle memory: a floor and a ceiling, and nothing that an allocation would be refused for. */
#include "test.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum { MIB = 1 << 20, SLAB = 256 << 10, RETAIN = MIB, SIZE = 1500, GIVEN_AT_ONCE = 4, GIVEN_A_TICK = 16 };

static ks_key_t key;

static void key_retaining(size_t retain, size_t quota)
{
    assert_status(ks_key_create(&(struct ks_key_options){.retain = retain, .quota = quota}, &key), KS_OK);
}

static uint64_t arena_bytes(void)
{
    return stats_of(key).arena_bytes;
}

/* ------------------------------------------------------------------ a thread's work
 *
 * Blocks that fill `slabs` slabs, held, until they are freed or dropped.
 */
struct load {
    size_t slabs;
    size_t count;
    void *blocks[64 * SLAB / SIZE];
};

static void fill(void *argument)
{
    struct load *load = argument;
    load->count = load->slabs * (SLAB / ks_key_good_size(key, SIZE));
    assert_true(load->count <= COUNT(load->blocks));
    for (size_t i = 0; i < load->count; i++)
        load->blocks[i] = alloc_ok(key, SIZE);
}

static void empty(void *argument)
{
    struct load *load = argument;
    for (size_t i = 0; i < load->count; i++)
        assert_status(ks_free(key, load->blocks[i]), KS_OK);
}

static void fill_and_empty(void *argument)
{
    fill(argument);
    empty(argument);
}

/* So many slow paths of the thread in a key, which leave nothing live. */
static void slow_paths(ks_key_t of, size_t count)
{
    static _Thread_local void *blocks[240];
    for (size_t i = 0; i < count; i += 8) {
        assert_int_equal(ks_alloc_bulk(of, 16, blocks, COUNT(blocks), NULL), COUNT(blocks));
        assert_int_equal(ks_free_bulk(of, blocks, COUNT(blocks), NULL), COUNT(blocks));
    }
}

/* ------------------------------------------------------------------ purge */

static void a_purge_leaves_what_each_thread_retains(void **state)
{
    (void)state;
    enum { WORKERS = 3 };
    static struct load loads[WORKERS + 1];
    static const struct {
        size_t retain;
        uint64_t left; /* of more than that */
    } cases[] = {{RETAIN, RETAIN}, {RETAIN + SLAB - 1, RETAIN}, {SLAB - 1, 0}, {KS_RETAIN_NONE, 0}, {0, 0}};
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int reset = 0; reset < 2; reset++) {
            struct worker workers[WORKERS];
            key_retaining(cases[i].retain, 0);
            for (size_t w = 0; w <= WORKERS; w++)
                loads[w].slabs = 12;
            for (size_t w = 0; w < WORKERS; w++) {
                worker_start(&workers[w]);
                worker_do(&workers[w], reset ? fill : fill_and_empty, &loads[w]);
            }
            (reset ? fill : fill_and_empty)(&loads[WORKERS]);
            /* What sleepers have freed may be gone already. */
            assert_true(arena_bytes() >= (reset ? WORKERS + 1 : 1) * loads[0].slabs * SLAB);
            if (reset)
                assert_status(ks_key_reset(key), KS_OK);
            for (int purges = 0; purges < 2; purges++) {
                assert_status(ks_key_purge(key), KS_OK);
                assert_int_equal(arena_bytes(), (WORKERS + 1) * cases[i].left);
                assert_int_equal(stats_of(key).slabs_aside, (WORKERS + 1) * cases[i].left / SLAB);
                assert_key_whole(key);
            }
            for (size_t w = 0; w < WORKERS; w++)
                worker_end(&workers[w]);
            key_end(key);
        }
}

/* In slabs of the key's own size. */
static void small_slabs_are_retained_too(void **state)
{
    (void)state;
    enum { SMALL = 64 << 10, TOPS = 40 };
    const struct ks_key_options options = {.retain = RETAIN + SMALL + 1, .slab_bytes = SMALL};
    assert_status(ks_key_create(&options, &key), KS_OK);
    for (size_t i = 0; i < TOPS; i++)
        alloc_ok(key, 65536);
    assert_status(ks_key_reset(key), KS_OK);
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(arena_bytes(), RETAIN + SMALL);
    assert_int_equal(stats_of(key).slabs_aside, RETAIN / SMALL + 1);
    key_end(key);
}

static void what_was_less_stays_as_it_was(void **state)
{
    (void)state;
    static struct load load = {.slabs = 2};
    key_retaining(RETAIN, 0);
    fill_and_empty(&load);
    assert_int_equal(arena_bytes(), 2 * SLAB);
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(arena_bytes(), 2 * SLAB);
    fill(&load);
    assert_status(ks_key_reset(key), KS_OK);
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(arena_bytes(), 2 * SLAB);
    fill(&load);
    assert_int_equal(arena_bytes(), 2 * SLAB);
    key_end(key);
}

/* They are of no use to the key's classes. */
static void large_blocks_are_not_retained(void **state)
{
    (void)state;
    key_retaining(64 * MIB, 0);
    assert_status(ks_free(key, alloc_ok(key, MIB)), KS_OK);
    assert_int_equal(arena_bytes(), 0);
    alloc_ok(key, MIB);
    assert_status(ks_key_reset(key), KS_OK);
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(arena_bytes(), 0);
    key_end(key);
}

/* ------------------------------------------------------------------ floor and ceiling under way */

static void ageing_stops_at_the_floor_and_not_above(void **state)
{
    (void)state;
    static struct load load = {.slabs = 40};
    for (int reset = 0; reset < 2; reset++) {
        key_retaining(RETAIN, 0);
        fill(&load);
        if (reset)
            assert_status(ks_key_reset(key), KS_OK);
        else
            empty(&load);
        slow_paths(key, 2000);
        /* A slab has the small blocks; what magazines hold after frees lies in two others. */
        uint64_t after = arena_bytes();
        if (after < RETAIN || after > RETAIN + (reset ? 1 : 3) * SLAB)
            fail_msg("%zu KiB after %s", (size_t)after >> 10, reset ? "a reset" : "frees");
        slow_paths(key, 2000);
        assert_int_equal(arena_bytes(), after);
        key_end(key);
    }
}

/* Without the setting, what is not needed goes in time, all of it. */
static void auto_has_no_floor(void **state)
{
    (void)state;
    static struct load load = {.slabs = 8};
    key_retaining(0, 0);
    fill(&load);
    assert_status(ks_key_reset(key), KS_OK);
    slow_paths(key, 16);
    assert_int_equal(arena_bytes(), 8 * SLAB);
    /* Three windows of maintenance passes: the reset's, one in which nothing was needed, and one in which that goes. */
    slow_paths(key, 8000);
    assert_int_equal(arena_bytes(), SLAB);
    key_end(key);
}

/* What a reset has dropped goes soon, and no operation pays for much of it. */
static void a_reset_is_paid_for_a_little_at_a_time(void **state)
{
    (void)state;
    static struct load load = {.slabs = 60};
    key_retaining(RETAIN, 0);
    fill(&load);
    uint64_t before = arena_bytes();
    assert_status(ks_key_reset(key), KS_OK);
    assert_int_equal(arena_bytes(), before);
    size_t operations = 0;
    void *blocks[60];
    while (before > RETAIN + SLAB) {
        for (size_t i = 0; i < COUNT(blocks); i++, operations++) {
            blocks[i] = alloc_ok(key, 16);
            uint64_t now = arena_bytes();
            assert_true(now + (GIVEN_AT_ONCE + GIVEN_A_TICK) * SLAB >= before);
            before = now;
        }
        assert_true(operations < 60 * 60);
    }
    assert_key_whole(key);
    key_end(key);
}

/* The heap of a key that the thread does not use any more is visited from one that it does. */
static void an_idle_heap_keeps_the_floor(void **state)
{
    (void)state;
    static struct load load = {.slabs = 40};
    ks_key_t busy = key_new();
    for (int settled = 0; settled < 2; settled++) {
        key_retaining(RETAIN, 0);
        fill(&load);
        if (settled)
            slow_paths(busy, 1000);
        assert_status(ks_key_reset(key), KS_OK);
        slow_paths(busy, 2000);
        assert_int_equal(arena_bytes(), RETAIN);
        key_end(key);
    }
    key_end(busy);
}

static void *fill_and_end(void *argument)
{
    fill(argument);
    assert_status(ks_key_reset(key), KS_OK);
    slow_paths(key, 8);
    return NULL;
}

static void a_thread_that_ends_keeps_nothing(void **state)
{
    (void)state;
    static struct load load = {.slabs = 8};
    key_retaining(RETAIN, 0);
    in_thread(fill_and_end, &load);
    assert_int_equal(arena_bytes(), 0);
    key_end(key);
}

static void a_destroy_gives_back_what_is_retained(void **state)
{
    (void)state;
    static struct load load = {.slabs = 60};
    uint64_t before = resident_bytes();
    key_retaining(64 * MIB, 0);
    fill(&load);
    for (size_t i = 0; i < load.count; i++)
        memset(load.blocks[i], 1, SIZE);
    empty(&load);
    assert_status(ks_key_purge(key), KS_OK);
    assert_true(SANITIZED || resident_bytes() > before + 14 * MIB);
    key_end(key);
    assert_true(SANITIZED || resident_bytes() < before + 4 * MIB);
}

/* ------------------------------------------------------------------ relief */

/* A sleeping thread retains all of the quota; another one needs it. */
static void no_quota_is_refused_for_what_another_retains(void **state)
{
    (void)state;
    enum { SLABS = 32 };
    static struct load others, own;
    struct worker worker;
    for (int how = 0; how < 4; how++) {
        bool reset = how % 2;
        bool large = how / 2;
        key_retaining(SLABS * SLAB, SLABS * SLAB);
        worker_start(&worker);
        others.slabs = own.slabs = SLABS;
        worker_do(&worker, reset ? fill : fill_and_empty, &others);
        if (reset)
            assert_status(ks_key_reset(key), KS_OK);
        else
            assert_status(ks_key_purge(key), KS_OK);
        assert_int_equal(arena_bytes(), SLABS * SLAB);
        if (large)
            alloc_ok(key, SLABS * SLAB);
        else
            fill(&own);
        assert_int_equal(stats_of(key).refused_quota, 0);
        assert_int_equal(arena_bytes(), SLABS * SLAB);
        assert_null(ks_alloc(key, MIB, NULL));
        assert_int_equal(stats_of(key).refused_quota, 1);
        assert_key_whole(key);
        /* And back again. */
        assert_status(ks_key_reset(key), KS_OK);
        worker_do(&worker, fill, &others);
        assert_int_equal(stats_of(key).refused_quota, 1);
        worker_end(&worker);
        assert_key_whole(key);
        key_end(key);
    }
}

static atomic_bool ended;

static void *work_under_the_quota(void *argument)
{
    while (!atomic_load(&ended))
        fill_and_empty(argument);
    return NULL;
}

/* A thread that is never outside of operations for long is asked, and gives at its next slow path. */
static void a_busy_thread_is_asked(void **state)
{
    (void)state;
    enum { SLABS = 16, ROUNDS = 20, TRIES = 100000 };
    static struct load busy = {.slabs = 4};
    key_retaining(SLABS * SLAB, SLABS * SLAB);
    pthread_t thread;
    atomic_store(&ended, false);
    assert_int_equal(pthread_create(&thread, NULL, work_under_the_quota, &busy), 0);
    for (int round = 0; round < ROUNDS; round++) {
        /* All but what the other has in use, and a slab of each. */
        size_t large = (SLABS - 6) * SLAB;
        void *block = NULL;
        for (int i = 0; i < TRIES && !block; i++)
            block = ks_alloc(key, large, NULL);
        assert_non_null(block);
        assert_status(ks_free(key, block), KS_OK);
    }
    atomic_store(&ended, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_key_whole(key);
    key_end(key);
}

/* Each takes, keeps and is refused beside the others: nobody waits for anybody, and nothing is lost. */
static void *take_turns(void *argument)
{
    unsigned seed = *(unsigned *)argument;
    void *blocks[24];
    size_t count = 0;
    for (int i = 0; i < 20000; i++) {
        if (count < COUNT(blocks) && rand_r(&seed) % 2) {
            ks_status status;
            blocks[count] = ks_alloc(key, 20000 + (size_t)rand_r(&seed) % 200000, &status);
            assert_true(blocks[count] ? status == KS_OK : status == KS_QUOTA);
            count += blocks[count] != NULL;
        } else if (count) {
            assert_status(ks_free(key, blocks[--count]), KS_OK);
        }
    }
    while (count)
        assert_status(ks_free(key, blocks[--count]), KS_OK);
    return NULL;
}

static void threads_relieve_each_other(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    unsigned seeds[THREADS] = {1, 2, 3, 4};
    key_retaining(4 * MIB, 4 * MIB);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_turns, &seeds[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(stats_of(key).live, 0);
    assert_int_equal(stats_of(key).bad_block + stats_of(key).double_free, 0);
    assert_stats_balance(key);
    assert_key_whole(key);
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(arena_bytes(), 0);
    key_end(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_purge_leaves_what_each_thread_retains),
        cmocka_unit_test(small_slabs_are_retained_too),
        cmocka_unit_test(what_was_less_stays_as_it_was),
        cmocka_unit_test(large_blocks_are_not_retained),
        cmocka_unit_test(ageing_stops_at_the_floor_and_not_above),
        cmocka_unit_test(auto_has_no_floor),
        cmocka_unit_test(a_reset_is_paid_for_a_little_at_a_time),
        cmocka_unit_test(an_idle_heap_keeps_the_floor),
        cmocka_unit_test(a_thread_that_ends_keeps_nothing),
        cmocka_unit_test(a_destroy_gives_back_what_is_retained),
        cmocka_unit_test(no_quota_is_refused_for_what_another_retains),
        cmocka_unit_test(a_busy_thread_is_asked),
        cmocka_unit_test(threads_relieve_each_other),
    };
    return cmocka_run_group_tests_name("retain", tests, NULL, NULL);
}
