/* Blocks that a reset has dropped, and blocks whose slab has begun another epoch: see misuse.h. */
#include "misuse.h"

enum { OTHER_SIZE = 200 }; /* of no class that is misused */

/*
 * What is allocated after the reset begins in slabs that the class had before, in no order that a program could rely
 * on: of so many blocks some are left alone.
 */
enum { DROPPED = 8 * GOOD };

static void *blocks_dropped[DROPPED];

static void drop_begin(struct stage *stage)
{
    alloc_ok(stage->key, OTHER_SIZE);
    alloc_ok(stage->key, 3000);
    for (size_t i = 0; i < DROPPED; i++)
        blocks_dropped[i] = block_new(stage);
}

static void refuse_dropped(struct stage *stage)
{
    for (size_t i = 0; i < DROPPED; i++)
        if (!is_good(stage, blocks_dropped[i])) {
            refuse(stage, blocks_dropped[i]);
            return;
        }
    fail_msg("each of %d addresses was handed out again for %d blocks", DROPPED, GOOD);
}

static void reset(struct stage *stage)
{
    assert_status(ks_key_reset(stage->key), KS_OK);
}

static void dropped(struct stage *stage)
{
    drop_begin(stage);
    reset(stage);
    good_begin(stage);
    refuse_dropped(stage);
}

static void dropped_and_purged(struct stage *stage)
{
    drop_begin(stage);
    reset(stage);
    good_begin(stage);
    assert_status(ks_key_purge(stage->key), KS_OK);
    refuse_dropped(stage);
}

static void dropped_twice(struct stage *stage)
{
    drop_begin(stage);
    reset(stage);
    reset(stage);
    good_begin(stage);
    refuse_dropped(stage);
}

static void freed_and_dropped(struct stage *stage)
{
    drop_begin(stage);
    for (size_t i = 0; i < DROPPED; i++)
        assert_status(ks_free(stage->key, blocks_dropped[i]), KS_OK);
    reset(stage);
    refuse_dropped(stage);
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
    drop_begin(stage);
    for (size_t i = 0; i < DROPPED; i++)
        free_elsewhere(stage, blocks_dropped[i]);
    reset(stage);
    good_begin(stage);
    refuse_dropped(stage);
}

static void dropped_in_a_queue(struct stage *stage)
{
    drop_begin(stage);
    for (size_t i = 0; i < DROPPED; i++)
        free_elsewhere(stage, blocks_dropped[i]);
    flush_elsewhere();
    reset(stage);
    good_begin(stage);
    refuse_dropped(stage);
}

static void block_that_a_reset_dropped(void **state)
{
    (void)state;
    static const struct misuse rows[] = {
        {"dropped", dropped, KS_STALE, KS_STALE, OWN_CLASS, 0},
        {"purged", dropped_and_purged, KS_STALE, KS_STALE, OWN_CLASS, 0},
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

/* ------------------------------------------------------------------ in a slab that is in use again
 *
 * What lay at an address in an earlier epoch of its slab is forgotten: the address is stale where a block may begin
 * now, and no block where none may.
 */
enum { YOUNG = 4 };

/* So many blocks of one slab. */
static size_t slab_share(const struct stage *stage)
{
    if (stage->size <= 64)
        return 1000;
    return stage->size <= 1500 ? 100 : 4;
}

static void fill_a_slab(struct stage *stage, void **blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        blocks[i] = block_new(stage);
}

static void young_begin(struct stage *stage, void **young)
{
    for (int i = 0; i < YOUNG; i++)
        young[i] = alloc_ok(stage->key, OTHER_SIZE);
}

static bool is_among(void *const *blocks, size_t count, const void *block)
{
    while (count)
        if (blocks[--count] == block)
            return true;
    return false;
}

/* Each of the blocks, which are `status` where their slab is not in use again. How many lie in one that is. */
static size_t refuse_old(struct stage *stage, void *const *blocks, size_t count, ks_status status)
{
    void *young[YOUNG];
    size_t begun_anew = 0;
    young_begin(stage, young);
    for (size_t i = 0; i < count; i++) {
        if (is_among(young, YOUNG, blocks[i]))
            begun_anew++;
        else if (refuse_beside(stage, blocks[i], young[0], OTHER_SIZE))
            begun_anew++;
        else
            refuse_as(stage, blocks[i], status, ks_good_size(stage->size));
    }
    return begun_anew;
}

static void freed_and_its_slab_used_again(struct stage *stage)
{
    void *blocks[1000];
    size_t count = slab_share(stage);
    fill_a_slab(stage, blocks, count);
    ks_status status;
    assert_int_equal(ks_free_bulk(stage->key, blocks, count, &status), count);
    assert_status(ks_key_purge(stage->key), KS_OK);
    assert_int_equal(stats_of(stage->key).arena_bytes, 0);
    refuse_old(stage, blocks, count, KS_DOUBLE_FREE);
}

static void dropped_and_its_slab_used_again(struct stage *stage)
{
    void *blocks[1000];
    size_t count = slab_share(stage);
    fill_a_slab(stage, blocks, count);
    reset(stage);
    assert_int_equal(refuse_old(stage, blocks, count, KS_STALE), count);
}

static void dropped_purged_and_its_slab_used_again(struct stage *stage)
{
    void *blocks[1000];
    size_t count = slab_share(stage);
    fill_a_slab(stage, blocks, count);
    reset(stage);
    assert_status(ks_key_purge(stage->key), KS_OK);
    refuse_old(stage, blocks, count, KS_STALE);
}

/* The same class again: what is handed out ends before the old blocks. */
static void dropped_and_its_slab_used_again_alike(struct stage *stage)
{
    void *blocks[1000];
    size_t count = stage->size <= TOP_CLASS / 8 ? slab_share(stage) : 28;
    fill_a_slab(stage, blocks, count);
    reset(stage);
    good_begin(stage);
    size_t refused = 0;
    for (size_t i = 0; i < count; i++)
        if (!is_good(stage, blocks[i])) {
            refuse(stage, blocks[i]);
            refused++;
        }
    assert_int_equal(refused, count - GOOD);
}

/* Freed in this epoch, after another one. */
static void freed_in_a_slab_that_is_used_again(struct stage *stage)
{
    void *blocks[1000];
    fill_a_slab(stage, blocks, slab_share(stage));
    reset(stage);
    good_begin(stage);
    void *again[2] = {block_new(stage), block_new(stage)};
    for (size_t i = 0; i < COUNT(again); i++)
        assert_status(ks_free(stage->key, again[i]), KS_OK);
    for (size_t i = 0; i < COUNT(again); i++)
        refuse(stage, again[i]);
}

static void an_old_block_is_what_its_address_is_now(void **state)
{
    (void)state;
    static const struct misuse rows[] = {
        {"freed", freed_and_its_slab_used_again, KS_DOUBLE_FREE, KS_DOUBLE_FREE, OWN_CLASS, TOP_CLASS},
        {"dropped", dropped_and_its_slab_used_again, KS_STALE, KS_STALE, OWN_CLASS, TOP_CLASS},
        {"dropped, same class", dropped_and_its_slab_used_again_alike, KS_STALE, KS_STALE, OWN_CLASS, 9000},
        {"dropped and purged", dropped_purged_and_its_slab_used_again, KS_STALE, KS_STALE, OWN_CLASS, TOP_CLASS},
        {"freed again", freed_in_a_slab_that_is_used_again, KS_DOUBLE_FREE, KS_DOUBLE_FREE, OWN_CLASS, TOP_CLASS},
    };
    misuse_run(rows, COUNT(rows));
}

/* Where blocks of the old class and of the new one begin. */
static void an_old_block_is_reported_with_the_class_of_its_slab(void **state)
{
    (void)state;
    enum { BOTH = 7 * 1536 };
    struct stage *stage = stage_begin("dropped, slab used again", "ks_free", 1500);
    char *blocks[8];
    for (size_t i = 0; i < COUNT(blocks); i++)
        blocks[i] = block_new(stage);
    assert_int_equal(blocks[7] - blocks[0], BOTH);
    assert_int_equal(BOTH % ks_good_size(OTHER_SIZE), 0);
    reset(stage);
    assert_ptr_equal(alloc_ok(stage->key, OTHER_SIZE), blocks[0]);
    assert_status(ks_free(stage->key, blocks[7]), KS_STALE);
    assert_int_equal(stage->heard.last.class_size, ks_good_size(OTHER_SIZE));
    assert_status(ks_free(stage->key, blocks[1]), KS_BAD_BLOCK);
    assert_int_equal(stage->heard.last.class_size, 0);
    stage_end(stage);
}

/* Whatever the slab has been: of each epoch's last block nothing is left. */
static void a_slab_has_no_history(void **state)
{
    (void)state;
    static const size_t sizes[] = {1500, 640, 288, 112, 48, 16};
    enum { BLOCKS = 50 };
    for (size_t present = 0; present < COUNT(sizes); present++) {
        ks_key_t key = key_new();
        char *last[COUNT(sizes)];
        uint64_t stale = 0;
        for (size_t i = 0; i < COUNT(sizes); i++) {
            for (int b = 0; b < BLOCKS; b++)
                last[i] = alloc_ok(key, sizes[i]);
            assert_status(ks_key_reset(key), KS_OK);
        }
        size_t bytes = ks_good_size(sizes[present]);
        char *start = alloc_ok(key, sizes[present]);
        for (size_t i = 0; i < COUNT(sizes); i++) {
            bool begins = (size_t)(last[i] - start) % bytes == 0;
            assert_true(last[i] > start && last[i] < start + SLAB_SPAN);
            assert_status(ks_free(key, last[i]), begins ? KS_STALE : KS_BAD_BLOCK);
            assert_status(ks_free(key, last[i] + 8), KS_BAD_BLOCK);
            assert_int_equal(ks_size(key, last[i]), 0);
            stale += begins;
        }
        assert_int_equal(stats_of(key).stale, stale);
        assert_int_equal(stats_of(key).live, 1);
        key_end(key);
    }
}

/* In the group that allocations take from, in others, and in those that are not carved. */
static void an_address_is_stale_until_it_is_handed_out(void **state)
{
    (void)state;
    enum { OLD = 20, YOUNG_BLOCKS = OLD * 1536 / 48 };
    ks_key_t key = key_new();
    char *old[OLD];
    for (size_t i = 0; i < COUNT(old); i++)
        old[i] = alloc_ok(key, 1500);
    assert_status(ks_key_reset(key), KS_OK);
    alloc_ok(key, 640);
    assert_status(ks_key_reset(key), KS_OK);
    for (size_t handed_out = 1; handed_out <= YOUNG_BLOCKS; handed_out++) {
        char *young = alloc_ok(key, 48);
        assert_ptr_equal(young, old[0] + (handed_out - 1) * 48);
        for (size_t i = handed_out; i < YOUNG_BLOCKS; i++)
            assert_status(ks_free(key, old[0] + i * 48), KS_STALE);
    }
    for (size_t i = 0; i < YOUNG_BLOCKS; i++)
        assert_status(ks_free(key, old[0] + i * 48), KS_OK);
    for (size_t i = 0; i < YOUNG_BLOCKS; i++)
        assert_status(ks_free(key, old[0] + i * 48), KS_DOUBLE_FREE);
    key_end(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_old_block_is_reported_with_the_class_of_its_slab, misuse_tell),
        cmocka_unit_test_teardown(block_that_a_reset_dropped, misuse_tell),
        cmocka_unit_test_teardown(an_old_block_is_what_its_address_is_now, misuse_tell),
        cmocka_unit_test(a_slab_has_no_history),
        cmocka_unit_test(an_address_is_stale_until_it_is_handed_out),
    };
    return cmocka_run_group_tests_name("dropped", tests, misuse_start, misuse_end);
}
