/* Blocks that are free already, and blocks of another key: see misuse.h. */
#include "misuse.h"

#include <keyslab/netmon.h>

/* ------------------------------------------------------------------ free already */

static void freed_at_once(struct stage *stage)
{
    good_begin(stage);
    void *block = block_new(stage);
    assert_status(ks_free(stage->key, block), KS_OK);
    refuse(stage, block);
}

static void freed_before_its_neighbour(struct stage *stage)
{
    good_begin(stage);
    void *a = block_new(stage);
    void *b = block_new(stage);
    assert_status(ks_free(stage->key, a), KS_OK);
    assert_status(ks_free(stage->key, b), KS_OK);
    refuse(stage, a);
    refuse(stage, b);
}

/* A large block's address would come back at once: there the others are small. */
static void freed_long_ago(struct stage *stage)
{
    size_t size = stage->size <= TOP_CLASS ? stage->size : 100;
    good_begin(stage);
    void *first = alloc_ok(stage->key, size);
    void *block = block_new(stage);
    assert_status(ks_free(stage->key, block), KS_OK);
    assert_status(ks_free(stage->key, first), KS_OK);
    for (int i = 0; i < 1000; i++) {
        void *other = alloc_ok(stage->key, size);
        assert_ptr_not_equal(other, block);
        assert_status(ks_free(stage->key, other), KS_OK);
    }
    refuse(stage, block);
}

static void freed_by_moving(struct stage *stage)
{
    good_begin(stage);
    void *block = block_new(stage);
    ks_status status;
    void *moved = ks_realloc(stage->key, block, stage->size * 3 + 100, &status);
    assert_status(status, KS_OK);
    assert_ptr_not_equal(moved, block);
    refuse(stage, block);
}

static void freed_by_emptying(struct stage *stage)
{
    good_begin(stage);
    void *block = block_new(stage);
    ks_status status;
    assert_null(ks_realloc(stage->key, block, 0, &status));
    assert_status(status, KS_OK);
    refuse(stage, block);
}

static void freed_in_a_bulk(struct stage *stage)
{
    good_begin(stage);
    void *blocks[3] = {block_new(stage), block_new(stage), block_new(stage)};
    ks_status status;
    assert_int_equal(ks_free_bulk(stage->key, blocks, COUNT(blocks), &status), COUNT(blocks));
    assert_status(status, KS_OK);
    for (size_t i = 0; i < COUNT(blocks); i++)
        refuse(stage, blocks[i]);
}

static void freed_by_an_expert(struct stage *stage)
{
    good_begin(stage);
    void *block = block_new(stage);
    assert_int_equal(ExpertFreeMemory((HEXPERTKEY)stage->key, block), NMERR_SUCCESS);
    refuse(stage, block);
}

static void freed_and_purged(struct stage *stage)
{
    void *block = block_new(stage);
    assert_status(ks_free(stage->key, block), KS_OK);
    assert_status(ks_key_purge(stage->key), KS_OK);
    assert_int_equal(stats_of(stage->key).arena_bytes, 0);
    refuse(stage, block);
}

/* ------------------------------------------------------------------ free already, of another thread or by it */

static void freed_by_its_owner(struct stage *stage)
{
    good_begin(stage);
    void *block = block_new_elsewhere(stage);
    free_elsewhere(stage, block);
    refuse(stage, block);
}

static void *free_one_and_end(void *argument)
{
    struct errand *errand = argument;
    errand_allocate(errand);
    assert_status(ks_free(errand->key, errand->blocks[0]), KS_OK);
    return NULL;
}

static void freed_by_its_owner_that_has_ended(struct stage *stage)
{
    good_begin(stage);
    void *blocks[2];
    in_thread(free_one_and_end, &(struct errand){stage->key, stage->size, blocks, COUNT(blocks)});
    refuse(stage, blocks[0]);
}

/* This thread holds others of the same owner and class on their way. */
static void freed_by_its_owner_while_others_are_on_their_way(struct stage *stage)
{
    good_begin(stage);
    void *block = block_new_elsewhere(stage);
    void *open = block_new_elsewhere(stage);
    assert_status(ks_free(stage->key, open), KS_OK);
    free_elsewhere(stage, block);
    refuse(stage, block);
}

static void freed_elsewhere_and_purged_home(struct stage *stage)
{
    good_begin(stage);
    void *block = block_new(stage);
    free_elsewhere(stage, block);
    flush_elsewhere();
    assert_status(ks_key_purge(stage->key), KS_OK);
    assert_int_equal(stats_of(stage->key).in_flight, 0);
    refuse(stage, block);
}

/* The owner allocates until it has taken what came home; of that the lowest block is handed out first. */
static void freed_elsewhere_and_taken_home(struct stage *stage)
{
    good_begin(stage);
    void *blocks[5];
    struct errand errand = {stage->key, stage->size, blocks, COUNT(blocks)};
    errand_allocate(&errand);
    worker_do(&others[0], errand_free, &errand);
    flush_elsewhere();
    assert_int_equal(stats_of(stage->key).in_flight, COUNT(blocks));
    while (stats_of(stage->key).in_flight)
        assert_ptr_not_equal(block_new(stage), blocks[COUNT(blocks) - 1]);
    refuse(stage, blocks[COUNT(blocks) - 1]);
}

static void move_it(void *argument)
{
    struct errand *errand = argument;
    ks_status status;
    void *moved = ks_realloc(errand->key, errand->blocks[0], errand->size * 3 + 100, &status);
    assert_status(status, KS_OK);
    assert_ptr_not_equal(moved, errand->blocks[0]);
}

static void moved_elsewhere_and_home(struct stage *stage)
{
    good_begin(stage);
    void *block = block_new(stage);
    worker_do(&others[0], move_it, &(struct errand){stage->key, stage->size, &block, 1});
    flush_elsewhere();
    assert_status(ks_key_purge(stage->key), KS_OK);
    refuse(stage, block);
}

static void freed_here_and_home_elsewhere(struct stage *stage)
{
    good_begin(stage);
    void *block = block_new_elsewhere(stage);
    assert_status(ks_free(stage->key, block), KS_OK);
    ks_flush();
    assert_status(ks_key_purge(stage->key), KS_OK);
    assert_int_equal(stats_of(stage->key).in_flight, 0);
    refuse(stage, block);
}

static void block_that_is_free_already(void **state)
{
    (void)state;
    static const struct misuse rows[] = {
        {"freed", freed_at_once, KS_DOUBLE_FREE, KS_DOUBLE_FREE, OWN_CLASS, 0},
        {"a, b, a, b", freed_before_its_neighbour, KS_DOUBLE_FREE, KS_DOUBLE_FREE, OWN_CLASS, 0},
        {"1,000 others in between", freed_long_ago, KS_DOUBLE_FREE, KS_DOUBLE_FREE, OWN_CLASS, 0},
        {"moved", freed_by_moving, KS_DOUBLE_FREE, KS_DOUBLE_FREE, OWN_CLASS, 0},
        {"resized to nothing", freed_by_emptying, KS_DOUBLE_FREE, KS_DOUBLE_FREE, OWN_CLASS, 0},
        {"freed in a bulk", freed_in_a_bulk, KS_DOUBLE_FREE, KS_DOUBLE_FREE, OWN_CLASS, 0},
        {"freed by an expert", freed_by_an_expert, KS_DOUBLE_FREE, KS_DOUBLE_FREE, OWN_CLASS, 0},
        {"purged", freed_and_purged, KS_DOUBLE_FREE, KS_DOUBLE_FREE, OWN_CLASS, 0},
    };
    misuse_run(rows, COUNT(rows));
}

static void block_that_is_free_already_in_another_thread(void **state)
{
    (void)state;
    static const struct misuse rows[] = {
        {"freed by its owner", freed_by_its_owner, KS_DOUBLE_FREE, KS_DOUBLE_FREE, OWN_CLASS, 0},
        {"owner has ended", freed_by_its_owner_that_has_ended, KS_DOUBLE_FREE, KS_DOUBLE_FREE, OWN_CLASS, 0},
        {"others on their way", freed_by_its_owner_while_others_are_on_their_way, KS_DOUBLE_FREE, KS_DOUBLE_FREE,
         OWN_CLASS, 0},
        {"freed elsewhere, home by a purge", freed_elsewhere_and_purged_home, KS_DOUBLE_FREE, KS_DOUBLE_FREE, OWN_CLASS,
         0},
        {"freed elsewhere, home by allocation", freed_elsewhere_and_taken_home, KS_DOUBLE_FREE, KS_DOUBLE_FREE,
         OWN_CLASS, 1500},
        {"moved elsewhere", moved_elsewhere_and_home, KS_DOUBLE_FREE, KS_DOUBLE_FREE, OWN_CLASS, 0},
        {"freed here, home elsewhere", freed_here_and_home_elsewhere, KS_DOUBLE_FREE, KS_DOUBLE_FREE, OWN_CLASS, 0},
    };
    misuse_run(rows, COUNT(rows));
}

/* ------------------------------------------------------------------ another key's */

static void of_another_key(struct stage *stage)
{
    good_begin(stage);
    refuse(stage, alloc_ok(stage->other, stage->size));
}

static void of_another_key_and_thread(struct stage *stage)
{
    good_begin(stage);
    void *block;
    worker_do(&others[1], errand_allocate, &(struct errand){stage->other, stage->size, &block, 1});
    refuse(stage, block);
}

static void free_in_another_key(struct stage *stage)
{
    good_begin(stage);
    void *block = alloc_ok(stage->other, stage->size);
    assert_status(ks_free(stage->other, block), KS_OK);
    refuse(stage, block);
}

static void dropped_in_another_key(struct stage *stage)
{
    good_begin(stage);
    void *block = alloc_ok(stage->other, stage->size);
    assert_status(ks_key_reset(stage->other), KS_OK);
    refuse(stage, block);
}

/* More than the good ones, which may live in its memory by then: that of a destroyed key is nobody's. */
static void refuse_of_a_destroyed_key(struct stage *stage, bool good_before)
{
    enum { MOST = 1000 };
    void *blocks[MOST];
    size_t count = stage->size <= 64 ? MOST : 28;
    ks_key_t lost = key_new();
    if (good_before)
        good_begin(stage);
    for (size_t i = 0; i < count; i++)
        blocks[i] = alloc_ok(lost, stage->size);
    key_end(lost);
    if (!good_before)
        good_begin(stage);
    for (size_t i = 0; i < count; i++)
        refuse_unless_good(stage, blocks[i]);
}

static void of_a_destroyed_key(struct stage *stage)
{
    refuse_of_a_destroyed_key(stage, true);
    for (size_t i = 0; i < stage->count; i++)
        assert_int_equal(stage->attempts[i].instead, KS_BAD_BLOCK);
}

static void of_a_destroyed_key_whose_memory_is_in_use(struct stage *stage)
{
    refuse_of_a_destroyed_key(stage, false);
}

static void block_of_another_key(void **state)
{
    (void)state;
    static const struct misuse rows[] = {
        {"live", of_another_key, KS_WRONG_KEY, KS_WRONG_KEY, OWN_CLASS, 0},
        {"live in another thread", of_another_key_and_thread, KS_WRONG_KEY, KS_WRONG_KEY, OWN_CLASS, 0},
        {"free", free_in_another_key, KS_WRONG_KEY, KS_WRONG_KEY, OWN_CLASS, 0},
        {"dropped", dropped_in_another_key, KS_WRONG_KEY, KS_WRONG_KEY, OWN_CLASS, 0},
        {"destroyed", of_a_destroyed_key, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS, 0},
        {"destroyed, memory in use", of_a_destroyed_key_whose_memory_is_in_use, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS,
         0},
    };
    misuse_run(rows, COUNT(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(block_that_is_free_already, misuse_tell),
        cmocka_unit_test_teardown(block_that_is_free_already_in_another_thread, misuse_tell),
        cmocka_unit_test_teardown(block_of_another_key, misuse_tell),
    };
    return cmocka_run_group_tests_name("misuse", tests, misuse_start, misuse_end);
}
