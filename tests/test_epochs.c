/*
 * Remote frees that are pending while their slab is dropped by a reset, begins anew with any class, or serves another
 * key: they free nothing that was handed out since, whatever the two classes are, and no later free suffers from
 * them.
 */
#include "freers.h"

enum { SLAB = 256 << 10, BLOCKS = 5, YOUNG = 40, KEYS_MOST = 64 };

static ks_key_t key;
static uint32_t sizes[KS_CLASSES_MAX];
static size_t sizes_count;

/* Of the default table: few of them where every pair takes too long. */
static int start(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    enum { STEP = 4 };
#else
    enum { STEP = 1 };
#endif
    ks_key_t any = key_new();
    struct ks_key_stats stats = stats_of(any);
    for (size_t i = 0; i + 1 < stats.class_count; i += STEP)
        sizes[sizes_count++] = (uint32_t)stats.classes[i].size;
    key_end(any);
    return freers_start(state);
}

/* ------------------------------------------------------------------ what is old, and what is young */

struct scene {
    size_t old_size;
    size_t young_size;
    bool sent; /* what is freed is sent before the epoch ends, or after the next one has begun */
    size_t olds;
    char *old[BLOCKS];
    size_t youngs;
    char *young[YOUNG];
};

static size_t slab_room(size_t size)
{
    return SLAB / size;
}

static size_t at_most(size_t count, size_t most)
{
    return count < most ? count : most;
}

static void old_begin(struct scene *scene)
{
    scene->olds = at_most(BLOCKS, slab_room(scene->old_size));
    for (size_t i = 0; i < scene->olds; i++)
        scene->old[i] = alloc_ok(key, scene->old_size);
}

/* Another thread frees them all. */
static void old_free_remote(struct scene *scene)
{
    for (size_t i = 0; i < scene->olds; i++)
        assert_status(free_in(0, key, scene->old[i]), KS_OK);
    if (scene->sent)
        flush_in(0);
}

static unsigned char mark_of(size_t index)
{
    return (unsigned char)(index * 5 + 1);
}

/* In one slab. */
static void young_begin(struct scene *scene)
{
    scene->youngs = at_most(YOUNG, slab_room(scene->young_size));
    for (size_t i = 0; i < scene->youngs; i++) {
        scene->young[i] = alloc_ok(key, scene->young_size);
        memset(scene->young[i], mark_of(i), 16);
    }
}

static bool is_same_slab(const void *a, const void *b)
{
    return (uintptr_t)a / SLAB == (uintptr_t)b / SLAB;
}

static void fail_in(const struct scene *scene, const char *what)
{
    fail_msg("%zu bytes, then %zu, %s: %s", scene->old_size, scene->young_size, scene->sent ? "sent" : "held back",
             what);
}

/* All that was held back has got home. Nothing young was touched, and each block can be freed once. */
static void assert_young_is_live(struct scene *scene, uint64_t at_home)
{
    flush_in(0);
    assert_status(ks_key_purge(key), KS_OK);
    struct ks_key_stats stats = stats_of(key);
    if (stats.refused_at_home != at_home || stats.double_free != at_home)
        fail_in(scene, "refusals are not as they must be");
    if (stats.live != scene->youngs || stats.in_flight)
        fail_in(scene, "a young block was freed, or lost");
    assert_key_whole(key);
    for (size_t i = 0; i < scene->youngs; i++) {
        if (ks_size(key, scene->young[i]) != scene->young_size)
            fail_in(scene, "a young block is not live");
        for (size_t at = 0; at < 16; at++)
            assert_int_equal((unsigned char)scene->young[i][at], mark_of(i));
        ks_status status = i % 2 ? free_in(0, key, scene->young[i]) : ks_free(key, scene->young[i]);
        if (status != KS_OK)
            fail_in(scene, "a young block cannot be freed");
    }
    flush_in(0);
    assert_status(ks_key_purge(key), KS_OK);
    stats = stats_of(key);
    assert_int_equal(stats.live + stats.in_flight + stats.arena_bytes, 0);
    assert_int_equal(stats.double_free, at_home);
    assert_stats_balance(key);
}

static void for_each_pair(void (*play)(struct scene *))
{
    for (size_t o = 0; o < sizes_count; o++)
        for (size_t y = 0; y < sizes_count; y++)
            for (int sent = 0; sent < 2; sent++)
                play(&(struct scene){.old_size = sizes[o], .young_size = sizes[y], .sent = sent});
}

/* ------------------------------------------------------------------ resets */

/* Blocks that a reset has dropped on their way are no double frees, and are heard of no more. */
static void play_reset(struct scene *scene)
{
    key = key_new();
    old_begin(scene);
    old_free_remote(scene);
    assert_status(ks_key_reset(key), KS_OK);
    young_begin(scene);
    assert_true(is_same_slab(scene->old[0], scene->young[0]));
    assert_int_equal(stats_of(key).dropped, scene->olds);
    assert_young_is_live(scene, 0);
    key_end(key);
}

static void frees_are_pending_across_a_reset(void **state)
{
    (void)state;
    for_each_pair(play_reset);
}

/* The thread that has freed sees the reset first, and frees a young block in the same batch. */
static void play_reset_and_free(struct scene *scene)
{
    key = key_new();
    old_begin(scene);
    old_free_remote(scene);
    assert_status(ks_key_reset(key), KS_OK);
    young_begin(scene);
    char *last = scene->young[--scene->youngs];
    assert_status(free_in(0, key, last), KS_OK);
    assert_int_equal(stats_of(key).in_flight, 1);
    for (size_t i = 0; i < scene->olds; i++)
        if ((size_t)(scene->old[i] - scene->young[0]) % scene->young_size)
            assert_status(free_in(0, key, scene->old[i]), KS_BAD_BLOCK);
    assert_young_is_live(scene, 0);
    assert_status(ks_free(key, last), KS_DOUBLE_FREE);
    key_end(key);
}

static void the_freer_goes_on_after_a_reset(void **state)
{
    (void)state;
    for_each_pair(play_reset_and_free);
}

/* ------------------------------------------------------------------ the slab's next epoch, in the same generation
 *
 * It takes a double free: the owner frees the blocks as well, and the slab is empty while the frees of the other
 * thread are still on their way. The key's quota is one slab, so that the next class has to have this one.
 */
static void key_of_one_slab(void)
{
    assert_status(ks_key_create(&(struct ks_key_options){.quota = SLAB}, &key), KS_OK);
}

static void old_free(const struct scene *scene)
{
    for (size_t i = 0; i < scene->olds; i++)
        assert_status(ks_free(key, scene->old[i]), KS_OK);
}

static void play_epoch(struct scene *scene)
{
    key_of_one_slab();
    old_begin(scene);
    old_free_remote(scene);
    old_free(scene);
    young_begin(scene);
    assert_young_is_live(scene, scene->olds);
    key_end(key);
}

static void frees_are_pending_across_an_epoch(void **state)
{
    (void)state;
    for_each_pair(play_epoch);
}

/*
 * After another class has had the slab it is the first one's again, the records of whose groups go on from what the
 * other has left there: block, group and clock may be what they were. A free that is pending since then is not taken
 * for one of now.
 */
enum {
    BEFORE_MOST = 128,
    BETWEEN = 33
}; /* blocks that lie before the old ones; of the other class: a group, and one more */

static void blocks_take(size_t size, char **blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        blocks[i] = alloc_ok(key, size);
}

static void blocks_give(char *const *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_status(ks_free(key, blocks[i]), KS_OK);
}

/* The key has been short of memory: from when something has got home on nobody sends at once any more. */
static void shortage_end(size_t size)
{
    assert_status(free_in(0, key, alloc_ok(key, size)), KS_OK);
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(stats_of(key).in_flight, 0);
}

static void play_two_epochs(struct scene *scene, size_t before)
{
    char *first[BEFORE_MOST];
    char *between[BETWEEN];
    size_t betweens = at_most(BETWEEN, slab_room(scene->young_size));
    key_of_one_slab();
    blocks_take(scene->young_size, between, betweens);
    blocks_give(between, betweens);
    blocks_take(scene->old_size, first, before);
    shortage_end(scene->old_size);
    old_begin(scene);
    old_free_remote(scene);
    assert_int_equal(stats_of(key).in_flight, scene->olds);
    old_free(scene);
    blocks_give(first, before);
    blocks_take(scene->young_size, between, betweens);
    blocks_give(between, betweens);
    blocks_take(scene->old_size, first, before);
    assert_status(ks_free(key, alloc_ok(key, scene->old_size)), KS_OK); /* as shortage_end */
    blocks_take(scene->old_size, scene->young, scene->olds);
    for (size_t i = 0; i < scene->olds; i++) {
        assert_ptr_equal(scene->young[i], scene->old[i]);
        if (free_in(0, key, scene->young[i]) != KS_OK)
            fail_in(scene, "a young block cannot be freed while an old one is pending");
    }
    flush_in(0);
    blocks_give(first, before);
    assert_status(ks_key_purge(key), KS_OK);
    struct ks_key_stats stats = stats_of(key);
    if (stats.live || stats.in_flight || stats.arena_bytes)
        fail_in(scene, "a young block was lost with an old one");
    if (stats.refused_at_home != scene->olds)
        fail_in(scene, "refusals are not as they must be");
    key_end(key);
}

static void a_free_joins_none_of_an_earlier_epoch(void **state)
{
    (void)state;
    for (size_t before = 0; before <= BEFORE_MOST; before += 64)
        for (size_t o = 0; o < sizes_count; o++)
            for (size_t y = 0; slab_room(sizes[o]) >= before + BLOCKS && y < sizes_count; y++)
                if (o != y)
                    play_two_epochs(&(struct scene){.old_size = sizes[o], .young_size = sizes[y]}, before);
}

/* ------------------------------------------------------------------ another key */

static void key_with_its_own_arena(void)
{
    assert_status(ks_key_create(&(struct ks_key_options){.arena = KS_ARENA_KEY}, &key), KS_OK);
}

static size_t pairs, met;

/* The next key that has an arena of its own has that of the last one, and mostly its slab. */
static void play_destroy(struct scene *scene)
{
    key_with_its_own_arena();
    old_begin(scene);
    old_free_remote(scene);
    key_end(key);
    key_with_its_own_arena();
    young_begin(scene);
    pairs++;
    met += is_same_slab(scene->old[0], scene->young[0]);
    assert_young_is_live(scene, 0);
    key_end(key);
}

static void frees_are_pending_while_their_key_is_destroyed(void **state)
{
    (void)state;
    for_each_pair(play_destroy);
    assert_in_range(met, pairs / 2, pairs);
}

/* It is destroyed by the thread that has freed, by the owner, or by one that knows nothing of it. */
static void *destroy(void *argument)
{
    assert_status(ks_key_destroy(*(ks_key_t *)argument), KS_OK);
    return NULL;
}

static void do_destroy(void *argument)
{
    destroy(argument);
}

static void play_destroy_elsewhere(struct scene *scene)
{
    for (int who = 0; who < 3; who++) {
        key_with_its_own_arena();
        old_begin(scene);
        old_free_remote(scene);
        if (who == 2)
            in_thread(destroy, &key);
        else
            worker_do(&freers[who], do_destroy, &key);
        key_with_its_own_arena();
        young_begin(scene);
        assert_young_is_live(scene, 0);
        key_end(key);
    }
}

static void any_thread_destroys_the_key(void **state)
{
    (void)state;
    for (int sent = 0; sent < 2; sent++)
        for (size_t i = 0; i < sizes_count; i++)
            play_destroy_elsewhere(
                &(struct scene){.old_size = sizes[i], .young_size = sizes[(i * 3 + 1) % sizes_count], .sent = sent});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frees_are_pending_across_a_reset),
        cmocka_unit_test(the_freer_goes_on_after_a_reset),
        cmocka_unit_test(frees_are_pending_across_an_epoch),
        cmocka_unit_test(a_free_joins_none_of_an_earlier_epoch),
        cmocka_unit_test(frees_are_pending_while_their_key_is_destroyed),
        cmocka_unit_test(any_thread_destroys_the_key),
    };
    return cmocka_run_group_tests_name("epochs", tests, start, freers_end);
}
