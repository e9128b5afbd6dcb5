/* What every test file needs: cmocka with its prerequisites, and keyslab with the walker after each test. */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <keyslab/keyslab.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define assert_status(call, expected)                                                                                  \
    do {                                                                                                               \
        ks_status status_ = (call);                                                                                    \
        if (status_ != (expected))                                                                                     \
            fail_msg("%s: %s, expected %s", #call, ks_strerror(status_), ks_strerror(expected));                       \
    } while (0)

/* The invariants hold, where the library was built to look at them. */
static inline void assert_key_whole(ks_key_t key)
{
    ks_status status = ks_key_check(key);
    if (status != KS_OK && status != KS_INVALID)
        fail_msg("key %#zx: broken invariant", (size_t)key);
}

static inline ks_key_t key_new(void)
{
    ks_key_t key;
    assert_status(ks_key_create(NULL, &key), KS_OK);
    return key;
}

static inline void key_end(ks_key_t key)
{
    assert_key_whole(key);
    assert_status(ks_key_destroy(key), KS_OK);
}

static inline void *alloc_ok(ks_key_t key, size_t size)
{
    ks_status status = KS_INVALID;
    void *block = ks_alloc(key, size, &status);
    assert_status(status, KS_OK);
    assert_non_null(block);
    return block;
}

static inline struct ks_key_stats stats_of(ks_key_t key)
{
    struct ks_key_stats stats;
    assert_status(ks_key_stats(key, &stats), KS_OK);
    return stats;
}

/* What arenas come from in this process. */
static inline enum ks_backend backend(void)
{
    ks_key_t key = key_new();
    enum ks_backend backend = stats_of(key).backend;
    key_end(key);
    return backend;
}

/* allocated = freed + live + dropped, for the key and for each class. */
static inline void assert_stats_balance(ks_key_t key)
{
    struct ks_key_stats s = stats_of(key);
    assert_int_equal(s.allocated, s.freed_local + s.freed_remote + s.live + s.dropped);
    for (uint32_t i = 0; i < s.class_count; i++) {
        const struct ks_class_stats *c = &s.classes[i];
        assert_int_equal(c->allocated, c->freed_local + c->freed_remote + c->live + c->dropped);
        assert_true(c->in_flight <= c->freed_remote);
    }
}

/* Of the process. */
static inline uint64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long size = 0;
    unsigned long resident = 0;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &size, &resident), 2);
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Runs `work(argument)` in a thread of its own, to its end. */
static inline void in_thread(void *(*work)(void *), void *argument)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, work, argument), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/*
 * A thread that does one thing after another as it is told, and sleeps in between: what tests of several
 * threads' heaps need.
 */
struct worker {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    void (*work)(void *);
    void *argument;
    int ended;
};

static inline void *worker_main(void *argument)
{
    struct worker *worker = argument;
    pthread_mutex_lock(&worker->mutex);
    for (;;) {
        while (!worker->work && !worker->ended)
            pthread_cond_wait(&worker->changed, &worker->mutex);
        if (!worker->work)
            break;
        worker->work(worker->argument);
        worker->work = NULL;
        pthread_cond_broadcast(&worker->changed);
    }
    pthread_mutex_unlock(&worker->mutex);
    return NULL;
}

static inline void worker_start(struct worker *worker)
{
    *worker = (struct worker){.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    assert_int_equal(pthread_create(&worker->thread, NULL, worker_main, worker), 0);
}

static inline void worker_do(struct worker *worker, void (*work)(void *), void *argument)
{
    pthread_mutex_lock(&worker->mutex);
    worker->argument = argument;
    worker->work = work;
    pthread_cond_broadcast(&worker->changed);
    while (worker->work)
        pthread_cond_wait(&worker->changed, &worker->mutex);
    pthread_mutex_unlock(&worker->mutex);
}

static inline void worker_end(struct worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    worker->ended = 1;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->mutex);
    assert_int_equal(pthread_join(worker->thread, NULL), 0);
}

#endif
