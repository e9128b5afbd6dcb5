/*
 * Every call to the outside fails in turn, the first, the second, and so on until the workload passes
 * untouched: a clean status each time, nothing lost, the invariants whole. Needs a build with -Dcheck=true.
 */
#include "testing.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 10000 };

static bool may_fail(ks_status status)
{
    return status == KS_NO_MEMORY || status == KS_OK;
}

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "test_faults: %s:%d: %s\n", __FILE__, __LINE__, #condition);                               \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static ks_key_t key;
static void *blocks[3001];
static size_t count;

static void *free_all(void *argument)
{
    (void)argument;
    ks_status status;
    for (size_t i = 0; i < count; i++) {
        /* A block that could not be freed for want of memory is still there, and can be freed again. */
        while ((status = ks_free(key, blocks[i])) == KS_NO_MEMORY)
            CHECK(ks_size(key, blocks[i]) > 0);
        CHECK(status == KS_OK);
    }
    return NULL;
}

static void workload(void)
{
    ks_status status = ks_key_create(NULL, &key);
    CHECK(may_fail(status));
    if (status != KS_OK)
        return;
    for (size_t i = 0; i < COUNT(blocks) - 1; i++) {
        void *block = ks_alloc(key, i * 97 % 5000, &status);
        CHECK(may_fail(status) && (status == KS_OK) == (block != NULL));
        if (block)
            blocks[count++] = block;
    }
    void *large = ks_alloc(key, 300000, &status);
    CHECK(may_fail(status));
    if (large) {
        void *moved = ks_realloc(key, large, 3000000, &status);
        CHECK(may_fail(status));
        blocks[count++] = moved ? moved : large;
    }
    void *bulk[100];
    size_t done = ks_alloc_bulk(key, 9000, bulk, COUNT(bulk), &status);
    CHECK(may_fail(status) && (done == COUNT(bulk)) == (status == KS_OK));
    CHECK(ks_free_bulk(key, bulk, done, &status) == done);
    struct ks_key_stats stats;
    CHECK(ks_key_stats(key, &stats) == KS_OK && stats.live == count);

    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, free_all, NULL) == 0);
    pthread_join(thread, NULL);
    CHECK(ks_key_check(key) == KS_OK);
    CHECK(ks_key_stats(key, &stats) == KS_OK && stats.live == 0);
    CHECK(ks_key_reset(key) == KS_OK);
    CHECK(may_fail(ks_key_purge(key)));
    CHECK(ks_key_check(key) == KS_OK);
    while ((status = ks_key_purge(key)) != KS_OK)
        CHECK(status == KS_NO_MEMORY);
    CHECK(ks_key_stats(key, &stats) == KS_OK && stats.arena_bytes == 0);
    CHECK(ks_key_destroy(key) == KS_OK);
}

enum { UNTOUCHED = 3 };

/* In a process of its own, because the library starts once, and its start is to fail too. */
static int with_fault(long n)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        ks_fault_after(n);
        workload();
        exit(ks_fault_left() ? UNTOUCHED : 0);
    }
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

int main(void)
{
    long faults = 0;
    int result;
    while ((result = with_fault(faults + 1)) == 0)
        CHECK(++faults < MOST);
    CHECK(result == UNTOUCHED);
    printf("%ld calls failed in turn\n", faults);
    return 0;
}
