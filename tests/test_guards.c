/* Keys with paranoid checks: who writes behind the last block of a slab, or behind a large one, is stopped; and blocks come in no order. */
#include "test.h"
#if KS_CHECK
#include "base/testing.h"
#endif

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>

enum {
    KIB = 1024,
    SPAN = 256 * KIB, /* of addresses, for each slab */
    PAGE = 4 * KIB,
    SLAB_BLOCKS = SPAN / 16,
    TAKEN = 60,
    MAPPINGS = 65530, /* that Linux allows a process */
};

static ks_key_t key_with(struct ks_key_options options)
{
    ks_key_t key;
    assert_status(ks_key_create(&options, &key), KS_OK);
    return key;
}

static ks_key_t key_paranoid(void)
{
    return key_with((struct ks_key_options){.name = "paranoid", .checks = KS_CHECKS_PARANOID});
}

/* Whether a write is the end of a process. */
static bool traps(volatile char *address)
{
    pid_t child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer has one of its own */
        *address = 1;
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        assert_int_equal(WTERMSIG(status), SIGSEGV);
    return WIFSIGNALED(status);
}

static char *page_up(char *address)
{
    return (char *)(((uintptr_t)address + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
}

/* All blocks of a slab; the one that lies highest. */
static char *fill_slab(ks_key_t key, size_t size, size_t slab_bytes)
{
    char *last = NULL;
    for (size_t i = 0; i < (slab_bytes - PAGE) / size; i++) {
        char *block = alloc_ok(key, size);
        memset(block, 1, size);
        assert_true(!last || (uintptr_t)block / SPAN == (uintptr_t)last / SPAN);
        last = block > last ? block : last;
    }
    assert_int_equal(stats_of(key).arena_bytes, slab_bytes);
    return last;
}

/* ------------------------------------------------------------------ where they are */

static void the_end_of_a_slab_is_guarded(void **state)
{
    (void)state;
    struct ks_key_stats classes = stats_of(key_new());
    for (uint32_t i = 0; i + 1 < classes.class_count; i++) {
        size_t size = classes.classes[i].size;
        ks_key_t key = key_paranoid();
        char *end = fill_slab(key, size, SPAN) + size;
        assert_false(traps(end - 1));
        assert_true(traps(page_up(end)));
        assert_true(traps(end - (uintptr_t)end % SPAN + SPAN - 1)); /* to the slab's last byte */
        alloc_ok(key, size);
        assert_int_equal(stats_of(key).arena_bytes, 2 * SPAN);
        key_end(key);
    }
}

/* Where the blocks end with a page, one byte is enough. */
static void one_byte_too_far_is_too_far(void **state)
{
    (void)state;
    static const size_t sizes[] = {16, 64, 112, 1344, 4096};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        ks_key_t key = key_paranoid();
        assert_true(traps(fill_slab(key, sizes[i], SPAN) + sizes[i]));
        key_end(key);
        key = key_new();
        char *last = NULL;
        for (size_t n = 0; n < (SPAN - PAGE) / sizes[i]; n++)
            last = alloc_ok(key, sizes[i]);
        assert_false(traps(last + sizes[i]));
        key_end(key);
    }
}

static void small_slabs_are_guarded(void **state)
{
    (void)state;
    static const size_t slabs[] = {64 * KIB, 128 * KIB};
    for (size_t i = 0; i < COUNT(slabs); i++)
        for (size_t size = 64; size <= 65536; size *= 32) {
            ks_key_t key = key_with((struct ks_key_options){.checks = KS_CHECKS_PARANOID, .slab_bytes = slabs[i]});
            assert_true(traps(page_up(fill_slab(key, ks_good_size(size), 128 * KIB) + ks_good_size(size))));
            key_end(key);
        }
}

static void the_end_of_a_large_block_is_guarded(void **state)
{
    (void)state;
    static const size_t sizes[] = {65537, 100000, 256 * KIB, 256 * KIB + 1, 1000000, 5000 * KIB};
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (size_t alignment = 64; alignment <= 1024 * KIB; alignment <<= 14) {
            ks_status status;
            ks_key_t key = key_paranoid();
            char *block = ks_aligned_alloc(key, alignment, sizes[i], &status);
            assert_status(status, KS_OK);
            assert_int_equal((uintptr_t)block % alignment, 0);
            assert_int_equal(ks_size(key, block), ks_good_size(sizes[i]));
            memset(block, 1, ks_size(key, block));
            assert_int_equal(stats_of(key).live_bytes, ks_size(key, block));
            assert_true(stats_of(key).arena_bytes >= ks_size(key, block) + PAGE);
            assert_false(traps(block + ks_size(key, block) - 1));
            assert_true(traps(block + ks_size(key, block)));
            assert_status(ks_free(key, block + ks_size(key, block)), KS_BAD_BLOCK);
            assert_status(ks_free(key, block), KS_OK);
            assert_status(ks_key_purge(key), KS_OK);
            assert_int_equal(stats_of(key).arena_bytes, 0);
            key_end(key);
            key = key_new();
            block = alloc_ok(key, sizes[i]);
            assert_int_equal(stats_of(key).arena_bytes, ks_size(key, block));
            key_end(key);
        }
}

/* ------------------------------------------------------------------ that they go */

/* The same slabs serve one class after the other, dropped or emptied: each time the guard is where the blocks end. */
static void a_guard_moves_with_the_class(void **state)
{
    (void)state;
    static const size_t sizes[] = {64, 65536, 1344, 43648, 16, 26176, 4096};
    static void *blocks[SLAB_BLOCKS];
    ks_key_t key = key_paranoid();
    for (size_t round = 0; round < 2 * COUNT(sizes); round++) {
        size_t size = sizes[round % COUNT(sizes)];
        size_t count = (SPAN - PAGE) / size;
        char *last = NULL;
        for (size_t i = 0; i < count; i++) {
            blocks[i] = memset(alloc_ok(key, size), 1, size);
            last = (char *)blocks[i] > last ? blocks[i] : last;
        }
        assert_true(traps(page_up(last + size)));
        assert_key_whole(key);
        if (round % 2)
            for (size_t i = 0; i < count; i++)
                assert_status(ks_free(key, blocks[i]), KS_OK);
        assert_status(ks_key_reset(key), KS_OK);
    }
    assert_int_equal(stats_of(key).damaged, 0);
    key_end(key);
}

/* Lines of the process's map. */
static unsigned mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    assert_non_null(file);
    unsigned lines = 0;
    for (int c; (c = fgetc(file)) != EOF;)
        lines += c == '\n';
    fclose(file);
    return lines;
}

/* Some slabs and large blocks of a paranoid key that is gone, or has been reset: where the slabs lay. */
static void guards_come_and_go(char **slabs, size_t count, bool destroyed)
{
    ks_key_t key = key_paranoid();
    for (size_t i = 0; i < count; i++) {
        char *block = alloc_ok(key, 65536);
        slabs[i] = block - (uintptr_t)block % SPAN;
        for (size_t others = 1; others < (SPAN - PAGE) / 65536; others++)
            alloc_ok(key, 65536);
        alloc_ok(key, SPAN);
    }
    assert_true(traps(slabs[0] + SPAN - 1));
    if (!destroyed) {
        assert_status(ks_key_reset(key), KS_OK);
        assert_status(ks_key_purge(key), KS_OK);
        assert_int_equal(stats_of(key).arena_bytes, 0);
    }
    key_end(key);
}

/* Keys that share the arenas write to every byte of what a paranoid key has given back. */
static void memory_that_is_given_back_is_whole(void **state)
{
    (void)state;
    enum { SLABS = 20, OTHERS = 64 };
    unsigned before = mappings();
    for (int way = 0; way < 2; way++) {
        char *slabs[SLABS];
        ks_key_t others[OTHERS];
        size_t met = 0;
        guards_come_and_go(slabs, SLABS, way);
        for (size_t k = 0; k < OTHERS; k++) {
            others[k] = key_new();
            for (size_t n = 0; n < SPAN / 65536; n++) {
                char *block = memset(alloc_ok(others[k], 65536), 1, 65536);
                for (size_t i = 0; i < SLABS; i++)
                    met += block == slabs[i];
            }
            memset(alloc_ok(others[k], 8 * SPAN), 1, 8 * SPAN);
        }
        assert_true(met > 0);
        for (size_t k = 0; k < OTHERS; k++)
            key_end(others[k]);
    }
    assert_in_range(mappings(), 1, before + 20);
}

/* More slabs than a process may have guards: the others have none, and the program its mappings. */
static void a_program_keeps_half_of_its_mappings(void **state)
{
    (void)state;
    enum { LARGE = 17000 };
    static char *blocks[LARGE];
    ks_key_t key = key_paranoid();
    for (size_t i = 0; i < LARGE; i++)
        blocks[i] = alloc_ok(key, 100000);
    assert_in_range(mappings(), 16384, MAPPINGS / 2 + 1000);
    size_t size = ks_size(key, blocks[0]);
    assert_true(traps(blocks[0] + size));
    assert_false(traps(blocks[LARGE - 1] + size));
    assert_key_whole(key);
    for (size_t i = 0; i < 1000; i++)
        assert_status(ks_free(key, blocks[i]), KS_OK);
    blocks[0] = alloc_ok(key, 100000);
    assert_true(traps(blocks[0] + size));
    key_end(key);
    assert_in_range(mappings(), 1, 1000);
}

/* ------------------------------------------------------------------ order */

static size_t rises(void *const *blocks, size_t count)
{
    size_t rising = 0;
    for (size_t i = 1; i < count; i++)
        rising += (uintptr_t)blocks[i] > (uintptr_t)blocks[i - 1];
    return rising;
}

/* Of addresses in a slab. */
static void take(ks_key_t key, size_t size, void **blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        blocks[i] = (void *)((uintptr_t)alloc_ok(key, size) % SPAN);
}

/*
 * Of 60 blocks in random order 29.5 rise above the one before them, with a standard deviation of 2.3: that 50 do, or that two orders of
 * 32 and 28 blocks are the same, does not happen.
 */
static void a_paranoid_keys_blocks_come_in_no_order(void **state)
{
    (void)state;
    void *blocks[4][TAKEN];
    for (size_t size = 16; size <= 1024; size *= 2) {
        ks_key_t keys[4] = {key_new(), key_new(), key_paranoid(), key_paranoid()};
        for (size_t k = 0; k < 4; k++)
            take(keys[k], size, blocks[k], TAKEN);
        assert_int_equal(rises(blocks[0], TAKEN), TAKEN - 1);
        assert_memory_equal(blocks[0], blocks[1], sizeof blocks[0]);
        assert_in_range(rises(blocks[2], TAKEN), 10, 49);
        assert_in_range(rises(blocks[3], TAKEN), 10, 49);
        assert_memory_not_equal(blocks[2], blocks[3], sizeof blocks[2]);
        for (size_t k = 0; k < 4; k++)
            key_end(keys[k]);
    }
}

struct other_thread {
    ks_key_t key;
    void *blocks[TAKEN];
};

static void *take_in_thread(void *argument)
{
    struct other_thread *other = argument;
    take(other->key, 64, other->blocks, TAKEN);
    return NULL;
}

static void threads_have_orders_of_their_own(void **state)
{
    (void)state;
    struct other_thread others[2] = {{.key = key_paranoid()}};
    others[1].key = others[0].key;
    void *own[TAKEN];
    take(others[0].key, 64, own, TAKEN);
    in_thread(take_in_thread, &others[0]);
    assert_status(ks_key_reset(others[0].key), KS_OK);
    in_thread(take_in_thread, &others[1]);
    assert_memory_not_equal(own, others[0].blocks, sizeof own);
    assert_memory_not_equal(others[0].blocks, others[1].blocks, sizeof own);
    key_end(others[0].key);
}

/* So do those that have been in quarantine, and those that lay in slabs. */
static void blocks_come_back_in_no_order(void **state)
{
    (void)state;
    enum { FREED = 20 * TAKEN };
    for (int way = 0; way < 2; way++) {
        void *blocks[FREED];
        ks_status status;
        ks_key_t key = key_paranoid();
        assert_int_equal(ks_alloc_bulk(key, 64, blocks, FREED, &status), FREED);
        void *held = alloc_ok(key, 64);
        for (size_t offset = 0; offset < SPAN; offset += 64)
            for (size_t i = 0; i < FREED; i++)
                if ((uintptr_t)blocks[i] % SPAN == offset)
                    assert_status(ks_free(key, blocks[i]), KS_OK);
        if (way)
            assert_status(ks_key_purge(key), KS_OK);
        /* What is left of the group that was allocated from last is older. */
        for (size_t i = 0; i < 2 * TAKEN; i++)
            alloc_ok(key, 64);
        take(key, 64, blocks, TAKEN);
        assert_in_range(rises(blocks, TAKEN), 10, 49);
        assert_int_equal(stats_of(key).damaged, 0);
        assert_status(ks_free(key, held), KS_OK);
        key_end(key);
    }
}

/* ------------------------------------------------------------------ forks */

#if KS_CHECK

static pthread_barrier_t copying, forked;

static void wait_in_copy(const char *point)
{
    if (strcmp(point, "realloc: validated") != 0)
        return;
    ks_point_set(NULL);
    pthread_barrier_wait(&copying);
    pthread_barrier_wait(&forked);
}

struct resize {
    ks_key_t key;
    void *block;
};

static void *resize(void *argument)
{
    struct resize *resize = argument;
    ks_status status;
    resize->block = ks_realloc(resize->key, resize->block, 5000, &status);
    assert_status(status, KS_OK);
    return NULL;
}

/* While one thread copies another's block, no guards are set; the child of a fork in that moment has them again. */
static void a_child_sets_guards_of_its_own(void **state)
{
    (void)state;
    pthread_t thread;
    struct resize at_work = {.key = key_new()};
    at_work.block = alloc_ok(at_work.key, 100);
    pthread_barrier_init(&copying, NULL, 2);
    pthread_barrier_init(&forked, NULL, 2);
    ks_point_set(wait_in_copy);
    assert_int_equal(pthread_create(&thread, NULL, resize, &at_work), 0);
    pthread_barrier_wait(&copying);
    ks_key_t key = key_paranoid();
    assert_false(traps(fill_slab(key, 64, SPAN) + 64));
    pid_t child = fork();
    if (child == 0)
        _exit(traps(fill_slab(key_paranoid(), 64, SPAN) + 64));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status));
    pthread_barrier_wait(&forked);
    assert_int_equal(pthread_join(thread, NULL), 0);
    key_end(key);
    key = key_paranoid();
    assert_true(traps(fill_slab(key, 64, SPAN) + 64));
    key_end(key);
    key_end(at_work.key);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_a_slab_is_guarded),
        cmocka_unit_test(one_byte_too_far_is_too_far),
        cmocka_unit_test(small_slabs_are_guarded),
        cmocka_unit_test(the_end_of_a_large_block_is_guarded),
        cmocka_unit_test(a_guard_moves_with_the_class),
        cmocka_unit_test(memory_that_is_given_back_is_whole),
        cmocka_unit_test(a_program_keeps_half_of_its_mappings),
        cmocka_unit_test(a_paranoid_keys_blocks_come_in_no_order),
        cmocka_unit_test(threads_have_orders_of_their_own),
        cmocka_unit_test(blocks_come_back_in_no_order),
#if KS_CHECK
        cmocka_unit_test(a_child_sets_guards_of_its_own),
#endif
    };
    return cmocka_run_group_tests_name("guards", tests, NULL, NULL);
}
