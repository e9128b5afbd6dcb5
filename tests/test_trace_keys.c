/* Traces of the library's own keys, through its public face: what the file says is what was done. */
#include "test.h"
#include "trace/reader.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { BURST = 7, THREADS = 4, ROUNDS = 2000, HELD = 64, ADDRESSES = 1 << 18 };

static char trace_path[] = "/tmp/keyslab-trace-XXXXXX";

/* ------------------------------------------------------------------ helpers */

static ks_key_t key_named(const char *name, enum ks_trace trace)
{
    ks_key_t key;
    assert_status(ks_key_create(&(struct ks_key_options){.name = name, .trace = trace}, &key), KS_OK);
    return key;
}

static void start(uint32_t sample)
{
    assert_status(ks_trace_start(trace_path, sample), KS_OK);
}

static void stop(void)
{
    assert_status(ks_trace_stop(), KS_OK);
}

static struct trace_reader *open_whole(void)
{
    struct trace_error error;
    struct trace_reader *reader = trace_open(trace_path, false, &error);
    if (!reader)
        fail_msg("%s", error.text);
    return reader;
}

static const struct trace_event *next(struct trace_reader *reader)
{
    const struct trace_event *event;
    assert_int_equal(trace_next(reader, &event), TRACE_EVENT);
    return event;
}

static void expect_end(struct trace_reader *reader)
{
    const struct trace_event *event;
    assert_int_equal(trace_next(reader, &event), TRACE_END);
    trace_close(reader);
}

static const struct trace_event *expect(struct trace_reader *reader, enum trace_kind kind, uint64_t key,
                                        const void *block, size_t size)
{
    const struct trace_event *event = next(reader);
    assert_int_equal(event->kind, kind);
    assert_int_equal(event->key, key);
    if (block)
        assert_ptr_equal((void *)event->address, block);
    if (size)
        assert_int_equal(event->size, size);
    return event;
}

static uint64_t expect_key(struct trace_reader *reader, const char *name)
{
    const struct trace_event *event = next(reader);
    assert_int_equal(event->kind, TRACE_KEY);
    assert_string_equal(event->name, name);
    return event->key;
}

/* ------------------------------------------------------------------ one thread, every call */

static void every_call_is_there(void **state)
{
    (void)state;
    void *burst[BURST];
    volatile size_t too_much = SIZE_MAX;
    ks_status status;
    start(1);
    ks_key_t key = key_named("one", KS_TRACE_UNSET);
    void *a = alloc_ok(key, 100);
    void *zeroed = ks_calloc(key, 3, 50, NULL);
    void *aligned = ks_aligned_alloc(key, 4096, 200, NULL);
    void *large = alloc_ok(key, 1 << 20);
    void *same = ks_realloc(key, a, 97, NULL);
    void *moved = ks_realloc(key, a, 5000, NULL);
    assert_ptr_equal(same, a);
    assert_ptr_not_equal(moved, a);
    assert_int_equal(ks_alloc_bulk(key, 64, burst, BURST, NULL), BURST);
    assert_status(ks_free(key, large), KS_OK);
    /* Refused, and nothing to free: no events. */
    assert_status(ks_free(key, a), KS_DOUBLE_FREE);
    assert_status(ks_free(key, &status), KS_BAD_BLOCK);
    assert_status(ks_free(key, NULL), KS_OK);
    assert_null(ks_alloc(key, too_much, &status));
    assert_null(ks_realloc(key, a, 10, &status));
    void *first = burst[0];
    void *mixed[] = {burst[0], NULL, burst[0], burst[1]};
    assert_int_equal(ks_free_bulk(key, mixed, 4, &status), 3);
    assert_status(status, KS_DOUBLE_FREE);
    assert_null(ks_realloc(key, moved, 0, NULL));
    assert_status(ks_key_reset(key), KS_OK);
    assert_status(ks_free(key, zeroed), KS_STALE);
    void *after = ks_realloc(key, NULL, 40, NULL);
    assert_status(ks_key_terminate(key), KS_OK);
    assert_null(ks_alloc(key, 40, &status));
    assert_status(ks_free(key, after), KS_TERMINATED);
    assert_status(ks_key_destroy(key), KS_OK);
    assert_status(ks_key_destroy(key), KS_BAD_KEY);
    stop();

    struct trace_reader *reader = open_whole();
    assert_int_equal(trace_info(reader)->process, getpid());
    uint64_t number = expect_key(reader, "one");
    expect(reader, TRACE_ALLOC, number, a, 100);
    assert_true(expect(reader, TRACE_ALLOC, number, zeroed, 150)->zeroed);
    assert_int_equal(expect(reader, TRACE_ALLOC, number, aligned, 200)->alignment_shift, 12);
    expect(reader, TRACE_ALLOC, number, large, 1 << 20);
    expect(reader, TRACE_RESIZE, number, a, 97);
    expect(reader, TRACE_MOVED_FROM, number, a, 0);
    expect(reader, TRACE_MOVED_TO, number, moved, 5000);
    for (size_t i = 0; i < BURST; i++)
        expect(reader, TRACE_ALLOC, number, burst[i], 64);
    expect(reader, TRACE_FREE, number, large, 0);
    expect(reader, TRACE_FREE, number, first, 0);
    expect(reader, TRACE_FREE, number, burst[1], 0);
    expect(reader, TRACE_FREE, number, moved, 0);
    expect(reader, TRACE_RESET, number, NULL, 0);
    expect(reader, TRACE_ALLOC, number, after, 40);
    expect(reader, TRACE_FREE, number, after, 0);
    expect(reader, TRACE_RESET, number, NULL, 0);
    expect_end(reader);
}

/* ------------------------------------------------------------------ which keys, and when */

static void keys_are_chosen(void **state)
{
    (void)state;
    ks_key_t before = key_named("before", KS_TRACE_UNSET);
    ks_key_t ready = key_named("ready", KS_TRACE_ON);
    alloc_ok(ready, 1);
    start(1);
    assert_status(ks_trace_start(trace_path, 1), KS_INVALID);
    assert_int_equal(errno, EBUSY);
    ks_key_t off = key_named("off", KS_TRACE_OFF);
    alloc_ok(before, 2);
    alloc_ok(off, 3);
    void *block = alloc_ok(ready, 4);
    stop();
    alloc_ok(ready, 5);
    struct trace_reader *reader = open_whole();
    uint64_t number = expect_key(reader, "ready");
    expect(reader, TRACE_ALLOC, number, block, 4);
    expect_end(reader);

    /* Again, in the same threads: a file of its own. */
    start(1);
    block = alloc_ok(ready, 6);
    stop();
    stop();
    reader = open_whole();
    expect_key(reader, "ready");
    assert_int_equal(expect(reader, TRACE_ALLOC, number, block, 6)->thread, 1);
    expect_end(reader);
    ks_key_destroy(before);
    ks_key_destroy(ready);
    ks_key_destroy(off);
}

static void bad_paths_are_refused(void **state)
{
    (void)state;
    assert_status(ks_trace_start(NULL, 1), KS_INVALID);
    assert_status(ks_trace_start("/nowhere/at/all", 1), KS_INVALID);
    assert_int_equal(errno, ENOENT);
    ks_key_t key;
    assert_status(ks_key_create(&(struct ks_key_options){.trace = KS_TRACE_ON + 1}, &key), KS_INVALID);
}

/* With all their events, or none. */
static void samples_are_of_whole_lives(void **state)
{
    (void)state;
    start(8);
    ks_key_t key = key_named("some", KS_TRACE_UNSET);
    void *blocks[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++)
        blocks[i] = alloc_ok(key, 48);
    for (size_t i = 0; i < ROUNDS; i++)
        assert_status(ks_free(key, blocks[i]), KS_OK);
    ks_key_destroy(key);
    stop();
    struct trace_reader *reader = open_whole();
    assert_int_equal(trace_info(reader)->sample, 8);
    unsigned counts[TRACE_KEY + 1] = {0};
    const struct trace_event *event;
    while (trace_next(reader, &event) == TRACE_EVENT)
        counts[event->kind]++;
    trace_close(reader);
    assert_int_equal(counts[TRACE_ALLOC], counts[TRACE_FREE]);
    assert_in_range(counts[TRACE_ALLOC], ROUNDS / 16, ROUNDS / 4);
    assert_int_equal(counts[TRACE_KEY], 1);
    assert_int_equal(counts[TRACE_RESET], 1);
}

/* ------------------------------------------------------------------ several threads */

static ks_key_t shared;
static void *_Atomic exchanged[HELD];
static _Atomic uint64_t frees;
static uint64_t seeds;

static unsigned random_of(unsigned *random)
{
    *random = *random * 1103515245 + 12345;
    return *random >> 8;
}

static void *resized(void *block, size_t size)
{
    void *moved = ks_realloc(shared, block, size, NULL);
    if (moved && moved != block)
        atomic_fetch_add(&frees, 1);
    return moved;
}

static void freed(void *block)
{
    if (block && ks_free(shared, block) == KS_OK)
        atomic_fetch_add(&frees, 1);
}

/* Frees what any thread has left there: the places are few, so that most are others' blocks. */
static void *exchange(void *seed)
{
    unsigned random = (unsigned)(uintptr_t)seed;
    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t size = random_of(&random) % 3000;
        void *block = alloc_ok(shared, size);
        if (random_of(&random) % 16 == 0)
            block = resized(block, size * 3 + 50);
        freed(atomic_exchange(&exchanged[random_of(&random) % HELD], block));
    }
    return NULL;
}

/* Frees its own, or leaves them to a reset, which may come at any moment. */
static void *reset_now_and_then(void *seed)
{
    unsigned random = (unsigned)(uintptr_t)seed;
    for (unsigned i = 0; i < ROUNDS; i++) {
        void *block = alloc_ok(shared, 64);
        if (random_of(&random) % 16 == 0)
            block = resized(block, 400);
        if (random_of(&random) % 4)
            freed(block);
        if (random_of(&random) % 64 == 0)
            assert_status(ks_key_reset(shared), KS_OK);
    }
    return NULL;
}

static void in_threads(void *(*work)(void *))
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < HELD; i++)
        atomic_store(&exchanged[i], NULL);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)++seeds), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* What a reader knows of each address. */
struct life {
    uint64_t address; /* 0: a free place */
    uint64_t resets;  /* that had been when it was allocated */
    bool live;
};

struct lives {
    struct life table[ADDRESSES];
    uint64_t allocations, frees, resets;
};

static struct life *life_of(struct lives *lives, uint64_t address)
{
    size_t at = (size_t)((address >> 4) * 0x9e3779b97f4a7c15ull >> 40) % ADDRESSES;
    while (lives->table[at].address && lives->table[at].address != address)
        at = (at + 1) % ADDRESSES;
    lives->table[at].address = address;
    return &lives->table[at];
}

/* An address is one block at a time, whatever threads did: no two allocations without a free or a reset between. */
static void follow(struct lives *lives, const struct trace_event *event)
{
    struct life *life;
    switch (event->kind) {
    case TRACE_ALLOC:
    case TRACE_MOVED_TO:
        life = life_of(lives, event->address);
        assert_false(life->live && life->resets == lives->resets);
        *life = (struct life){event->address, lives->resets, true};
        lives->allocations++;
        break;
    case TRACE_FREE:
    case TRACE_MOVED_FROM:
        life = life_of(lives, event->address);
        assert_true(life->live && life->resets == lives->resets);
        life->live = false;
        lives->frees++;
        break;
    case TRACE_RESIZE:
        life = life_of(lives, event->address);
        assert_true(life->live && life->resets == lives->resets);
        break;
    case TRACE_RESET:
        lives->resets++;
        break;
    default:
        break;
    }
}

static const struct lives *follow_all(void)
{
    static struct lives lives;
    memset(&lives, 0, sizeof lives);
    struct trace_reader *reader = open_whole();
    const struct trace_event *event;
    while (trace_next(reader, &event) == TRACE_EVENT)
        follow(&lives, event);
    trace_close(reader);
    return &lives;
}

static void nothing_is_lost_between_threads(void **state)
{
    (void)state;
    atomic_store(&frees, 0);
    start(1);
    shared = key_named("shared", KS_TRACE_UNSET);
    for (int i = 0; i < 5; i++) { /* other threads each time */
        in_threads(exchange);
        assert_status(ks_key_reset(shared), KS_OK);
    }
    struct ks_key_stats stats = stats_of(shared);
    key_end(shared);
    stop();
    const struct lives *lives = follow_all();
    assert_int_equal(lives->allocations, stats.allocated);
    assert_int_equal(lives->frees, atomic_load(&frees));
    assert_int_equal(lives->resets, 6);
}

/* What a reset drops is gone before it, whatever call it overlaps: C13.3. */
static void resets_are_in_order(void **state)
{
    (void)state;
    start(1);
    shared = key_named("shared", KS_TRACE_UNSET);
    in_threads(reset_now_and_then);
    struct ks_key_stats stats = stats_of(shared);
    key_end(shared);
    stop();
    const struct lives *lives = follow_all();
    assert_int_equal(lives->resets, stats.generation + 1);
    assert_true(lives->resets > THREADS);
    assert_true(lives->allocations >= THREADS * ROUNDS);
}

/* ------------------------------------------------------------------ processes */

/* Which allows no threads after a fork. */
static void not_under_thread_sanitizer(void)
{
#if defined(__SANITIZE_THREAD__)
    skip();
#endif
}

static bool is_child;

#if defined(__SANITIZE_ADDRESS__)
/* The search for leaks at a program's end cannot be made in a child of threads, and says so on standard error. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return is_child;
}
#endif

/* Runs in a child, whose standard error is returned; it ends by exit, with the library's destructor. */
static void in_child(void (*work)(void), char *told, size_t room)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    is_child = !child;
    if (is_child) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        work();
        exit(0);
    }
    close(ends[1]);
    size_t got = 0;
    for (ssize_t bytes; got + 1 < room && (bytes = read(ends[0], told + got, room - 1 - got)) > 0;)
        got += (size_t)bytes;
    told[got] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static ks_key_t inherited;

static void only_use(void)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        alloc_ok(inherited, 16);
}

static void start_anew(void)
{
    only_use();
    char path[sizeof trace_path + 8];
    snprintf(path, sizeof path, "%s.child", trace_path);
    if (ks_trace_start(path, 1) != KS_OK)
        exit(1);
    only_use();
}

static void children_record_nothing_unless_they_ask(void **state)
{
    (void)state;
    char told[256];
    not_under_thread_sanitizer();
    start(1);
    inherited = key_named("inherited", KS_TRACE_UNSET);
    void *block = alloc_ok(inherited, 1);
    in_child(only_use, told, sizeof told);
    assert_string_equal(told, "");
    in_child(start_anew, told, sizeof told);
    assert_string_equal(told, "");
    void *later = alloc_ok(inherited, 2);
    stop();
    struct trace_reader *reader = open_whole();
    uint64_t number = expect_key(reader, "inherited");
    expect(reader, TRACE_ALLOC, number, block, 1);
    expect(reader, TRACE_ALLOC, number, later, 2);
    expect_end(reader);
    ks_key_destroy(inherited);

    char path[sizeof trace_path + 8];
    snprintf(path, sizeof path, "%s.child", trace_path);
    struct trace_error error;
    reader = trace_open(path, false, &error);
    assert_non_null(reader); /* whole, though nobody has called ks_trace_stop */
    assert_int_equal(trace_events(reader), ROUNDS + 1);
    trace_close(reader);
    unlink(path);
}

#if CONFIG_FILES

/* Ends without ks_trace_stop. */
static void run_by_config(void)
{
    char path[sizeof trace_path + 8];
    snprintf(path, sizeof path, "%s.conf", trace_path);
    if (ks_config_load(path, NULL, NULL) != KS_OK)
        exit(1);
    ks_key_t plain = key_named("plain", KS_TRACE_UNSET);
    ks_key_t off = key_named("quiet-one", KS_TRACE_UNSET);
    ks_key_t overruled = key_named("quiet-two", KS_TRACE_ON);
    alloc_ok(plain, 10);
    alloc_ok(off, 20);
    alloc_ok(overruled, 30);
}

static void the_config_file_begins_it(void **state)
{
    (void)state;
    not_under_thread_sanitizer();
    char told[512];
    char path[sizeof trace_path + 8];
    snprintf(path, sizeof path, "%s.conf", trace_path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "[defaults]\ntrace = on\ntrace file = %s\n[key quiet-*]\ntrace = off\n", trace_path);
    assert_int_equal(fclose(file), 0);
    in_child(run_by_config, told, sizeof told);
    assert_string_equal(told, "");
    unlink(path);
    struct trace_reader *reader = open_whole();
    uint64_t plain = expect_key(reader, "plain");
    uint64_t overruled = expect_key(reader, "quiet-two");
    expect(reader, TRACE_ALLOC, plain, NULL, 10);
    expect(reader, TRACE_ALLOC, overruled, NULL, 30);
    expect_end(reader);
}

#endif

static void fill_the_disk(void)
{
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){100000, 100000});
    ks_key_t key;
    if (ks_trace_start(trace_path, 1) != KS_OK || ks_key_create(NULL, &key) != KS_OK)
        exit(1);
    for (unsigned i = 0; i < 1000000; i++)
        if (ks_free(key, alloc_ok(key, i % 1000)) != KS_OK)
            exit(2);
    if (ks_trace_stop() != KS_INVALID || errno != EFBIG)
        exit(3);
}

static void a_full_disk_is_told_once(void **state)
{
    (void)state;
    not_under_thread_sanitizer();
    char told[512];
    char expected[512];
    in_child(fill_the_disk, told, sizeof told);
    snprintf(expected, sizeof expected, "keyslab: %s: File too large: what follows is not traced\n", trace_path);
    assert_string_equal(told, expected);
}

static int group_setup(void **state)
{
    (void)state;
    int file = mkstemp(trace_path);
    return file < 0 || close(file);
}

static int group_teardown(void **state)
{
    (void)state;
    return unlink(trace_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_is_there),
        cmocka_unit_test(keys_are_chosen),
        cmocka_unit_test(bad_paths_are_refused),
        cmocka_unit_test(samples_are_of_whole_lives),
        cmocka_unit_test(nothing_is_lost_between_threads),
        cmocka_unit_test(resets_are_in_order),
        cmocka_unit_test(children_record_nothing_unless_they_ask),
#if CONFIG_FILES
        cmocka_unit_test(the_config_file_begins_it),
#endif
        cmocka_unit_test(a_full_disk_is_told_once),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
