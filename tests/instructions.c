/* A workload for test_instructions.py, which counts the instructions inside of one call of the library. */
#include "keyslab/keyslab.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 64, BURST = 32 };

static ks_key_t key;
static void **blocks;
static size_t count;

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void allocate_all(void)
{
    for (size_t i = 0; i < count; i++)
        must((blocks[i] = ks_alloc(key, SIZE, NULL)));
}

static void *free_all(void *unused)
{
    for (size_t i = 0; i < count; i++)
        must(ks_free(key, blocks[i]) == KS_OK);
    return unused;
}

static void *free_all_in_bursts(void *unused)
{
    for (size_t i = 0; i < count; i += BURST)
        must(ks_free_bulk(key, blocks + i, BURST, NULL) == BURST);
    return unused;
}

static void in_another_thread(void *(*work)(void *))
{
    pthread_t thread;
    must(!pthread_create(&thread, NULL, work, NULL));
    must(!pthread_join(thread, NULL));
}

static void pairs(void)
{
    for (size_t i = 0; i < count; i++)
        must(ks_free(key, ks_alloc(key, SIZE, NULL)) == KS_OK);
}

/* What is freed is not what was allocated last. */
static void batches(void)
{
    for (size_t done = 0; done < count; done += BURST) {
        for (size_t i = 0; i < BURST; i++)
            must((blocks[i] = ks_alloc(key, SIZE, NULL)));
        for (size_t i = 0; i < BURST; i++)
            must(ks_free(key, blocks[i]) == KS_OK);
    }
}

static void bursts(void)
{
    for (size_t i = 0; i < count; i += BURST)
        must(ks_alloc_bulk(key, SIZE, blocks, BURST, NULL) == BURST && ks_free_bulk(key, blocks, BURST, NULL) == BURST);
}

static void away(void)
{
    allocate_all();
    in_another_thread(free_all);
}

static void bursts_away(void)
{
    allocate_all();
    in_another_thread(free_all_in_bursts);
}

static const struct workload {
    const char *name;
    void (*run)(void);
} workloads[] = {
    {"pairs", pairs}, {"batches", batches}, {"bursts", bursts}, {"away", away}, {"bursts-away", bursts_away}};

int main(int argc, char **argv)
{
    must(argc == 3);
    count = strtoul(argv[2], NULL, 10);
    must(count && count % BURST == 0 && (blocks = calloc(count, sizeof *blocks)));
    must(ks_key_create(NULL, &key) == KS_OK);
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        if (!strcmp(argv[1], workloads[i].name)) {
            workloads[i].run();
            return 0;
        }
    fprintf(stderr, "instructions: %s: no such workload\n", argv[1]);
    return 2;
}
