/* The malloc family as libkeyslab-malloc.so serves it to a program that was not built for it: run under LD_PRELOAD. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define MARK         4711 /* an errno that nobody sets */

/* The compiler knows what these do, and would leave out what a test is about. */
static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_calloc)(size_t, size_t) = calloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void *(*volatile do_reallocarray)(void *, size_t, size_t) = reallocarray;
static void *(*volatile do_aligned_alloc)(size_t, size_t) = aligned_alloc;
static void *(*volatile do_memalign)(size_t, size_t) = memalign;
static int (*volatile do_posix_memalign)(void **, size_t, size_t) = posix_memalign;
static void *(*volatile do_valloc)(size_t) = valloc;
static void *(*volatile do_pvalloc)(size_t) = pvalloc;
static void (*volatile do_free)(void *) = free;

static const size_t sizes[] = {0,    1,     15,    16,    17,    100,    1000,   1514,    4096,
                               9000, 65535, 65536, 65537, 80000, 262144, 262145, 1000000, 5000000};
static const size_t too_large[] = {PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 15, SIZE_MAX};

static bool is_aligned(const void *block, size_t alignment)
{
    return (uintptr_t)block % alignment == 0;
}

static void fill(void *block, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)block)[i] = (uint8_t)(seed + i * 31);
}

static void assert_filled(const void *block, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        if (((const uint8_t *)block)[i] != (uint8_t)(seed + i * 31))
            fail_msg("byte %zu of %zu is another", i, size);
}

/* ------------------------------------------------------------------ which library it is */

static void every_name_is_keyslabs(void **state)
{
    static const char *const names[] = {
        "malloc",        "calloc",         "realloc",     "reallocarray",    "free",          "posix_memalign",
        "aligned_alloc", "memalign",       "valloc",      "pvalloc",         "malloc_trim",   "malloc_usable_size",
        "malloc_info",   "malloc_stats",   "mallinfo",    "mallinfo2",       "mallopt",       "__libc_malloc",
        "__libc_calloc", "__libc_realloc", "__libc_free", "__libc_memalign", "__libc_valloc", "__libc_pvalloc",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        Dl_info info;
        void *address = dlsym(RTLD_DEFAULT, names[i]);
        assert_non_null(address);
        assert_true(dladdr(address, &info));
        if (!strstr(info.dli_fname, "libkeyslab-malloc.so"))
            fail_msg("%s is that of %s", names[i], info.dli_fname);
    }
    assert_null(dlsym(RTLD_DEFAULT, "ks_alloc"));
}

/* ------------------------------------------------------------------ malloc, calloc, free */

static void malloc_gives_aligned_blocks_of_their_size(void **state)
{
    (void)state;
    void *blocks[COUNT(sizes)];
    errno = MARK;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        blocks[i] = do_malloc(sizes[i]);
        assert_non_null(blocks[i]);
        assert_true(is_aligned(blocks[i], 16));
        assert_true(malloc_usable_size(blocks[i]) >= sizes[i]);
        fill(blocks[i], malloc_usable_size(blocks[i]), (unsigned)i);
    }
    for (size_t i = 0; i < COUNT(sizes); i++) {
        assert_filled(blocks[i], malloc_usable_size(blocks[i]), (unsigned)i);
        do_free(blocks[i]);
    }
    assert_int_equal(errno, MARK);
}

static void zero_bytes_are_a_block_of_their_own(void **state)
{
    (void)state;
    void *one = do_malloc(0);
    void *two = do_malloc(0);
    void *three = do_calloc(0, 8);
    assert_non_null(one);
    assert_non_null(two);
    assert_non_null(three);
    assert_true(one != two && two != three && three != one);
    do_free(one);
    do_free(two);
    do_free(three);
}

static void free_of_null_does_nothing(void **state)
{
    (void)state;
    errno = MARK;
    do_free(NULL);
    assert_int_equal(errno, MARK);
    assert_int_equal(malloc_usable_size(NULL), 0);
}

static void assert_enomem(const void *block)
{
    assert_null(block);
    assert_int_equal(errno, ENOMEM);
    errno = MARK;
}

static void too_large_is_enomem(void **state)
{
    (void)state;
    errno = MARK;
    for (size_t i = 0; i < COUNT(too_large); i++) {
        assert_enomem(do_malloc(too_large[i]));
        assert_enomem(do_calloc(1, too_large[i]));
        assert_enomem(do_realloc(NULL, too_large[i]));
        assert_enomem(do_memalign(64, too_large[i]));
        assert_enomem(do_aligned_alloc(64, too_large[i]));
        assert_enomem(do_valloc(too_large[i]));
        assert_enomem(do_pvalloc(too_large[i]));
    }
    assert_enomem(do_calloc(SIZE_MAX / 2, 3));
    assert_enomem(do_calloc((size_t)1 << 32, (size_t)1 << 32));
    assert_enomem(do_reallocarray(NULL, (size_t)1 << 32, (size_t)1 << 32));
}

static void calloc_zeroes_what_was_used_before(void **state)
{
    (void)state;
    for (int turn = 0; turn < 3; turn++)
        for (size_t i = 0; i < COUNT(sizes); i++) {
            uint8_t *block = do_calloc(sizes[i] / 2 + 1, 2);
            assert_non_null(block);
            for (size_t j = 0; j < (sizes[i] / 2 + 1) * 2; j++)
                if (block[j])
                    fail_msg("byte %zu of %zu is not zero", j, sizes[i]);
            memset(block, 0xff, malloc_usable_size(block));
            do_free(block);
        }
}

/* ------------------------------------------------------------------ realloc */

static void realloc_keeps_the_contents(void **state)
{
    (void)state;
    errno = MARK;
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (size_t j = 0; j < COUNT(sizes); j++) {
            if (!sizes[j])
                continue;
            void *block = do_malloc(sizes[i]);
            assert_non_null(block);
            fill(block, sizes[i], 5);
            block = do_realloc(block, sizes[j]);
            assert_non_null(block);
            assert_true(is_aligned(block, 16));
            assert_true(malloc_usable_size(block) >= sizes[j]);
            assert_filled(block, sizes[i] < sizes[j] ? sizes[i] : sizes[j], 5);
            memset(block, 0, sizes[j]);
            do_free(block);
        }
    assert_int_equal(errno, MARK);
}

static void a_block_that_grows_step_by_step_keeps_its_contents(void **state)
{
    (void)state;
    char *block = NULL;
    size_t size = 0;
    while (size < 6000000) {
        size_t more = size / 7 + 1;
        block = do_realloc(block, size + more);
        assert_non_null(block);
        for (size_t i = size; i < size + more; i++)
            block[i] = (char)(i * 31 + 9);
        size += more;
    }
    assert_filled(block, size, 9);
    while (size > 1) {
        size /= 3;
        block = do_realloc(block, size + 1);
        assert_filled(block, size + 1, 9);
    }
    do_free(block);
}

/* As many copies as steps would be a thousand times the final size. */
static void a_large_block_that_grows_moves_a_few_times(void **state)
{
    (void)state;
    int moves = 0;
    char *block = do_malloc(100000);
    for (size_t size = 100000; size < 50000000; size += 50000) {
        char *grown = do_realloc(block, size);
        moves += grown != block;
        block = grown;
        block[size - 1] = 1;
    }
    assert_true(moves < 20);
    do_free(block);
}

static long page_faults(void)
{
    struct rusage used;
    assert_int_equal(getrusage(RUSAGE_SELF, &used), 0);
    return used.ru_minflt;
}

/* Its pages stay with the process, though so much would not be kept of what is freed once. */
static void a_large_block_that_comes_and_goes_is_not_purged_each_time(void **state)
{
    (void)state;
    enum { TURNS = 50, BYTES = 6 << 20 };
    long before = page_faults();
    for (int turn = 0; turn < TURNS; turn++)
        do_free(memset(do_malloc(BYTES), 1, BYTES));
    assert_true(page_faults() - before < 10 * (BYTES / 4096));
}

static void realloc_of_nothing_and_to_nothing(void **state)
{
    (void)state;
    errno = MARK;
    void *block = do_realloc(NULL, 100);
    assert_non_null(block);
    struct mallinfo2 before = mallinfo2();
    assert_null(do_realloc(block, 0));
    struct mallinfo2 after = mallinfo2();
    assert_int_equal(after.uordblks, before.uordblks - 112);
    block = do_realloc(NULL, 0);
    assert_non_null(block);
    do_free(block);
    assert_int_equal(errno, MARK);
}

static void realloc_that_fails_leaves_the_block(void **state)
{
    (void)state;
    void *block = do_malloc(1000);
    fill(block, 1000, 3);
    for (size_t i = 0; i < COUNT(too_large); i++) {
        errno = MARK;
        assert_enomem(do_realloc(block, too_large[i]));
    }
    errno = MARK;
    assert_enomem(do_reallocarray(block, SIZE_MAX / 8, 16));
    assert_filled(block, 1000, 3);
    block = do_reallocarray(block, 500, 4);
    assert_filled(block, 1000, 3);
    do_free(block);
}

/* ------------------------------------------------------------------ aligned blocks */

static void aligned_blocks_are_aligned(void **state)
{
    (void)state;
    errno = MARK;
    for (size_t alignment = 1; alignment <= (size_t)8 << 20; alignment *= 2)
        for (size_t i = 0; i < COUNT(sizes); i++) {
            void *blocks[3] = {do_memalign(alignment, sizes[i]), do_aligned_alloc(alignment, sizes[i]), NULL};
            if (alignment >= sizeof(void *))
                assert_int_equal(do_posix_memalign(&blocks[2], alignment, sizes[i]), 0);
            for (size_t j = 0; j < COUNT(blocks); j++) {
                assert_true(blocks[j] || (j == 2 && alignment < sizeof(void *)));
                assert_true(is_aligned(blocks[j], alignment));
                if (blocks[j])
                    memset(blocks[j], 1, sizes[i]);
            }
            blocks[0] = do_realloc(blocks[0], sizes[i] + 1);
            for (size_t j = 0; j < COUNT(blocks); j++)
                do_free(blocks[j]);
        }
    assert_int_equal(errno, MARK);
}

static void posix_memalign_answers_and_leaves_errno_alone(void **state)
{
    static const size_t bad[] = {0, 1, 2, 4, 7, 24, 48, 100, 4095};
    (void)state;
    int mark;
    void *block = &mark;
    errno = MARK;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(do_posix_memalign(&block, bad[i], 64), EINVAL);
    assert_int_equal(do_posix_memalign(&block, 64, SIZE_MAX - 4096), ENOMEM);
    assert_int_equal(do_posix_memalign(&block, (size_t)1 << 40, 64), ENOMEM);
    assert_ptr_equal(block, &mark);
    assert_int_equal(errno, MARK);
}

static void memalign_rounds_an_odd_alignment_up(void **state)
{
    (void)state;
    static const size_t odd[][2] = {{0, 16}, {3, 16}, {17, 32}, {48, 64}, {1000, 1024}, {4097, 8192}};
    for (size_t i = 0; i < COUNT(odd); i++) {
        void *block = do_memalign(odd[i][0], 100);
        assert_non_null(block);
        assert_true(is_aligned(block, odd[i][1]));
        do_free(block);
    }
    errno = MARK;
    assert_null(do_memalign(SIZE_MAX, 1));
    assert_int_equal(errno, EINVAL);
}

static void valloc_and_pvalloc_give_pages(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        void *block = do_valloc(sizes[i]);
        void *pages = do_pvalloc(sizes[i]);
        assert_true(block && is_aligned(block, 4096));
        assert_true(pages && is_aligned(pages, 4096));
        assert_true(malloc_usable_size(pages) >= (sizes[i] + 4095) / 4096 * 4096);
        do_free(block);
        do_free(pages);
    }
}

/* ------------------------------------------------------------------ figures */

static void figures_follow_the_blocks(void **state)
{
    (void)state;
    struct mallinfo (*old)(void) = (struct mallinfo(*)(void))dlsym(RTLD_DEFAULT, "mallinfo"); /* deprecated */
    struct mallinfo2 before = mallinfo2();
    void *small = do_malloc(1500);
    void *large = do_malloc(1000000);
    struct mallinfo2 during = mallinfo2();
    assert_int_equal(during.uordblks - before.uordblks, 1536);
    assert_int_equal(during.hblks - before.hblks, 1);
    assert_true(during.hblkhd - before.hblkhd >= 1000000);
    assert_true(during.arena >= during.uordblks);
    assert_int_equal(old().uordblks, (int)mallinfo2().uordblks);
    do_free(small);
    do_free(large);
    struct mallinfo2 after = mallinfo2();
    assert_int_equal(after.uordblks, before.uordblks);
    assert_int_equal(after.hblks, before.hblks);
}

static void malloc_info_writes_xml(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    assert_int_equal(malloc_info(1, file), EINVAL);
    assert_int_equal(malloc_info(0, file), 0);
    fclose(file);
    assert_int_equal(strncmp(text, "<malloc version=\"keyslab-", 25), 0);
    assert_non_null(strstr(text, "<class size=\"16\" "));
    assert_non_null(strstr(text, "<system type=\"current\" size="));
    assert_string_equal(text + length - 10, "</malloc>\n");
    do_free(text);
}

static uint64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long size = 0;
    unsigned long resident = 0;
    assert_int_equal(fscanf(file, "%lu %lu", &size, &resident), 2);
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Locked pages are not for madvise to discard. */
static void locked_memory_is_given_back(void **state)
{
    (void)state;
    enum { BYTES = 40 << 20 };
    malloc_trim(0);
    uint64_t before = resident_bytes();
    char *block = memset(do_malloc(BYTES), 0xff, BYTES);
    if (mlock(block, BYTES)) {
        do_free(block);
        skip();
    }
    errno = MARK;
    do_free(block);
    assert_int_equal(errno, MARK);
    assert_true(resident_bytes() < before + BYTES / 2);
    block = do_calloc(1, BYTES);
    for (size_t i = 0; i < BYTES; i++)
        if (block[i])
            fail_msg("byte %zu is not zero", i);
    do_free(block);
}

static void malloc_trim_gives_memory_back(void **state)
{
    (void)state;
    enum { BLOCKS = 20000, BYTES = 1000 };
    void **blocks = do_malloc(BLOCKS * sizeof *blocks);
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = memset(do_malloc(BYTES), 1, BYTES);
    for (size_t i = 0; i < BLOCKS; i++)
        do_free(blocks[i]);
    uint64_t before = resident_bytes();
    errno = MARK;
    assert_int_equal(malloc_trim(0), 1);
    assert_int_equal(errno, MARK);
    assert_true(resident_bytes() + BLOCKS * BYTES / 4 < before);
    do_free(blocks);
}

static void mallopt_knows_no_parameter(void **state)
{
    (void)state;
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 1 << 20), 0);
    assert_int_equal(mallopt(M_ARENA_MAX, 1), 0);
}

/* ------------------------------------------------------------------ the C library's own use */

static void the_c_library_allocates_here_too(void **state)
{
    (void)state;
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    assert_non_null(file);
    assert_true(getdelim(&line, &room, EOF, file) > 100);
    assert_true(malloc_usable_size(line) >= room);
    fclose(file);
    do_free(line);
    char *copy = strdup("packet");
    assert_int_equal(malloc_usable_size(copy), 16);
    do_free(copy);
    assert_int_equal(asprintf(&copy, "%d %s", 7, "frames"), 8);
    do_free(copy);
    do_free(realpath("/proc/self", NULL));
    assert_int_equal(system("exit 7") >> 8, 7);
}

static void a_plugin_allocates_here_too(void **state)
{
    (void)state;
    void *plugin = dlopen(MALLOC_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    if (!plugin)
        fail_msg("%s", dlerror());
    char *(*name)(void) = (char *(*)(void))dlsym(plugin, "plugin_name");
    void (*take)(void *) = (void (*)(void *))dlsym(plugin, "plugin_take");
    char *text = name();
    assert_string_equal(text, "made in a constructor");
    assert_true(malloc_usable_size(text) >= strlen(text) + 1);
    do_free(text);
    take(do_malloc(100000));
    assert_int_equal(dlclose(plugin), 0);
    assert_null(dlopen("/nonexistent/plugin.so", RTLD_NOW));
    assert_non_null(dlerror());
}

/* ------------------------------------------------------------------ threads */

static pthread_key_t at_exit_key[40];

static void free_at_exit(void *block)
{
    do_free(do_malloc(48));
    do_free(block);
}

/* Leaves blocks to destructors of thread-specific data, some of which run after keyslab's own. */
static void *work_and_leave(void *argument)
{
    char **mine = argument;
    for (size_t i = 0; i < COUNT(at_exit_key); i++)
        assert_int_equal(pthread_setspecific(at_exit_key[i], do_malloc(i * 100)), 0);
    for (int i = 0; i < 1000; i++)
        do_free(do_malloc((size_t)i * 7));
    *mine = strdup("of a thread that has ended");
    return NULL;
}

static void threads_end_and_what_they_leave_is_freed(void **state)
{
    (void)state;
    size_t live = mallinfo2().uordblks;
    for (size_t i = 0; i < COUNT(at_exit_key); i++)
        assert_int_equal(pthread_key_create(&at_exit_key[i], free_at_exit), 0);
    uint64_t resident = 0;
    for (int turn = 0; turn < 100; turn++) {
        pthread_t threads[4];
        char *left[4];
        for (size_t i = 0; i < COUNT(threads); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, work_and_leave, &left[i]), 0);
        for (size_t i = 0; i < COUNT(threads); i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_string_equal(left[i], "of a thread that has ended");
            do_free(left[i]);
        }
        if (turn == 20)
            resident = resident_bytes();
    }
    assert_true(resident_bytes() < resident + (4 << 20));
    for (size_t i = 0; i < COUNT(at_exit_key); i++)
        assert_int_equal(pthread_key_delete(at_exit_key[i]), 0);
    malloc_trim(0); /* brings home what is on its way */
    /* What the C library keeps for the threads that have been, and no more. */
    assert_true(mallinfo2().uordblks < live + 16384);
}

struct exchange {
    pthread_mutex_t mutex;
    void *slots[64];
    bool over;
};

/* Swaps blocks with the other threads: most are freed by another one than took them. */
static void *exchange_blocks(void *argument)
{
    struct exchange *exchange = argument;
    unsigned seed = 1;
    for (bool over = false; !over;) {
        seed = seed * 1103515245 + 12345;
        size_t size = seed >> 16 & 2047;
        uint8_t *block = do_malloc(size + 8);
        memcpy(block, &size, sizeof size);
        memset(block + 8, (int)(size & 255), size);
        pthread_mutex_lock(&exchange->mutex);
        void **slot = &exchange->slots[seed >> 8 & 63];
        uint8_t *other = *slot;
        *slot = block;
        over = exchange->over;
        pthread_mutex_unlock(&exchange->mutex);
        if (!other)
            continue;
        memcpy(&size, other, sizeof size);
        if (size && (other[8] != (size & 255) || other[7 + size] != (size & 255)))
            abort();
        do_free(other);
    }
    return NULL;
}

static void child_of_fork(struct exchange *exchange)
{
    for (size_t i = 0; i < COUNT(exchange->slots); i++)
        do_free(exchange->slots[i]);
    for (size_t i = 0; i < 2000; i++)
        do_free(do_realloc(do_malloc(i), i * 3 + 1));
    pthread_t thread;
    char *left;
    if (pthread_create(&thread, NULL, work_and_leave, &left) || pthread_join(thread, NULL))
        _exit(3);
    do_free(left);
    _exit(0);
}

static void a_child_goes_on_while_threads_are_at_work(void **state)
{
    (void)state;
    struct exchange exchange = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    for (size_t i = 0; i < COUNT(at_exit_key); i++)
        assert_int_equal(pthread_key_create(&at_exit_key[i], free_at_exit), 0);
    pthread_t threads[3];
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, exchange_blocks, &exchange), 0);
    for (int turn = 0; turn < 60; turn++) {
        usleep(1000);
        pthread_mutex_lock(&exchange.mutex);
        pid_t child = fork();
        if (!child)
            child_of_fork(&exchange);
        pthread_mutex_unlock(&exchange.mutex);
        int status;
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    pthread_mutex_lock(&exchange.mutex);
    exchange.over = true;
    pthread_mutex_unlock(&exchange.mutex);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < COUNT(exchange.slots); i++)
        do_free(exchange.slots[i]);
    for (size_t i = 0; i < COUNT(at_exit_key); i++)
        assert_int_equal(pthread_key_delete(at_exit_key[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_keyslabs),
        cmocka_unit_test(malloc_gives_aligned_blocks_of_their_size),
        cmocka_unit_test(zero_bytes_are_a_block_of_their_own),
        cmocka_unit_test(free_of_null_does_nothing),
        cmocka_unit_test(too_large_is_enomem),
        cmocka_unit_test(calloc_zeroes_what_was_used_before),
        cmocka_unit_test(locked_memory_is_given_back),
        cmocka_unit_test(realloc_keeps_the_contents),
        cmocka_unit_test(a_block_that_grows_step_by_step_keeps_its_contents),
        cmocka_unit_test(a_large_block_that_grows_moves_a_few_times),
        cmocka_unit_test(a_large_block_that_comes_and_goes_is_not_purged_each_time),
        cmocka_unit_test(realloc_of_nothing_and_to_nothing),
        cmocka_unit_test(realloc_that_fails_leaves_the_block),
        cmocka_unit_test(aligned_blocks_are_aligned),
        cmocka_unit_test(posix_memalign_answers_and_leaves_errno_alone),
        cmocka_unit_test(memalign_rounds_an_odd_alignment_up),
        cmocka_unit_test(valloc_and_pvalloc_give_pages),
        cmocka_unit_test(figures_follow_the_blocks),
        cmocka_unit_test(malloc_info_writes_xml),
        cmocka_unit_test(malloc_trim_gives_memory_back),
        cmocka_unit_test(mallopt_knows_no_parameter),
        cmocka_unit_test(the_c_library_allocates_here_too),
        cmocka_unit_test(a_plugin_allocates_here_too),
        cmocka_unit_test(threads_end_and_what_they_leave_is_freed),
        cmocka_unit_test(a_child_goes_on_while_threads_are_at_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
