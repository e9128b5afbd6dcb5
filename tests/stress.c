/*
 * Every operation at random, in several threads, on a few keys: blocks carry cookies and change hands through a transfer
 * array, keys are reset, terminated, purged and destroyed under way, threads end and begin. At each quiet point the
 * invariants are walked and the statistics balanced.
 *
 *     stress [SECONDS [THREADS [SEED]]]
 */
#include <keyslab/keyslab.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEYS = 4, SLOTS = 512, OWN = 256, STEPS = 20000, THREADS_MOST = 64 };

/* What a block of at least this size holds; `check` tells a good one from any other memory. */
struct cookie {
    uint64_t key;
    uint64_t size;
    uint64_t check;
};

struct held {
    struct cookie *block;
    ks_key_t key;
    uint64_t epoch;
};

static _Atomic(ks_key_t) keys[KEYS];
static atomic_uint_fast64_t epochs[KEYS]; /* odd while a reset or destroy is under way; changes with each */
static atomic_uintptr_t transfer[SLOTS];
static atomic_uint_fast64_t operations;
static atomic_uint_fast64_t hooked;
static uint64_t seed;

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

static void hook(void *context, const struct ks_error *error)
{
    (void)context;
    (void)error;
    atomic_fetch_add(&hooked, 1);
}

static void key_renew(unsigned k)
{
    ks_key_t key;
    struct ks_key_options options = {.name = "stress", .on_error = hook, .quota = k == 0 ? 16 << 20 : 0};
    ks_status status = ks_key_create(&options, &key);
    if (status != KS_OK)
        fail("create", status);
    atomic_store(&keys[k], key);
}

static uint64_t check_of(const struct cookie *cookie)
{
    return (cookie->key * 31 + cookie->size) ^ (uintptr_t)cookie ^ 0x9e3779b97f4a7c15u;
}

static struct cookie *sign(struct cookie *cookie, ks_key_t key, size_t size)
{
    cookie->key = key;
    cookie->size = size;
    cookie->check = check_of(cookie);
    ((unsigned char *)cookie)[size - 1] = (unsigned char)cookie->check;
    return cookie;
}

/*
 * Whether the block could have been dropped since the thread looked at the key's epoch. Only a block that could not is
 * read: dropped memory may be another thread's by now.
 */
static bool is_sure(unsigned k, ks_key_t key, uint64_t epoch)
{
    return !(epoch & 1) && atomic_load(&epochs[k]) == epoch && atomic_load(&keys[k]) == key;
}

static bool may_refuse(ks_status status)
{
    return status == KS_QUOTA || status == KS_TERMINATED || status == KS_BAD_KEY || status == KS_NO_MEMORY;
}

/* The statuses that a block of a key gets which others reset and destroy meanwhile. */
static bool may_fail_to_free(ks_status status)
{
    return status == KS_STALE || status == KS_BAD_KEY || status == KS_TERMINATED || status == KS_DOUBLE_FREE ||
           status == KS_BAD_BLOCK || status == KS_WRONG_KEY || status == KS_OK;
}

static unsigned slot_of_key(ks_key_t key)
{
    for (unsigned k = 0; k < KEYS; k++)
        if (atomic_load(&keys[k]) == key)
            return k;
    return KEYS;
}

/*
 * Frees what nobody will use again. A block that may have been dropped is freed with the handle that it came with, so
 * that it can be refused; one that may be another thread's young block by now is left alone.
 */
static void dispose(struct held *held)
{
    unsigned k = slot_of_key(held->key);
    if (k < KEYS && is_sure(k, held->key, held->epoch)) {
        ks_status status = ks_free(held->key, held->block);
        if (!may_fail_to_free(status))
            fail("free", status);
    }
    held->block = NULL;
}

static void step_allocate(struct held *held, uint64_t *random)
{
    unsigned k = (unsigned)(random_next(random) % KEYS);
    uint64_t epoch = atomic_load(&epochs[k]);
    ks_key_t key = atomic_load(&keys[k]);
    size_t size = random_size(random);
    ks_status status;
    struct cookie *block = random_next(random) % 16 ? ks_alloc(key, size, &status) : ks_calloc(key, 1, size, &status);
    if (!block && !may_refuse(status))
        fail("alloc", status);
    if (block && status != KS_OK)
        fail("alloc with a block", status);
    if (block && is_sure(k, key, epoch))
        *held = (struct held){sign(block, key, size), key, epoch};
}

static void step_resize(struct held *held, uint64_t *random)
{
    unsigned k = slot_of_key(held->key);
    if (k == KEYS || !is_sure(k, held->key, held->epoch))
        return;
    size_t size = random_size(random);
    ks_status status;
    struct cookie *block = ks_realloc(held->key, held->block, size, &status);
    if (!block) {
        if (!may_refuse(status) && !may_fail_to_free(status))
            fail("realloc", status);
        return;
    }
    held->block = block;
    if (is_sure(k, held->key, held->epoch))
        sign(block, held->key, size);
    else
        held->block = NULL;
}

static void step_bulk(uint64_t *random)
{
    void *blocks[100];
    unsigned k = (unsigned)(random_next(random) % KEYS);
    uint64_t epoch = atomic_load(&epochs[k]);
    ks_key_t key = atomic_load(&keys[k]);
    ks_status status;
    size_t count = ks_alloc_bulk(key, random_size(random) % 4000, blocks, 1 + random_next(random) % 100, &status);
    if (status != KS_OK && !may_refuse(status))
        fail("alloc_bulk", status);
    if (!is_sure(k, key, epoch))
        return;
    ks_free_bulk(key, blocks, count, &status);
    if (!may_fail_to_free(status))
        fail("free_bulk", status);
}

static void step_key(uint64_t *random)
{
    unsigned k = (unsigned)(random_next(random) % KEYS);
    uint64_t epoch = atomic_load(&epochs[k]);
    uint64_t r = random_next(random);
    ks_key_t key = atomic_load(&keys[k]);
    struct ks_key_stats stats;
    switch (r % 8) {
    case 0:
    case 1:
        ks_key_purge(key);
        return;
    case 2:
        if (ks_key_stats(key, &stats) == KS_OK && stats.live > stats.allocated)
            fail("stats", KS_INVALID);
        return;
    default:
        break;
    }
    if (r % 100 > 30 || epoch & 1 || !atomic_compare_exchange_strong(&epochs[k], &epoch, epoch + 1))
        return;
    switch (r % 8) {
    case 3:
        ks_key_terminate(key);
        /* fall through */
    case 4:
        ks_key_destroy(key);
        key_renew(k);
        break;
    default:
        ks_key_reset(key);
        break;
    }
    atomic_store(&epochs[k], epoch + 2);
}

/* Swaps a held block with whatever lies in the transfer array: it will be freed by another thread. */
static void step_transfer(struct held *held, struct held *shared, uint64_t *random)
{
    size_t i = random_next(random) % SLOTS;
    uintptr_t lock = atomic_exchange(&transfer[i], 1);
    if (lock)
        return;
    struct held other = shared[i];
    shared[i] = *held;
    *held = other;
    atomic_store(&transfer[i], 0);
}

static struct held shared[SLOTS];

static void check_held(const struct held *held)
{
    unsigned k = slot_of_key(held->key);
    if (k == KEYS || !is_sure(k, held->key, held->epoch))
        return;
    struct cookie copy;
    memcpy(&copy, held->block, sizeof copy);
    if (!is_sure(k, held->key, held->epoch))
        return;
    if (copy.key != held->key || copy.check != ((copy.key * 31 + copy.size) ^ (uintptr_t)held->block ^ 0x9e3779b97f4a7c15u))
        fail("a block's cookie is gone", KS_BAD_BLOCK);
}

static void *work(void *argument)
{
    uint64_t random = seed * 0x9e3779b97f4a7c15u ^ (uintptr_t)argument * 0xff51afd7ed558ccdu;
    struct held own[OWN] = {0};
    for (int i = 0; i < STEPS; i++) {
        struct held *held = &own[random_next(&random) % OWN];
        uint64_t r = random_next(&random) % 128;
        if (r == 0)
            step_bulk(&random);
        else if (r == 1)
            step_key(&random);
        else if (r == 2)
            ks_flush();
        else if (!held->block)
            step_allocate(held, &random);
        else if (r < 40)
            step_transfer(held, shared, &random);
        else if (r < 48)
            step_resize(held, &random);
        else {
            check_held(held);
            dispose(held);
        }
    }
    for (size_t i = 0; i < OWN; i++)
        if (own[i].block)
            dispose(&own[i]);
    atomic_fetch_add(&operations, STEPS);
    return NULL;
}

/* No thread is running: everything adds up. */
static void quiet_point(void)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (shared[i].block)
            dispose(&shared[i]);
    for (unsigned k = 0; k < KEYS; k++) {
        ks_key_t key = atomic_load(&keys[k]);
        struct ks_key_stats s;
        ks_status status = ks_key_check(key);
        if (status != KS_OK && status != KS_INVALID)
            fail("an invariant is broken", status);
        if (ks_key_stats(key, &s) != KS_OK)
            fail("stats", KS_BAD_KEY);
        if (s.allocated != s.freed_local + s.freed_remote + s.live + s.dropped)
            fail("statistics do not balance", KS_INVALID);
        if (s.double_free || s.bad_block || s.wrong_key)
            fail("a good block was refused", KS_DOUBLE_FREE);
        if (ks_key_reset(key) != KS_OK || ks_key_purge(key) != KS_OK || ks_key_stats(key, &s) != KS_OK)
            fail("reset and purge", KS_INVALID);
        if (s.arena_bytes || s.live || s.in_flight)
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
    seed = argc > 3 ? strtoull(argv[3], NULL, 10) : (uint64_t)start.tv_nsec ^ (uint64_t)start.tv_sec << 20;
    if (threads == 0 || threads > THREADS_MOST || seconds <= 0) {
        fprintf(stderr, "usage: stress [SECONDS [THREADS (1 to %d) [SEED]]]\n", THREADS_MOST);
        return 2;
    }
    printf("stress: seed %" PRIu64 ", %zu threads, %g s\n", seed, threads, seconds);
    for (unsigned k = 0; k < KEYS; k++)
        key_renew(k);
    uintptr_t number = 0;
    do {
        pthread_t ids[THREADS_MOST];
        for (size_t t = 0; t < threads; t++)
            if (pthread_create(&ids[t], NULL, work, (void *)++number))
                fail("pthread_create", KS_NO_MEMORY);
        for (size_t t = 0; t < threads; t++)
            pthread_join(ids[t], NULL);
        quiet_point();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - start.tv_sec) < seconds);
    printf("stress: %" PRIuFAST64 " operations, %zu threads in turn, %" PRIuFAST64 " refusals reported\n",
           atomic_load(&operations), (size_t)number, atomic_load(&hooked));
    return 0;
}
