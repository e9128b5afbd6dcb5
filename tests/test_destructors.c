/*
 * Destructors that call the library: of thread-specific data made before the library's own hook and after it, of
 * thread-local C++ objects, once or in every round that there is, in threads that have called before and in threads
 * whose first call that is.
 */
#include "test.h"

#include <limits.h>

extern int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *dso);
extern void *__dso_handle;

#if defined(__SANITIZE_THREAD__)
enum { ROUNDS = PTHREAD_DESTRUCTOR_ITERATIONS - 1 }; /* in the last round the sanitizer has left the thread */
#else
enum { ROUNDS = PTHREAD_DESTRUCTOR_ITERATIONS };
#endif

enum { BLOCKS = 40, SIZE = 1500 };

static ks_key_t key;
static void *foreign[BLOCKS]; /* of this thread, for destructors to free */
static uint64_t live;         /* blocks that must be left */
static unsigned calls;        /* of destructors in this life */

/* ------------------------------------------------------------------ what destructors do */

static void do_nothing(void)
{
}

static void allocate_some(void)
{
    for (size_t i = 0; i < BLOCKS; i++)
        memset(alloc_ok(key, SIZE), 1, SIZE);
    alloc_ok(key, 100000);
    live += BLOCKS + 1;
}

static void free_own(void)
{
    void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = alloc_ok(key, i * 100);
    for (size_t i = 0; i < BLOCKS; i++)
        assert_status(ks_free(key, blocks[i]), KS_OK);
    assert_status(ks_free(key, blocks[0]), KS_DOUBLE_FREE);
}

/* Those of the main thread: they stay in a batch that nobody flushes. */
static void free_foreign(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        assert_status(ks_free(key, foreign[i]), KS_OK);
        foreign[i] = NULL;
        live--;
    }
}

static void free_foreign_and_flush(void)
{
    free_foreign();
    ks_flush();
}

static void resize(void)
{
    ks_status status;
    void *block = alloc_ok(key, 10);
    for (size_t size = 20; size < 300000; size *= 3) {
        block = ks_realloc(key, block, size, &status);
        assert_status(status, KS_OK);
        assert_true(ks_size(key, block) >= size);
    }
    foreign[0] = ks_realloc(key, foreign[0], 5000, &status);
    assert_status(status, KS_OK);
    assert_status(ks_free(key, block), KS_OK);
}

static void use_bulk(void)
{
    void *blocks[BLOCKS];
    ks_status status;
    assert_int_equal(ks_alloc_bulk(key, SIZE, blocks, BLOCKS, &status), BLOCKS);
    assert_int_equal(ks_free_bulk(key, blocks, BLOCKS, &status), BLOCKS);
    assert_int_equal(ks_free_bulk(key, foreign, BLOCKS, &status), BLOCKS);
    assert_status(status, KS_OK);
    memset(foreign, 0, sizeof foreign);
    live -= BLOCKS;
}

static void reset_the_key(void)
{
    allocate_some();
    assert_status(ks_key_reset(key), KS_OK);
    memset(foreign, 0, sizeof foreign);
    live = 0;
    allocate_some();
}

static void purge_the_key(void)
{
    allocate_some();
    assert_status(ks_key_purge(key), KS_OK);
}

static void use_a_key_of_its_own(void)
{
    ks_key_t own = key_new();
    void *block = alloc_ok(own, SIZE);
    alloc_ok(own, 100000);
    assert_status(ks_free(own, block), KS_OK);
    assert_status(ks_free(key, block), KS_WRONG_KEY);
    assert_status(ks_key_destroy(own), KS_OK);
    assert_status(ks_free(own, block), KS_BAD_KEY);
}

static const struct action {
    const char *name;
    void (*run)(void);
    bool once; /* has no second time, because the foreign blocks are gone */
} actions[] = {
    {"allocate", allocate_some, false},
    {"free own", free_own, false},
    {"free foreign", free_foreign, true},
    {"free foreign, flush", free_foreign_and_flush, true},
    {"resize", resize, false},
    {"bulk", use_bulk, true},
    {"reset", reset_the_key, true},
    {"purge", purge_the_key, false},
    {"key of its own", use_a_key_of_its_own, false},
};

/* ------------------------------------------------------------------ when they do it */

static pthread_key_t early, late; /* made before and after the library's own */
static const struct action *action;

static void run_action(void)
{
    if (calls++ == 0 || !action->once)
        action->run();
}

static void at_exit(void *argument)
{
    (void)argument;
    run_action();
}

static pthread_key_t *rearmed;

static void at_exit_again(void *argument)
{
    run_action();
    if (calls < ROUNDS)
        assert_int_equal(pthread_setspecific(*rearmed, argument), 0);
}

static pthread_key_t early_again, late_again;

static void arm_early(void)
{
    assert_int_equal(pthread_setspecific(early, &early), 0);
}

static void arm_late(void)
{
    assert_int_equal(pthread_setspecific(late, &late), 0);
}

static void arm_early_again(void)
{
    rearmed = &early_again;
    assert_int_equal(pthread_setspecific(early_again, &early_again), 0);
}

static void arm_late_again(void)
{
    rearmed = &late_again;
    assert_int_equal(pthread_setspecific(late_again, &late_again), 0);
}

static void arm_cxx(void)
{
    assert_int_equal(__cxa_thread_atexit_impl(at_exit, NULL, __dso_handle), 0);
}

/* All of them in one thread. */
static void arm_all(void)
{
    arm_cxx();
    arm_early();
    arm_late();
    arm_early_again();
}

static const struct moment {
    const char *name;
    void (*arm)(void);
    unsigned calls;
} moments[] = {
    {"thread-specific data, made before the hook", arm_early, 1},
    {"thread-specific data, made after the hook", arm_late, 1},
    {"in every round, made before the hook", arm_early_again, ROUNDS},
    {"in every round, made after the hook", arm_late_again, ROUNDS},
    {"thread-local C++ object", arm_cxx, 1},
    {"all", arm_all, ROUNDS},
};

/* ------------------------------------------------------------------ a life */

struct life {
    const struct moment *moment;
    void (*before)(void); /* what the thread does before it ends */
};

static void *live_and_end(void *argument)
{
    const struct life *life = argument;
    life->before();
    life->moment->arm();
    return NULL;
}

static void *succeed(void *argument)
{
    (void)argument;
    allocate_some();
    free_own();
    return NULL;
}

static void stage_begin(void)
{
    key = key_new();
    calls = 0;
    for (size_t i = 0; i < BLOCKS; i++)
        foreign[i] = alloc_ok(key, SIZE);
    live = BLOCKS;
}

/* Nothing is lost, another thread takes the heap over, and all memory can be had back. */
static void stage_end(void)
{
    assert_int_equal(stats_of(key).live, live);
    assert_stats_balance(key);
    assert_key_whole(key);
    in_thread(succeed, NULL);
    assert_int_equal(stats_of(key).live, live);
    assert_true(stats_of(key).heaps <= 2);
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(stats_of(key).in_flight, 0);
    for (size_t i = 0; i < BLOCKS; i++)
        assert_status(ks_free(key, foreign[i]), KS_OK);
    assert_key_whole(key);
    assert_status(ks_key_reset(key), KS_OK);
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(stats_of(key).arena_bytes, 0);
    key_end(key);
}

static void live_through(void (*before)(void))
{
    if (JEMALLOC_SHARED && backend() == KS_BACKEND_JEMALLOC)
        skip(); /* the program's jemalloc refuses slabs to a thread whose data it has destroyed: docs/jemalloc.md */
    for (size_t m = 0; m < COUNT(moments); m++)
        for (size_t a = 0; a < COUNT(actions); a++) {
            action = &actions[a];
            stage_begin();
            in_thread(live_and_end, &(struct life){&moments[m], before});
            if (calls < moments[m].calls)
                fail_msg("%s, %s: called %u times", moments[m].name, action->name, calls);
            stage_end();
        }
}

static void threads_that_have_called_before(void **state)
{
    (void)state;
    live_through(free_own);
}

static void threads_whose_first_call_is_a_destructors(void **state)
{
    (void)state;
    live_through(do_nothing);
}

/* What the dead thread had of others, and others of its blocks, both after its hook and before. */
static void threads_that_leave_live_blocks(void **state)
{
    (void)state;
    live_through(allocate_some);
}

int main(void)
{
    /* The order of destructors in a round is that of the keys. */
    assert_int_equal(pthread_key_create(&early, at_exit), 0);
    assert_int_equal(pthread_key_create(&early_again, at_exit_again), 0);
    key_end(key_new());
    assert_int_equal(pthread_key_create(&late, at_exit), 0);
    assert_int_equal(pthread_key_create(&late_again, at_exit_again), 0);
    assert_true(early < late && early_again < late_again);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_that_have_called_before),
        cmocka_unit_test(threads_whose_first_call_is_a_destructors),
        cmocka_unit_test(threads_that_leave_live_blocks),
    };
    return cmocka_run_group_tests_name("destructors", tests, NULL, NULL);
}
