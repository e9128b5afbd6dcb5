/* Blocks that a reset has dropped, and blocks whose slab has begun another life: see misuse.h. */
#include "misuse.h"

enum { OTHER_SIZE = 200 }; /* of no class that is misused */

/* What is allocated after the reset begins in the oldest slabs, and leaves the block's alone. */
static void *block_to_drop(struct stage *stage)
{
    alloc_ok(stage->key, OTHER_SIZE);
    alloc_ok(stage->key, 3000);
    return block_new(stage);
}

static void reset(struct stage *stage)
{
    assert_status(ks_key_reset(stage->key), KS_OK);
}

static void dropped(struct stage *stage)
{
    void *block = block_to_drop(stage);
    reset(stage);
    good_begin(stage);
    refuse(stage, block);
}

static void dropped_and_purged(struct stage *stage)
{
    void *block = block_to_drop(stage);
    reset(stage);
    good_begin(stage);
    assert_status(ks_key_purge(stage->key), KS_OK);
    refuse(stage, block);
}

static void dropped_twice(struct stage *stage)
{
    void *block = block_to_drop(stage);
    reset(stage);
    reset(stage);
    good_begin(stage);
    refuse(stage, block);
}

static void freed_and_dropped(struct stage *stage)
{
    void *block = block_to_drop(stage);
    assert_status(ks_free(stage->key, block), KS_OK);
    reset(stage);
    refuse(stage, block);
}

static void dropped_of_a_thread_asleep(struct stage *stage)
{
    void *block = block_new_elsewhere(stage);
    reset(stage);
    good_begin(stage);
    refuse(stage, block);
}

/* In a class of its own, so that the old block's address is not handed out again. */
static void dropped_of_a_thread_that_went_on(struct stage *stage)
{
    void *block = block_new_elsewhere(stage);
    reset(stage);
    good_begin(stage);
    void *young;
    worker_do(&others[0], errand_allocate, &(struct errand){stage->key, 3 << 20, &young, 1});
    refuse(stage, block);
}

static void *allocate_and_end(void *argument)
{
    errand_allocate(argument);
    return NULL;
}

static void dropped_of_a_thread_that_has_ended(struct stage *stage)
{
    void *block;
    alloc_ok(stage->key, 1); /* this thread has a heap of its own, and does not take the other over */
    in_thread(allocate_and_end, &(struct errand){stage->key, stage->size, &block, 1});
    reset(stage);
    good_begin(stage);
    refuse(stage, block);
}

static void dropped_in_an_outbox(struct stage *stage)
{
    void *block = block_to_drop(stage);
    free_elsewhere(stage, block);
    reset(stage);
    good_begin(stage);
    refuse(stage, block);
}

static void dropped_in_a_queue(struct stage *stage)
{
    void *block = block_to_drop(stage);
    free_elsewhere(stage, block);
    flush_elsewhere();
    reset(stage);
    good_begin(stage);
    refuse(stage, block);
}

static void block_that_a_reset_dropped(void **state)
{
    (void)state;
    static const struct misuse rows[] = {
        {"dropped", dropped, KS_STALE, KS_STALE, OWN_CLASS, 0},
        {"purged", dropped_and_purged, KS_STALE, KS_STALE, ANY_CLASS, 0},
        {"dropped twice", dropped_twice, KS_STALE, KS_STALE, OWN_CLASS, 0},
        {"freed before", freed_and_dropped, KS_STALE, KS_STALE, OWN_CLASS, 0},
        {"owner asleep", dropped_of_a_thread_asleep, KS_STALE, KS_STALE, OWN_CLASS, 0},
        {"owner went on", dropped_of_a_thread_that_went_on, KS_STALE, KS_STALE, OWN_CLASS, 0},
        {"owner has ended", dropped_of_a_thread_that_has_ended, KS_STALE, KS_STALE, OWN_CLASS, 0},
        {"in an outbox", dropped_in_an_outbox, KS_STALE, KS_STALE, OWN_CLASS, 0},
        {"in a queue", dropped_in_a_queue, KS_STALE, KS_STALE, OWN_CLASS, 0},
    };
    misuse_run(rows, COUNT(rows));
}

/* ------------------------------------------------------------------ in a slab that is in use again */

/* Blocks of one slab, and the last of them by address. */
static void *fill_a_slab(struct stage *stage, void **blocks, size_t count)
{
    char *last = NULL;
    for (size_t i = 0; i < count; i++) {
        blocks[i] = block_new(stage);
        if ((char *)blocks[i] > last)
            last = blocks[i];
    }
    return last;
}

/* Enough of a class to reach beyond the first blocks of any other. */
static size_t slab_share(const struct stage *stage)
{
    if (stage->size <= 64)
        return 1000;
    return stage->size <= 1500 ? 100 : 4;
}

static void freed_and_its_slab_used_again(struct stage *stage)
{
    void *blocks[1000];
    size_t count = slab_share(stage);
    void *last = fill_a_slab(stage, blocks, count);
    ks_status status;
    assert_int_equal(ks_free_bulk(stage->key, blocks, count, &status), count);
    assert_status(ks_key_purge(stage->key), KS_OK);
    for (int i = 0; i < 4; i++)
        alloc_ok(stage->key, OTHER_SIZE);
    refuse(stage, last);
}

static void dropped_and_its_slab_used_again(struct stage *stage)
{
    void *blocks[1000];
    void *block = fill_a_slab(stage, blocks, slab_share(stage));
    reset(stage);
    for (int i = 0; i < 4; i++)
        alloc_ok(stage->key, OTHER_SIZE);
    refuse(stage, block);
}

static void dropped_purged_and_its_slab_used_again(struct stage *stage)
{
    void *blocks[1000];
    void *block = fill_a_slab(stage, blocks, slab_share(stage));
    reset(stage);
    assert_status(ks_key_purge(stage->key), KS_OK);
    for (int i = 0; i < 4; i++)
        alloc_ok(stage->key, OTHER_SIZE);
    refuse(stage, block);
}

/* The same class again: what is handed out ends before the old block. */
static void dropped_and_its_slab_used_again_alike(struct stage *stage)
{
    void *blocks[1000];
    void *block = fill_a_slab(stage, blocks, stage->size <= TOP_CLASS / 8 ? slab_share(stage) : 28);
    reset(stage);
    good_begin(stage);
    refuse(stage, block);
}

static void an_old_block_is_known_until_its_address_is_handed_out_again(void **state)
{
    (void)state;
    static const struct misuse rows[] = {
        {"freed", freed_and_its_slab_used_again, KS_DOUBLE_FREE, KS_DOUBLE_FREE, ANY_CLASS, TOP_CLASS},
        {"dropped", dropped_and_its_slab_used_again, KS_STALE, KS_STALE, ANY_CLASS, TOP_CLASS},
        {"dropped, same class", dropped_and_its_slab_used_again_alike, KS_STALE, KS_STALE, ANY_CLASS, 9000},
        {"dropped and purged", dropped_purged_and_its_slab_used_again, KS_STALE, KS_STALE, ANY_CLASS, TOP_CLASS},
    };
    misuse_run(rows, COUNT(rows));
}

/* The first test of all: no slab has a past yet but for the one that the test gives it. */
static void an_old_block_is_reported_with_its_class(void **state)
{
    (void)state;
    struct stage *stage = stage_begin("dropped, slab used again", "ks_free", 1500);
    dropped_and_its_slab_used_again(stage);
    assert_status(ks_free(stage->key, stage->attempts[0].block), KS_STALE);
    assert_int_equal(stage->heard.last.class_size, ks_good_size(1500));
    stage_end(stage);
}

/* Each life of the slab hands out less of it than the one before, so that all of them are still to be told apart. */
static void an_old_block_is_known_through_four_lives_of_its_slab(void **state)
{
    (void)state;
    static const size_t sizes[] = {1500, 640, 288, 112, 48};
    enum { BLOCKS = 50 };
    ks_key_t key = key_new();
    void *last[COUNT(sizes)] = {NULL};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        for (int b = 0; b < BLOCKS; b++)
            last[i] = alloc_ok(key, sizes[i]);
        assert_status(ks_key_reset(key), KS_OK);
    }
    alloc_ok(key, 16);
    assert_status(ks_free(key, last[0]), KS_BAD_BLOCK); /* a fifth is not remembered */
    for (size_t i = 1; i < COUNT(sizes); i++) {
        assert_status(ks_free(key, last[i]), KS_STALE);
        assert_status(ks_free(key, (char *)last[i] + 8), KS_BAD_BLOCK);
    }
    assert_int_equal(stats_of(key).stale, COUNT(sizes) - 1);
    key_end(key);
}

/* What a later life has only put into magazines it has not handed out. */
static void an_old_block_is_known_while_its_address_waits_in_a_magazine(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    void *old[20];
    for (size_t i = 0; i < COUNT(old); i++)
        old[i] = alloc_ok(key, 1500);
    assert_status(ks_key_reset(key), KS_OK);
    alloc_ok(key, 640);
    assert_status(ks_key_reset(key), KS_OK);
    alloc_ok(key, 48);
    for (size_t i = 1; i < COUNT(old); i++)
        assert_status(ks_free(key, old[i]), KS_STALE);
    key_end(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_old_block_is_reported_with_its_class, misuse_tell),
        cmocka_unit_test_teardown(block_that_a_reset_dropped, misuse_tell),
        cmocka_unit_test_teardown(an_old_block_is_known_until_its_address_is_handed_out_again, misuse_tell),
        cmocka_unit_test(an_old_block_is_known_through_four_lives_of_its_slab),
        cmocka_unit_test(an_old_block_is_known_while_its_address_waits_in_a_magazine),
    };
    return cmocka_run_group_tests_name("dropped", tests, misuse_start, misuse_end);
}
