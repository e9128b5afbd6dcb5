/*
 * Every address of a slab, of every class, handed to every call that takes a block: what it is answered, in its owner
 * thread, in another thread, and in another key, and that nothing live is touched. The slab has live blocks, free
 * ones, some that were never handed out, groups that have not been begun and, behind its last block, room for none.
 */
#include "test.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STRIDE = 37, SPARSE = 997 }; /* between addresses, where each of them would take too long */
#else
enum { STRIDE = 1, SPARSE = 61 };
#endif

enum { SPAN = 256 << 10, GROUP = 32, BLOCKS_MOST = SPAN / 16 };

/* ------------------------------------------------------------------ the tables */

static uint32_t default_sizes[KS_CLASSES_MAX];

/* Of a key whose blocks are aligned to 8 bytes. */
static const uint32_t odd_sizes[] = {16,  24,  40,  56,  72,   88,   104,  120,  136,  168,   200,   248,   328,  424,
                                     504, 512, 528, 592, 1040, 1552, 2064, 4112, 9232, 16400, 21840, 43680, 65536};

struct table {
    const char *name;
    const uint32_t *sizes;
    uint32_t count;
    size_t alignment;
};

static struct table tables[] = {
    {"the default table", default_sizes, 0, 0},
    {"a table of odd sizes", odd_sizes, COUNT(odd_sizes), 8},
};

static int start(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    struct ks_key_stats stats = stats_of(key);
    tables[0].count = stats.class_count - 1;
    for (uint32_t i = 0; i < tables[0].count; i++)
        default_sizes[i] = (uint32_t)stats.classes[i].size;
    key_end(key);
    return 0;
}

/* ------------------------------------------------------------------ a slab, and what its addresses are */

enum block { UNBORN, LIVE, FREE };

struct picture {
    const struct table *table;
    size_t bytes;
    size_t slab_bytes;
    ks_key_t key;
    ks_key_t other;
    char *start;
    size_t limit;
    size_t live;
    unsigned char blocks[BLOCKS_MOST]; /* enum block of each */
    uint64_t told[KS_DAMAGED + 1];     /* refusals that the key must have counted, by status */
};

static struct picture the_picture;

static const size_t slab_sizes[] = {SPAN, 64 << 10};

static ks_key_t key_of(const struct table *table, size_t slab_bytes)
{
    ks_key_t key;
    struct ks_key_options options = {.alignment = table->alignment, .slab_bytes = slab_bytes};
    if (table->sizes == odd_sizes) {
        options.classes = odd_sizes;
        options.class_count = COUNT(odd_sizes);
    }
    assert_status(ks_key_create(&options, &key), KS_OK);
    return key;
}

/* Bytes of its own in each block: all of a small one, the edges of others. */
static unsigned char *mark_of(const struct picture *picture, size_t index, size_t which)
{
    size_t at = which < 8 ? which : picture->bytes - 16 + which;
    return (unsigned char *)picture->start + index * picture->bytes + at;
}

static void marks_set(const struct picture *picture, size_t index)
{
    for (size_t which = 0; which < 16; which++)
        *mark_of(picture, index, which) = (unsigned char)(index * 31 + which);
}

static void assert_marks(const struct picture *picture)
{
    for (size_t index = 0; index < picture->limit; index++)
        for (size_t which = 0; picture->blocks[index] == LIVE && which < 16; which++)
            if (*mark_of(picture, index, which) != (unsigned char)(index * 31 + which))
                fail_msg("%s, %zu bytes: block %zu has been written to", picture->table->name, picture->bytes, index);
}

/* A group and a half, where the slab has so many; every third is free again, and the lowest of all. */
static struct picture *picture_begin(const struct table *table, size_t size, size_t slab_bytes)
{
    struct picture *picture = &the_picture;
    memset(picture, 0, sizeof *picture);
    picture->table = table;
    picture->bytes = size;
    picture->slab_bytes = slab_bytes;
    picture->key = key_of(table, slab_bytes);
    picture->other = key_of(table, slab_bytes);
    picture->limit = slab_bytes / size;
    size_t out = picture->limit <= GROUP ? picture->limit - picture->limit / 3 : GROUP + GROUP / 2;
    if (out > picture->limit)
        out = picture->limit;
    for (size_t i = 0; i < out; i++) {
        char *block = alloc_ok(picture->key, size);
        picture->start = i ? picture->start : block;
        assert_ptr_equal(block, picture->start + i * size);
        picture->blocks[i] = LIVE;
    }
    assert_int_equal((uintptr_t)picture->start % SPAN, 0);
    for (size_t i = 0; i < out; i += 3) {
        assert_status(ks_free(picture->key, picture->start + i * size), KS_OK);
        picture->blocks[i] = FREE;
    }
    for (size_t i = 0; i < out; i++)
        if (picture->blocks[i] == LIVE) {
            marks_set(picture, i);
            picture->live++;
        }
    return picture;
}

static ks_status expected_at(const struct picture *picture, size_t offset)
{
    size_t index = offset / picture->bytes;
    if (offset % picture->bytes || index >= picture->limit)
        return KS_BAD_BLOCK;
    if (picture->blocks[index] == UNBORN)
        return KS_STALE;
    return picture->blocks[index] == LIVE ? KS_OK : KS_DOUBLE_FREE;
}

static void fail_at(const struct picture *picture, size_t offset, const char *call, ks_status status,
                    ks_status expected)
{
    fail_msg("%s, %zu bytes, slab of %zu: %s of offset %zu: %s, expected %s", picture->table->name, picture->bytes,
             picture->slab_bytes, call, offset, ks_strerror(status), ks_strerror(expected));
}

/* ------------------------------------------------------------------ the calls */

/* A live block has its size, and is resized to what it has; all else is refused by every call. */
static void offer(struct picture *picture, size_t offset)
{
    char *address = picture->start + offset;
    ks_status expected = expected_at(picture, offset);
    ks_status status = KS_OK;
    if (ks_size(picture->key, address) != (expected == KS_OK ? picture->bytes : 0))
        fail_at(picture, offset, "ks_size", KS_OK, expected);
    void *resized = ks_realloc(picture->key, address, picture->bytes, &status);
    if (status != expected || resized != (expected == KS_OK ? address : NULL))
        fail_at(picture, offset, "ks_realloc", status, expected);
    if (expected == KS_OK)
        return;
    resized = ks_realloc(picture->key, address, picture->bytes * 3 + 100, &status);
    if (status != expected || resized)
        fail_at(picture, offset, "ks_realloc to more", status, expected);
    status = ks_free(picture->key, address);
    if (status != expected)
        fail_at(picture, offset, "ks_free", status, expected);
    picture->told[expected] += 3;
}

/* Where blocks begin, beside it, and here and there. */
static void offer_to_some(struct picture *picture, void (*offer_at)(struct picture *, size_t))
{
    for (size_t offset = 0; offset < SPAN; offset += picture->bytes)
        for (size_t at = offset ? offset - 1 : 0; at <= offset + 1; at++)
            offer_at(picture, at);
    for (size_t offset = SPARSE; offset < SPAN; offset += SPARSE)
        offer_at(picture, offset);
}

static void offer_some(void *argument)
{
    offer_to_some(argument, offer);
}

/* Every address: free, and size where that would succeed. */
static void offer_all(void *argument)
{
    struct picture *picture = argument;
    for (size_t offset = 0; offset < SPAN; offset += STRIDE) {
        ks_status expected = expected_at(picture, offset);
        if (expected == KS_OK) {
            assert_int_equal(ks_size(picture->key, picture->start + offset), picture->bytes);
            continue;
        }
        ks_status status = ks_free(picture->key, picture->start + offset);
        if (status != expected)
            fail_at(picture, offset, "ks_free", status, expected);
        picture->told[expected]++;
    }
    offer_some(picture);
}

/* In another key it does not matter what the block is. */
static void offer_in_other_key(struct picture *picture, size_t offset)
{
    ks_status expected = expected_at(picture, offset) == KS_BAD_BLOCK ? KS_BAD_BLOCK : KS_WRONG_KEY;
    ks_status status = ks_free(picture->other, picture->start + offset);
    if (status != expected)
        fail_at(picture, offset, "ks_free in another key", status, expected);
}

static void offer_to_other(void *argument)
{
    offer_to_some(argument, offer_in_other_key);
}

enum { BURST = 1000 };

/* A thousand at once, no live ones among them. */
static void offer_in_bulk(void *argument)
{
    struct picture *picture = argument;
    void *blocks[BURST];
    for (size_t offset = 0; offset < SPAN;) {
        ks_status first = KS_OK;
        ks_status status = KS_OK;
        size_t count = 0;
        for (; count < BURST && offset < SPAN; offset += STRIDE) {
            ks_status expected = expected_at(picture, offset);
            if (expected == KS_OK)
                continue;
            first = first == KS_OK ? expected : first;
            picture->told[expected]++;
            blocks[count++] = picture->start + offset;
        }
        size_t freed = ks_free_bulk(picture->key, blocks, count, &status);
        if (freed || status != first)
            fail_at(picture, offset, "ks_free_bulk up to", status, first);
    }
}

static void (*const offers[])(void *) = {offer_all, offer_to_other, offer_in_bulk};

/* ------------------------------------------------------------------ what is left */

static void assert_told(const struct picture *picture)
{
    struct ks_key_stats stats = stats_of(picture->key);
    assert_int_equal(stats.bad_block, picture->told[KS_BAD_BLOCK]);
    assert_int_equal(stats.double_free, picture->told[KS_DOUBLE_FREE]);
    assert_int_equal(stats.stale, picture->told[KS_STALE]);
    assert_int_equal(stats.wrong_key, 0);
    assert_int_equal(stats.refused_at_home, 0);
    assert_int_equal(stats.live, picture->live);
    assert_int_equal(stats.in_flight, 0);
    assert_stats_balance(picture->key);
    assert_key_whole(picture->key);
    assert_key_whole(picture->other);
    assert_marks(picture);
}

/* All free blocks, and only those, are handed out once more: the slab has no others. */
static void assert_rest_is_free(struct picture *picture)
{
    for (size_t i = picture->live; i < picture->limit; i++) {
        char *block = alloc_ok(picture->key, picture->bytes);
        size_t index = (size_t)(block - picture->start) / picture->bytes;
        assert_true(block >= picture->start && index < picture->limit);
        assert_int_equal(expected_at(picture, (size_t)(block - picture->start)) == KS_OK, false);
        picture->blocks[index] = LIVE;
        marks_set(picture, index);
    }
    picture->live = picture->limit;
    assert_marks(picture);
    assert_int_equal(stats_of(picture->key).arena_bytes, picture->slab_bytes);
}

static void picture_end(struct picture *picture)
{
    key_end(picture->key);
    key_end(picture->other);
}

/* ------------------------------------------------------------------ the slab is in use */

static void every_address_of_every_class(void **state)
{
    (void)state;
    struct worker worker;
    worker_start(&worker);
    for (size_t t = 0; t < COUNT(tables); t++)
        for (size_t s = 0; s < COUNT(slab_sizes); s++)
            for (uint32_t class = 0; class < tables[t].count; class ++) {
                struct picture *picture = picture_begin(&tables[t], tables[t].sizes[class], slab_sizes[s]);
                for (size_t i = 0; i < COUNT(offers); i++) {
                    offers[i](picture);
                    if (!s)
                        worker_do(&worker, offers[i], picture);
                }
                assert_told(picture);
                assert_rest_is_free(picture);
                picture_end(picture);
            }
    worker_end(&worker);
}

/* Another thread holds a block of the same group back, so that its frees take the short way. */
static void hold_one_back(void *argument)
{
    struct picture *picture = argument;
    for (size_t i = 0; i < picture->limit; i++)
        if (picture->blocks[i] == LIVE) {
            assert_status(ks_free(picture->key, picture->start + i * picture->bytes), KS_OK);
            picture->blocks[i] = FREE;
            picture->live--;
            return;
        }
    fail_msg("no live block");
}

static void send(void *argument)
{
    (void)argument;
    ks_flush();
}

static void every_address_where_remote_frees_are_pending(void **state)
{
    (void)state;
    struct worker worker;
    worker_start(&worker);
    for (size_t t = 0; t < COUNT(tables); t++)
        for (uint32_t class = 0; class < tables[t].count; class ++) {
            struct picture *picture = picture_begin(&tables[t], tables[t].sizes[class], SPAN);
            worker_do(&worker, hold_one_back, picture);
            size_t held = 0;
            while (picture->blocks[held] != FREE || held % 3 == 0)
                held++;
            /* It is none that the thread may free again; to look at it would find it live. */
            picture->blocks[held] = LIVE;
            worker_do(&worker, offer_all, picture);
            worker_do(&worker, offer_in_bulk, picture);
            worker_do(&worker, send, NULL);
            picture->blocks[held] = FREE;
            assert_status(ks_key_purge(picture->key), KS_OK);
            worker_do(&worker, offer_some, picture);
            offer_some(picture);
            assert_told(picture);
            assert_rest_is_free(picture);
            picture_end(picture);
        }
    worker_end(&worker);
}

/* ------------------------------------------------------------------ the slab is nobody's, or everybody's */

/* Every block is free, and the slab has gone back to the arena: what was handed out has been freed. */
static void every_address_of_a_slab_that_was_given_back(void **state)
{
    (void)state;
    struct worker worker;
    worker_start(&worker);
    for (size_t t = 0; t < COUNT(tables); t++)
        for (uint32_t class = 0; class < tables[t].count; class ++) {
            struct picture *picture = picture_begin(&tables[t], tables[t].sizes[class], SPAN);
            for (size_t i = 0; i < picture->limit; i++)
                if (picture->blocks[i] == LIVE) {
                    assert_status(ks_free(picture->key, picture->start + i * picture->bytes), KS_OK);
                    picture->blocks[i] = FREE;
                }
            picture->live = 0;
            assert_status(ks_key_purge(picture->key), KS_OK);
            assert_int_equal(stats_of(picture->key).arena_bytes, 0);
            offer_all(picture);
            worker_do(&worker, offer_some, picture);
            worker_do(&worker, offer_in_bulk, picture);
            assert_told(picture);
            picture_end(picture);
        }
    worker_end(&worker);
}

/* After a reset no address is anything but stale: whether the slab waits for its next epoch, or is the arena's. */
static void every_address_of_a_slab_that_was_dropped(void **state)
{
    (void)state;
    struct worker worker;
    worker_start(&worker);
    for (int purged = 0; purged < 2; purged++)
        for (size_t t = 0; t < COUNT(tables); t++)
            for (uint32_t class = 0; class < tables[t].count; class ++) {
                struct picture *picture = picture_begin(&tables[t], tables[t].sizes[class], SPAN);
                assert_status(ks_key_reset(picture->key), KS_OK);
                if (purged)
                    assert_status(ks_key_purge(picture->key), KS_OK);
                memset(picture->blocks, UNBORN, sizeof picture->blocks);
                picture->live = 0;
                worker_do(&worker, offer_all, picture);
                offer_some(picture);
                offer_in_bulk(picture);
                assert_told(picture);
                picture_end(picture);
            }
    worker_end(&worker);
}

/* The slab of one class begins anew with another, a few blocks of it. */
static void every_address_of_a_slab_that_has_changed_class(void **state)
{
    (void)state;
    struct worker worker;
    worker_start(&worker);
    for (size_t t = 0; t < COUNT(tables); t++)
        for (uint32_t class = 0; class < tables[t].count; class ++) {
            uint32_t young = (class * 7 + 3) % tables[t].count;
            struct picture *picture = picture_begin(&tables[t], tables[t].sizes[class], SPAN);
            assert_status(ks_key_reset(picture->key), KS_OK);
            memset(picture->blocks, UNBORN, sizeof picture->blocks);
            picture->bytes = tables[t].sizes[young];
            picture->limit = SPAN / picture->bytes;
            picture->live = picture->limit < 3 ? picture->limit : 3;
            for (size_t i = 0; i < picture->live; i++) {
                assert_ptr_equal(alloc_ok(picture->key, picture->bytes), picture->start + i * picture->bytes);
                picture->blocks[i] = LIVE;
                marks_set(picture, i);
            }
            worker_do(&worker, offer_some, picture);
            offer_some(picture);
            worker_do(&worker, offer_in_bulk, picture);
            assert_told(picture);
            assert_rest_is_free(picture);
            picture_end(picture);
        }
    worker_end(&worker);
}

/* ------------------------------------------------------------------ large blocks */

/* Of the slabs that one reaches into only the first byte is a block's. */
static void every_address_of_a_large_block(void **state)
{
    (void)state;
    static const size_t sizes[] = {65537, SPAN, SPAN + 1, 5 * SPAN - 100};
    struct worker worker;
    worker_start(&worker);
    for (size_t s = 0; s < COUNT(sizes); s++) {
        struct picture *picture = &the_picture;
        memset(picture, 0, sizeof *picture);
        picture->table = &tables[0];
        picture->key = key_new();
        picture->other = key_new();
        picture->bytes = ks_good_size(sizes[s]);
        picture->limit = 1;
        picture->slab_bytes = picture->bytes;
        picture->start = alloc_ok(picture->key, sizes[s]);
        picture->blocks[0] = LIVE;
        picture->live = 1;
        marks_set(picture, 0);
        for (size_t offset = 0; offset < picture->bytes; offset += SPARSE)
            offer(picture, offset);
        for (size_t offset = 0; offset < picture->bytes; offset += 4096)
            offer(picture, offset);
        worker_do(&worker, offer_all, picture);
        assert_told(picture);
        picture_end(picture);
    }
    worker_end(&worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_address_of_every_class),
        cmocka_unit_test(every_address_where_remote_frees_are_pending),
        cmocka_unit_test(every_address_of_a_slab_that_was_given_back),
        cmocka_unit_test(every_address_of_a_slab_that_was_dropped),
        cmocka_unit_test(every_address_of_a_slab_that_has_changed_class),
        cmocka_unit_test(every_address_of_a_large_block),
    };
    return cmocka_run_group_tests_name("validate", tests, start, NULL);
}
