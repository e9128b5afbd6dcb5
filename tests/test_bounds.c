/* What is bounded while threads work: what they hold for each other, a key's quota, reports of refused blocks. */
#include "test.h"

#include <stdatomic.h>
#include <stdlib.h>

static ks_key_t key;

/* ------------------------------------------------------------------ blocks on their way
 *
 * A batch: blocks that one thread allocates and another frees, without any flush.
 */
struct batch {
    ks_key_t key;
    size_t size;
    size_t count;
    void **blocks;
};

static void allocate(void *argument)
{
    struct batch *batch = argument;
    for (size_t i = 0; i < batch->count; i++)
        batch->blocks[i] = alloc_ok(batch->key, batch->size);
}

static void deallocate(void *argument)
{
    struct batch *batch = argument;
    for (size_t i = 0; i < batch->count; i++)
        assert_status(ks_free(batch->key, batch->blocks[i]), KS_OK);
}

/* Allocates as many, and frees them: more than a thread's free blocks of a class, so that it looks for returns. */
static void work(void *argument)
{
    struct batch *batch = argument;
    for (size_t i = 0; i < batch->count; i++)
        batch->blocks[i] = alloc_ok(batch->key, batch->size);
    deallocate(argument);
}

static uint64_t in_flight(ks_key_t of, size_t size)
{
    struct ks_key_stats stats = stats_of(of);
    for (uint32_t i = 0; i < stats.class_count; i++)
        if (stats.classes[i].size == ks_good_size(size))
            return stats.classes[i].in_flight;
    fail_msg("no class of %zu bytes", size);
    return 0;
}

/*
 * One block of a first owner, then 100,000 of a second: the first must not wait for its batch to fill, or for the
 * thread to allocate.
 */
static void a_block_is_not_left_behind_by_a_thread_that_only_frees(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    static void *many[MANY];
    static void *space[300];
    void *one;
    key = key_new();
    struct worker first, second;
    worker_start(&first);
    worker_start(&second);
    worker_do(&first, allocate, &(struct batch){key, 2000, 1, &one});
    worker_do(&second, allocate, &(struct batch){key, 64, MANY, many});
    deallocate(&(struct batch){key, 2000, 1, &one});
    deallocate(&(struct batch){key, 64, MANY, many});
    worker_do(&first, work, &(struct batch){key, 2000, COUNT(space), space});
    uint64_t left = in_flight(key, 2000);
    worker_end(&first);
    worker_end(&second);
    assert_int_equal(left, 0);
    key_end(key);
}

static void pair_after_pair(void *argument)
{
    ks_key_t of = *(ks_key_t *)argument;
    for (int i = 0; i < 200000; i++)
        assert_status(ks_free(of, alloc_ok(of, 1500)), KS_OK);
}

/* Its pairs never leave their group, and yet what comes home to its 63 other keys is taken in. */
static void a_thread_with_one_busy_key_takes_in_what_comes_home_to_63_others(void **state)
{
    (void)state;
    enum { KEYS = 64, EACH = 200 };
    static ks_key_t keys[KEYS];
    static void *blocks[KEYS][EACH];
    struct worker owner;
    worker_start(&owner);
    for (size_t k = 0; k < KEYS; k++) {
        keys[k] = key_new();
        worker_do(&owner, allocate, &(struct batch){keys[k], 1500, EACH, blocks[k]});
    }
    for (size_t k = 0; k < KEYS - 1; k++)
        deallocate(&(struct batch){keys[k], 1500, EACH, blocks[k]});
    ks_flush();
    worker_do(&owner, pair_after_pair, &keys[KEYS - 1]);
    uint64_t left = 0;
    for (size_t k = 0; k < KEYS - 1; k++)
        left += stats_of(keys[k]).in_flight;
    worker_end(&owner);
    assert_int_equal(left, 0);
    for (size_t k = 0; k < KEYS; k++)
        key_end(keys[k]);
}

/* Twenty classes of one owner, each just short of a batch. The owner takes in what was sent; the rest is still held. */
static void what_a_thread_holds_for_another_is_bounded_over_all_classes(void **state)
{
    (void)state;
    enum { BOUND = 16 << 10, MOST = 60 };
    static const size_t sizes[] = {16,  32,  48,  64,  80,   96,   112,  144,  176,  224,
                                   288, 384, 496, 640, 1088, 1280, 1536, 2048, 4096, 7040};
    static void *blocks[COUNT(sizes)][MOST];
    static void *space[400];
    assert_status(ks_key_create(&(struct ks_key_options){.outbox_bytes = BOUND}, &key), KS_OK);
    struct worker owner;
    worker_start(&owner);
    for (size_t i = 0; i < COUNT(sizes); i++)
        worker_do(&owner, allocate, &(struct batch){key, sizes[i], MOST, blocks[i]});
    for (size_t i = 0; i < COUNT(sizes); i++) {
        size_t batch = BOUND / sizes[i] < MOST ? BOUND / sizes[i] : MOST;
        deallocate(&(struct batch){key, sizes[i], batch - 1, blocks[i]});
    }
    for (size_t i = 0; i < COUNT(sizes); i++)
        worker_do(&owner, work, &(struct batch){key, sizes[i], COUNT(space), space});
    uint64_t held = 0;
    for (size_t i = 0; i < COUNT(sizes); i++)
        held += in_flight(key, sizes[i]) * sizes[i];
    worker_end(&owner);
    if (held > BOUND)
        fail_msg("%zu bytes are held for one thread", (size_t)held);
    key_end(key);
}

/* ------------------------------------------------------------------ quota */

enum { THREADS = 8, QUOTA = 16 << 20, FRAME = 1500, FRAMES = QUOTA / FRAME, ROUNDS = 20 };

struct consumer {
    pthread_t thread;
    struct consumer *next;
    uint64_t refused;
    size_t count;
    void *blocks[FRAMES];
};

static struct consumer consumers[THREADS];
static pthread_barrier_t barrier;
static atomic_uint ended;

/* Whether this thread is the one that does something for all, while the others wait. */
static bool meet(void)
{
    return pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
}

static void take(struct consumer *consumer, size_t size)
{
    consumer->blocks[consumer->count++] = alloc_ok(key, size);
}

/* Each has a first block before any takes the rest; then all of it is taken, and each is refused once more. */
static void consume(struct consumer *consumer)
{
    take(consumer, FRAME);
    meet();
    ks_status status = KS_OK;
    for (void *block; (block = ks_alloc(key, FRAME, &status));)
        consumer->blocks[consumer->count++] = block;
    assert_status(status, KS_QUOTA);
    meet();
    assert_null(ks_alloc(key, QUOTA + 1, &status));
    assert_status(status, KS_QUOTA);
    consumer->refused += 2;
    meet();
}

static void give(struct consumer *consumer)
{
    while (consumer->count)
        assert_status(ks_free(key, consumer->blocks[--consumer->count]), KS_OK);
}

static void drop(struct consumer *consumer, bool purge)
{
    consumer->count = 0;
    if (meet()) {
        assert_status(ks_key_reset(key), KS_OK);
        if (purge)
            assert_status(ks_key_purge(key), KS_OK);
    }
    meet();
}

/* There is room again after frees, one's own and others', after a reset, and, whatever the class, after a purge. */
static void *live_under_a_quota(void *argument)
{
    struct consumer *consumer = argument;
    for (int round = 0; round < ROUNDS; round++) {
        consume(consumer);
        give(consumer);
        consume(consumer);
        give(consumer->next);
        meet();
        take(consumer, FRAME);
        drop(consumer, false);
        consume(consumer);
        drop(consumer, false);
        consume(consumer);
        drop(consumer, true);
        take(consumer, 60000);
        drop(consumer, true);
    }
    atomic_fetch_add(&ended, 1);
    return NULL;
}

static void a_quota_holds_for_all_threads_together(void **state)
{
    (void)state;
    assert_status(ks_key_create(&(struct ks_key_options){.quota = QUOTA}, &key), KS_OK);
    ks_key_t unlimited = key_new();
    assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
    atomic_store(&ended, 0);
    for (size_t i = 0; i < THREADS; i++) {
        consumers[i].next = &consumers[(i + 1) % THREADS];
        assert_int_equal(pthread_create(&consumers[i].thread, NULL, live_under_a_quota, &consumers[i]), 0);
    }
    while (atomic_load(&ended) < THREADS) {
        assert_status(ks_free(unlimited, alloc_ok(unlimited, QUOTA + 1)), KS_OK);
        assert_true(stats_of(key).arena_peak <= QUOTA);
    }
    uint64_t refused = 0;
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(consumers[i].thread, NULL), 0);
        refused += consumers[i].refused;
    }
    struct ks_key_stats stats = stats_of(key);
    assert_int_equal(stats.refused_quota, refused);
    assert_int_equal(stats.refused_memory, 0);
    assert_int_equal(stats.arena_peak, QUOTA);
    assert_int_equal(stats.live, 0);
    assert_stats_balance(key);
    assert_int_equal(stats_of(unlimited).refused_quota, 0);
    pthread_barrier_destroy(&barrier);
    key_end(key);
    key_end(unlimited);
}

static void *ask_for_too_much(void *argument)
{
    atomic_bool *done = argument;
    ks_status status;
    while (!atomic_load(done)) {
        assert_null(ks_alloc(key, QUOTA + 1, &status));
        assert_status(status, KS_QUOTA);
    }
    return NULL;
}

/* A request that is refused takes no room from one that fits, and shows in no number. */
static void a_request_beyond_the_quota_is_in_nobodys_way(void **state)
{
    (void)state;
    assert_status(ks_key_create(&(struct ks_key_options){.quota = QUOTA}, &key), KS_OK);
    atomic_bool done = false;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask_for_too_much, &done), 0);
    unsigned refused = 0;
    unsigned seen = 0;
    for (int i = 0; i < 50000; i++) {
        void *block = ks_alloc(key, 100000, NULL);
        refused += block == NULL;
        assert_status(ks_free(key, block), KS_OK);
        seen += stats_of(key).arena_bytes > QUOTA;
    }
    atomic_store(&done, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (refused || seen)
        fail_msg("%u requests that fit were refused; %u times more than the quota was in use", refused, seen);
    key_end(key);
}

/* ------------------------------------------------------------------ reports */

enum { SHARED = 4000, FREERS = 4, FREES = 10 };

static char *shared[SHARED];
static atomic_uint accepted[SHARED], refused_directly[SHARED];
static atomic_uint heard_directly[SHARED], heard_at_home[SHARED];

static int by_address(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;
    return (*left > *right) - (*left < *right);
}

static void hear(void *context, const struct ks_error *error)
{
    assert_ptr_equal(context, shared);
    assert_int_equal(error->status, KS_DOUBLE_FREE);
    assert_int_equal(error->class_size, 64);
    char **found = bsearch(&error->block, shared, SHARED, sizeof *shared, by_address);
    assert_non_null(found);
    atomic_fetch_add(&(error->at_home ? heard_at_home : heard_directly)[found - shared], 1);
}

/* Blocks at random, in an order of the thread's own. */
static void *free_at_random(void *argument)
{
    unsigned seed = *(unsigned *)argument;
    for (unsigned i = 0; i < SHARED * FREES; i++) {
        unsigned index = (unsigned)(rand_r(&seed) % SHARED);
        ks_status status = ks_free(key, shared[index]);
        if (status == KS_OK)
            atomic_fetch_add(&accepted[index], 1);
        else if (status == KS_DOUBLE_FREE)
            atomic_fetch_add(&refused_directly[index], 1);
        else
            fail_msg("%s", ks_strerror(status));
    }
    atomic_fetch_add(&ended, 1);
    return NULL;
}

static void assert_heard_exactly(void)
{
    uint64_t directly = 0;
    uint64_t at_home = 0;
    for (size_t i = 0; i < SHARED; i++) {
        assert_int_equal(heard_directly[i], refused_directly[i]);
        /* One of the frees that were accepted counts, where there was any. */
        assert_int_equal(heard_at_home[i], accepted[i] ? accepted[i] - 1 : 0);
        directly += heard_directly[i];
        at_home += heard_at_home[i];
    }
    struct ks_key_stats stats = stats_of(key);
    assert_int_equal(stats.refused_at_home, at_home);
    assert_int_equal(stats.double_free, directly + at_home);
    assert_int_equal(directly + at_home + stats.freed_remote, (uint64_t)SHARED * FREES * FREERS);
    assert_true(at_home > 0);
}

/* While the owner takes them home at any time. */
static void each_of_many_double_frees_is_heard_of_once(void **state)
{
    (void)state;
    struct ks_key_options options = {.on_error = hear, .on_error_context = shared};
    assert_status(ks_key_create(&options, &key), KS_OK);
    for (size_t i = 0; i < SHARED; i++)
        shared[i] = alloc_ok(key, 64);
    qsort(shared, SHARED, sizeof *shared, by_address);
    atomic_store(&ended, 0);
    pthread_t threads[FREERS];
    unsigned seeds[FREERS] = {11, 22, 33, 44};
    for (size_t i = 0; i < FREERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, free_at_random, &seeds[i]), 0);
    while (atomic_load(&ended) < FREERS)
        assert_status(ks_key_purge(key), KS_OK);
    for (size_t i = 0; i < FREERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_status(ks_key_purge(key), KS_OK);
    assert_heard_exactly();
    assert_stats_balance(key);
    key_end(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_not_left_behind_by_a_thread_that_only_frees),
        cmocka_unit_test(a_thread_with_one_busy_key_takes_in_what_comes_home_to_63_others),
        cmocka_unit_test(what_a_thread_holds_for_another_is_bounded_over_all_classes),
        cmocka_unit_test(a_quota_holds_for_all_threads_together),
        cmocka_unit_test(a_request_beyond_the_quota_is_in_nobodys_way),
        cmocka_unit_test(each_of_many_double_frees_is_heard_of_once),
    };
    return cmocka_run_group_tests_name("bounds", tests, NULL, NULL);
}
