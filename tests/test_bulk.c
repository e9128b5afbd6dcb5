/*
 * Bursts that are freed with something bad in them: in a run of blocks of one group, at its start, in its middle and
 * at its end, of the caller's own blocks and of another thread's. All that is good is freed, and all that is bad is
 * told, once.
 */
#include "freers.h"

#include <stdlib.h>

enum { SLAB = 256 << 10, GROUP = 32, RUN = 24, BURST_MOST = 4 * GROUP, HEARD_MOST = 8 };

static ks_key_t key, other;

/* ------------------------------------------------------------------ what the hook hears */

static struct heard {
    size_t count;
    struct ks_error errors[HEARD_MOST];
} heard;

static void hear(void *context, const struct ks_error *error)
{
    assert_ptr_equal(context, &heard);
    assert_true(heard.count < HEARD_MOST);
    heard.errors[heard.count++] = *error;
}

/* ------------------------------------------------------------------ a burst */

struct burst {
    const char *what;
    size_t size;
    bool paranoid;
    bool remote; /* freed by another thread than the one that has allocated */
    bool open;   /* which has freed others of the same owner before */
    size_t run;  /* blocks of the burst, but for what is bad */
    size_t at;   /* what is bad lies before this one */
    size_t count;
    void *blocks[BURST_MOST];
    size_t freed;
    ks_status status;
    void *sooner; /* a block that was freed before */
};

static char static_memory[64];

static void burst_add(struct burst *burst, void *block)
{
    assert_true(burst->count < BURST_MOST);
    burst->blocks[burst->count++] = block;
}

static void burst_allocate(struct burst *burst)
{
    void *blocks[RUN];
    for (size_t i = 0; i < burst->run; i++)
        blocks[i] = alloc_ok(key, burst->size);
    burst->sooner = alloc_ok(key, burst->size);
    for (size_t i = 0; i < burst->run; i++)
        burst_add(burst, blocks[i]);
}

static void burst_insert(struct burst *burst, void *block)
{
    burst_add(burst, NULL);
    for (size_t i = burst->count - 1; i > burst->at; i--)
        burst->blocks[i] = burst->blocks[i - 1];
    burst->blocks[burst->at] = block;
}

static void do_free_bulk(void *argument)
{
    struct burst *burst = argument;
    burst->freed = ks_free_bulk(key, burst->blocks, burst->count, &burst->status);
}

static void burst_free(struct burst *burst)
{
    if (burst->remote)
        worker_do(&freers[0], do_free_bulk, burst);
    else
        do_free_bulk(burst);
}

static void fail_in(const struct burst *burst, const char *what)
{
    fail_msg("%s before block %zu of %zu, %zu bytes%s%s%s: %s", burst->what, burst->at, burst->run, burst->size,
             burst->remote ? ", another thread's" : "", burst->open ? ", with others held back" : "",
             burst->paranoid ? ", paranoid" : "", what);
}

/* ------------------------------------------------------------------ what is bad
 *
 * What it must be answered; and what is heard of it when it is not found out before it gets home.
 */
struct bad {
    const char *what;
    void (*insert)(struct burst *);
    ks_status status;
    bool has_class;     /* the hook is told of one */
    bool is_of_the_run; /* it is one of the run's blocks, and the run has one */
};

static void insert_next(struct burst *burst)
{
    burst_insert(burst, burst->blocks[burst->at]);
}

static void insert_first(struct burst *burst)
{
    burst_insert(burst, burst->blocks[burst->at ? 0 : 1]);
}

static void insert_last(struct burst *burst)
{
    burst_insert(burst, burst->blocks[burst->count - 1]);
}

static void insert_foreign(struct burst *burst)
{
    burst_insert(burst, static_memory);
}

static void insert_end_of_memory(struct burst *burst)
{
    burst_insert(burst, (void *)UINTPTR_MAX);
}

static void insert_interior(struct burst *burst)
{
    burst_insert(burst, (char *)burst->blocks[burst->at ? burst->at - 1 : 0] + 8);
}

static void insert_freed(struct burst *burst)
{
    assert_status(ks_free(key, burst->sooner), KS_OK);
    burst_insert(burst, burst->sooner);
}

static void insert_other_key(struct burst *burst)
{
    burst_insert(burst, alloc_ok(other, burst->size));
}

/* A block that may be handed out next, for all that the caller knows; and one of a group that has not been carved. */
static void insert_unborn(struct burst *burst)
{
    size_t bytes = ks_good_size(burst->size);
    uintptr_t slab = (uintptr_t)burst->blocks[0] & ~(uintptr_t)(SLAB - 1);
    burst_insert(burst, (void *)(slab + (SLAB - (burst->paranoid ? 4096 : 0)) / bytes * bytes - bytes));
}

static void insert_beyond(struct burst *burst)
{
    burst_insert(burst, (void *)(((uintptr_t)burst->blocks[0] | (SLAB - 1)) - 7));
}

static const struct bad bads[] = {
    {"the next one", insert_next, KS_DOUBLE_FREE, true, true},
    {"the first one", insert_first, KS_DOUBLE_FREE, true, true},
    {"the last one", insert_last, KS_DOUBLE_FREE, true, true},
    {"a foreign pointer", insert_foreign, KS_BAD_BLOCK, false, false},
    {"the last address", insert_end_of_memory, KS_BAD_BLOCK, false, false},
    {"an interior address", insert_interior, KS_BAD_BLOCK, false, false},
    {"a block that is free", insert_freed, KS_DOUBLE_FREE, true, false},
    {"a block of another key", insert_other_key, KS_WRONG_KEY, true, false},
    {"a block that was never handed out", insert_unborn, KS_STALE, true, false},
    {"an address behind the last block", insert_beyond, KS_BAD_BLOCK, false, false},
};

/* ------------------------------------------------------------------ a case */

static void keys_begin(const struct burst *burst)
{
    const struct ks_key_options options = {
        .on_error = hear,
        .on_error_context = &heard,
        .checks = burst->paranoid ? KS_CHECKS_PARANOID : KS_CHECKS_STANDARD,
        .outbox_bytes = 4 << 20,
    };
    assert_status(ks_key_create(&options, &key), KS_OK);
    other = key_new();
    heard.count = 0;
}

/* All that was good is free, at home, once. */
static void assert_freed(const struct burst *burst, uint64_t freed_before, bool sooner_is_free)
{
    for (size_t freer = 0; freer < FREERS; freer++)
        flush_in(freer);
    if (!sooner_is_free)
        assert_status(ks_free(key, burst->sooner), KS_OK);
    assert_key_whole(key);
    assert_status(ks_key_purge(key), KS_OK);
    struct ks_key_stats stats = stats_of(key);
    if (stats.live || stats.in_flight || stats.arena_bytes)
        fail_in(burst, "not all that is good was freed");
    if (stats.refused_at_home || stats.damaged)
        fail_in(burst, "something was refused when it got home");
    if (stats.freed_remote != (burst->remote ? burst->run : 0) + freed_before)
        fail_in(burst, "not as many were freed as must be");
    assert_stats_balance(key);
}

static void assert_heard(const struct burst *burst, const struct bad *bad, size_t times)
{
    struct ks_key_stats stats = stats_of(key);
    const uint64_t counts[] = {[KS_BAD_BLOCK] = stats.bad_block,
                               [KS_WRONG_KEY] = stats.wrong_key,
                               [KS_DOUBLE_FREE] = stats.double_free,
                               [KS_STALE] = stats.stale};
    for (size_t status = KS_BAD_BLOCK; status <= KS_STALE; status++)
        if (counts[status] != (status == bad->status ? times : 0))
            fail_in(burst, "refusals are not counted as they must be");
    if (heard.count != times)
        fail_in(burst, "not as many refusals were heard as must be");
    for (size_t i = 0; i < times; i++) {
        const struct ks_error *error = &heard.errors[i];
        assert_int_equal(error->status, bad->status);
        assert_ptr_equal(error->block, burst->blocks[burst->at]);
        assert_int_equal(error->class_size, bad->has_class ? ks_good_size(burst->size) : 0);
        assert_false(error->at_home);
        assert_int_equal(error->key, key);
    }
}

static void play(struct burst burst, const struct bad *bad)
{
    uint64_t freed_before = 0;
    burst.what = bad->what;
    keys_begin(&burst);
    if (burst.open) {
        assert_status(free_in(0, key, alloc_ok(key, burst.size)), KS_OK);
        freed_before = 1;
    }
    burst_allocate(&burst);
    bad->insert(&burst);
    burst_free(&burst);
    if (burst.freed != burst.run || burst.status != bad->status)
        fail_in(&burst, ks_strerror(burst.status));
    /* In another burst each of them has been freed already, or is none. */
    size_t times = 1;
    assert_heard(&burst, bad, times);
    assert_freed(&burst, freed_before, bad->insert == insert_freed);
    key_end(key);
    key_end(other);
}

static const size_t run_sizes[] = {16, 64, 200, 1500, 5000};

static void play_each(bool remote, bool open, bool paranoid)
{
    for (size_t b = 0; b < COUNT(bads); b++)
        for (size_t s = 0; s < COUNT(run_sizes); s++)
            for (size_t run = bads[b].is_of_the_run ? 2 : 1; run <= RUN; run += run < 4 ? 1 : 10)
                for (size_t at = 0; at < run; at++)
                    play((struct burst){.size = run_sizes[s],
                                        .remote = remote,
                                        .open = open,
                                        .paranoid = paranoid,
                                        .run = run,
                                        .at = at},
                         &bads[b]);
}

static void in_a_run_of_own_blocks(void **state)
{
    (void)state;
    play_each(false, false, false);
    play_each(false, false, true);
}

static void in_a_run_of_another_threads_blocks(void **state)
{
    (void)state;
    play_each(true, false, false);
    play_each(true, true, false);
    play_each(true, false, true);
}

/* ------------------------------------------------------------------ the end of a slab
 *
 * The last group of a slab may have fewer blocks than others: where the next one would begin, inside of the slab's
 * addresses, there is none.
 */
static void free_with_one_beyond(size_t size, size_t slab_bytes, bool remote, size_t at)
{
    static void *blocks[SLAB / 16];
    size_t limit = slab_bytes / size;
    size_t first = (limit - 1) / GROUP * GROUP;
    struct burst burst = {.what = "one beyond the end", .size = size, .remote = remote, .run = limit - first, .at = at};
    const struct ks_key_options options = {.slab_bytes = slab_bytes, .outbox_bytes = 4 << 20};
    assert_status(ks_key_create(&options, &key), KS_OK);
    for (size_t i = 0; i < limit; i++)
        blocks[i] = alloc_ok(key, size);
    for (size_t i = first; i < limit; i++) {
        assert_ptr_equal(blocks[i], (char *)blocks[0] + i * size);
        burst_add(&burst, blocks[i]);
    }
    void *beyond = (char *)blocks[0] + limit * size;
    burst_insert(&burst, beyond);
    burst_free(&burst);
    if (burst.freed != burst.run || burst.status != KS_BAD_BLOCK)
        fail_in(&burst, ks_strerror(burst.status));
    flush_in(0);
    owner_takes(key);
    struct ks_key_stats stats = stats_of(key);
    assert_int_equal(stats.live, first);
    assert_int_equal(stats.bad_block, 1);
    assert_int_equal(stats.double_free + stats.stale, 0);
    assert_key_whole(key);
    for (size_t i = first; i < limit; i++)
        assert_ptr_not_equal(alloc_ok(key, size), beyond);
    assert_key_whole(key);
    key_end(key);
}

static void the_end_of_a_slab(void **state)
{
    (void)state;
    static const size_t sizes[] = {48, 112, 224, 288, 1088, 1344, 1536, 3264, 5440, 9216, 21824, 43648, 65536};
    for (size_t slab_bytes = 64 << 10; slab_bytes <= SLAB; slab_bytes *= 2)
        for (size_t s = 0; s < COUNT(sizes); s++) {
            size_t limit = slab_bytes / sizes[s];
            size_t run = limit - (limit - 1) / GROUP * GROUP;
            size_t step = run > 8 ? 3 : 1;
            if (limit % GROUP == 0 || limit * sizes[s] >= SLAB)
                continue;
            for (size_t at = 0; at < run; at += step)
                for (int remote = 0; remote < 2; remote++)
                    free_with_one_beyond(sizes[s], slab_bytes, remote, at);
        }
}

/* ------------------------------------------------------------------ several groups
 *
 * Two blocks that are in the burst twice, with one of another group between: for another thread's there is nothing to
 * tell them by when they are freed, and they are refused when they get home.
 */
static void doubles_between_groups(void **state)
{
    (void)state;
    for (int remote = 0; remote < 2; remote++)
        for (size_t s = 0; s < COUNT(run_sizes); s++) {
            struct burst burst = {.what = "two in turn", .size = run_sizes[s], .remote = remote, .run = 2};
            void *run[2 * GROUP];
            keys_begin(&burst);
            for (size_t i = 0; i < COUNT(run); i++)
                run[i] = alloc_ok(key, burst.size);
            void *const twice[] = {run[3], run[3 + GROUP]};
            for (int i = 0; i < 3; i++)
                for (size_t b = 0; b < 2; b++)
                    burst_add(&burst, twice[b]);
            burst_free(&burst);
            assert_int_equal(burst.freed, remote ? 6 : 2);
            assert_status(burst.status, remote ? KS_OK : KS_DOUBLE_FREE);
            flush_in(0);
            assert_status(ks_key_purge(key), KS_OK);
            struct ks_key_stats stats = stats_of(key);
            assert_int_equal(stats.live, COUNT(run) - 2);
            assert_int_equal(stats.double_free, 4);
            assert_int_equal(stats.refused_at_home, remote ? 4 : 0);
            assert_int_equal(heard.count, 4);
            for (size_t i = 0; i < heard.count; i++) {
                assert_true(heard.errors[i].block == twice[0] || heard.errors[i].block == twice[1]);
                assert_int_equal(heard.errors[i].at_home, remote);
                assert_int_equal(heard.errors[i].class_size, ks_good_size(burst.size));
            }
            assert_stats_balance(key);
            key_end(key);
            key_end(other);
        }
}

/* Everything at once, shuffled: blocks of all groups and sizes, own and another thread's, and all that is bad. */
enum { CROWD = 2000, BAD = 400 };

struct crowd {
    void *blocks[CROWD + BAD];
    size_t count;
    size_t freed;
    ks_status status;
};

static struct crowd crowd;
static const size_t crowd_sizes[] = {16, 24, 64, 64, 64, 200, 1500, 1500, 5000, 40000};

static void crowd_allocate(void *argument)
{
    unsigned seed = *(unsigned *)argument;
    for (size_t i = 0; i < CROWD / 2; i++)
        crowd.blocks[crowd.count++] = alloc_ok(key, crowd_sizes[(size_t)rand_r(&seed) % COUNT(crowd_sizes)]);
}

static void crowd_shuffle(unsigned *seed, size_t distance)
{
    for (size_t i = 0; i + 1 < crowd.count; i++) {
        size_t j = i + 1 + (size_t)rand_r(seed) % distance;
        j = j < crowd.count ? j : crowd.count - 1;
        void *block = crowd.blocks[i];
        crowd.blocks[i] = crowd.blocks[j];
        crowd.blocks[j] = block;
    }
}

static void crowd_free(void *argument)
{
    (void)argument;
    crowd.freed = ks_free_bulk(key, crowd.blocks, crowd.count, &crowd.status);
}

static void everything_at_once(void **state)
{
    (void)state;
    enum { SEEDS = 60 };
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        unsigned random = seed;
        assert_status(ks_key_create(&(struct ks_key_options){.outbox_bytes = seed % 2 ? 4 << 20 : 0}, &key), KS_OK);
        crowd = (struct crowd){.count = 0};
        crowd_allocate(&random);
        worker_do(&freers[1], crowd_allocate, &random);
        /* Interior addresses, foreign ones and NULL: none that may be let pass. */
        for (size_t i = 0; i < BAD; i += 4) {
            size_t which = (size_t)rand_r(&random) % CROWD;
            crowd.blocks[crowd.count++] = (char *)crowd.blocks[which] + 8;
            crowd.blocks[crowd.count++] = (char *)crowd.blocks[which] + 1;
            crowd.blocks[crowd.count++] = static_memory + i % 64;
            crowd.blocks[crowd.count++] = NULL;
        }
        crowd_shuffle(&random, seed % 3 ? 20 : CROWD);
        if (seed % 4 == 0)
            crowd_free(NULL);
        else
            worker_do(&freers[seed % 2], crowd_free, NULL);
        assert_int_equal(crowd.freed, CROWD + BAD / 4);
        assert_status(crowd.status, KS_BAD_BLOCK);
        ks_flush();
        for (size_t freer = 0; freer < FREERS; freer++)
            flush_in(freer);
        assert_key_whole(key);
        assert_status(ks_key_purge(key), KS_OK);
        struct ks_key_stats stats = stats_of(key);
        assert_int_equal(stats.live + stats.in_flight + stats.arena_bytes, 0);
        assert_int_equal(stats.bad_block, BAD / 4 * 3);
        assert_int_equal(stats.double_free + stats.stale + stats.wrong_key, 0);
        assert_stats_balance(key);
        key_end(key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_a_run_of_own_blocks), cmocka_unit_test(in_a_run_of_another_threads_blocks),
        cmocka_unit_test(the_end_of_a_slab),      cmocka_unit_test(doubles_between_groups),
        cmocka_unit_test(everything_at_once),
    };
    return cmocka_run_group_tests_name("bulk", tests, freers_start, freers_end);
}
