/* Two more threads, which free what the test's own has allocated, when they are told to. */
#ifndef TESTS_FREERS_H
#define TESTS_FREERS_H

#include "test.h"

enum { FREERS = 2 };

static struct worker freers[FREERS];

static inline int freers_start(void **state)
{
    (void)state;
    for (size_t i = 0; i < FREERS; i++)
        worker_start(&freers[i]);
    return 0;
}

static inline int freers_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < FREERS; i++)
        worker_end(&freers[i]);
    return 0;
}

struct freers_errand {
    ks_key_t key;
    void *block;
    ks_status status;
};

static inline void freers_do_free(void *argument)
{
    struct freers_errand *errand = argument;
    errand->status = ks_free(errand->key, errand->block);
}

static inline void freers_do_flush(void *argument)
{
    (void)argument;
    ks_flush();
}

static inline ks_status free_in(size_t freer, ks_key_t key, void *block)
{
    struct freers_errand errand = {key, block, KS_OK};
    worker_do(&freers[freer], freers_do_free, &errand);
    return errand.status;
}

/* It sends what it has held back. */
static inline void flush_in(size_t freer)
{
    worker_do(&freers[freer], freers_do_flush, NULL);
}

/* The owner takes in what has been sent: it does before it takes memory for a large block. */
static inline void owner_takes(ks_key_t key)
{
    assert_status(ks_free(key, alloc_ok(key, 100000)), KS_OK);
}

#endif
