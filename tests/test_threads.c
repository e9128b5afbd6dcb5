/* Several threads: blocks that go home, threads that come and go, threads that sleep. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCKS = 5000 };

static ks_key_t key;
static void *blocks[BLOCKS];

static void allocate(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < BLOCKS; i++)
        memset(blocks[i] = alloc_ok(key, i * 31 % 4000), (int)i, i * 31 % 4000);
}

static void deallocate(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < BLOCKS; i++)
        assert_status(ks_free(key, blocks[i]), KS_OK);
}

static void flush(void *argument)
{
    (void)argument;
    ks_flush();
}

static void *allocate_and_end(void *argument)
{
    allocate(argument);
    return NULL;
}

static void *deallocate_and_end(void *argument)
{
    deallocate(argument);
    return NULL;
}

static void a_free_from_another_thread_goes_home(void **state)
{
    (void)state;
    key = key_new();
    struct worker worker;
    worker_start(&worker);
    for (int round = 0; round < 50; round++) {
        allocate(NULL);
        worker_do(&worker, deallocate, NULL);
        struct ks_key_stats stats = stats_of(key);
        assert_int_equal(stats.live, 0);
        assert_int_equal(stats.allocated, (round + 1) * BLOCKS);
        assert_true(stats.freed_remote >= (uint64_t)(round + 1) * BLOCKS - stats.freed_local);
        assert_stats_balance(key);
    }
    worker_do(&worker, flush, NULL);
    /* All came home: nothing is out, and the memory does not grow with the rounds. */
    assert_status(ks_key_purge(key), KS_OK);
    struct ks_key_stats stats = stats_of(key);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.freed_local, 0);
    assert_int_equal(stats.freed_remote, 50 * BLOCKS);
    assert_int_equal(stats.arena_bytes, 0);
    assert_true(stats.arena_peak < 40 << 20);
    key_end(key);
    worker_end(&worker);
}

static void bulk_frees_go_home_too(void **state)
{
    (void)state;
    key = key_new();
    struct worker worker;
    worker_start(&worker);
    worker_do(&worker, allocate, NULL);
    ks_status status;
    assert_int_equal(ks_free_bulk(key, blocks, BLOCKS, &status), BLOCKS);
    assert_status(status, KS_OK);
    assert_int_equal(stats_of(key).live, 0);
    worker_do(&worker, allocate, NULL);
    worker_do(&worker, deallocate, NULL);
    ks_flush();
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(stats_of(key).arena_bytes, 0);
    worker_end(&worker);
    key_end(key);
}

static void realloc_moves_another_threads_block(void **state)
{
    (void)state;
    key = key_new();
    in_thread(allocate_and_end, NULL);
    for (size_t i = 0; i < BLOCKS; i++) {
        ks_status status;
        size_t size = i * 31 % 4000;
        unsigned char *block = ks_realloc(key, blocks[i], size * 2 + 100, &status);
        assert_status(status, KS_OK);
        for (size_t j = 0; j < size; j++)
            assert_int_equal(block[j], (unsigned char)i);
        blocks[i] = block;
    }
    deallocate(NULL);
    assert_int_equal(stats_of(key).live, 0);
    key_end(key);
}

/* Each ends with live blocks; the next takes its heap over. */
static void threads_come_and_go(void **state)
{
    (void)state;
    key = key_new();
    uint64_t peak = 0;
    for (int i = 0; i < 200; i++) {
        in_thread(allocate_and_end, NULL);
        in_thread(deallocate_and_end, NULL);
        if (i == 10)
            peak = stats_of(key).arena_peak;
    }
    struct ks_key_stats stats = stats_of(key);
    assert_int_equal(stats.heaps, 1);
    assert_int_equal(stats.live, 0);
    assert_int_equal(stats.arena_peak, peak);
    assert_stats_balance(key);
    key_end(key);
}

static void remote_frees_to_an_ended_thread_are_kept(void **state)
{
    (void)state;
    key = key_new();
    alloc_ok(key, 1); /* this thread has a heap of its own, so it cannot take the other over */
    in_thread(allocate_and_end, NULL);
    deallocate(NULL);
    ks_flush();
    assert_int_equal(stats_of(key).live, 1);
    struct worker worker;
    worker_start(&worker);
    worker_do(&worker, allocate, NULL);
    assert_int_equal(stats_of(key).heaps, 2);
    worker_do(&worker, deallocate, NULL);
    worker_end(&worker);
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(stats_of(key).arena_bytes, 256 << 10);
    key_end(key);
}

static void a_double_free_in_flight_is_found_at_home(void **state)
{
    (void)state;
    key = key_new();
    struct worker worker;
    worker_start(&worker);
    worker_do(&worker, allocate, NULL);
    /* This thread frees; the owner frees some of them as well, before they are home. */
    deallocate(NULL);
    ks_flush();
    for (size_t i = 0; i < 10; i++)
        assert_status(ks_free(key, blocks[i]), KS_OK); /* still on the way: seen at home only */
    ks_flush();
    worker_do(&worker, allocate, NULL);
    assert_status(ks_key_purge(key), KS_OK);
    struct ks_key_stats stats = stats_of(key);
    assert_int_equal(stats.refused_at_home, 10);
    assert_int_equal(stats.double_free, 10);
    assert_int_equal(stats.live, BLOCKS);
    assert_stats_balance(key);
    /* No block was handed out twice. */
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = i * 31 % 4000;
        if (size)
            assert_int_equal(*(unsigned char *)blocks[i], (unsigned char)i);
    }
    worker_end(&worker);
    key_end(key);
}

static const size_t misused_sizes[2] = {100, 1500};
static void *misused[2];
static int heard[2][2]; /* of each of the two blocks: at once, at home */

static void hear(void *context, const struct ks_error *error)
{
    size_t which = error->block == misused[1];
    assert_ptr_equal(context, heard);
    assert_int_equal(error->key, key);
    assert_int_equal(error->status, KS_DOUBLE_FREE);
    assert_ptr_equal(error->block, misused[which]);
    assert_int_equal(error->class_size, ks_good_size(misused_sizes[which]));
    heard[which][error->at_home]++;
}

static void key_heard(void)
{
    memset(heard, 0, sizeof heard);
    assert_status(ks_key_create(&(struct ks_key_options){.on_error = hear, .on_error_context = heard}, &key), KS_OK);
    for (size_t i = 0; i < COUNT(misused); i++)
        misused[i] = alloc_ok(key, misused_sizes[i]);
}

/* 5,000 frees, of the one and the other in turn: no two that follow each other are of one group. */
static void the_owner_frees_while_remote_frees_are_pending(void **state)
{
    (void)state;
    struct worker worker;
    key_heard();
    worker_start(&worker);
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = misused[i % 2];
    worker_do(&worker, deallocate, NULL);
    worker_do(&worker, flush, NULL);
    for (size_t i = 0; i < COUNT(misused); i++) {
        assert_status(ks_free(key, misused[i]), KS_OK);
        assert_status(ks_free(key, misused[i]), KS_DOUBLE_FREE);
    }
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(stats_of(key).refused_at_home, BLOCKS);
    assert_int_equal(stats_of(key).double_free, BLOCKS + 2);
    for (size_t i = 0; i < COUNT(misused); i++) {
        assert_int_equal(heard[i][0], 1);
        assert_int_equal(heard[i][1], BLOCKS / 2);
    }
    assert_int_equal(stats_of(key).live, 0);
    worker_end(&worker);
    key_end(key);
}

static void free_one_again_and_again(void *argument)
{
    assert_status(ks_free(key, argument), KS_OK);
    for (size_t i = 1; i < BLOCKS; i++)
        assert_status(ks_free(key, argument), KS_DOUBLE_FREE);
}

/* While it waits in the thread that has freed it, that thread is told at once. */
static void a_block_is_freed_again_before_it_is_sent(void **state)
{
    (void)state;
    struct worker worker;
    key_heard();
    worker_start(&worker);
    for (size_t i = 0; i < COUNT(misused); i++)
        worker_do(&worker, free_one_again_and_again, misused[i]);
    worker_do(&worker, flush, NULL);
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(stats_of(key).refused_at_home, 0);
    assert_int_equal(stats_of(key).double_free, 2 * (BLOCKS - 1));
    assert_int_equal(stats_of(key).freed_remote, 2);
    for (size_t i = 0; i < COUNT(misused); i++) {
        assert_int_equal(heard[i][0], BLOCKS - 1);
        assert_int_equal(heard[i][1], 0);
        assert_status(ks_free(key, misused[i]), KS_DOUBLE_FREE);
    }
    assert_int_equal(stats_of(key).live, 0);
    worker_end(&worker);
    key_end(key);
}

static void blocks_on_their_way_are_dropped_by_a_reset(void **state)
{
    (void)state;
    key = key_new();
    struct worker worker;
    worker_start(&worker);
    for (int round = 0; round < 20; round++) {
        allocate(NULL);
        worker_do(&worker, deallocate, NULL);
        assert_status(ks_key_reset(key), KS_OK);
        struct ks_key_stats stats = stats_of(key);
        assert_int_equal(stats.live, 0);
        assert_int_equal(stats.in_flight, 0);
        assert_stats_balance(key);
        if (round % 2)
            worker_do(&worker, flush, NULL);
        assert_key_whole(key);
    }
    worker_end(&worker);
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(stats_of(key).arena_bytes, 0);
    key_end(key);
}

static void the_memory_of_a_sleeper_can_be_purged(void **state)
{
    (void)state;
    key = key_new();
    struct worker workers[4];
    for (size_t i = 0; i < COUNT(workers); i++) {
        worker_start(&workers[i]);
        worker_do(&workers[i], allocate, NULL);
    }
    assert_int_equal(stats_of(key).heaps, COUNT(workers));
    assert_true(stats_of(key).arena_bytes > 30 << 20);
    assert_status(ks_key_reset(key), KS_OK);
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(stats_of(key).arena_bytes, 0);
    /* They wake, and go on. */
    for (size_t i = 0; i < COUNT(workers); i++) {
        worker_do(&workers[i], allocate, NULL);
        worker_do(&workers[i], deallocate, NULL);
        worker_end(&workers[i]);
    }
    assert_int_equal(stats_of(key).live, 0);
    assert_stats_balance(key);
    key_end(key);
}

static void destroy_takes_the_memory_of_sleepers(void **state)
{
    (void)state;
    struct worker worker;
    worker_start(&worker);
    for (int i = 0; i < 300; i++) {
        key = key_new();
        worker_do(&worker, allocate, NULL);
        assert_status(ks_key_destroy(key), KS_OK);
    }
    worker_end(&worker);
}

static void destroyed_keys_leave_nothing_behind(void **state)
{
    (void)state;
    struct worker worker;
    worker_start(&worker);
    uint64_t before = 0;
    for (int i = 0; i < 200; i++) {
        key = key_new();
        allocate(NULL);
        worker_do(&worker, deallocate, NULL);
        worker_do(&worker, allocate, NULL);
        assert_status(ks_key_destroy(key), KS_OK);
        if (i == 20)
            before = resident_bytes();
    }
    assert_true(resident_bytes() < before + (4 << 20));
    worker_end(&worker);
}

/* A thread that only frees holds a bounded number of bytes for others. */
static void a_thread_that_only_frees(void **state)
{
    (void)state;
    enum { BOUND = 16 << 10 };
    assert_status(ks_key_create(&(struct ks_key_options){.outbox_bytes = BOUND}, &key), KS_OK);
    struct worker worker;
    worker_start(&worker);
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < BLOCKS; i++)
            blocks[i] = alloc_ok(key, 1500);
        worker_do(&worker, deallocate, NULL);
        assert_true(stats_of(key).in_flight <= BLOCKS + BOUND / 1536);
    }
    /* 5,000 frames of 1,500 bytes, and what is under way. */
    assert_true(stats_of(key).arena_peak < 12 << 20);
    assert_status(ks_key_purge(key), KS_OK);
    assert_true(stats_of(key).in_flight * 1536 <= BOUND);
    worker_end(&worker);
    key_end(key);
}

/* One thread allocates in the last of 64 keys only: what comes home to the others is drained all the same. */
static ks_key_t keys[64];
static void *of_keys[64][200];

static void free_of_keys(void *argument)
{
    (void)argument;
    for (size_t k = 0; k < COUNT(keys); k++)
        for (size_t i = 0; i < COUNT(of_keys[k]); i++)
            assert_status(ks_free(keys[k], of_keys[k][i]), KS_OK);
    ks_flush();
}

static void a_thread_with_64_keys_drains_them_all(void **state)
{
    (void)state;
    struct worker worker;
    worker_start(&worker);
    for (size_t k = 0; k < COUNT(keys); k++) {
        keys[k] = key_new();
        for (size_t i = 0; i < COUNT(of_keys[k]); i++)
            of_keys[k][i] = alloc_ok(keys[k], 1500);
    }
    worker_do(&worker, free_of_keys, NULL);
    key = keys[63];
    for (int round = 0; round < 200; round++) {
        allocate(NULL);
        deallocate(NULL);
    }
    for (size_t k = 0; k < COUNT(keys) - 1; k++) {
        struct ks_key_stats stats = stats_of(keys[k]);
        assert_int_equal(stats.in_flight, 0);
        assert_int_equal(stats.arena_bytes, 0);
    }
    for (size_t k = 0; k < COUNT(keys); k++)
        key_end(keys[k]);
    worker_end(&worker);
}

/* Destructors of thread-specific data that run after the library's own hook still allocate and free. */
static pthread_key_t specific;

static void allocate_at_exit(void *argument)
{
    ks_key_t k = (ks_key_t)argument;
    for (int i = 0; i < 100; i++) {
        void *block = alloc_ok(k, 100);
        assert_status(ks_free(k, blocks[i]), KS_OK);
        blocks[i] = block;
    }
    ks_status status;
    assert_non_null(ks_alloc(k, 100000, &status));
}

static void *set_specific(void *argument)
{
    void *block = alloc_ok(key, 100);
    assert_int_equal(pthread_setspecific(specific, argument), 0);
    assert_status(ks_free(key, block), KS_OK);
    return NULL;
}

static void destructors_that_still_allocate(void **state)
{
    (void)state;
    if (JEMALLOC_SHARED && backend() == KS_BACKEND_JEMALLOC)
        skip(); /* the program's jemalloc refuses slabs to a thread whose data it has destroyed: docs/jemalloc.md */
    key = key_new(); /* the library's hook exists before, and so runs before, the next */
    assert_int_equal(pthread_key_create(&specific, allocate_at_exit), 0);
    for (int i = 0; i < 100; i++)
        blocks[i] = alloc_ok(key, 100);
    for (int round = 0; round < 50; round++) {
        in_thread(set_specific, (void *)key);
        assert_int_equal(stats_of(key).live, 100 + round + 1);
        assert_int_equal(stats_of(key).heaps, 2);
    }
    assert_stats_balance(key);
    pthread_key_delete(specific);
    key_end(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_free_from_another_thread_goes_home),
        cmocka_unit_test(bulk_frees_go_home_too),
        cmocka_unit_test(realloc_moves_another_threads_block),
        cmocka_unit_test(threads_come_and_go),
        cmocka_unit_test(remote_frees_to_an_ended_thread_are_kept),
        cmocka_unit_test(a_double_free_in_flight_is_found_at_home),
        cmocka_unit_test(the_owner_frees_while_remote_frees_are_pending),
        cmocka_unit_test(a_block_is_freed_again_before_it_is_sent),
        cmocka_unit_test(blocks_on_their_way_are_dropped_by_a_reset),
        cmocka_unit_test(the_memory_of_a_sleeper_can_be_purged),
        cmocka_unit_test(destroy_takes_the_memory_of_sleepers),
        cmocka_unit_test(destroyed_keys_leave_nothing_behind),
        cmocka_unit_test(a_thread_that_only_frees),
        cmocka_unit_test(a_thread_with_64_keys_drains_them_all),
        cmocka_unit_test(destructors_that_still_allocate),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
