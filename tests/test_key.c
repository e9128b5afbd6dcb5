/* Keys: handles, slots, options, lifetime. */
#include "test.h"

#include <stdlib.h>

static void create_checks_its_arguments(void **state)
{
    (void)state;
    ks_key_t key;
    assert_status(ks_key_create(NULL, NULL), KS_INVALID);
    struct ks_key_options options = {.reserved = {[1] = 1}};
    assert_status(ks_key_create(&options, &key), KS_INVALID);
    assert_status(ks_key_create(NULL, &key), KS_OK);
    assert_int_not_equal(key, 0);
    key_end(key);
}

static void a_name_is_copied_and_cut(void **state)
{
    (void)state;
    char name[200];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    ks_key_t key;
    assert_status(ks_key_create(&(struct ks_key_options){.name = name}, &key), KS_OK);
    struct ks_key_stats stats = stats_of(key);
    assert_int_equal(strlen(stats.name), 63);
    assert_memory_equal(stats.name, name, 63);
    key_end(key);
}

/* Every call, with a handle that is none. */
static void assert_is_no_key(ks_key_t key)
{
    ks_status status = KS_OK;
    int local;
    void *blocks[1] = {&local};
    struct ks_key_stats stats;
    assert_status(ks_key_reset(key), KS_BAD_KEY);
    assert_status(ks_key_terminate(key), KS_BAD_KEY);
    assert_status(ks_key_destroy(key), KS_BAD_KEY);
    assert_status(ks_key_purge(key), KS_BAD_KEY);
    assert_status(ks_key_stats(key, &stats), KS_BAD_KEY);
    assert_null(ks_alloc(key, 1, &status));
    assert_status(status, KS_BAD_KEY);
    assert_null(ks_alloc(key, 1 << 20, &status));
    assert_status(status, KS_BAD_KEY);
    assert_null(ks_calloc(key, 1, 1, &status));
    assert_status(status, KS_BAD_KEY);
    assert_null(ks_aligned_alloc(key, 128, 1, &status));
    assert_status(status, KS_BAD_KEY);
    assert_null(ks_realloc(key, &local, 1, &status));
    assert_status(status, KS_BAD_KEY);
    assert_status(ks_free(key, &local), KS_BAD_KEY);
    assert_int_equal(ks_size(key, &local), 0);
    assert_int_equal(ks_alloc_bulk(key, 1, blocks, 1, &status), 0);
    assert_status(status, KS_BAD_KEY);
    assert_int_equal(ks_free_bulk(key, blocks, 1, &status), 0);
    assert_status(status, KS_BAD_KEY);
}

static void handles_that_are_none(void **state)
{
    (void)state;
    assert_is_no_key(0);
    assert_is_no_key(1);
    assert_is_no_key(UINTPTR_MAX);
    ks_key_t key = key_new();
    for (int bit = 0; bit < 64; bit++)
        assert_is_no_key(key ^ (ks_key_t)1 << bit);
    void *block = alloc_ok(key, 100);
    for (int bit = 0; bit < 64; bit++)
        assert_is_no_key(key ^ (ks_key_t)1 << bit);
    assert_status(ks_free(key, block), KS_OK);
    key_end(key);
    assert_is_no_key(key);
}

static void a_slot_serves_100000_keys_and_no_handle_returns(void **state)
{
    (void)state;
    ks_key_t first = key_new();
    void *block = alloc_ok(first, 64);
    key_end(first);
    ks_key_t last = first;
    for (int i = 0; i < 100000; i++) {
        ks_key_t key = key_new();
        assert_int_not_equal(key, last);
        assert_status(ks_free(first, block), KS_BAD_KEY);
        assert_status(ks_free(last, block), KS_BAD_KEY);
        if (i % 100 == 0)
            memset(alloc_ok(key, 64), 1, 64);
        assert_status(ks_key_destroy(key), KS_OK);
        last = key;
    }
    /* One slot, over and over: the index is the handle's low 16 bits. */
    assert_int_equal(last & 0x1fffff, first & 0x1fffff);
}

static void a_thousand_keys_at_once(void **state)
{
    (void)state;
    enum { KEYS = 1000, BLOCKS = 20 };
    static ks_key_t keys[KEYS];
    static unsigned *blocks[KEYS][BLOCKS];
    for (unsigned k = 0; k < KEYS; k++)
        keys[k] = key_new();
    for (unsigned b = 0; b < BLOCKS; b++)
        for (unsigned k = 0; k < KEYS; k++) {
            blocks[k][b] = alloc_ok(keys[k], 16 + b * 70);
            *blocks[k][b] = k * BLOCKS + b;
        }
    for (unsigned k = 0; k < KEYS; k++) {
        assert_int_equal(stats_of(keys[k]).live, BLOCKS);
        for (unsigned b = 0; b < BLOCKS; b++) {
            assert_int_equal(*blocks[k][b], k * BLOCKS + b);
            assert_status(ks_free(keys[(k + 1) % KEYS], blocks[k][b]), KS_WRONG_KEY);
            assert_status(ks_free(keys[k], blocks[k][b]), KS_OK);
        }
    }
    for (unsigned k = 0; k < KEYS; k++) {
        assert_stats_balance(keys[k]);
        assert_int_equal(stats_of(keys[k]).live, 0);
        key_end(keys[k]);
    }
}

static void all_slots_can_be_used_up(void **state)
{
    (void)state;
    static ks_key_t keys[65536];
    ks_key_t key = 1;
    size_t count = 0;
    while (count < COUNT(keys) && ks_key_create(NULL, &key) == KS_OK)
        keys[count++] = key;
    assert_int_equal(count, 65535);
    assert_status(ks_key_create(NULL, &key), KS_NO_MEMORY);
    assert_int_equal(key, 0);
    while (count)
        assert_status(ks_key_destroy(keys[--count]), KS_OK);
    key_end(key_new());
}

static void reset_drops_and_the_key_goes_on(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    enum { BLOCKS = 5000 };
    static void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = alloc_ok(key, (size_t)(i * 37 % 3000));
    void *large = alloc_ok(key, 300000);
    assert_status(ks_key_reset(key), KS_OK);
    struct ks_key_stats stats = stats_of(key);
    assert_int_equal(stats.live, 0);
    assert_int_equal(stats.live_bytes, 0);
    assert_int_equal(stats.dropped, BLOCKS + 1);
    assert_int_equal(stats.generation, 1);
    for (int i = 0; i < BLOCKS; i++) {
        assert_status(ks_free(key, blocks[i]), KS_STALE);
        assert_int_equal(ks_size(key, blocks[i]), 0);
    }
    assert_status(ks_free(key, large), KS_STALE);
    ks_status status;
    assert_null(ks_realloc(key, blocks[7], 100, &status));
    assert_status(status, KS_STALE);
    memset(alloc_ok(key, 100), 1, 100);
    assert_int_equal(stats_of(key).stale, BLOCKS + 2);
    assert_stats_balance(key);
    key_end(key);
}

/* Until an address is handed out again, its late free is refused; after a purge too. Where no block may begin, it is none. */
static void stale_until_handed_out_again(void **state)
{
    (void)state;
    static const size_t young_sizes[] = {1000, 100, 500, 64};
    enum { OLD = 10 };
    for (size_t s = 0; s < COUNT(young_sizes); s++) {
        ks_key_t key = key_new();
        char *old[OLD];
        for (size_t i = 0; i < OLD; i++)
            old[i] = alloc_ok(key, 1000);
        assert_status(ks_key_reset(key), KS_OK);
        /* The same slab begins again, with this class, from its start. */
        size_t bytes = ks_good_size(young_sizes[s]);
        char *young = alloc_ok(key, young_sizes[s]);
        assert_ptr_equal(young, old[0]);
        for (size_t i = 1; i < OLD; i++) {
            bool begins = (size_t)(old[i] - young) % bytes == 0;
            assert_status(ks_free(key, old[i]), begins ? KS_STALE : KS_BAD_BLOCK);
        }
        assert_status(ks_free(key, young), KS_OK);
        assert_status(ks_key_reset(key), KS_OK);
        assert_status(ks_key_purge(key), KS_OK);
        assert_int_equal(stats_of(key).arena_bytes, 0);
        for (size_t i = 0; i < OLD; i++) {
            bool begins = (size_t)(old[i] - young) % bytes == 0;
            assert_status(ks_free(key, old[i]), begins ? KS_STALE : KS_BAD_BLOCK);
        }
        key_end(key);
    }
}

static void a_terminated_key_releases_and_says_so(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    void *blocks[3] = {alloc_ok(key, 64), alloc_ok(key, 1500), alloc_ok(key, 100000)};
    void *kept = alloc_ok(key, 64);
    ks_status status = KS_OK;
    assert_status(ks_key_terminate(key), KS_OK);
    assert_null(ks_alloc(key, 64, &status));
    assert_status(status, KS_TERMINATED);
    assert_null(ks_alloc(key, 1 << 20, &status));
    assert_status(status, KS_TERMINATED);
    assert_int_equal(ks_alloc_bulk(key, 64, blocks, 3, &status), 0);
    assert_status(status, KS_TERMINATED);
    assert_null(ks_realloc(key, kept, 1000, &status));
    assert_status(status, KS_TERMINATED);
    assert_int_equal(ks_size(key, kept), 64);
    for (size_t i = 0; i < COUNT(blocks); i++)
        assert_status(ks_free(key, blocks[i]), KS_TERMINATED);
    assert_int_equal(ks_free_bulk(key, &kept, 1, &status), 1);
    assert_status(status, KS_TERMINATED);
    assert_int_equal(stats_of(key).live, 0);
    assert_true(stats_of(key).terminated);
    assert_int_equal(stats_of(key).refused_terminated, 4);
    /* A reset drops what is left, and the key stays terminated. */
    assert_status(ks_key_reset(key), KS_OK);
    assert_null(ks_alloc(key, 64, &status));
    assert_status(status, KS_TERMINATED);
    key_end(key);
}

static void strings(void **state)
{
    (void)state;
    for (int s = KS_OK; s <= KS_INVALID; s++) {
        assert_string_not_equal(ks_strerror((ks_status)s), "unknown status");
        for (int t = KS_OK; t < s; t++)
            assert_string_not_equal(ks_strerror((ks_status)s), ks_strerror((ks_status)t));
    }
    assert_string_equal(ks_strerror((ks_status)-1), "unknown status");
    assert_string_equal(ks_strerror((ks_status)1000), "unknown status");
    assert_string_equal(ks_version(), KEYSLAB_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_checks_its_arguments),
        cmocka_unit_test(a_name_is_copied_and_cut),
        cmocka_unit_test(handles_that_are_none),
        cmocka_unit_test(a_slot_serves_100000_keys_and_no_handle_returns),
        cmocka_unit_test(a_thousand_keys_at_once),
        cmocka_unit_test(all_slots_can_be_used_up),
        cmocka_unit_test(reset_drops_and_the_key_goes_on),
        cmocka_unit_test(stale_until_handed_out_again),
        cmocka_unit_test(a_terminated_key_releases_and_says_so),
        cmocka_unit_test(strings),
    };
    return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
