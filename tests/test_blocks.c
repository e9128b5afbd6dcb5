/* Blocks in one thread: sizes, alignment, resizing, bursts, quota, statistics, and every misuse with its
 * status. */
#include "test.h"

#include <stdlib.h>
#include <sys/mman.h>

static const size_t sizes[] = {0,    1,     15,    16,    17,    63,     64,     65,     100,     511,
                               512,  513,   1000,  1500,  1514,  1536,   1537,   2048,   9000,    9216,
                               9217, 32768, 65535, 65536, 65537, 100000, 262144, 262145, 1 << 20, 10 << 20};

static void any_size_is_aligned_and_usable(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    for (size_t i = 0; i < COUNT(sizes); i++) {
        unsigned char *block = alloc_ok(key, sizes[i]);
        size_t size = ks_size(key, block);
        assert_true(size >= sizes[i] && size > 0);
        assert_int_equal(size, ks_good_size(sizes[i]));
        assert_int_equal((uintptr_t)block % 16, 0);
        if (sizes[i] >= 512)
            assert_int_equal((uintptr_t)block % 64, 0);
        memset(block, 0xa5, size);
        assert_status(ks_free(key, block), KS_OK);
        assert_int_equal(ks_size(key, block), 0);
    }
    key_end(key);
}

static void no_two_blocks_overlap(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    enum { BLOCKS = 3000 };
    static unsigned char *blocks[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = alloc_ok(key, i * 13 % 5000);
        memset(blocks[i], (int)(i % 251), ks_size(key, blocks[i]));
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        size_t size = ks_size(key, blocks[i]);
        for (size_t j = 0; j < size; j++)
            assert_int_equal(blocks[i][j], i % 251);
        assert_status(ks_free(key, blocks[i]), KS_OK);
    }
    assert_int_equal(stats_of(key).live, 0);
    key_end(key);
}

static void zero_bytes_are_unique_blocks(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    void *a = alloc_ok(key, 0);
    void *b = alloc_ok(key, 0);
    assert_ptr_not_equal(a, b);
    assert_status(ks_free(key, a), KS_OK);
    assert_status(ks_free(key, b), KS_OK);
    key_end(key);
}

static void calloc_zeroes_used_memory(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    ks_status status;
    for (int round = 0; round < 3; round++) {
        unsigned char *block = ks_calloc(key, 30, 50, &status);
        assert_status(status, KS_OK);
        for (size_t i = 0; i < 1500; i++)
            assert_int_equal(block[i], 0);
        memset(block, 0xff, 1500);
        assert_status(ks_free(key, block), KS_OK);
    }
    volatile size_t half = SIZE_MAX / 2;
    assert_null(ks_calloc(key, half, 3, &status));
    assert_status(status, KS_TOO_LARGE);
    key_end(key);
}

static void too_large(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    ks_status status;
    volatile size_t most = SIZE_MAX;
    for (size_t size = most; size > (size_t)1 << 48; size >>= 1) {
        assert_null(ks_alloc(key, size, &status));
        assert_status(status, KS_TOO_LARGE);
    }
    assert_int_equal(ks_good_size(most), 0);
    void *block = alloc_ok(key, 10);
    assert_null(ks_realloc(key, block, most, &status));
    assert_status(status, KS_TOO_LARGE);
    assert_int_equal(ks_size(key, block), 16);
    assert_true(stats_of(key).refused_large > 10);
    key_end(key);
}

static void aligned(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    ks_status status;
    for (size_t alignment = 1; alignment <= 1 << 22; alignment *= 2)
        for (size_t i = 0; i < COUNT(sizes); i++) {
            char *block = ks_aligned_alloc(key, alignment, sizes[i], &status);
            assert_status(status, KS_OK);
            assert_int_equal((uintptr_t)block % alignment, 0);
            assert_int_equal((uintptr_t)block % 16, 0);
            assert_true(ks_size(key, block) >= sizes[i]);
            if (sizes[i])
                block[0] = block[sizes[i] - 1] = 1;
            assert_status(ks_free(key, block), KS_OK);
        }
    static const size_t bad[] = {0, 3, 24, 100, SIZE_MAX, (size_t)1 << 31};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_null(ks_aligned_alloc(key, bad[i], 100, &status));
        assert_status(status, KS_INVALID);
    }
    key_end(key);
}

static void realloc_keeps_contents(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    ks_status status;
    unsigned char *block = ks_realloc(key, NULL, 1, &status);
    assert_status(status, KS_OK);
    block[0] = 0;
    size_t size = 1;
    unsigned seed = 1;
    for (int step = 0; step < 2000; step++) {
        size_t next = 1 + (size_t)rand_r(&seed) % (step % 50 ? 3000 : 400000);
        block = ks_realloc(key, block, next, &status);
        assert_status(status, KS_OK);
        assert_true(ks_size(key, block) >= next);
        for (size_t i = 0; i < (size < next ? size : next); i++)
            if (block[i] != i % 251)
                fail_msg("step %d: byte %zu of %zu is %u", step, i, size, block[i]);
        for (size_t i = size; i < next; i++)
            block[i] = (unsigned char)(i % 251);
        size = next;
    }
    assert_int_equal(stats_of(key).live, 1);
    assert_null(ks_realloc(key, block, 0, &status));
    assert_status(status, KS_OK);
    assert_int_equal(stats_of(key).live, 0);
    key_end(key);
}

static void realloc_in_place_where_the_class_fits(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    ks_status status;
    void *block = alloc_ok(key, 1100);
    assert_ptr_equal(ks_realloc(key, block, 1280, &status), block);
    assert_ptr_equal(ks_realloc(key, block, 1000, &status), block);
    assert_ptr_not_equal(ks_realloc(key, block, 100, &status), block);
    assert_status(status, KS_OK);
    key_end(key);
}

static void bulk(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    enum { MOST = 3000 };
    static void *blocks[MOST];
    ks_status status;
    static const size_t counts[] = {0, 1, 8, 32, 56, 57, 128, MOST};
    for (size_t s = 0; s < COUNT(sizes) - 4; s++)
        for (size_t c = 0; c < COUNT(counts) - (sizes[s] > 2048); c++) {
            assert_int_equal(ks_alloc_bulk(key, sizes[s], blocks, counts[c], &status), counts[c]);
            assert_status(status, KS_OK);
            for (size_t i = 0; i < counts[c]; i++)
                memset(blocks[i], (int)i, sizes[s]);
            assert_int_equal(stats_of(key).live, counts[c]);
            assert_int_equal(ks_free_bulk(key, blocks, counts[c], &status), counts[c]);
            assert_status(status, KS_OK);
            assert_int_equal(stats_of(key).live, 0);
        }
    assert_stats_balance(key);
    key_end(key);
}

static void bulk_skips_and_tells_the_first_reason(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    ks_key_t other = key_new();
    int local;
    void *good = alloc_ok(key, 64);
    void *foreign = alloc_ok(other, 64);
    void *blocks[] = {alloc_ok(key, 64), NULL, foreign, good, good, &local, alloc_ok(key, 1500)};
    ks_status status = KS_OK;
    assert_int_equal(ks_free_bulk(key, blocks, COUNT(blocks), &status), 4);
    assert_status(status, KS_WRONG_KEY);
    struct ks_key_stats stats = stats_of(key);
    assert_int_equal(stats.live, 0);
    assert_int_equal(stats.wrong_key, 1);
    assert_int_equal(stats.double_free, 1);
    assert_int_equal(stats.bad_block, 1);
    assert_int_equal(ks_free_bulk(key, NULL, 0, NULL), 0);
    key_end(key);
    key_end(other);
}

static void quota_is_kept_and_frees_make_room(void **state)
{
    (void)state;
    enum { QUOTA = 4 << 20 };
    ks_key_t key;
    ks_key_t other = key_new();
    assert_status(ks_key_create(&(struct ks_key_options){.name = "small", .quota = QUOTA}, &key), KS_OK);
    static void *blocks[100000];
    for (int round = 0; round < 3; round++) {
        size_t count = 0;
        ks_status status = KS_OK;
        while ((blocks[count] = ks_alloc(key, 1000, &status)))
            memset(blocks[count++], 1, 1000);
        assert_status(status, KS_QUOTA);
        struct ks_key_stats stats = stats_of(key);
        assert_true(stats.arena_bytes <= QUOTA && stats.arena_peak <= QUOTA);
        assert_int_equal(stats.refused_quota, round + 1);
        assert_true(count > 3800);
        alloc_ok(other, 1000);
        /* All in other classes: the slabs of the first have to change hands. */
        assert_status(ks_free(key, blocks[0]), KS_OK);
        alloc_ok(key, 1000);
        if (round == 1) {
            assert_status(ks_key_reset(key), KS_OK);
        } else {
            for (size_t i = 1; i < count; i++)
                assert_status(ks_free(key, blocks[i]), KS_OK);
        }
        for (int i = 0; i < 2000; i++)
            alloc_ok(key, 100);
        assert_status(ks_key_reset(key), KS_OK);
        ks_status large;
        void *block = ks_alloc(key, 3 << 20, &large);
        assert_status(large, KS_OK);
        assert_status(ks_free(key, block), KS_OK);
        assert_null(ks_alloc(key, 5 << 20, &large));
        assert_status(large, KS_QUOTA);
        stats = stats_of(key);
        assert_int_equal(stats.refused_quota, round + 2);
        assert_status(ks_key_destroy(key), KS_OK);
        assert_status(ks_key_create(&(struct ks_key_options){.quota = QUOTA}, &key), KS_OK);
        for (int i = 0; i < round + 1; i++) {
            assert_null(ks_alloc(key, 5 << 20, &large));
            assert_status(large, KS_QUOTA);
        }
    }
    key_end(key);
    key_end(other);
}

static void purge_gives_everything_back(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    static void *blocks[20000];
    for (size_t i = 0; i < COUNT(blocks); i++)
        memset(blocks[i] = alloc_ok(key, 500 + i % 1000), 1, 500);
    for (size_t i = 0; i < COUNT(blocks); i++)
        assert_status(ks_free(key, blocks[i]), KS_OK);
    assert_key_whole(key);
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(stats_of(key).arena_bytes, 0);
    /* With one block left in each class, a slab for each is kept. */
    for (size_t i = 0; i < COUNT(blocks); i++)
        blocks[i] = alloc_ok(key, 500 + i % 1000);
    for (size_t i = 1000; i < COUNT(blocks); i++)
        assert_status(ks_free(key, blocks[i]), KS_OK);
    assert_status(ks_key_purge(key), KS_OK);
    struct ks_key_stats stats = stats_of(key);
    assert_int_equal(stats.arena_bytes, stats.slabs * (256 << 10));
    assert_true(stats.slabs <= 12);
    for (size_t i = 0; i < 1000; i++)
        assert_status(ks_free(key, blocks[i]), KS_OK);
    assert_stats_balance(key);
    key_end(key);
}

/* Each misuse, at a small, a medium and a large size. */
static void misuse(void **state)
{
    (void)state;
    static const size_t misused[] = {1, 64, 1500, 9000, 65536, 65537, 1 << 20};
    ks_key_t key = key_new();
    ks_key_t other = key_new();
    for (size_t i = 0; i < COUNT(misused); i++) {
        size_t size = misused[i];
        ks_status status;
        char *block = alloc_ok(key, size);
        char *neighbour = alloc_ok(key, size);
        size_t usable = ks_size(key, block);
        /* interior: at every kind of offset */
        static const size_t offsets[] = {1, 7, 8, 15, 16, 32, 64, 4096, 65536, 262144};
        for (size_t o = 0; o < COUNT(offsets) && offsets[o] < usable; o++) {
            assert_status(ks_free(key, block + offsets[o]), KS_BAD_BLOCK);
            assert_int_equal(ks_size(key, block + offsets[o]), 0);
            assert_null(ks_realloc(key, block + offsets[o], 10, &status));
            assert_status(status, KS_BAD_BLOCK);
        }
        assert_status(ks_free(key, block + usable - 1), KS_BAD_BLOCK);
        assert_status(ks_free(key, block - 1), KS_BAD_BLOCK);
        /* another key's */
        assert_status(ks_free(other, block), KS_WRONG_KEY);
        assert_int_equal(ks_size(other, block), 0);
        assert_null(ks_realloc(other, block, 10, &status));
        assert_status(status, KS_WRONG_KEY);
        assert_status(ks_free(other, block + 1), KS_BAD_BLOCK);
        /* free already: at once, delayed, after much else */
        assert_status(ks_free(key, block), KS_OK);
        assert_status(ks_free(key, block), KS_DOUBLE_FREE);
        assert_null(ks_realloc(key, block, 10, &status));
        assert_status(status, KS_DOUBLE_FREE);
        assert_status(ks_free(key, neighbour), KS_OK);
        assert_status(ks_free(key, block), KS_DOUBLE_FREE);
        assert_int_equal(ks_size(key, block), 0);
        assert_status(ks_key_purge(key), KS_OK);
        assert_status(ks_free(key, block), KS_DOUBLE_FREE);
        /* dropped */
        block = alloc_ok(key, size);
        assert_status(ks_key_reset(key), KS_OK);
        assert_status(ks_free(key, block), KS_STALE);
        assert_status(ks_free(key, block + 1), KS_BAD_BLOCK);
        assert_status(ks_key_purge(key), KS_OK);
        assert_status(ks_free(key, block), KS_STALE);
        assert_key_whole(key);
    }
    key_end(key);
    key_end(other);
}

static char static_memory[4096];

static void foreign_pointers(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    char *ours = alloc_ok(key, 64);
    char *heap = malloc(4096);
    char *mapped = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *unmapped = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(unmapped, 4096);
    int local;
    uintptr_t foreign[] = {
        1,
        8,
        16,
        4096,
        (uintptr_t)&local,
        (uintptr_t)static_memory,
        (uintptr_t)heap,
        (uintptr_t)mapped,
        (uintptr_t)unmapped,
        (uintptr_t)misuse,
        (uintptr_t)ours + (1 << 18),
        (uintptr_t)ours + (1 << 21),
        (uintptr_t)ours + ((uintptr_t)1 << 34),
        (uintptr_t)ours - (1 << 18),
        (uintptr_t)ours - ((uintptr_t)1 << 40),
        (uintptr_t)1 << 46,
        (uintptr_t)1 << 47,
        (uintptr_t)1 << 48,
        (uintptr_t)1 << 63,
        UINTPTR_MAX - 63,
        UINTPTR_MAX,
        (uintptr_t)ours | (uintptr_t)0xffff << 48,
        (uintptr_t)ours | (uintptr_t)1 << 55,
    };
    for (size_t i = 0; i < COUNT(foreign); i++) {
        ks_status status;
        assert_status(ks_free(key, (void *)foreign[i]), KS_BAD_BLOCK);
        assert_int_equal(ks_size(key, (void *)foreign[i]), 0);
        assert_null(ks_realloc(key, (void *)foreign[i], 10, &status));
        assert_status(status, KS_BAD_BLOCK);
    }
    /* every bit of a good pointer flipped: elsewhere in its slab blocks may begin that have not been handed out; and pointers at random */
    for (int bit = 0; bit < 64; bit++) {
        uintptr_t flipped = (uintptr_t)ours ^ (uintptr_t)1 << bit;
        bool begins = bit < 18 && flipped % 64 == 0;
        assert_status(ks_free(key, (void *)flipped), begins ? KS_STALE : KS_BAD_BLOCK);
    }
    unsigned seed = 7;
    for (int i = 0; i < 100000; i++) {
        uintptr_t any = (uintptr_t)rand_r(&seed) << 32 ^ (uintptr_t)rand_r(&seed) << 8 ^ (uintptr_t)rand_r(&seed);
        if ((char *)any != ours)
            assert_status(ks_free(key, (void *)any), KS_BAD_BLOCK);
    }
    assert_status(ks_free(key, NULL), KS_OK);
    assert_int_equal(ks_size(key, NULL), 0);
    assert_status(ks_free(key, ours), KS_OK);
    free(heap);
    munmap(mapped, 4096);
    key_end(key);
}

struct heard {
    int count;
    struct ks_error last;
    void *freed_in_the_hook;
};

static void hear(void *context, const struct ks_error *error)
{
    struct heard *heard = context;
    heard->count++;
    heard->last = *error;
    if (heard->freed_in_the_hook) {
        void *block = heard->freed_in_the_hook;
        heard->freed_in_the_hook = NULL;
        assert_status(ks_free(error->key, block), KS_OK);
        alloc_ok(error->key, 10);
    }
}

static void the_hook_hears_each_refusal_once(void **state)
{
    (void)state;
    struct heard heard = {0};
    ks_key_t key;
    assert_status(ks_key_create(&(struct ks_key_options){.on_error = hear, .on_error_context = &heard}, &key), KS_OK);
    void *block = alloc_ok(key, 100);
    assert_status(ks_free(key, block), KS_OK);
    assert_int_equal(heard.count, 0);
    heard.freed_in_the_hook = alloc_ok(key, 2000);
    assert_status(ks_free(key, block), KS_DOUBLE_FREE);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.last.status, KS_DOUBLE_FREE);
    assert_int_equal(heard.last.key, key);
    assert_ptr_equal(heard.last.block, block);
    assert_int_equal(heard.last.class_size, 112);
    assert_false(heard.last.at_home);
    assert_int_not_equal(heard.last.thread, 0);
    /* more in one call than a thread has room to note */
    static void *many[1000];
    for (size_t i = 0; i < COUNT(many); i++)
        many[i] = (char *)block + 1;
    ks_status status;
    assert_int_equal(ks_free_bulk(key, many, COUNT(many), &status), 0);
    assert_status(status, KS_BAD_BLOCK);
    assert_int_equal(heard.count, 1 + COUNT(many));
    assert_int_equal(stats_of(key).bad_block, COUNT(many));
    key_end(key);
}

static void text_of(void *context, const char *text)
{
    strncat(context, text, 60000 - strlen(context));
}

static void statistics_print(void **state)
{
    (void)state;
    static char text[65536];
    ks_key_t key;
    assert_status(ks_key_create(&(struct ks_key_options){.name = "a \"quoted\\\n name"}, &key), KS_OK);
    alloc_ok(key, 1500);
    text[0] = 0;
    assert_status(ks_key_stats_print(key, KS_STATS_TEXT, text_of, text), KS_OK);
    assert_non_null(strstr(text, "\n          1536            1            0            0            0            1"));
    text[0] = 0;
    assert_status(ks_key_stats_print(key, KS_STATS_JSON, text_of, text), KS_OK);
    assert_non_null(strstr(text, "{\"name\":\"a \\u0022quoted\\u005c\\u000a name\",\"key\":"));
    assert_non_null(strstr(text, "\"size\":1536,\"allocated\":1,"));
    assert_status(ks_key_stats_print(key, (enum ks_stats_format)9, text_of, text), KS_INVALID);
    assert_status(ks_key_stats_print(key, KS_STATS_JSON, NULL, text), KS_INVALID);
    assert_status(ks_key_stats(key, NULL), KS_INVALID);
    key_end(key);
    assert_status(ks_key_stats_print(key, KS_STATS_JSON, text_of, text), KS_BAD_KEY);
}

/* The memory of a burst goes back to the arena when the working set has shrunk. */
static void a_burst_does_not_stay(void **state)
{
    (void)state;
    ks_key_t key = key_new();
    static void *blocks[40000];
    for (size_t i = 0; i < COUNT(blocks); i++)
        blocks[i] = alloc_ok(key, 1500);
    for (size_t i = 0; i < COUNT(blocks); i++)
        assert_status(ks_free(key, blocks[i]), KS_OK);
    uint64_t after_burst = stats_of(key).arena_bytes;
    for (int round = 0; round < 2000; round++) {
        for (size_t i = 0; i < 200; i++)
            blocks[i] = alloc_ok(key, 1500);
        for (size_t i = 0; i < 200; i++)
            assert_status(ks_free(key, blocks[i]), KS_OK);
    }
    assert_true(stats_of(key).arena_bytes < after_burst / 10);
    key_end(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_size_is_aligned_and_usable),
        cmocka_unit_test(no_two_blocks_overlap),
        cmocka_unit_test(zero_bytes_are_unique_blocks),
        cmocka_unit_test(calloc_zeroes_used_memory),
        cmocka_unit_test(too_large),
        cmocka_unit_test(aligned),
        cmocka_unit_test(realloc_keeps_contents),
        cmocka_unit_test(realloc_in_place_where_the_class_fits),
        cmocka_unit_test(bulk),
        cmocka_unit_test(bulk_skips_and_tells_the_first_reason),
        cmocka_unit_test(quota_is_kept_and_frees_make_room),
        cmocka_unit_test(purge_gives_everything_back),
        cmocka_unit_test(misuse),
        cmocka_unit_test(foreign_pointers),
        cmocka_unit_test(the_hook_hears_each_refusal_once),
        cmocka_unit_test(statistics_print),
        cmocka_unit_test(a_burst_does_not_stay),
    };
    return cmocka_run_group_tests_name("blocks", tests, NULL, NULL);
}
