/*
 * Address space: how little the library takes, what it does where the process's is limited (RLIMIT_AS), before or after its start, and
 * where somebody else's mapping lies in its way. Each test is a process of its own, because the library starts once.
 */
#include "test.h"
#if KS_CHECK
#include "base/testing.h"
#endif

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define MIB ((size_t)1 << 20)

/*
 * Beside each slab of 256 KiB lie up to 41 KiB of records. The shared jemalloc is the program's malloc as well, and lets no two slabs be
 * neighbours: docs/jemalloc.md.
 */
#define LEAST         (JEMALLOC_SHARED ? 256 * MIB : 64 * MIB)
#define USABLE(bytes) (JEMALLOC_SHARED ? (bytes) / 8 * 3 : (bytes) / 10 * 7)

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

static void in_process(void (*work)(size_t), size_t argument)
{
    fflush(stdout);
    pid_t child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) {
        work(argument);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static ks_key_t create(void)
{
    ks_key_t key;
    CHECK(ks_key_create(NULL, &key) == KS_OK);
    return key;
}

static char *get(ks_key_t key, size_t size)
{
    ks_status status = KS_INVALID;
    char *block = ks_alloc(key, size, &status);
    CHECK(block && status == KS_OK);
    block[0] = block[size - 1] = 1;
    return block;
}

/* A sanitizer needs the address space itself. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

static void refuse(ks_key_t key, size_t size)
{
    ks_status status = KS_INVALID;
    errno = 0;
    CHECK(!ks_alloc(key, size, &status) && status == KS_NO_MEMORY && errno == 0);
}

static size_t address_space(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void limit(size_t bytes)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = bytes;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void start_in_little(size_t unused)
{
    (void)unused;
    size_t before = address_space();
    get(create(), 100);
    CHECK(address_space() - before < 16 * MIB);
}

static void the_start_takes_little(void **state)
{
    (void)state;
    in_process(start_in_little, 0);
}

static ks_key_t shared_key;
static size_t most;

/* Blocks of many sizes, a large one, and one that is more than there is. */
static void *use(void *argument)
{
    void *blocks[1000];
    for (size_t i = 0; i < 1000; i++)
        blocks[i] = get(shared_key, 1 + i * 13);
    for (size_t i = 0; i < 1000; i++)
        CHECK(ks_free(shared_key, blocks[i]) == KS_OK);
    CHECK(ks_free(shared_key, get(shared_key, most / 8)) == KS_OK);
    refuse(shared_key, most);
    return argument;
}

static void use_in_thread(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, use, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

static void limit_first(size_t bytes)
{
    limit(most = bytes);
    shared_key = create();
    use(NULL);
    use_in_thread();
    void *mapped = mmap(NULL, MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mapped != MAP_FAILED);
    CHECK(ks_key_destroy(shared_key) == KS_OK);
}

static void start_first(size_t bytes)
{
    shared_key = create();
    get(shared_key, 100);
    limit(most = bytes);
    use_in_thread();
    use(NULL);
    CHECK(ks_key_destroy(shared_key) == KS_OK);
}

static void a_limit_before_or_after_the_start(void **state)
{
    (void)state;
    for (size_t bytes = LEAST; bytes <= 65536 * MIB; bytes *= 4) {
        in_process(limit_first, bytes);
        in_process(start_first, bytes);
    }
}

static void refuse_often(size_t bytes)
{
    ks_key_t key = create();
    limit(bytes);
    char *first = get(key, 40);
    size_t before = 0;
    for (int i = 0; i < 200; i++) {
        for (size_t size = bytes; size <= bytes << 8; size *= 2)
            refuse(key, size);
        before = i == 100 ? address_space() : before;
    }
    CHECK(address_space() == before);
    CHECK(ks_free(key, get(key, bytes / 2)) == KS_OK && ks_free(key, first) == KS_OK);
}

static void what_is_refused_is_not_used_up(void **state)
{
    (void)state;
    in_process(refuse_often, 256 * MIB);
    in_process(refuse_often, 1024 * MIB);
}

static size_t fill(ks_key_t key, void **blocks, size_t size)
{
    size_t count = 0;
    while ((blocks[count] = ks_alloc(key, size, NULL)))
        count++;
    for (size_t i = 0; i < count; i++)
        CHECK(ks_free(key, blocks[i]) == KS_OK);
    return count;
}

static void fill_twice(size_t size)
{
    static void *blocks[1 << 16];
    ks_key_t key = create();
    limit(512 * MIB);
    size_t count = fill(key, blocks, size);
    CHECK(count >= USABLE(512 * MIB) / size);
    for (int i = 0; i < 3; i++)
        CHECK(fill(key, blocks, size) >= count);
}

static void what_is_free_can_be_had_again(void **state)
{
    (void)state;
    in_process(fill_twice, 8192);
    in_process(fill_twice, 256 << 10);
    in_process(fill_twice, 10 * MIB);
}

static ks_key_t create_with_arena(enum ks_huge_pages huge)
{
    ks_key_t key;
    CHECK(ks_key_create(&(struct ks_key_options){.arena = KS_ARENA_KEY, .huge = huge}, &key) == KS_OK);
    return key;
}

enum { FROM_HUGE = 1, TO_HUGE = 2, LONG = 4, HOWS = 8 };

/*
 * One key fills the address space and frees all of it again, but for a slab here and there; then the other one fills it. jemalloc keeps
 * what is free mapped, for the same arena.
 */
static void hand_over(size_t how)
{
    static void *blocks[1 << 16];
    if (backend() == KS_BACKEND_JEMALLOC)
        return;
    size_t size = how & LONG ? 10 * MIB : 256 << 10;
    ks_key_t from = create_with_arena(how & FROM_HUGE ? KS_HUGE_PAGES_ON : KS_HUGE_PAGES_OFF);
    ks_key_t to = create_with_arena(how & TO_HUGE ? KS_HUGE_PAGES_ON : KS_HUGE_PAGES_OFF);
    limit(512 * MIB);
    char *first = get(from, 100);
    for (int i = 0; i < 3; i++) {
        CHECK(fill(from, blocks, size) >= USABLE(512 * MIB) / size);
        char *kept = get(from, 50000);
        CHECK(fill(to, blocks, size) >= USABLE(512 * MIB) / size);
        CHECK(ks_free(from, kept) == KS_OK);
    }
    CHECK(first[0] == 1 && first[99] == 1);
    CHECK(ks_key_destroy(from) == KS_OK && ks_key_destroy(to) == KS_OK);
}

static void what_is_free_is_for_every_key(void **state)
{
    (void)state;
    for (size_t how = 0; how < HOWS; how++)
        in_process(hand_over, how);
}

static void lower_and_raise(size_t unused)
{
    (void)unused;
    ks_key_t key = create();
    char *small = get(key, 10);
    char *large = get(key, 10 * MIB);
    limit(MIB);
    refuse(key, 64 * MIB);
    CHECK(ks_free(key, large) == KS_OK && ks_free(key, small) == KS_OK);
    get(key, 10);
    limit(4096 * MIB);
    get(key, 1024 * MIB);
    limit(RLIM_INFINITY);
    get(key, 8192 * MIB);
}

static void a_limit_goes_down_and_up(void **state)
{
    (void)state;
    in_process(lower_and_raise, 0);
}

#endif

/* ------------------------------------------------------------------ in the way */

/* What is drawn next lies behind what was drawn last. */
static void pass_by(size_t distance)
{
    ks_key_t key = create();
    char *block = get(key, 4 * MIB);
    char *strange = mmap(block + distance, 2 * MIB, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(strange == block + distance);
    memset(strange, 7, 2 * MIB);
    for (int i = 0; i < 10; i++) {
        char *passed = get(key, 100 * MIB);
        memset(passed + (100 - i) * MIB - 10, 1, 10);
        CHECK(passed + 100 * MIB <= strange || passed >= strange + 2 * MIB);
        CHECK(ks_free(key, strange) == KS_BAD_BLOCK);
    }
    for (size_t i = 0; i < 2 * MIB; i++)
        CHECK(strange[i] == 7);
    CHECK(munmap(strange, 2 * MIB) == 0);
    CHECK(ks_free(key, strange) == KS_BAD_BLOCK);
    CHECK(ks_key_destroy(key) == KS_OK);
}

static void somebody_elses_mapping_is_passed_by(void **state)
{
    (void)state;
    in_process(pass_by, 64 * MIB);
    in_process(pass_by, 350 * MIB);
}

/* ------------------------------------------------------------------ fork */

#if KS_CHECK && !defined(__SANITIZE_THREAD__)

enum { KEYS = 1000 };

static atomic_bool mapped;
static atomic_bool forked;

/* The first thread that has mapped more stops there until the process has forked. */
static void wait_for_fork(const char *point)
{
    if (strcmp(point, "growth: mapped") != 0 || atomic_exchange(&mapped, true))
        return;
    while (!atomic_load(&forked))
        usleep(100);
}

static void *create_many(void *argument)
{
    for (int i = 0; i < KEYS; i++)
        create();
    return argument;
}

static void fork_amid_growth(size_t unused)
{
    (void)unused;
    pthread_t thread;
    get(create(), 100);
    ks_point_set(wait_for_fork);
    CHECK(pthread_create(&thread, NULL, create_many, NULL) == 0);
    while (!atomic_load(&mapped))
        usleep(100);
    pid_t child = fork();
    CHECK(child >= 0);
    create_many(child == 0 ? &child : (atomic_store(&forked, true), NULL));
    get(create(), 100 * MIB);
    if (child == 0)
        _exit(0);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void a_child_goes_on_where_growth_was_interrupted(void **state)
{
    (void)state;
    in_process(fork_amid_growth, 0);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(the_start_takes_little),
        cmocka_unit_test(a_limit_before_or_after_the_start),
        cmocka_unit_test(what_is_refused_is_not_used_up),
        cmocka_unit_test(what_is_free_can_be_had_again),
        cmocka_unit_test(what_is_free_is_for_every_key),
        cmocka_unit_test(a_limit_goes_down_and_up),
#endif
        cmocka_unit_test(somebody_elses_mapping_is_passed_by),
#if KS_CHECK && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(a_child_goes_on_where_growth_was_interrupted),
#endif
    };
    return cmocka_run_group_tests_name("space", tests, NULL, NULL);
}
