/* Threads by the ten thousand: each leaves live blocks and an unsent batch behind, and memory stays as it is. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { THREADS = 5000, SETTLED = 1000, STACK = 1 << 20, SANITIZED = 1 };
#else
enum { THREADS = 100000, SETTLED = 10000, STACK = 64 << 10, SANITIZED = 0 };
#endif

enum { AT_ONCE = 8, KEYS = 2, LEFT = 16 };

static ks_key_t keys[KEYS];
static void *left[AT_ONCE][KEYS][LEFT]; /* live blocks that a thread leaves to one of the next group */

/* Not known where a sanitizer keeps memory of its own for every thread that there was. */
static uint64_t resident_settled(void)
{
    return SANITIZED ? 0 : resident_bytes();
}

/* Frees what another thread has left, and leaves as much. What it frees of others is sent at its end only. */
static void *live_shortly(void *argument)
{
    void *(*place)[LEFT] = argument;
    for (size_t k = 0; k < KEYS; k++)
        for (size_t i = 0; i < LEFT; i++) {
            void *own = alloc_ok(keys[k], 1 + i * 97);
            assert_status(ks_free(keys[k], place[k][i]), KS_OK);
            place[k][i] = alloc_ok(keys[k], 1 + i * 97);
            assert_status(ks_free(keys[k], own), KS_OK);
        }
    return NULL;
}

/* Each place goes to another position of the next group, so that no thread takes over the heap of its blocks for sure. */
static void group_live(unsigned round)
{
    pthread_t threads[AT_ONCE];
    pthread_attr_t small; /* most of a short life is the system's work for the stack */
    assert_int_equal(pthread_attr_init(&small), 0);
    assert_int_equal(pthread_attr_setstacksize(&small, STACK), 0);
    for (unsigned i = 0; i < AT_ONCE; i++)
        assert_int_equal(pthread_create(&threads[i], &small, live_shortly, left[(i * 3 + round) % AT_ONCE]), 0);
    for (unsigned i = 0; i < AT_ONCE; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    pthread_attr_destroy(&small);
}

static void assert_settled(void)
{
    for (size_t k = 0; k < KEYS; k++) {
        struct ks_key_stats stats = stats_of(keys[k]);
        assert_true(stats.heaps <= AT_ONCE + 1);
        assert_int_equal(stats.live, AT_ONCE * LEFT);
        assert_stats_balance(keys[k]);
        assert_key_whole(keys[k]);
    }
}

static void short_lives_leave_memory_as_it_is(void **state)
{
    (void)state;
    for (size_t k = 0; k < KEYS; k++)
        keys[k] = key_new();
    uint64_t resident = 0;
    unsigned rounds = THREADS / AT_ONCE;
    for (unsigned round = 0; round < rounds; round++) {
        group_live(round);
        if (round == SETTLED / AT_ONCE) {
            assert_settled();
            resident = resident_settled();
        }
    }
    assert_settled();
    /* Room for a few slabs of classes that met their worst case late; a leak of 64 bytes a thread would be 5 MiB. */
    assert_true(resident_settled() <= resident + (4 << 20));
    for (size_t k = 0; k < KEYS; k++) {
        /* A slab for each size in each heap, whenever so many threads happened to be there at once. */
        assert_true(stats_of(keys[k]).arena_peak <= (AT_ONCE + 1) * LEFT * (256ul << 10));
        assert_int_equal(stats_of(keys[k]).allocated, (uint64_t)rounds * AT_ONCE * LEFT * 2);
        assert_status(ks_key_reset(keys[k]), KS_OK);
        assert_status(ks_key_purge(keys[k]), KS_OK);
        assert_int_equal(stats_of(keys[k]).arena_bytes, 0);
        key_end(keys[k]);
    }
}

/* ------------------------------------------------------------------ taking over */

enum { RETURNED = 300, SIZE = 1000 };

static void *blocks[RETURNED];

static void *allocate_and_end(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < RETURNED; i++)
        blocks[i] = alloc_ok(keys[0], SIZE);
    return NULL;
}

/* The heap's free blocks first, then what came home: before any slab is asked for more. */
static void *allocate_until_home(void *argument)
{
    unsigned *count = argument;
    while (stats_of(keys[0]).in_flight && *count < 4 * RETURNED) {
        alloc_ok(keys[0], SIZE);
        ++*count;
    }
    return NULL;
}

static void returns_to_a_dead_thread_reach_its_successor(void **state)
{
    (void)state;
    keys[0] = key_new();
    alloc_ok(keys[0], 1); /* this thread has a heap of its own, and takes over none */
    in_thread(allocate_and_end, NULL);
    for (size_t i = 0; i < RETURNED; i++)
        assert_status(ks_free(keys[0], blocks[i]), KS_OK);
    ks_flush();
    struct ks_key_stats stats = stats_of(keys[0]);
    assert_int_equal(stats.in_flight, RETURNED);
    assert_int_equal(stats.heaps, 2);
    unsigned count = 0;
    in_thread(allocate_until_home, &count);
    stats = stats_of(keys[0]);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.heaps, 2);
    assert_int_equal(stats.live, count + 1);
    assert_stats_balance(keys[0]);
    assert_status(ks_key_reset(keys[0]), KS_OK);
    assert_status(ks_key_purge(keys[0]), KS_OK);
    assert_int_equal(stats_of(keys[0]).arena_bytes, 0);
    key_end(keys[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_lives_leave_memory_as_it_is),
        cmocka_unit_test(returns_to_a_dead_thread_reach_its_successor),
    };
    return cmocka_run_group_tests_name("lifetime", tests, NULL, NULL);
}
