/*
 * Every call on blocks, at random, against a model that knows of each address of three slabs whether it is a block,
 * and a live one. What is freed is mostly what was handed out last, or freed last: where a thread keeps in mind what
 * it did last, it must not be wrong.
 */
#include "freers.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STEPS = 60000 };
#else
enum { STEPS = 400000 };
#endif

enum {
    SLAB = 256 << 10,
    ROOM_MOST = SLAB / 16,
    CLASSES = 3,
    LATELY = 8,
    BURST = 70,
    PENDING_MOST = 50 /* what one message holds */
};

enum block { UNBORN, LIVE, FREE, PENDING /* freed by another thread, which holds it back */ };

/* One class: its blocks are those of one slab, which never becomes empty, since the first one is never freed. */
struct class
{
    size_t size;
    size_t bytes;
    size_t live_most;
    char *start; /* NULL since a reset */
    size_t live;
    unsigned char blocks[ROOM_MOST];
    char *lately[LATELY]; /* handed out or freed */
    size_t at;
};

static ks_key_t key, other;
static struct class classes[CLASSES];
static unsigned seed;
static uint64_t pending, refused[KS_DAMAGED + 1];

static size_t random_below(size_t most)
{
    return (size_t)rand_r(&seed) % most;
}

/* ------------------------------------------------------------------ the model */

static unsigned char *state_of(struct class *class, const char *block)
{
    size_t offset = (size_t)(block - class->start);
    assert_true(offset < SLAB && offset % class->bytes == 0);
    return &class->blocks[offset / class->bytes];
}

static void handed_out(struct class *class, char *block)
{
    if (!class->start)
        class->start = block;
    unsigned char *state = state_of(class, block);
    if (*state == LIVE || *state == PENDING)
        fail_msg("%p, of %zu bytes, was handed out twice", (void *)block, class->bytes);
    *state = LIVE;
    class->live++;
    class->lately[class->at++ % LATELY] = block;
    memset(block, (int)(uintptr_t)block >> 4, 8);
}

static void freed(struct class *class, char *block)
{
    *state_of(class, block) = FREE;
    class->live--;
    class->lately[class->at++ % LATELY] = block;
}

static ks_status status_of(struct class *class, const char *block)
{
    switch (*state_of(class, block)) {
    case LIVE:
    case PENDING:
        return KS_OK;
    case FREE:
        return KS_DOUBLE_FREE;
    default:
        return KS_STALE;
    }
}

/*
 * One that is not on its way: of the last ones, most of the time, but never the first of all. NULL where there is
 * none.
 */
static char *any_block(struct class *class)
{
    char *block = class->lately[random_below(LATELY)];
    if (random_below(8) == 0)
        block = class->start + random_below(class->live_most + 40) * class->bytes;
    return block && block != class->start && *state_of(class, block) != PENDING ? block : NULL;
}

static void expect(ks_status status, ks_status expected, const char *call)
{
    if (status != expected)
        fail_msg("%s: %s, expected %s", call, ks_strerror(status), ks_strerror(expected));
    if (expected != KS_OK)
        refused[expected]++;
}

/* ------------------------------------------------------------------ steps */

static void step_allocate(struct class *class)
{
    ks_status status = KS_OK;
    switch (random_below(4)) {
    case 0:
        handed_out(class, ks_calloc(key, 1, class->size, &status));
        break;
    case 1:
        handed_out(class, ks_realloc(key, NULL, class->size, &status));
        break;
    default:
        handed_out(class, ks_alloc(key, class->size, &status));
    }
    expect(status, KS_OK, "an allocation");
}

static void step_allocate_burst(struct class *class)
{
    void *blocks[BURST];
    size_t count = 1 + random_below(BURST);
    assert_int_equal(ks_alloc_bulk(key, class->size, blocks, count, NULL), count);
    for (size_t i = 0; i < count; i++)
        handed_out(class, blocks[i]);
}

static void step_free(struct class *class)
{
    char *block = any_block(class);
    if (!block)
        return;
    ks_status expected = status_of(class, block);
    assert_int_equal(ks_size(key, block), expected == KS_OK ? class->bytes : 0);
    expect(ks_free(key, block), expected, "ks_free");
    if (expected == KS_OK)
        freed(class, block);
}

/* What is live of a number of blocks in a row. */
static void step_free_burst(struct class *class)
{
    void *blocks[BURST];
    size_t count = 0;
    size_t good = 0;
    ks_status first = KS_OK;
    ks_status status = KS_INVALID;
    char *block = any_block(class);
    while (block && count < BURST && block < class->start + class->live_most * class->bytes) {
        if (*state_of(class, block) != PENDING) {
            ks_status expected = status_of(class, block);
            first = first == KS_OK ? expected : first;
            refused[expected]++;
            good += expected == KS_OK;
            blocks[count++] = block;
            if (expected == KS_OK)
                freed(class, block);
        }
        block += class->bytes * (1 + random_below(3) / 2);
    }
    if (!count)
        return;
    assert_int_equal(ks_free_bulk(key, blocks, count, &status), good);
    assert_status(status, first);
}

/* All that was on its way is free. */
static void model_got_home(void)
{
    pending = 0;
    for (size_t c = 0; c < CLASSES; c++)
        for (size_t i = 0; i < ROOM_MOST; i++)
            if (classes[c].blocks[i] == PENDING)
                freed(&classes[c], classes[c].start + i * classes[c].bytes);
}

static void step_get_home(void)
{
    flush_in(0);
    owner_takes(key);
    model_got_home();
}

static void step_purge(void)
{
    assert_status(ks_key_purge(key), KS_OK);
    model_got_home();
}

static void step_free_elsewhere(struct class *class)
{
    char *block = any_block(class);
    if (!block || pending == PENDING_MOST)
        return;
    ks_status expected = status_of(class, block);
    expect(free_in(0, key, block), expected, "ks_free elsewhere");
    if (expected != KS_OK)
        return;
    *state_of(class, block) = PENDING;
    pending++;
}

/* To another class of the three, or nowhere. */
static void step_resize(struct class *class)
{
    struct class *target = &classes[random_below(CLASSES)];
    char *block = any_block(class);
    ks_status status = KS_INVALID;
    if (!block)
        return;
    ks_status expected = status_of(class, block);
    char *moved = ks_realloc(key, block, target->size, &status);
    expect(status, expected, "ks_realloc");
    if (!moved || moved == block)
        return;
    freed(class, block);
    handed_out(target, moved);
}

static void step_misuse(struct class *class)
{
    char *block = any_block(class);
    if (!block)
        return;
    expect(ks_free(key, block + 8), KS_BAD_BLOCK, "ks_free of an interior address");
    assert_status(ks_free(other, block), KS_WRONG_KEY);
}

/* The first block of each class comes from now on. */
static void model_begin(void)
{
    static const size_t sizes[CLASSES] = {16, 64, 1500};
    static const size_t most[CLASSES] = {600, 600, 90};
    pending = 0;
    for (size_t c = 0; c < CLASSES; c++) {
        classes[c] = (struct class){.size = sizes[c], .bytes = ks_good_size(sizes[c]), .live_most = most[c]};
        step_allocate(&classes[c]);
    }
}

static void step_reset(void)
{
    char *old = classes[1].lately[0];
    assert_status(ks_key_reset(key), KS_OK);
    expect(ks_free(key, old), KS_STALE, "ks_free after a reset");
    model_begin();
}

static void assert_agrees(void)
{
    struct ks_key_stats stats = stats_of(key);
    uint64_t live = 0;
    for (size_t c = 0; c < CLASSES; c++)
        live += classes[c].live;
    assert_int_equal(stats.live, live - pending);
    assert_int_equal(stats.in_flight, pending);
    assert_int_equal(stats.bad_block, refused[KS_BAD_BLOCK]);
    assert_int_equal(stats.double_free, refused[KS_DOUBLE_FREE]);
    assert_int_equal(stats.stale, refused[KS_STALE]);
    assert_int_equal(stats.refused_at_home, 0);
    assert_stats_balance(key);
    assert_key_whole(key);
}

static void step(void)
{
    struct class *class = &classes[random_below(CLASSES)];
    bool full = class->live >= class->live_most;
    size_t what = random_below(1000);
    if (what < 400 && !full)
        step_allocate(class);
    else if (what < 420 && !full && class->live + BURST < class->live_most)
        step_allocate_burst(class);
    else if (what < 800)
        step_free(class);
    else if (what < 840)
        step_free_burst(class);
    else if (what < 880)
        step_free_elsewhere(class);
    else if (what < 930 && classes[0].live < 500 && classes[1].live < 500 && classes[2].live < 80)
        step_resize(class);
    else if (what < 980)
        step_misuse(class);
    else if (what < 995)
        step_get_home();
    else if (what < 997)
        step_purge();
    else if (what == 999 && random_below(8) == 0)
        step_reset();
}

static void play(enum ks_trace trace)
{
    const struct ks_key_options options = {.trace = trace, .outbox_bytes = 16 << 20, .flush = 1000000};
    assert_status(ks_key_create(&options, &key), KS_OK);
    other = key_new();
    memset(refused, 0, sizeof refused);
    model_begin();
    for (int i = 0; i < STEPS; i++) {
        step();
        if (i % 1000 == 0)
            assert_agrees();
    }
    step_get_home();
    assert_agrees();
    assert_int_equal(stats_of(other).wrong_key > 0, true);
    key_end(key);
    key_end(other);
}

static void calls_agree_with_a_model(void **state)
{
    (void)state;
    for (seed = 1; seed < 4;) {
        unsigned before = seed;
        play(KS_TRACE_OFF);
        seed = before + 1;
    }
}

/* All of them take the slow paths, whether a recording runs or not. */
static void calls_on_a_traced_key_agree_too(void **state)
{
    (void)state;
    seed = 7;
    play(KS_TRACE_ON);
}

/* ------------------------------------------------------------------ the last block
 *
 * It is freed, and freed again when its slab is no longer what it was, while the thread has allocated nothing since.
 */
enum { OTHERS = 40 };

static void *others[OTHERS];

static void allocate_others(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < OTHERS; i++)
        others[i] = alloc_ok(key, 200);
}

/* Each of the others is sent at once, in a slow path of this thread's heap. */
static void its_slab_is_looked_at(void)
{
    for (size_t i = 0; i < OTHERS; i++)
        assert_status(ks_free(key, others[i]), KS_OK);
}

static void its_slab_is_purged(void)
{
    assert_status(ks_key_purge(key), KS_OK);
}

static void do_purge(void *argument)
{
    assert_status(ks_key_purge(*(ks_key_t *)argument), KS_OK);
}

static void its_slab_is_purged_by_another_thread(void)
{
    worker_do(&freers[0], do_purge, &key);
}

/* Visits from a busy key look after the others. */
static void its_key_is_looked_after(void)
{
    for (int i = 0; i < 20000; i++) {
        void *blocks[2];
        assert_int_equal(ks_alloc_bulk(other, 64, blocks, COUNT(blocks), NULL), COUNT(blocks));
        assert_int_equal(ks_free_bulk(other, blocks, COUNT(blocks), NULL), COUNT(blocks));
    }
}

static void (*const ends[])(void) = {
    its_slab_is_looked_at,
    its_slab_is_purged,
    its_slab_is_purged_by_another_thread,
    its_key_is_looked_after,
};

static void the_last_block_is_freed_again(void **state)
{
    (void)state;
    static const size_t sizes[] = {16, 64, 1500, 65536, 100000};
    for (size_t e = 0; e < COUNT(ends); e++)
        for (size_t s = 0; s < COUNT(sizes); s++)
            for (int once_more = 0; once_more < 2; once_more++) {
                const struct ks_key_options options = {.retain = KS_RETAIN_NONE, .outbox_bytes = 1};
                assert_status(ks_key_create(&options, &key), KS_OK);
                other = key_new();
                alloc_ok(other, 64);
                worker_do(&freers[0], allocate_others, NULL);
                void *block = alloc_ok(key, sizes[s]);
                assert_status(ks_free(key, block), KS_OK);
                if (once_more)
                    assert_status(ks_free(key, block), KS_DOUBLE_FREE);
                ends[e]();
                assert_int_equal(ks_size(key, block), 0);
                assert_status(ks_free(key, block), KS_DOUBLE_FREE);
                assert_status(ks_free(key, block), KS_DOUBLE_FREE);
                assert_status(ks_free(other, block), KS_WRONG_KEY);
                assert_key_whole(key);
                void *young = alloc_ok(key, sizes[s]);
                assert_int_equal(stats_of(key).live, e ? OTHERS + 1 : 1);
                assert_status(ks_free(key, young), KS_OK);
                assert_int_equal(stats_of(key).double_free, 2 + once_more);
                key_end(key);
                key_end(other);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_agree_with_a_model),
        cmocka_unit_test(calls_on_a_traced_key_agree_too),
        cmocka_unit_test(the_last_block_is_freed_again),
    };
    return cmocka_run_group_tests_name("calls", tests, freers_start, freers_end);
}
