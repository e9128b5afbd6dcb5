/* Huge pages: what the system is asked to back with them, what becomes of it, and that a system without them is no error. */
#include "pages.h"

#if CHECK_BUILD
#include "base/testing.h"
#endif

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { SLAB = 256 << 10, FRAMES = (64 << 20) / 1536 };

static ks_key_t key_of(enum ks_arena arena, enum ks_huge_pages huge)
{
    ks_key_t key;
    assert_status(ks_key_create(&(struct ks_key_options){.arena = arena, .huge = huge}, &key), KS_OK);
    return key;
}

static void assert_advised(ks_key_t key, size_t size, bool advised)
{
    void *block = alloc_ok(key, size);
    if (is_advised(block) != advised)
        fail_msg("%zu bytes: %s advised", size, advised ? "not" : "wrongly");
    assert_status(ks_free(key, block), KS_OK);
}

/* In every arena. A large block that leaves a part of its last 256 KiB untouched would have that resident, too. */
static void what_fills_its_place_is_advised(void **state)
{
    (void)state;
    for (enum ks_arena arena = KS_ARENA_SHARED; arena <= KS_ARENA_NODE; arena++) {
        ks_key_t key = key_of(arena, KS_HUGE_PAGES_ON);
        for (size_t size = 16; size <= 65536; size *= 4)
            assert_advised(key, size, true);
        assert_advised(key, 100000, false);
        assert_advised(key, 300000, false);
        assert_advised(key, 1 << 20, true);
        assert_advised(key, 6 << 20, true);
        key_end(key);
    }
}

static void nobody_elses_memory_is_advised(void **state)
{
    (void)state;
    ks_key_t huge = key_of(KS_ARENA_SHARED, KS_HUGE_PAGES_ON);
    assert_advised(huge, 1000, true);
    for (enum ks_arena arena = KS_ARENA_UNSET; arena <= KS_ARENA_NODE; arena++) {
        ks_key_t key = key_of(arena, KS_HUGE_PAGES_UNSET);
        assert_advised(key, 1000, false);
        assert_advised(key, 6 << 20, false);
        key_end(key);
    }
    key_end(huge);
}

/* The same arena, one key after the other. */
static void an_arena_of_one_key_serves_both_kinds(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        ks_key_t key = key_of(KS_ARENA_KEY, i & 1 ? KS_HUGE_PAGES_ON : KS_HUGE_PAGES_OFF);
        assert_advised(key, 1000, i & 1);
        key_end(key);
    }
}

#if CONFIG_FILES

static void the_file_says_which_keys(void **state)
{
    (void)state;
    char path[] = "/tmp/keyslab-pages-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_true(dprintf(file, "[defaults]\nhuge pages = on\n[key small]\nhuge pages = off\n") > 0);
    close(file);
    assert_status(ks_config_load(path, NULL, NULL), KS_OK);
    unlink(path);
    ks_key_t big = key_new();
    ks_key_t small;
    assert_status(ks_key_create(&(struct ks_key_options){.name = "small"}, &small), KS_OK);
    assert_status(ks_config_load(NULL, NULL, NULL), KS_OK);
    assert_advised(big, 1000, true);
    assert_advised(small, 1000, false);
    key_end(big);
    key_end(small);
}

#endif

static void *frames[FRAMES];

static void frames_fill(ks_key_t key)
{
    for (size_t i = 0; i < FRAMES; i++)
        memset(frames[i] = alloc_ok(key, 1500), 1, 1500);
}

/* Runs of frames belong to one half and the other in turn. */
static size_t half_of(size_t frame)
{
    return frame / 500 % 2;
}

static void half_free(ks_key_t key, size_t half)
{
    for (size_t i = 0; i < FRAMES; i++)
        if (half_of(i) == half)
            assert_status(ks_free(key, frames[i]), KS_OK);
}

static int by_address(const void *a, const void *b)
{
    uintptr_t left = *(const uintptr_t *)a, right = *(const uintptr_t *)b;
    return (left > right) - (left < right);
}

/* How many pieces of the size and alignment `bytes` the frames lie in. */
static size_t pieces(size_t bytes)
{
    static uintptr_t starts[FRAMES];
    size_t count = 0;
    for (size_t i = 0; i < FRAMES; i++)
        starts[i] = (uintptr_t)frames[i] / bytes;
    qsort(starts, FRAMES, sizeof *starts, by_address);
    for (size_t i = 0; i < FRAMES; i++)
        count += !i || starts[i] != starts[i - 1];
    return count;
}

/* Eight slabs in each, but in the first, where the heap's other slabs may lie, and the last. */
static void slabs_fill_huge_pages(void **state)
{
    (void)state;
    if (JEMALLOC_SHARED && backend() == KS_BACKEND_JEMALLOC)
        skip(); /* the program's jemalloc leaves every second 256 KiB idle */
    ks_key_t key = key_of(KS_ARENA_KEY, KS_HUGE_PAGES_ON);
    frames_fill(key);
    assert_in_range(pieces(HUGE_PAGE), 1, pieces(SLAB) / 8 + 2);
    key_end(key);
}

/* Whether the system backs what it is advised to with huge pages. */
static bool system_has_huge_pages(void)
{
    char text[128] = "";
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    if (!file)
        return false;
    bool has = fgets(text, sizeof text, file) && !strstr(text, "[never]");
    fclose(file);
    return has;
}

/* After a purge as before: what is given back as a whole comes back as a whole. */
static void a_first_touch_brings_all_of_a_huge_page(void **state)
{
    (void)state;
    if (!system_has_huge_pages())
        skip();
    ks_key_t key = key_of(KS_ARENA_KEY, KS_HUGE_PAGES_ON);
    for (int round = 0; round < 3; round++) {
        char *block = alloc_ok(key, 6 << 20);
        assert_int_equal(resident_of(block, 6 << 20), 0);
        for (size_t i = 0; i < 3; i++) {
            uintptr_t whole = ((uintptr_t)block + i * HUGE_PAGE + HUGE_PAGE - 1) & -HUGE_PAGE;
            if (whole + HUGE_PAGE > (uintptr_t)block + (6 << 20))
                break;
            *(char *)whole = 1;
            assert_int_equal(resident_of((void *)whole, HUGE_PAGE), HUGE_PAGE);
        }
        assert_status(ks_free(key, block), KS_OK);
        assert_status(ks_key_purge(key), KS_OK);
        assert_int_equal(resident_of(block, 6 << 20), 0);
    }
    key_end(key);
}

static char *page_of(const void *block)
{
    return (char *)((uintptr_t)block & -HUGE_PAGE);
}

/* One slab made all of its huge page resident, and the arena has handed out no other in it. */
static void one_slab_takes_its_page_along(void **state)
{
    (void)state;
    ks_key_t key = key_of(KS_ARENA_KEY, KS_HUGE_PAGES_ON);
    for (int round = 0; round < 10; round++) {
        char *block = alloc_ok(key, 65536);
        memset(block, 1, 65536);
        assert_status(ks_free(key, block), KS_OK);
        assert_status(ks_key_purge(key), KS_OK);
        assert_int_equal(resident_of(page_of(block), HUGE_PAGE), 0);
    }
    key_end(key);
}

/* Pages that a purge has broken up, because some of their blocks were live, are gone as a whole when those are free, too. */
static void broken_pages_go_in_the_end(void **state)
{
    (void)state;
    ks_key_t key = key_of(KS_ARENA_KEY, KS_HUGE_PAGES_ON);
    frames_fill(key);
    half_free(key, 1);
    assert_status(ks_key_purge(key), KS_OK);
    half_free(key, 0);
    assert_status(ks_key_purge(key), KS_OK);
    for (size_t i = 0; i < FRAMES; i += 100)
        assert_int_equal(resident_of(page_of(frames[i]), HUGE_PAGE), 0);
    key_end(key);
}

/* All that a key had, slabs of which some are used for the second time included, is gone with it. */
static void nothing_stays_resident(void **state)
{
    (void)state;
    ks_key_t key = key_of(KS_ARENA_SHARED, KS_HUGE_PAGES_ON);
    frames_fill(key);
    half_free(key, 1);
    assert_status(ks_key_purge(key), KS_OK);
    for (size_t i = 0; i < FRAMES; i++)
        if (half_of(i) == 1)
            memset(frames[i] = alloc_ok(key, 1500), 1, 1500);
    key_end(key);
    for (size_t i = 0; i < FRAMES; i += 100) {
        void *slab = (void *)((uintptr_t)frames[i] & -(uintptr_t)SLAB);
        assert_int_equal(resident_of(slab, SLAB), 0);
    }
}

/* ------------------------------------------------------------------ while others purge */

enum { THREADS = 3, ROUNDS = 300, HELD = 48 };

static ks_key_t contested;
static atomic_bool done;

/* Slabs and large blocks are given back as soon as they are free: what is written stays as it was written, all the same. */
static void *write_and_look(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t *held[HELD];
        size_t sizes[HELD];
        size_t count = 1 + (size_t)rand_r(&seed) % HELD;
        for (size_t i = 0; i < count; i++) {
            sizes[i] = rand_r(&seed) % 8 ? 65536 : 1 << 20;
            held[i] = alloc_ok(contested, sizes[i]);
            for (size_t at = 0; at < sizes[i] / 8; at += 64)
                held[i][at] = (uintptr_t)&held[i][at];
        }
        for (size_t i = 0; i < count; i++) {
            for (size_t at = 0; at < sizes[i] / 8; at += 64)
                if (held[i][at] != (uintptr_t)&held[i][at])
                    fail_msg("%p: what was written is lost", (void *)&held[i][at]);
            assert_status(ks_free(contested, held[i]), KS_OK);
        }
        if (round % 4 == 0)
            assert_status(ks_key_purge(contested), KS_OK);
    }
    return NULL;
}

static void *keep_purging(void *argument)
{
    while (!atomic_load(&done))
        assert_status(ks_key_purge(contested), KS_OK);
    return argument;
}

static void nothing_in_use_is_given_back(void **state)
{
    (void)state;
    pthread_t threads[THREADS], purger;
    contested = key_of(KS_ARENA_KEY, KS_HUGE_PAGES_ON);
    atomic_store(&done, false);
    assert_int_equal(pthread_create(&purger, NULL, keep_purging, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_and_look, (void *)(i + 1)), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    atomic_store(&done, true);
    assert_int_equal(pthread_join(purger, NULL), 0);
    key_end(contested);
}

#if CHECK_BUILD

enum { PART = 512 << 10 }; /* of a huge page: another one has room beside it */

static atomic_bool giving, go_on, taken;

static void hold_who_gives(const char *point)
{
    if (strcmp(point, "huge: giving") != 0 || atomic_exchange(&giving, true))
        return;
    while (!atomic_load(&go_on))
        usleep(1000);
}

static void *purge_once(void *argument)
{
    assert_status(ks_key_purge(contested), KS_OK);
    return argument;
}

static void *take_and_write(void *argument)
{
    char *block = alloc_ok(contested, PART);
    memset(block, 7, PART);
    *(char **)argument = block;
    atomic_store(&taken, true);
    return NULL;
}

#if !defined(__SANITIZE_THREAD__) /* which does not follow a fork with so many locks */

/* In a child that was forked while a page was given back nobody is there to be waited for. */
static void a_child_does_not_wait(void **state)
{
    (void)state;
    pthread_t giver;
    int status;
    contested = key_of(KS_ARENA_KEY, KS_HUGE_PAGES_ON);
    char *before = alloc_ok(contested, PART);
    memset(before, 1, PART);
    assert_status(ks_free(contested, before), KS_OK);
    atomic_store(&giving, false);
    atomic_store(&go_on, false);
    ks_point_set(hold_who_gives);
    assert_int_equal(pthread_create(&giver, NULL, purge_once, NULL), 0);
    while (!atomic_load(&giving))
        usleep(1000);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        alarm(20);
        ks_status taken_status;
        char *block = ks_alloc(contested, PART, &taken_status);
        _exit(block && page_of(block) == page_of(before) && ks_free(contested, block) == KS_OK &&
                      ks_key_destroy(contested) == KS_OK
                  ? 0
                  : 1);
    }
    atomic_store(&go_on, true);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(pthread_join(giver, NULL), 0);
    ks_point_set(NULL);
    key_end(contested);
}

#endif

/* Another part of a page is asked for while the page is given back: it is written to afterwards. In an arena that has no other page. */
static void who_takes_waits_for_who_gives(void **state)
{
    (void)state;
    pthread_t giver, taker;
    char *block = NULL;
    contested = key_of(KS_ARENA_KEY, KS_HUGE_PAGES_ON);
    char *before = alloc_ok(contested, PART);
    memset(before, 1, PART);
    assert_status(ks_free(contested, before), KS_OK);
    atomic_store(&giving, false);
    atomic_store(&go_on, false);
    ks_point_set(hold_who_gives);
    assert_int_equal(pthread_create(&giver, NULL, purge_once, NULL), 0);
    while (!atomic_load(&giving))
        usleep(1000);
    assert_int_equal(pthread_create(&taker, NULL, take_and_write, &block), 0);
    usleep(100000);
    bool waited = !atomic_load(&taken);
    atomic_store(&go_on, true);
    assert_int_equal(pthread_join(giver, NULL), 0);
    assert_int_equal(pthread_join(taker, NULL), 0);
    ks_point_set(NULL);
    assert_ptr_equal(page_of(block), page_of(before));
    assert_true(waited);
    for (size_t i = 0; i < PART; i += SMALL_PAGE)
        assert_int_equal(block[i], 7);
    key_end(contested);
}

#endif

/* ------------------------------------------------------------------ without huge pages */

/* As it answers where it was built without them. */
static bool advice_refuse(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_HUGEPAGE, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = COUNT(code), .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int without_advice(void)
{
    ks_key_t key = key_of(KS_ARENA_KEY, KS_HUGE_PAGES_ON);
    errno = 0;
    frames_fill(key);
    if (errno || is_advised(frames[0]) || ks_key_destroy(key) != KS_OK)
        return 1;
    return 0;
}

static void a_system_without_them_is_no_error(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child)
        _exit(advice_refuse() ? without_advice() : 77);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_system_without_them_is_no_error),
#if CHECK_BUILD
#if !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(a_child_does_not_wait),
#endif
        cmocka_unit_test(who_takes_waits_for_who_gives),
#endif
        cmocka_unit_test(what_fills_its_place_is_advised),
        cmocka_unit_test(nobody_elses_memory_is_advised),
        cmocka_unit_test(an_arena_of_one_key_serves_both_kinds),
#if CONFIG_FILES
        cmocka_unit_test(the_file_says_which_keys),
#endif
        cmocka_unit_test(slabs_fill_huge_pages),
        cmocka_unit_test(a_first_touch_brings_all_of_a_huge_page),
        cmocka_unit_test(nothing_stays_resident),
        cmocka_unit_test(one_slab_takes_its_page_along),
        cmocka_unit_test(broken_pages_go_in_the_end),
        cmocka_unit_test(nothing_in_use_is_given_back),
    };
    return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
