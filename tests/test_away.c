/*
 * One block, freed by its owner and by two other threads in every order that matters, with flushes, purges and resets
 * in between. A free that cannot be told to be wrong when it is made is refused when it gets home: once each. Of keys
 * with paranoid checks, too.
 */
#include "misuse.h"

/* ------------------------------------------------------------------ scripts
 *
 *     o a b    the owner, or one of the others, frees the block: KS_OK
 *     O A B    KS_DOUBLE_FREE at once
 *     x y z    KS_STALE at once
 *     g h      one of the others frees again what it has freed last: KS_DOUBLE_FREE at once; where the first free was sent
 *              at once, because the block is as large as what a thread may hold back, KS_OK, and refused when it gets home
 *     2        one of the others frees the block twice in one bulk: the second as `g`
 *     D        the owner frees the block twice in one bulk: the second is KS_DOUBLE_FREE
 *     f        the others send what they hold
 *     p        a purge: all of it gets home
 *     r        a reset
 */
struct script {
    const char *name;
    const char *moves;
    unsigned at_home; /* refused when it gets home, where all is held back */
    unsigned dropped;
};

static const struct script scripts[] = {
    {"the owner, then another", "oA", 0, 0},
    {"the owner, then both others, and again", "oABO", 0, 0},
    {"another, then the owner", "ao", 1, 0},
    {"another, then the owner, and again", "aoOA", 1, 0},
    {"sent, then the owner", "afo", 1, 0},
    {"sent, then the owner, home, and again", "afopOAB", 1, 0},
    {"sent, then the owner, then what is under way twice", "afoAfpA", 1, 0},
    {"sent and home", "afpOAB", 0, 0},
    {"sent and home, twice over", "afpOfpA", 0, 0},
    {"two others", "ab", 1, 0},
    {"two others, sent", "afbf", 1, 0},
    {"two others, home in between", "afpB", 0, 0},
    {"two others and the owner", "abo", 2, 0},
    {"two others and the owner, sent", "afbfo", 2, 0},
    {"another, twice", "ag", 0, 0},
    {"another, three times", "agg", 0, 0},
    {"another, twice, then the owner", "ago", 1, 0},
    {"both others, twice each", "abhg", 1, 0},
    {"both others, twice each, and the owner", "abghoOAB", 2, 0},
    {"another, twice, sent in between", "afaf", 1, 0},
    {"another, twice and again, sent in between", "agfag", 1, 0},
    {"another, twice in one bulk", "2", 0, 0},
    {"another, twice in one bulk, after the other", "b2", 1, 0},
    {"another, twice in one bulk, then the owner", "2o", 1, 0},
    {"the owner, twice in one bulk", "D", 0, 0},
    {"the owner, twice in one bulk, after another", "aD", 1, 0},
    {"dropped", "rxyz", 0, 1},
    {"dropped in an outbox", "arxyz", 0, 1},
    {"dropped in an outbox, sent afterwards", "arfxpxyz", 0, 1},
    {"dropped in a queue", "afrxyz", 0, 1},
    {"dropped in a queue, then purged", "afrpxyz", 0, 1},
    {"freed and dropped", "orxyz", 0, 0},
    {"freed twice and dropped", "aorfpxyz", 0, 0},
    {"freed by both others and dropped", "abrfpxyz", 0, 1},
    {"freed twice by another and dropped", "agrfpxyz", 0, 1},
    {"home and dropped", "afprxyz", 0, 0},
};

/* ------------------------------------------------------------------ how a block is freed */

enum { MORE = 100 };

static ks_status by_free(ks_key_t key, void *block, size_t size)
{
    (void)size;
    return ks_free(key, block);
}

static ks_status by_bulk(ks_key_t key, void *block, size_t size)
{
    (void)size;
    void *blocks[] = {NULL, block, NULL};
    ks_status status;
    size_t freed = ks_free_bulk(key, blocks, COUNT(blocks), &status);
    assert_int_equal(freed, status == KS_OK ? 3 : 2);
    return status;
}

static ks_status by_emptying(ks_key_t key, void *block, size_t size)
{
    (void)size;
    ks_status status;
    assert_null(ks_realloc(key, block, 0, &status));
    return status;
}

static ks_status by_moving(ks_key_t key, void *block, size_t size)
{
    ks_status status;
    void *moved = ks_realloc(key, block, size * 3 + MORE, &status);
    assert_int_equal(moved != NULL, status == KS_OK);
    if (moved)
        assert_status(ks_free(key, moved), KS_OK);
    return status;
}

static const struct way {
    const char *name;
    ks_status (*use)(ks_key_t, void *, size_t);
    size_t largest; /* for a large block the owner takes in what others have sent first: see below */
} ways[] = {
    {"ks_free", by_free, SIZE_MAX},
    {"ks_free_bulk", by_bulk, SIZE_MAX},
    {"ks_realloc to nothing", by_emptying, SIZE_MAX},
    {"ks_realloc to more", by_moving, (TOP_CLASS - MORE) / 3},
};

/* ------------------------------------------------------------------ moves */

enum { OWNER, FIRST, SECOND };

enum { OUTBOX = 16 << 10 }; /* bytes that a thread may hold back */

/* Which threads they are; NULL is this one. */
static struct worker *const casts[2][3] = {
    {NULL, &others[0], &others[1]},
    {&others[0], NULL, &others[1]},
};

struct scene {
    struct stage *stage;
    const struct way *way;
    struct worker *const *cast;
    void *block;
    ks_status status;
    size_t freed;
    unsigned double_free, stale; /* refused at once */
    unsigned sent;               /* frees of what the same thread had freed last, and sent */
};

/*
 * Where the block may be moved to there is room already, so that who moves it does not look for what has come home.
 */
static void allocate(void *argument)
{
    struct scene *scene = argument;
    struct stage *stage = scene->stage;
    scene->block = block_new(stage);
    if (scene->way->use == by_moving)
        assert_status(ks_free(stage->key, alloc_ok(stage->key, stage->size * 3 + MORE)), KS_OK);
}

static void free_once(void *argument)
{
    struct scene *scene = argument;
    scene->status = scene->way->use(scene->stage->key, scene->block, scene->stage->size);
}

static void free_twice(void *argument)
{
    struct scene *scene = argument;
    void *blocks[] = {scene->block, scene->block};
    scene->freed = ks_free_bulk(scene->stage->key, blocks, COUNT(blocks), &scene->status);
}

static void let(struct scene *scene, unsigned who, void (*act)(void *))
{
    if (scene->cast[who])
        worker_do(scene->cast[who], act, scene);
    else
        act(scene);
}

static void assert_free(struct scene *scene, unsigned who, void (*act)(void *), ks_status expected)
{
    struct heard *heard = &scene->stage->heard;
    unsigned before = heard->count - heard->at_home;
    let(scene, who, act);
    if (scene->status != expected)
        fail_msg("%s, expected %s", ks_strerror(scene->status), ks_strerror(expected));
    /* What gets home meanwhile is heard of too. */
    assert_int_equal(heard->count - heard->at_home - before, expected != KS_OK);
    scene->double_free += expected == KS_DOUBLE_FREE;
    scene->stale += expected == KS_STALE;
}

static void flush_all(void)
{
    ks_flush();
    flush_elsewhere();
}

/* Nothing is held back that is as large as all that may be. */
static bool is_sent_at_once(const struct scene *scene)
{
    return ks_good_size(scene->stage->size) >= OUTBOX;
}

static void free_again(struct scene *scene, unsigned who)
{
    bool sent = is_sent_at_once(scene);
    assert_free(scene, who, free_once, sent ? KS_OK : KS_DOUBLE_FREE);
    scene->sent += sent;
}

static void free_in_one_bulk(struct scene *scene, unsigned who, bool both)
{
    assert_free(scene, who, free_twice, both ? KS_OK : KS_DOUBLE_FREE);
    assert_int_equal(scene->freed, both ? 2 : 1);
    scene->sent += both;
}

static void play_step(struct scene *scene, char step)
{
    static const char answers[] = "oabOABxyz";
    static const ks_status expected[] = {KS_OK, KS_DOUBLE_FREE, KS_STALE};
    const char *answer = strchr(answers, step);
    if (answer) {
        size_t index = (size_t)(answer - answers);
        assert_free(scene, index % 3, free_once, expected[index / 3]);
        return;
    }
    switch (step) {
    case 'g':
        free_again(scene, FIRST);
        break;
    case 'h':
        free_again(scene, SECOND);
        break;
    case '2':
        free_in_one_bulk(scene, FIRST, is_sent_at_once(scene));
        break;
    case 'D':
        free_in_one_bulk(scene, OWNER, false);
        break;
    case 'f':
        flush_all();
        break;
    case 'p':
        assert_status(ks_key_purge(scene->stage->key), KS_OK);
        break;
    case 'r':
        assert_status(ks_key_reset(scene->stage->key), KS_OK);
        break;
    default:
        fail_msg("no such move: %c", step);
    }
}

/* All that is on its way is home: each refusal has been counted and heard once, and nothing is left. */
static void assert_home(struct scene *scene, const struct script *script)
{
    struct stage *stage = scene->stage;
    struct ks_key_stats stats = stats_of(stage->key);
    /* What a reset has dropped gets nowhere. */
    unsigned at_home = script->at_home + (script->dropped ? 0 : scene->sent);
    assert_int_equal(stats.refused_at_home, at_home);
    assert_int_equal(stats.double_free, at_home + scene->double_free);
    assert_int_equal(stats.stale, scene->stale);
    assert_int_equal(stats.bad_block + stats.wrong_key + stats.damaged, 0);
    assert_int_equal(stage->heard.at_home, at_home);
    assert_int_equal(stage->heard.count, at_home + scene->double_free + scene->stale);
    if (stage->heard.count) {
        assert_ptr_equal(stage->heard.last.block, scene->block);
        assert_int_equal(stage->heard.last.key, stage->key);
        if (stage->size <= TOP_CLASS)
            assert_int_equal(stage->heard.last.class_size, ks_good_size(stage->size));
    }
    assert_int_equal(stats.dropped, script->dropped);
    assert_int_equal(stats.live + stats.in_flight, 0);
    assert_int_equal(stats.arena_bytes, 0);
}

static void play(const struct script *script, const struct way *way, struct worker *const *cast, size_t size,
                 enum ks_checks checks)
{
    struct stage *stage = stage_begin_with(script->name, way->name, size,
                                           (struct ks_key_options){.checks = checks, .outbox_bytes = OUTBOX});
    struct scene scene = {.stage = stage, .way = way, .cast = cast};
    let(&scene, OWNER, allocate);
    for (const char *step = script->moves; *step; step++)
        play_step(&scene, *step);
    flush_all();
    assert_status(ks_key_purge(stage->key), KS_OK);
    assert_home(&scene, script);
    stage_end(stage);
}

static void play_all(enum ks_checks checks)
{
    for (size_t s = 0; s < COUNT(scripts); s++)
        for (size_t w = 0; w < COUNT(ways); w++)
            for (size_t c = 0; c < COUNT(casts); c++)
                for (size_t i = 0; i < COUNT(misused_sizes); i++)
                    if (misused_sizes[i] <= ways[w].largest)
                        play(&scripts[s], &ways[w], casts[c], misused_sizes[i], checks);
}

static void each_order_of_frees(void **state)
{
    (void)state;
    play_all(KS_CHECKS_STANDARD);
}

static void each_order_of_frees_with_paranoid_checks(void **state)
{
    (void)state;
    play_all(KS_CHECKS_PARANOID);
}

/* ------------------------------------------------------------------ found while the owner moves the block */

static void move_again(void *argument)
{
    struct scene *scene = argument;
    scene->status = by_moving(scene->stage->key, scene->block, scene->stage->size);
}

/*
 * Another thread's free has been sent, and the owner, which moves the block, needs memory of a class that it has none
 * of, or a large block: it takes in what was sent, and finds out before it has moved anything.
 */
static void a_block_that_is_moved_by_its_owner_while_its_free_gets_home(void **state)
{
    (void)state;
    for (size_t c = 0; c < COUNT(casts); c++)
        for (size_t i = 0; i < COUNT(misused_sizes); i++) {
            struct stage *stage = stage_begin("moved while its free gets home", "ks_realloc", misused_sizes[i]);
            struct scene scene = {.stage = stage, .way = &ways[0], .cast = casts[c]};
            let(&scene, OWNER, allocate);
            let(&scene, FIRST, free_once);
            assert_status(scene.status, KS_OK);
            flush_all();
            assert_free(&scene, OWNER, move_again, KS_DOUBLE_FREE);
            struct ks_key_stats stats = stats_of(stage->key);
            assert_int_equal(stats.double_free, 1);
            assert_int_equal(stats.refused_at_home, 0);
            assert_int_equal(stats.live + stats.in_flight, 0);
            assert_int_equal(stats.freed_remote, 1);
            assert_int_equal(stage->heard.count, 1);
            assert_ptr_equal(stage->heard.last.block, scene.block);
            stage_end(stage);
        }
}

/* ------------------------------------------------------------------ large blocks */

static void a_large_block_refused_at_home_is_reported_with_its_size(void **state)
{
    (void)state;
    struct stage *stage = stage_begin("a large block, twice", "ks_free", 100000);
    void *block = block_new(stage);
    free_elsewhere(stage, block);
    free_elsewhere(stage, block);
    flush_all();
    assert_status(ks_key_purge(stage->key), KS_OK);
    assert_int_equal(stage->heard.at_home, 1);
    assert_int_equal(stage->heard.last.class_size, ks_good_size(100000));
    stage_end(stage);
}

/*
 * Memory for the new place is looked for among what has come home, and the old place is among it: the block that is
 * handed back must be live, whatever the answer is, and its memory nobody else's.
 */
static void a_large_block_on_its_way_home_is_not_moved_onto_itself(void **state)
{
    (void)state;
    struct stage *stage = stage_begin("a large block, then moved by its owner", "ks_realloc", 1 << 20);
    void *block = block_new(stage);
    free_elsewhere(stage, block);
    ks_status status;
    void *moved = ks_realloc(stage->key, block, 100000, &status);
    assert_int_equal(moved != NULL, status == KS_OK);
    if (moved) {
        assert_int_equal(ks_size(stage->key, moved), ks_good_size(100000));
        assert_status(ks_free(stage->key, moved), KS_OK);
    }
    flush_all();
    assert_status(ks_key_purge(stage->key), KS_OK);
    assert_int_equal(stats_of(stage->key).double_free, 1);
    assert_int_equal(stage->heard.count, 1);
    assert_int_equal(stats_of(stage->key).live, 0);
    stage_end(stage);
}

/* The second free's memory serves another thread when it gets home: the bytes on their way are still right. */
static void bytes_of_large_blocks_are_right_after_a_double_free(void **state)
{
    (void)state;
    struct stage *stage = stage_begin("a large block, its memory used again", "ks_free", 1 << 20);
    void *block = block_new(stage);
    free_elsewhere(stage, block);
    assert_status(ks_free(stage->key, block), KS_OK);
    void *young;
    worker_do(&others[1], errand_allocate, &(struct errand){stage->key, 64, &young, 1});
    assert_ptr_equal(young, block);
    assert_status(ks_key_purge(stage->key), KS_OK);
    assert_int_equal(stats_of(stage->key).refused_at_home, 1);
    assert_int_equal(stats_of(stage->key).in_flight, 0);
    void *live = block_new(stage);
    assert_int_equal(stats_of(stage->key).live_bytes, ks_good_size(1 << 20) + ks_good_size(64));
    assert_status(ks_free(stage->key, live), KS_OK);
    stage_end(stage);
}

/* ------------------------------------------------------------------ the clock that travels with a block */

/*
 * Freed elsewhere, then by the owner, who hands it out again and again: each time it is another block. After 8,191
 * allocations from its group nobody can tell any more, which the interface names as its limit.
 */
static void a_block_used_many_times_is_not_taken_for_its_old_self(void **state)
{
    (void)state;
    enum { KNOWN = 8191, EACH = 130, STEP = 403 };
    for (unsigned uses = 1; uses <= KNOWN; uses += uses < EACH || uses > KNOWN - EACH ? 1 : STEP) {
        struct stage *stage = stage_begin("freed elsewhere, then used again", "ks_free", 1500);
        void *block = block_new(stage);
        assert_status(ks_free(stage->key, block), KS_OK);
        assert_ptr_equal(block_new(stage), block);
        free_elsewhere(stage, block);
        for (unsigned use = 0; use < uses; use++) {
            assert_status(ks_free(stage->key, block), KS_OK);
            assert_ptr_equal(block_new(stage), block);
        }
        flush_all();
        assert_status(ks_key_purge(stage->key), KS_OK);
        if (!ks_size(stage->key, block))
            fail_msg("after %u uses an old free has freed the block", uses);
        assert_int_equal(stats_of(stage->key).refused_at_home, 1);
        stage_end(stage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(each_order_of_frees, misuse_tell),
        cmocka_unit_test_teardown(each_order_of_frees_with_paranoid_checks, misuse_tell),
        cmocka_unit_test_teardown(a_block_that_is_moved_by_its_owner_while_its_free_gets_home, misuse_tell),
        cmocka_unit_test_teardown(a_large_block_refused_at_home_is_reported_with_its_size, misuse_tell),
        cmocka_unit_test_teardown(a_large_block_on_its_way_home_is_not_moved_onto_itself, misuse_tell),
        cmocka_unit_test_teardown(bytes_of_large_blocks_are_right_after_a_double_free, misuse_tell),
        cmocka_unit_test_teardown(a_block_used_many_times_is_not_taken_for_its_old_self, misuse_tell),
    };
    return cmocka_run_group_tests_name("away", tests, misuse_start, misuse_end);
}
