/*
 * Every operation at random, in several threads, through a transfer array that makes blocks change hands.
 *
 * Blocks of the calm keys carry cookies, and every status that they get is known beforehand. The wild keys
 * are reset, terminated, purged and destroyed under way, and whatever pointers they ever gave out are freed
 * at any time, also twice, interior, and with other wild keys: nothing of that may touch a calm block, or
 * break an invariant. At each quiet point the invariants are walked and the statistics balanced.
 *
 *     stress [SECONDS [THREADS [SEED [KIB]]]]
 *
 * The calm keys are named "calm" and the others "wild": KEYSLAB_CONF may name a file with settings for each. A seed of 0 is none.
 * KIB is what a file lets a thread retain of a key through a purge.
 */
#include <keyslab/keyslab.h>

#if defined(KS_CHECK) && KS_CHECK
#include "base/testing.h"
#endif

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CALM = 2, KEYS = 6, SLOTS = 512, OWN = 256, STEPS = 20000, THREADS_MOST = 64 };

struct cookie {
    uint64_t size;
    uint64_t check;
};

struct held {
    void *block;
    unsigned key; /* index into keys */
    ks_key_t handle;
};

/* In builds that have the census (lib/testing.h). */
extern __attribute__((weak)) size_t ks_leaks(void);

static _Atomic(ks_key_t) keys[KEYS];
static struct held shared[SLOTS];
static atomic_bool shared_taken[SLOTS];
static atomic_uint_fast64_t operations;
static atomic_uint_fast64_t reported;
static uint64_t seed;
static uint64_t retained; /* bytes that the main thread, the only one then, may keep of a purged key */

static void fail(const char *what, ks_status status)
{
    fprintf(stderr, "stress: seed %" PRIu64 ": %s: %s\n", seed, what, ks_strerror(status));
    abort();
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t random_size(uint64_t *state)
{
    uint64_t r = random_next(state);
    switch (r % 64) {
    case 0:
        return 65537 + (r >> 8) % 500000;
    case 1:
    case 2:
        return sizeof(struct cookie) + (r >> 8) % 65000;
    default:
        return sizeof(struct cookie) + (r >> 8) % 1600;
    }
}

/* The hook is called outside every operation: it may use the library. */
static void hook(void *context, const struct ks_error *error)
{
    (void)context;
    if (atomic_fetch_add(&reported, 1) % 64 == 0)
        ks_free(error->key, ks_alloc(error->key, 100, NULL));
}

static void key_renew(unsigned k)
{
    ks_key_t key;
    struct ks_key_options options = {
        .name = k < CALM ? "calm" : "wild",
        .on_error = k % 2 ? hook : NULL,
        .quota = k % 3 == 0 ? 24 << 20 : 0,
        .outbox_bytes = k == KEYS - 1 ? 1 : 0,
    };
    ks_status status = ks_key_create(&options, &key);
    if (status != KS_OK)
        fail("create", status);
    atomic_store(&keys[k], key);
}

static uint64_t check_of(const struct cookie *cookie)
{
    return cookie->size * 31 ^ (uintptr_t)cookie ^ 0x9e3779b97f4a7c15u;
}

static void sign(void *block, size_t size)
{
    struct cookie *cookie = block;
    cookie->size = size;
    cookie->check = check_of(cookie);
    ((unsigned char *)block)[size - 1] = ((unsigned char *)block)[size - 1];
}

static void verify(const struct held *held)
{
    const struct cookie *cookie = held->block;
    if (cookie->check != check_of(cookie))
        fail("a block's cookie is gone", KS_BAD_BLOCK);
    if (ks_size(held->handle, held->block) < cookie->size)
        fail("a block is smaller than it was", KS_BAD_BLOCK);
}

static void dispose(struct held *held, uint64_t *random)
{
    if (held->key < CALM) {
        verify(held);
        ((struct cookie *)held->block)->check = 0;
        ks_status status = ks_free(held->handle, held->block);
        if (status != KS_OK)
            fail("free", status);
        held->block = NULL;
        return;
    }
    uint64_t r = random_next(random);
    char *block = held->block;
    if (r % 16 == 0)
        ks_free(atomic_load(&keys[CALM + r / 16 % (KEYS - CALM)]), block);
    else if (r % 16 == 1)
        ks_free(held->handle, block + r / 16 % 2000);
    else
        ks_free(held->handle, block);
    /* Now and then it is kept, to be freed again. */
    if (r % 5)
        held->block = NULL;
}

static bool may_refuse(unsigned k, ks_status status)
{
    return status == KS_QUOTA || (k >= CALM && (status == KS_TERMINATED || status == KS_BAD_KEY));
}

static void step_allocate(struct held *held, uint64_t *random)
{
    unsigned k = (unsigned)(random_next(random) % KEYS);
    ks_key_t key = atomic_load(&keys[k]);
    size_t size = random_size(random);
    ks_status status = KS_INVALID;
    void *block;
    switch (random_next(random) % 16) {
    case 0:
        block = ks_calloc(key, 1, size, &status);
        break;
    case 1:
        block = ks_aligned_alloc(key, (size_t)64 << size % 8, size, &status);
        break;
    default:
        block = ks_alloc(key, size, &status);
        break;
    }
    if (block ? status != KS_OK : !may_refuse(k, status))
        fail("alloc", status);
    if (block && k < CALM)
        sign(block, size);
    *held = (struct held){block, k, key};
}

static void step_resize(struct held *held, uint64_t *random)
{
    size_t size = random_size(random);
    ks_status status;
    if (held->key >= CALM) {
        /* A wild block may be anybody's: its contents are not looked at. */
        void *moved = ks_realloc(held->handle, held->block, size, &status);
        held->block = moved ? moved : held->block;
        return;
    }
    verify(held);
    void *block = ks_realloc(held->handle, held->block, size, &status);
    if (!block) {
        if (status != KS_QUOTA)
            fail("realloc", status);
        return;
    }
    sign(block, size);
    held->block = block;
}

static void step_bulk(uint64_t *random)
{
    void *blocks[100];
    unsigned k = (unsigned)(random_next(random) % KEYS);
    ks_key_t key = atomic_load(&keys[k]);
    size_t wanted = 1 + random_next(random) % 100;
    size_t size = sizeof(struct cookie) + random_next(random) % 4000;
    ks_status status;
    size_t count = ks_alloc_bulk(key, size, blocks, wanted, &status);
    if (count < wanted ? !may_refuse(k, status) : status != KS_OK)
        fail("alloc_bulk", status);
    if (k >= CALM) {
        ks_free_bulk(key, blocks, count, &status);
        return;
    }
    for (size_t i = 0; i < count; i++)
        sign(blocks[i], size);
    for (size_t i = 0; i < count; i++)
        verify(&(struct held){blocks[i], k, key});
    if (ks_free_bulk(key, blocks, count, &status) != count || status != KS_OK)
        fail("free_bulk", status);
}

/* What is held of one key, of whichever thread; wild blocks may be in it twice, or be nobody's. */
static void step_free_bulk(struct held *own, uint64_t *random)
{
    void *blocks[100];
    unsigned k = (unsigned)(random_next(random) % KEYS);
    ks_key_t key = atomic_load(&keys[k]);
    size_t count = 0;
    for (size_t i = 0; i < OWN && count < sizeof blocks / sizeof *blocks; i++) {
        if (!own[i].block || own[i].key != k)
            continue;
        if (k < CALM) {
            verify(&own[i]);
            ((struct cookie *)own[i].block)->check = 0;
        }
        blocks[count++] = own[i].block;
        own[i].block = NULL;
    }
    ks_status status;
    size_t freed = ks_free_bulk(key, blocks, count, &status);
    if (k < CALM && (freed != count || status != KS_OK))
        fail("free_bulk of others' blocks", status);
}

static void step_key(uint64_t *random)
{
    unsigned k = (unsigned)(random_next(random) % KEYS);
    uint64_t r = random_next(random) % 64;
    ks_key_t key = atomic_load(&keys[k]);
    struct ks_key_stats stats;
    if (r < 8) {
        ks_key_purge(key);
    } else if (r < 24) {
        if (ks_key_stats(key, &stats) == KS_OK &&
            stats.allocated != stats.freed_local + stats.freed_remote + stats.live + stats.dropped)
            fail("statistics do not balance", KS_INVALID);
    } else if (k < CALM) {
        return;
    } else if (r < 56) {
        ks_key_reset(key);
    } else {
        if (r < 60)
            ks_key_terminate(key);
        if (ks_key_destroy(key) == KS_OK)
            key_renew(k);
    }
}

/* Swaps what is held with what lies in the transfer array: another thread will free it. */
static void step_transfer(struct held *held, uint64_t *random)
{
    size_t i = random_next(random) % SLOTS;
    if (atomic_exchange(&shared_taken[i], true))
        return;
    struct held other = shared[i];
    shared[i] = *held;
    *held = other;
    atomic_store(&shared_taken[i], false);
}

static void *work(void *argument)
{
    uint64_t random = (seed * 0x9e3779b97f4a7c15u ^ (uintptr_t)argument * 0xff51afd7ed558ccdu) | 1;
    struct held own[OWN] = {0};
    for (int i = 0; i < STEPS; i++) {
        struct held *held = &own[random_next(&random) % OWN];
        uint64_t r = random_next(&random) % 256;
        if (r < 2)
            step_bulk(&random);
        else if (r < 4)
            step_key(&random);
        else if (r == 4)
            ks_flush();
        else if (r == 5)
            step_free_bulk(own, &random);
        else if (!held->block)
            step_allocate(held, &random);
        else if (r < 80)
            step_transfer(held, &random);
        else if (r < 96)
            step_resize(held, &random);
        else
            dispose(held, &random);
    }
    for (size_t i = 0; i < OWN; i++)
        while (own[i].block)
            dispose(&own[i], &random);
    atomic_fetch_add(&operations, STEPS);
    return NULL;
}

/*
 * No thread is running: everything adds up, a key that is dropped and purged has no memory left, and neither has one that
 * was destroyed.
 */
static void quiet_point(uint64_t *random)
{
    if (ks_leaks && ks_leaks())
        fail("a destroyed key has memory", KS_BAD_KEY);
    for (size_t i = 0; i < SLOTS; i++)
        while (shared[i].block)
            dispose(&shared[i], random);
    for (unsigned k = 0; k < KEYS; k++) {
        ks_key_t key = atomic_load(&keys[k]);
        struct ks_key_stats s;
        ks_status status = ks_key_check(key);
        if (status != KS_OK && status != KS_INVALID)
            fail("an invariant is broken", status);
        if ((status = ks_key_stats(key, &s)) != KS_OK)
            fail("stats", status);
        if (s.allocated != s.freed_local + s.freed_remote + s.live + s.dropped)
            fail("statistics do not balance", KS_INVALID);
        if (k < CALM && (s.live || s.double_free || s.stale || s.refused_at_home || s.damaged))
            fail("a calm key lost count", KS_DOUBLE_FREE);
        if (k >= CALM)
            ks_key_reset(key);
        if (ks_key_purge(key) != KS_OK || ks_key_stats(key, &s) != KS_OK)
            fail("purge", KS_INVALID);
        if (s.arena_bytes > retained || s.live || s.in_flight)
            fail("a purged key has memory", KS_INVALID);
    }
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 5;
    size_t threads = argc > 2 ? (size_t)atoi(argv[2]) : 4;
    struct timespec start;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    if (!seed)
        seed = (uint64_t)start.tv_nsec ^ (uint64_t)start.tv_sec << 20;
    retained = argc > 4 ? strtoull(argv[4], NULL, 10) << 10 : 0;
    if (threads == 0 || threads > THREADS_MOST || seconds <= 0) {
        fprintf(stderr, "usage: stress [SECONDS [THREADS (1 to %d) [SEED [KIB]]]]\n", THREADS_MOST);
        return 2;
    }
#if defined(KS_CHECK) && KS_CHECK
    /* Each second seed: heaps are trimmed by other threads all the time. */
    ks_sleep_set(seed & 1 ? KS_SLEEP_ALWAYS : KS_SLEEP_BY_CLOCK);
#endif
    printf("stress: seed %" PRIu64 ", %zu threads, %g s\n", seed, threads, seconds);
    fflush(stdout);
    for (unsigned k = 0; k < KEYS; k++)
        key_renew(k);
    uint64_t random = seed | 1;
    uintptr_t number = 0;
    do {
        pthread_t ids[THREADS_MOST];
        for (size_t t = 0; t < threads; t++)
            if (pthread_create(&ids[t], NULL, work, (void *)++number))
                fail("pthread_create", KS_NO_MEMORY);
        for (size_t t = 0; t < threads; t++)
            pthread_join(ids[t], NULL);
        quiet_point(&random);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - start.tv_sec) < seconds);
    printf("stress: %" PRIuFAST64 " steps, %zu threads in turn, %" PRIuFAST64 " refusals reported\n",
           atomic_load(&operations), (size_t)number, atomic_load(&reported));
    return 0;
}
