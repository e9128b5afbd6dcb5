/* fork while threads are at work: the child allocates, frees and resets in every key, the parent notices
 * nothing. */
#include "test.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 3, KEYS = 3, BLOCKS = 500, FORKS = 60 };

static ks_key_t keys[KEYS];
static void *blocks[KEYS][BLOCKS];
static void *foreign[KEYS][BLOCKS];
static atomic_bool stop;

static void *work(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    void *held[64] = {0};
    while (!atomic_load(&stop)) {
        unsigned i = (unsigned)rand_r(&seed) % 64;
        ks_key_t key = keys[i % KEYS];
        if (held[i])
            assert_status(ks_free(key, held[i]), KS_OK);
        held[i] = alloc_ok(key, (size_t)rand_r(&seed) % 2000);
    }
    for (unsigned i = 0; i < 64; i++)
        assert_status(ks_free(keys[i % KEYS], held[i]), KS_OK);
    return NULL;
}

static void *allocate_foreign(void *argument)
{
    (void)argument;
    for (size_t k = 0; k < KEYS; k++)
        for (size_t i = 0; i < BLOCKS; i++)
            foreign[k][i] = alloc_ok(keys[k], i * 7);
    return NULL;
}

#define CHILD(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            _exit(__LINE__ % 200 + 1);                                                                                 \
    } while (0)

/* AddressSanitizer's own allocator may have been locked at the fork, and a new thread needs it. */
#if defined(__SANITIZE_ADDRESS__)
#define CHILD_THREADS 0
#else
#define CHILD_THREADS 1
#endif

static void *in_the_childs_thread(void *argument)
{
    ks_key_t key = (ks_key_t)argument;
    for (size_t i = 0; i < 1000; i++)
        CHILD(ks_free(key, ks_alloc(key, i, NULL)) == KS_OK);
    return NULL;
}

static void child(void)
{
    for (size_t k = 0; k < KEYS; k++) {
        ks_status status;
        for (size_t i = 0; i < BLOCKS; i++) {
            CHILD(*(size_t *)blocks[k][i] == i);
            CHILD(ks_free(keys[k], blocks[k][i]) == KS_OK);
            CHILD(ks_free(keys[k], foreign[k][i]) == KS_OK);
            CHILD(ks_alloc(keys[k], i * 11, &status) && status == KS_OK);
        }
        if (CHILD_THREADS) {
            pthread_t thread;
            CHILD(pthread_create(&thread, NULL, in_the_childs_thread, (void *)keys[k]) == 0);
            CHILD(pthread_join(thread, NULL) == 0);
        }
        CHILD(ks_key_reset(keys[k]) == KS_OK);
        CHILD(ks_free(keys[k], ks_alloc(keys[k], 1000, NULL)) == KS_OK);
        CHILD(ks_key_purge(keys[k]) == KS_OK);
        CHILD(ks_key_destroy(keys[k]) == KS_OK);
        CHILD(ks_alloc(keys[k], 1, &status) == NULL && status == KS_BAD_KEY);
    }
    ks_key_t key;
    CHILD(ks_key_create(NULL, &key) == KS_OK && ks_alloc(key, 100, NULL));
    _exit(0);
}

static void the_child_goes_on(void **state)
{
    (void)state;
    pthread_t threads[WORKERS];
    for (size_t k = 0; k < KEYS; k++) {
        keys[k] = key_new();
        for (size_t i = 0; i < BLOCKS; i++)
            *(size_t *)(blocks[k][i] = alloc_ok(keys[k], 8 + i * 5)) = i;
    }
    in_thread(allocate_foreign, NULL);
    for (size_t w = 0; w < WORKERS; w++)
        assert_int_equal(pthread_create(&threads[w], NULL, work, (void *)(w + 1)), 0);
    for (int f = 0; f < FORKS; f++) {
        int status;
        pid_t pid = fork();
        if (pid == 0)
            child();
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    atomic_store(&stop, true);
    for (size_t w = 0; w < WORKERS; w++)
        assert_int_equal(pthread_join(threads[w], NULL), 0);
    for (size_t k = 0; k < KEYS; k++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            assert_int_equal(*(size_t *)blocks[k][i], i);
            assert_status(ks_free(keys[k], blocks[k][i]), KS_OK);
            assert_status(ks_free(keys[k], foreign[k][i]), KS_OK);
        }
        assert_int_equal(stats_of(keys[k]).live, 0);
        assert_stats_balance(keys[k]);
        key_end(keys[k]);
    }
}

static void allocate_and_free(void *argument)
{
    enum { TOPS = 32 };
    ks_key_t key = *(ks_key_t *)argument;
    void *tops[TOPS];
    for (size_t i = 0; i < TOPS; i++)
        tops[i] = alloc_ok(key, 65536);
    for (size_t i = 0; i < TOPS; i++)
        assert_status(ks_free(key, tops[i]), KS_OK);
}

/* What the parent's other threads retain in a key is nobody's in the child, and not kept through a purge. */
static void what_others_retain_is_nobodys(void **state)
{
    (void)state;
    enum { RETAINED = 1 << 20 };
    ks_key_t key;
    struct worker worker;
    assert_status(ks_key_create(&(struct ks_key_options){.retain = RETAINED}, &key), KS_OK);
    worker_start(&worker);
    worker_do(&worker, allocate_and_free, &key);
    allocate_and_free(&key);
    assert_status(ks_key_purge(key), KS_OK);
    assert_int_equal(stats_of(key).arena_bytes, 2 * RETAINED);
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        CHILD(ks_key_purge(key) == KS_OK && stats_of(key).arena_bytes == RETAINED);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    worker_end(&worker);
    key_end(key);
}

/* Of the program, registered before the library's; 0 but while a fork is tested. */
static ks_key_t handlers_key;
static int handlers_ran;

static void handler_allocates(void)
{
    if (!handlers_key)
        return;
    char *block = ks_alloc(handlers_key, 3 << 20, NULL);
    if (block)
        block[0] = 1;
    if (ks_free(handlers_key, block) == KS_OK && block)
        handlers_ran++;
}

/* The arena's locks are held then, by the thread that calls. */
static void handlers_of_a_fork_may_allocate(void **state)
{
    (void)state;
    int status;
    handlers_key = key_new();
    alarm(30);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(30);
        CHILD(handlers_ran == 2);
        handler_allocates();
        CHILD(handlers_ran == 3 && stats_of(handlers_key).live == 0);
        _exit(0);
    }
    assert_int_equal(handlers_ran, 2);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    alarm(0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    handler_allocates();
    assert_int_equal(handlers_ran, 3);
    key_end(handlers_key);
    handlers_key = 0;
}

int main(void)
{
    if (pthread_atfork(handler_allocates, handler_allocates, handler_allocates))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_child_goes_on),
        cmocka_unit_test(what_others_retain_is_nobodys),
        cmocka_unit_test(handlers_of_a_fork_may_allocate),
    };
    return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
