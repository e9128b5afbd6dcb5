/* Arenas of NUMA nodes, on a machine that may have one: the tests say which node a thread is on. Needs a build with -Dcheck=true. */
#include "base/testing.h"
#include "pages.h"

#include <limits.h>
#include <stdlib.h>

enum { BLOCKS = 256, MOST = 200, BLOCK = 65536, SLAB = 256 << 10 };

static ks_key_t key;

/* One thread's blocks, and where it is. */
struct place {
    int node;
    char *blocks[BLOCKS];
};

static void key_start(enum ks_arena arena, enum ks_huge_pages huge)
{
    assert_status(ks_key_create(&(struct ks_key_options){.arena = arena, .huge = huge}, &key), KS_OK);
}

static void take(void *argument)
{
    struct place *place = argument;
    ks_node_set(place->node);
    for (size_t i = 0; i < BLOCKS; i++)
        memset(place->blocks[i] = alloc_ok(key, BLOCK), 1, BLOCK);
}

static void give(void *argument)
{
    struct place *place = argument;
    ks_node_set(place->node);
    for (size_t i = 0; i < BLOCKS; i++)
        assert_status(ks_free(key, place->blocks[i]), KS_OK);
}

/* The slabs go to their arenas. */
static void purge(void)
{
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(stats_of(key).arena_bytes, 0);
}

static uintptr_t slab_of(const char *block)
{
    return (uintptr_t)block / SLAB;
}

/* Blocks of `one` in slabs that `other` has, or had, too. */
static size_t shared_by(const struct place *one, const struct place *other)
{
    size_t count = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t j = 0;
        while (j < BLOCKS && slab_of(one->blocks[i]) != slab_of(other->blocks[j]))
            j++;
        count += j < BLOCKS;
    }
    return count;
}

/*
 * How many blocks of a thread lie in what one on another node has had and given back: none, or, where the two have one arena, most, but for
 * what that has from earlier keys.
 */
static size_t handed_over(int from, int to)
{
    struct worker worker;
    static struct place first, second;
    first.node = from;
    second.node = to;
    worker_start(&worker);
    take(&first);
    give(&first);
    purge();
    worker_do(&worker, take, &second);
    worker_do(&worker, give, &second);
    purge();
    worker_end(&worker);
    return shared_by(&second, &first);
}

static void a_slab_stays_on_its_node(void **state)
{
    (void)state;
    for (enum ks_huge_pages huge = KS_HUGE_PAGES_OFF; huge <= KS_HUGE_PAGES_ON; huge++) {
        key_start(KS_ARENA_NODE, huge);
        assert_int_equal(handed_over(0, 1), 0);
        assert_int_equal(handed_over(1, 0), 0);
        assert_int_equal(handed_over(7, 63), 0);
        assert_in_range(handed_over(1, 1), MOST, BLOCKS);
        key_end(key);
        /* Where nodes do not count, it does not. */
        key_start(KS_ARENA_SHARED, huge);
        assert_in_range(handed_over(0, 1), MOST, BLOCKS);
        key_end(key);
    }
}

/* Each takes what it has given back. */
static void a_thread_gets_its_nodes_slabs_again(void **state)
{
    (void)state;
    static struct place before[3], after[3];
    key_start(KS_ARENA_NODE, KS_HUGE_PAGES_OFF);
    for (int i = 0; i < 3; i++) {
        before[i].node = after[i].node = 10 + i;
        take(&before[i]);
    }
    for (int i = 0; i < 3; i++)
        give(&before[i]);
    purge();
    for (int i = 3; i-- > 0;)
        take(&after[i]);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            assert_in_range(shared_by(&after[i], &before[j]), i == j ? MOST : 0, i == j ? BLOCKS : 0);
    key_end(key);
}

/* There are arenas for 64. */
static void any_number_is_a_node(void **state)
{
    (void)state;
    key_start(KS_ARENA_NODE, KS_HUGE_PAGES_OFF);
    assert_in_range(handed_over(5, 5 + 64), MOST, BLOCKS);
    assert_int_equal(handed_over(5, 6 + 64), 0);
    assert_in_range(handed_over(INT_MAX, 63), MOST, BLOCKS);
    assert_in_range(handed_over(KS_NODE_OF_SYSTEM, KS_NODE_OF_SYSTEM), MOST, BLOCKS);
    key_end(key);
}

static size_t resident_blocks(const struct place *place)
{
    size_t bytes = 0;
    for (size_t i = 0; i < BLOCKS; i++)
        bytes += resident_of(place->blocks[i], BLOCK);
    return bytes;
}

static void purge_and_destroy_reach_every_node(void **state)
{
    (void)state;
    enum { NODES = 4 };
    static struct place places[NODES];
    for (enum ks_huge_pages huge = KS_HUGE_PAGES_OFF; huge <= KS_HUGE_PAGES_ON; huge++) {
        for (int destroyed = 0; destroyed < 2; destroyed++) {
            key_start(KS_ARENA_NODE, huge);
            for (int i = 0; i < NODES; i++) {
                places[i].node = i * 21;
                take(&places[i]);
                assert_int_equal(resident_blocks(&places[i]), BLOCKS * BLOCK);
            }
            if (!destroyed) {
                for (int i = 0; i < NODES; i++)
                    give(&places[i]);
                purge();
            } else {
                key_end(key);
            }
            for (int i = 0; i < NODES; i++)
                assert_int_equal(resident_blocks(&places[i]), 0);
            if (!destroyed)
                key_end(key);
        }
    }
}

#if CONFIG_FILES

static void decay_set(const char *decay)
{
    char path[] = "/tmp/keyslab-nodes-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_true(dprintf(file, "[defaults]\ndecay = %s\n", decay) > 0);
    close(file);
    assert_status(ks_config_load(path, NULL, NULL), KS_OK);
    unlink(path);
}

/* Of 6 MiB that have been freed on a node. */
static size_t left_on(int node)
{
    ks_node_set(node);
    char *block = alloc_ok(key, 6 << 20);
    memset(block, 1, 6 << 20);
    assert_status(ks_free(key, block), KS_OK);
    return resident_of(block, 6 << 20);
}

/* Of arenas that there are, and of those that are made later. */
static void the_shared_decay_is_every_nodes(void **state)
{
    (void)state;
    key_start(KS_ARENA_NODE, KS_HUGE_PAGES_OFF);
    for (int node = 30; node < 40; node += 2) {
        decay_set("0");
        assert_int_equal(left_on(node), 0);
        decay_set("never");
        assert_int_equal(left_on(node), 6 << 20);
        assert_int_equal(left_on(node + 1), 6 << 20);
        decay_set("0");
        assert_int_equal(left_on(node + 1), 0);
    }
    assert_status(ks_config_load(NULL, NULL, NULL), KS_OK);
    key_end(key);
}

#endif

/*
 * Where the system does not say which node it is, it is the first. What has just been freed comes again, where nothing else in the arena is
 * resident, and it is so short that it stays so.
 */
static void an_unknown_node_is_the_first(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20 };
    key_start(KS_ARENA_NODE, KS_HUGE_PAGES_OFF);
    purge();
    ks_node_set(0);
    char *first = alloc_ok(key, BYTES);
    assert_status(ks_free(key, first), KS_OK);
    ks_node_set(3);
    char *third = alloc_ok(key, BYTES);
    assert_ptr_not_equal(first, third);
    assert_status(ks_free(key, third), KS_OK);
    ks_fault_after(1);
    char *unknown = alloc_ok(key, BYTES);
    assert_int_equal(ks_fault_left(), 0);
    assert_ptr_equal(unknown, first);
    key_end(key);
}

/* One call to the outside fails, in turn each that a first block needs; one of them is the advice, and that one is no failure. */
static void a_refused_advice_is_no_failure(void **state)
{
    (void)state;
    size_t unadvised = 0;
    bool failed = true;
    for (long calls = 1; failed; calls++) {
        ks_status status;
        key_start(KS_ARENA_KEY, KS_HUGE_PAGES_ON);
        ks_fault_after(calls);
        /* More than has been drawn for other tests and for the last round, which the arena may still have, and begin the block with. */
        size_t size = (size_t)(16 << 20) << calls;
        char *block = ks_alloc(key, size, &status);
        failed = !ks_fault_left();
        ks_fault_after(0);
        assert_status(status, block ? KS_OK : KS_NO_MEMORY);
        if (block) {
            memset(block, 1, 4 << 20);
            unadvised += !is_advised(block + size - 1);
        }
        key_end(key);
    }
    /* One call of each round; in the next round it is a later one if one of the range's tables has come to a new page. */
    assert_in_range(unadvised, 1, 2);
}

/* Threads on four nodes free each other's blocks, while nodes change and somebody purges. */
enum { THREADS = 4, ROUNDS = 200, PASSED = 64 };

static void *passed[PASSED];

static void *pass(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    for (int round = 0; round < ROUNDS; round++) {
        ks_node_set((int)(seed + (unsigned)round / 20) % 4);
        for (int i = 0; i < PASSED; i++) {
            size_t size = (size_t)rand_r(&seed) % 8 ? 4000 : 300000;
            void *block = alloc_ok(key, size);
            memset(block, 1, 4000);
            block = __atomic_exchange_n(&passed[rand_r(&seed) % PASSED], block, __ATOMIC_ACQ_REL);
            assert_status(ks_free(key, block), KS_OK);
        }
        if (round % 50 == 49)
            assert_status(ks_key_purge(key), KS_OK);
    }
    return NULL;
}

static void threads_on_many_nodes_meet(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (enum ks_huge_pages huge = KS_HUGE_PAGES_OFF; huge <= KS_HUGE_PAGES_ON; huge++) {
        key_start(KS_ARENA_NODE, huge);
        for (size_t i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, pass, (void *)(i + 1)), 0);
        for (size_t i = 0; i < THREADS; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (size_t i = 0; i < PASSED; i++) {
            assert_status(ks_free(key, passed[i]), KS_OK);
            passed[i] = NULL;
        }
        assert_stats_balance(key);
        ks_flush();
        purge();
        key_end(key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slab_stays_on_its_node),
        cmocka_unit_test(a_thread_gets_its_nodes_slabs_again),
        cmocka_unit_test(any_number_is_a_node),
        cmocka_unit_test(purge_and_destroy_reach_every_node),
#if CONFIG_FILES
        cmocka_unit_test(the_shared_decay_is_every_nodes),
#endif
        cmocka_unit_test(an_unknown_node_is_the_first),
        cmocka_unit_test(a_refused_advice_is_no_failure),
        cmocka_unit_test(threads_on_many_nodes_meet),
    };
    return cmocka_run_group_tests_name("nodes", tests, NULL, NULL);
}
