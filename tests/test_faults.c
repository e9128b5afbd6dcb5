/*
 * Every call to the outside fails in turn, the first, the second, and so on until the workload passes untouched; then
 * with a shortage in which the first such call of each public call fails; then where the system refuses membarrier(2),
 * or address space. A clean status each time, nothing lost, the invariants whole. Needs a build with -Dcheck=true.
 */
#include "base/testing.h"
#include "test.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A heap has batches for 32 others at once. */
enum { MOST = 10000, HELD = 4000, CREW = 36, SECONDS_TO_HANG = 120 };

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "test_faults: %s:%d: %s\n", __FILE__, __LINE__, #condition);                               \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* ------------------------------------------------------------------ what fails */

static enum mode { IN_TURN, SHORTAGE, NO_BARRIER, LITTLE_SPACE, NO_SPACE, MODES } mode;

static bool armed;
static long *shortages; /* shared with the process of each workload */

/* Before each public call: in a shortage, the first call to the outside that it makes is to fail. */
static void brace(void)
{
    if (mode != SHORTAGE)
        return;
    *shortages += armed && !ks_fault_left();
    armed = true;
    ks_fault_after(1);
}

/* The shortage is over, until the next call. */
static void relieve(void)
{
    if (mode != SHORTAGE)
        return;
    *shortages += armed && !ks_fault_left();
    armed = false;
    ks_fault_after(0);
}

/* A call that may want memory: where it found none, nothing stands in the way of the second. */
#define TWICE(status, call)                                                                                            \
    do {                                                                                                               \
        brace();                                                                                                       \
        (status) = (call);                                                                                             \
        if ((status) == KS_NO_MEMORY) {                                                                                \
            relieve();                                                                                                 \
            (status) = (call);                                                                                         \
        }                                                                                                              \
    } while (0)

/* False where the system has no filters. */
static bool barrier_refuse(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = COUNT(code), .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* False where a sanitizer needs the address space itself. */
static bool space_limit(rlim_t bytes)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void)bytes;
    return false;
#else
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit))
        return false;
    limit.rlim_cur = bytes;
    return setrlimit(RLIMIT_AS, &limit) == 0;
#endif
}

/* False where this system cannot. */
static bool mode_start(enum mode how)
{
    mode = how;
    switch (mode) {
    case NO_BARRIER:
        return barrier_refuse();
    case LITTLE_SPACE:
        return space_limit((rlim_t)1 << 30);
    case NO_SPACE:
        return space_limit(4096); /* less than the program has already */
    default:
        return true;
    }
}

/* ------------------------------------------------------------------ blocks */

struct held {
    unsigned char *bytes;
    size_t size;
    unsigned char mark;
};

static ks_key_t key;
static struct held held[HELD];
static size_t held_count;
static uint64_t doubles; /* blocks that were freed a second time, because nobody said which ones had been */

enum { MARKED = 64 };

static size_t marked(size_t size)
{
    return size < MARKED ? size : MARKED;
}

static void intact(const struct held *block, size_t size)
{
    for (size_t i = 0; i < marked(size); i++)
        CHECK(block->bytes[i] == block->mark);
    CHECK(size < block->size || !size || block->bytes[size - 1] == block->mark);
}

static void sign(struct held *block)
{
    memset(block->bytes, block->mark, marked(block->size));
    if (block->size)
        block->bytes[block->size - 1] = block->mark;
}

static void keep(void *bytes, size_t size)
{
    CHECK(held_count < HELD);
    held[held_count] = (struct held){bytes, size, (unsigned char)(1 + held_count % 255)};
    sign(&held[held_count++]);
}

/* A block, or a good reason why not. An alignment of 0 asks for a zeroed block. */
static void obtain(size_t alignment, size_t size)
{
    ks_status status = KS_INVALID;
    brace();
    unsigned char *block = alignment == 0    ? ks_calloc(key, 1, size, &status)
                           : alignment == 16 ? ks_alloc(key, size, &status)
                                             : ks_aligned_alloc(key, alignment, size, &status);
    CHECK(status == (block ? KS_OK : KS_NO_MEMORY));
    if (!block)
        return;
    CHECK(!alignment || (uintptr_t)block % alignment == 0);
    for (size_t i = 0; !alignment && i < size; i++)
        CHECK(!block[i]);
    keep(block, size);
}

static void obtain_some(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < 4; i++)
        obtain(16, (size_t[]){40, 40, 1500, 100000}[i]);
}

static void release(size_t i)
{
    ks_status status;
    intact(&held[i], held[i].size);
    brace();
    status = ks_free(key, held[i].bytes);
    if (status == KS_NO_MEMORY) {
        relieve();
        intact(&held[i], held[i].size);
        CHECK(ks_size(key, held[i].bytes) >= held[i].size);
        status = ks_free(key, held[i].bytes);
    }
    CHECK(status == KS_OK);
    held[i] = held[--held_count];
}

/* Every `argument`-th block, whoever's it is. */
static void release_some(void *argument)
{
    size_t step = (size_t)(uintptr_t)argument;
    for (size_t i = held_count; i-- > 0;)
        if (i % step == 0)
            release(i);
}

/* ------------------------------------------------------------------ the key */

static struct ks_key_stats stats(void)
{
    struct ks_key_stats now;
    CHECK(ks_key_stats(key, &now) == KS_OK);
    return now;
}

/* The numbers add up, and the blocks that are held are the ones that live. */
static void whole(void)
{
    struct ks_key_stats s = stats();
    CHECK(ks_key_check(key) == KS_OK);
    CHECK(s.allocated == s.freed_local + s.freed_remote + s.live + s.dropped);
    CHECK(s.live == held_count);
    CHECK(s.double_free <= doubles && !s.bad_block && !s.wrong_key);
    for (uint32_t i = 0; i < s.class_count; i++) {
        const struct ks_class_stats *c = &s.classes[i];
        CHECK(c->allocated == c->freed_local + c->freed_remote + c->live + c->dropped);
        CHECK(c->in_flight <= c->freed_remote);
    }
}

static struct worker crew[CREW];
static size_t crew_count;

static void crew_start(size_t count)
{
    while (crew_count < count)
        worker_start(&crew[crew_count++]);
}

static void crew_end(size_t left)
{
    while (crew_count > left) {
        brace();
        worker_end(&crew[--crew_count]);
    }
}

static void everybody(void (*work)(void *), void *argument)
{
    for (size_t i = 0; i < crew_count; i++)
        worker_do(&crew[i], work, argument);
}

/* Any call on the key makes a thread do what it was asked for while it slept. */
static void wake(void *argument)
{
    (void)argument;
    CHECK(ks_size(key, NULL) == 0);
}

/* Purges. Whether a call failed that the purge did without. */
static bool purge(void)
{
    ks_status status;
    struct ks_key_stats before = stats();
    brace();
    bool pending = ks_fault_left();
    status = ks_key_purge(key);
    bool failed = pending && !ks_fault_left();
    if (status == KS_NO_MEMORY) {
        CHECK(failed && stats().heaps == before.heaps && stats().arena_bytes == before.arena_bytes);
        relieve();
        status = ks_key_purge(key);
        failed = false;
    }
    CHECK(status == KS_OK);
    return failed || mode == NO_BARRIER;
}

/*
 * Everything that is free goes: at once, but for what sleeping threads have when there was no barrier, and then when they
 * wake. What they send each other as they wake takes a second round.
 */
static void purge_to(bool (*done)(void))
{
    bool excused = purge();
    if (done())
        return;
    CHECK(excused);
    relieve();
    for (int round = 0; round < 2; round++) {
        everybody(wake, NULL);
        purge();
        relieve();
    }
    everybody(wake, NULL);
    CHECK(done());
}

static bool is_empty(void)
{
    return stats().arena_bytes == 0;
}

/* Nothing is pending, and no slab is kept in which no block lives. */
static bool is_trimmed(void)
{
    struct ks_key_stats s = stats();
    for (uint32_t i = 0; i < s.class_count; i++)
        if (s.classes[i].slabs > s.classes[i].live)
            return false;
    return s.in_flight == 0 && s.slabs_aside == 0;
}

/* The end of a key by a thread that may be unknown to the library. */
static void destroy(void)
{
    struct ks_key_stats before = stats();
    brace();
    ks_status status = ks_key_destroy(key);
    if (status == KS_NO_MEMORY) {
        struct ks_key_stats after = stats();
        CHECK(memcmp(&before, &after, sizeof before) == 0);
        whole();
        relieve();
        status = ks_key_destroy(key);
    }
    CHECK(status == KS_OK);
    CHECK(mode == NO_BARRIER || ks_leaks() == 0);
    CHECK(ks_key_destroy(key) == KS_BAD_KEY && ks_key_check(key) == KS_BAD_KEY && ks_free(key, held) == KS_BAD_KEY);
    everybody(wake, NULL);
    CHECK(ks_leaks() == 0);
    held_count = 0;
    doubles = 0;
}

static void renew(void)
{
    CHECK(ks_key_create(NULL, &key) == KS_OK);
}

/*
 * The library starts once: where it could not, no key ever exists, and nothing else goes wrong. A key that found no memory for itself is
 * there at the second attempt.
 */
static bool begin(void)
{
    ks_status status = ks_key_create(NULL, &key);
    if (status == KS_OK)
        return true;
    CHECK(status == KS_NO_MEMORY && key == 0);
    status = ks_key_create(NULL, &key);
    if (status == KS_OK)
        return true;
    CHECK(status == KS_NO_MEMORY && key == 0);
    CHECK(!ks_alloc(key, 10, &status) && status == KS_BAD_KEY);
    CHECK(!ks_alloc_bulk(key, 10, NULL, 1, &status) && status == KS_BAD_KEY);
    CHECK(ks_free(key, &status) == KS_BAD_KEY && ks_size(key, &status) == 0);
    CHECK(ks_good_size(100) == 0 && ks_good_size(1 << 20) == 0);
    CHECK(ks_key_purge(key) == KS_BAD_KEY && ks_key_destroy(key) == KS_BAD_KEY);
    ks_flush();
    return false;
}

/* Nothing has been lost: every block can be freed, and then the key gives everything back. */
static void finish(void)
{
    whole();
    release_some((void *)1);
    whole();
    purge_to(is_empty);
    CHECK(stats().double_free == doubles);
    obtain_some(NULL);
    CHECK(ks_key_reset(key) == KS_OK);
    held_count = 0;
    whole();
    purge_to(is_empty);
    whole();
    destroy();
    crew_end(0);
    CHECK(ks_leaks() == 0);
}

/* ------------------------------------------------------------------ create */

enum { KEYS = 20, QUOTA = 2 * 256 * 1024 };

/* Two slabs of the quota are left, or no memory was. */
static void use_quota(void)
{
    for (size_t i = 0; i < 50; i++) {
        ks_status status;
        brace();
        void *block = ks_alloc(key, 20000, &status);
        CHECK(block ? status == KS_OK : status == KS_NO_MEMORY || status == KS_QUOTA);
        CHECK(status != KS_QUOTA || stats().arena_bytes == QUOTA);
        if (block)
            keep(block, 20000);
    }
    CHECK(stats().arena_peak <= QUOTA);
}

static void create(void)
{
    ks_key_t first = key;
    ks_key_t keys[KEYS];
    const struct ks_key_options odd = {.reserved = {1}};
    CHECK(ks_key_create(&odd, &key) == KS_INVALID && ks_key_create(NULL, NULL) == KS_INVALID);
    for (size_t i = 0; i < KEYS; i++) {
        struct ks_key_options options = {.name = "many", .quota = i % 4 ? 0 : QUOTA, .outbox_bytes = i * 100};
        options.slab_bytes = i % 8 ? 0 : 64 << 10;
        brace();
        CHECK(ks_key_create(&options, &keys[i]) == KS_OK);
    }
    for (size_t i = 0; i < KEYS; i++) {
        key = keys[i];
        CHECK(strcmp(stats().name, "many") == 0);
        if (i % 4 == 0)
            use_quota();
        else if (i % 4 == 1)
            obtain_some(NULL);
        whole();
        destroy();
    }
    key = first;
}

/* ------------------------------------------------------------------ settings */

static void obtain_every_class(void *argument);

/* A table of size classes of its own, an arena of its own or of a node, huge pages, and checks that fill blocks: none of them half. */
static void configured(void)
{
    static const uint32_t sizes[] = {48, 1536, 9216, 65536};
    static const struct ks_key_options options[] = {
        {.classes = sizes, .class_count = COUNT(sizes)},
        {.classes = sizes + 1, .class_count = COUNT(sizes) - 1, .outbox_bytes = 1},
        {.arena = KS_ARENA_KEY, .retain = KS_RETAIN_NONE},
        {.arena = KS_ARENA_NODE},
        {.huge = KS_HUGE_PAGES_ON},
        {.arena = KS_ARENA_NODE, .huge = KS_HUGE_PAGES_ON},
        {.checks = KS_CHECKS_PARANOID, .arena = KS_ARENA_KEY},
        {.arena = KS_ARENA_KEY, .huge = KS_HUGE_PAGES_ON},
        {.checks = KS_CHECKS_PARANOID, .classes = sizes, .class_count = COUNT(sizes)},
    };
    ks_key_t first = key;
    ks_status status;
    for (size_t i = 0; i < COUNT(options); i++) {
        TWICE(status, ks_key_create(&options[i], &key));
        CHECK(status == KS_OK);
        obtain_every_class(NULL);
        release_some((void *)2);
        whole();
        obtain_every_class(NULL);
        release_some((void *)1);
        whole();
        CHECK(!stats().damaged);
        destroy();
    }
    TWICE(status, ks_config_load(NULL, NULL, NULL));
    CHECK(status == KS_OK);
    key = first;
}

static void reset_key(void);

/* A slab's guard is lifted for its next life, and set elsewhere; one that cannot be lifted costs the memory, nothing else. */
static void guarded(void)
{
    ks_key_t first = key;
    ks_status status;
    TWICE(status, ks_key_create(&(const struct ks_key_options){.checks = KS_CHECKS_PARANOID}, &key));
    CHECK(status == KS_OK);
    for (size_t size = 65536; size > 16; size /= 3) {
        obtain(16, size);
        obtain(16, 200000 + size);
        whole();
        reset_key();
        held_count = 0;
    }
    obtain_every_class(NULL);
    whole();
    release_some((void *)1);
    purge_to(is_empty);
    obtain_every_class(NULL);
    whole();
    destroy();
    key = first;
}

/* ------------------------------------------------------------------ retain */

enum { TOP = 65536, TOPS = QUOTA / TOP };

static void obtain_tops(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < TOPS; i++)
        obtain(16, TOP);
}

/* The quota does: where the other thread was left alone, for want of a barrier, when it has woken. */
static void obtain_what_is_retained(void)
{
    ks_status status;
    brace();
    bool pending = ks_fault_left();
    void *block = ks_alloc(key, TOP, &status);
    if (!block && (mode == NO_BARRIER || (pending && !ks_fault_left()))) {
        relieve();
        everybody(wake, NULL);
        block = ks_alloc(key, TOP, &status);
    }
    CHECK(block && status == KS_OK);
    keep(block, TOP);
}

/* A sleeping thread retains all of the quota, from frees or from a reset, and another one needs it. */
static void retained(void)
{
    const struct ks_key_options options = {.quota = QUOTA, .retain = QUOTA};
    ks_key_t first = key;
    crew_start(1);
    for (int round = 0; round < 4; round++) {
        ks_status status;
        TWICE(status, ks_key_create(&options, &key));
        CHECK(status == KS_OK);
        worker_do(&crew[0], obtain_tops, NULL);
        uint64_t before = stats().arena_bytes;
        worker_do(&crew[0], release_some, (void *)1);
        if (round % 2) {
            CHECK(ks_key_reset(key) == KS_OK);
        } else {
            /* Nobody else knows that its slabs are empty until it has seen the purge. */
            bool asleep = purge();
            relieve();
            if (asleep)
                everybody(wake, NULL);
            CHECK(stats().arena_bytes == before);
        }
        for (size_t i = 0; i < TOPS; i++)
            obtain_what_is_retained();
        CHECK(stats().arena_bytes == QUOTA);
        whole();
        release_some((void *)1);
        purge();
        CHECK(stats().arena_bytes <= QUOTA);
        destroy();
    }
    key = first;
}

/* ------------------------------------------------------------------ alloc, bulk, realloc */

static void obtain_every_class(void *argument)
{
    (void)argument;
    struct ks_key_stats s = stats();
    for (uint32_t i = 0; i < s.class_count; i++) {
        obtain(16, s.classes[i].size);
        obtain(0, s.classes[i].size / 2);
    }
    for (size_t alignment = 32; alignment <= 1 << 20; alignment *= 4)
        obtain(alignment, 3000);
    obtain(0, 70000);
    obtain(16, 300000);
    /* Above what the reservation itself is aligned to. */
    obtain(64 << 20, 300000);
}

/* The address space ends before the memory does. */
static void obtain_all(void)
{
    enum { BLOCKS = 60 };
    size_t before = held_count;
    for (size_t i = 0; i < BLOCKS; i++)
        obtain(16, (size_t)20 << 20);
    CHECK(held_count > before && held_count < before + BLOCKS);
    whole();
}

enum { MANY = 2500 };

/* More than fill the messages that are mapped at once, where each block has an entry of its own. */
static void obtain_many(void)
{
    for (size_t i = 0; i < MANY; i++)
        obtain(16, 16);
}

/* No block is of the same group as the one before. Those that cannot be sent live on. */
static void release_scattered(void *argument)
{
    enum { APART = 64 };
    size_t *refused = argument;
    *refused = 0;
    for (size_t first = 0; first < APART; first++)
        for (size_t i = first; i < held_count; i += APART) {
            intact(&held[i], held[i].size);
            brace();
            ks_status status = ks_free(key, held[i].bytes);
            CHECK(status == KS_OK || status == KS_NO_MEMORY);
            if (status == KS_OK)
                held[i].bytes = NULL;
            else
                ++*refused;
        }
}

static void forget_freed(void)
{
    for (size_t i = held_count; i-- > 0;)
        if (!held[i].bytes)
            held[i] = held[--held_count];
}

/* Asks for more memory, and for more messages to free in, than a shortage lets anybody have. */
static void ask_in_vain(void)
{
    static void *blocks[20000];
    ks_status status;
    size_t refused;
    for (int i = 0; i < 20; i++)
        CHECK(!ks_alloc(key, (size_t)200 << 20, &status) && status == KS_NO_MEMORY);
    for (int round = 0; round < 10; round++) {
        size_t count = ks_alloc_bulk(key, 16, blocks, COUNT(blocks), &status);
        CHECK(ks_free_bulk(key, blocks, count, &status) == count);
    }
    worker_do(&crew[0], release_scattered, &refused);
    CHECK(refused && refused < MANY);
    forget_freed();
}

/* The system refuses to make anything writable for a while: address space that it refused is there afterwards. */
static void starve(void)
{
    struct rlimit before;
    obtain_many();
    CHECK(getrlimit(RLIMIT_DATA, &before) == 0);
    CHECK(setrlimit(RLIMIT_DATA, &(struct rlimit){1 << 20, before.rlim_max}) == 0);
    ask_in_vain();
    CHECK(setrlimit(RLIMIT_DATA, &before) == 0);
    /* A thread that the library does not know yet. */
    size_t had = held_count;
    crew_start(2);
    obtain(16, (size_t)200 << 20);
    worker_do(&crew[1], obtain_some, NULL);
    CHECK(held_count == had + 5);
    whole();
}

static void alloc(void)
{
    ks_status status;
    brace();
    CHECK(!ks_alloc(key, SIZE_MAX / 2, &status) && (status == KS_TOO_LARGE || status == KS_NO_MEMORY));
    crew_start(1);
    for (int round = 0; round < 2; round++) {
        obtain_every_class(NULL);
        worker_do(&crew[0], obtain_some, NULL);
        whole();
        release_some((void *)2);
        worker_do(&crew[0], release_some, (void *)1);
        whole();
    }
    if (mode == LITTLE_SPACE) {
        starve();
        obtain_all();
    }
}

static void obtain_bulk(void *argument)
{
    size_t size = (size_t)(uintptr_t)argument;
    size_t count = size > 65536 ? 6 : 90;
    void *blocks[90];
    ks_status status;
    brace();
    size_t done = ks_alloc_bulk(key, size, blocks, count, &status);
    CHECK(status == (done == count ? KS_OK : KS_NO_MEMORY));
    for (size_t i = 0; i < done; i++)
        keep(blocks[i], size);
}

/* Those that could not be freed are skipped, and not named: all are freed once more, and the others refused. */
static void release_again(void *const *blocks, size_t count, size_t freed)
{
    relieve();
    for (size_t i = 0; i < count; i++) {
        ks_status status = ks_free(key, blocks[i]);
        CHECK(status == KS_OK || status == KS_DOUBLE_FREE);
    }
    doubles += freed;
}

static void release_bulk(void *argument)
{
    void *blocks[200];
    size_t count = (size_t)(uintptr_t)argument;
    if (count > held_count)
        count = held_count;
    for (size_t i = 0; i < count; i++) {
        const struct held *block = &held[--held_count];
        intact(block, block->size);
        blocks[i] = block->bytes;
    }
    ks_status status;
    brace();
    size_t freed = ks_free_bulk(key, blocks, count, &status);
    CHECK(status == (freed == count ? KS_OK : KS_NO_MEMORY));
    if (freed < count)
        release_again(blocks, count, freed);
}

static void bulk(void)
{
    static const size_t sizes[] = {48, 1500, 9000, 100000};
    crew_start(2);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        obtain_bulk((void *)sizes[i]);
        worker_do(&crew[0], obtain_bulk, (void *)sizes[i]);
        whole();
    }
    for (size_t i = 0; held_count; i++) {
        worker_do(&crew[i % 2], release_bulk, (void *)120);
        release_bulk((void *)60);
        purge_to(is_trimmed);
        whole();
    }
}

static void resize(struct held *block, size_t size)
{
    ks_status status;
    size_t kept = size < block->size ? size : block->size;
    brace();
    unsigned char *moved = ks_realloc(key, block->bytes, size, &status);
    if (!moved) {
        CHECK(status == KS_NO_MEMORY);
        intact(block, block->size);
        relieve();
        moved = ks_realloc(key, block->bytes, size, &status);
    }
    CHECK(moved && status == KS_OK);
    block->bytes = moved;
    intact(block, kept);
    block->size = size;
    sign(block);
}

static void resize_all(void *argument)
{
    for (size_t i = 0; i < held_count; i++)
        resize(&held[i], (size_t)(uintptr_t)argument);
}

/* NULL is an allocation, and zero bytes are a free. */
static void resize_from_and_to_nothing(void)
{
    ks_status status;
    brace();
    void *block = ks_realloc(key, NULL, 100, &status);
    CHECK(status == (block ? KS_OK : KS_NO_MEMORY));
    if (!block)
        return;
    brace();
    CHECK(!ks_realloc(key, block, 0, &status) && status == KS_OK);
}

static void reallocate(void)
{
    static const size_t sizes[] = {1600, 1650, 100, 70000, 140000, 40};
    crew_start(2);
    obtain_some(NULL);
    everybody(obtain_some, NULL);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        if (i % 2)
            resize_all((void *)sizes[i]);
        else
            worker_do(&crew[1], resize_all, (void *)sizes[i]);
        resize_from_and_to_nothing();
        whole();
    }
}

/* ------------------------------------------------------------------ free */

/* By a thread that has no message yet to send them in. */
static void free_as_a_stranger(void)
{
    crew_start(2);
    worker_do(&crew[0], obtain_some, NULL);
    worker_do(&crew[1], release_some, (void *)2);
    whole();
}

static void free_twice(void *argument)
{
    ks_status status;
    for (int i = 0; i < 2; i++) {
        TWICE(status, ks_free(key, argument));
        CHECK(status == KS_OK);
        brace();
        ks_flush();
    }
    doubles++;
}

/* The second of two messages that come home holds nothing good, and the owner goes on to look for more. */
static void free_twice_on_the_way(void)
{
    size_t before = held_count;
    obtain(16, 700);
    if (held_count == before)
        return;
    worker_do(&crew[0], free_twice, held[--held_count].bytes);
    for (size_t i = 0; i < 400; i++)
        obtain(16, 700);
    whole();
}

/* Where there was no memory for messages, there is afterwards. */
static void free_in_many_messages(void)
{
    size_t refused;
    obtain_many();
    worker_do(&crew[0], release_scattered, &refused);
    forget_freed();
    CHECK(!refused == !held_count);
    relieve();
    whole();
    release_some((void *)1);
}

/* More homes than a heap has batches. */
static void free_everywhere(void)
{
    free_as_a_stranger();
    free_twice_on_the_way();
    free_in_many_messages();
    crew_start(CREW);
    everybody(obtain_some, NULL);
    obtain_some(NULL);
    whole();
    release_some((void *)3);
    whole();
    worker_do(&crew[0], release_some, (void *)2);
    brace();
    ks_flush();
    whole();
    /* Their blocks are here and there, and on their way home. */
    crew_end(CREW / 2);
    whole();
    everybody(obtain_some, NULL);
    worker_do(&crew[1], release_some, (void *)2);
    crew_end(1);
    whole();
}

/* ------------------------------------------------------------------ reset, purge, destroy */

static void reset_key(void)
{
    struct ks_key_stats before = stats();
    CHECK(ks_key_reset(key) == KS_OK);
    struct ks_key_stats after = stats();
    CHECK(after.live == 0 && after.in_flight == 0 && after.generation == before.generation + 1);
    CHECK(after.dropped == before.dropped + before.live + before.in_flight);
}

static void free_stale(void *argument)
{
    ks_status status;
    for (size_t i = (size_t)(uintptr_t)argument; i < held_count; i += 3) {
        TWICE(status, ks_free(key, held[i].bytes));
        CHECK(status == KS_STALE);
    }
}

static void reset(void)
{
    crew_start(3);
    for (int round = 0; round < 2; round++) {
        everybody(obtain_some, NULL);
        obtain_some(NULL);
        release_some((void *)3);
        worker_do(&crew[0], release_some, (void *)4);
        whole();
        reset_key();
        free_stale((void *)0);
        worker_do(&crew[1], free_stale, (void *)1);
        held_count = 0;
        whole();
    }
    crew_end(1);
    everybody(obtain_some, NULL);
}

/* This thread is unknown to the library until it purges. */
static void purge_sleepers(void)
{
    crew_start(4);
    everybody(obtain_some, NULL);
    worker_do(&crew[0], release_some, (void *)2);
    worker_do(&crew[3], release_some, (void *)3);
    whole();
    purge_to(is_trimmed);
    whole();
    /* What is left in use is left alone. */
    everybody(obtain_some, NULL);
    worker_do(&crew[2], release_some, (void *)1);
    purge_to(is_empty);
    whole();
}

static void destroy_sleepers(void)
{
    crew_start(3);
    everybody(obtain_some, NULL);
    destroy();
    /* With threads that have ended too, and with blocks on their way to all of them. */
    renew();
    crew_start(6);
    everybody(obtain_some, NULL);
    worker_do(&crew[0], release_some, (void *)3);
    crew_end(3);
    worker_do(&crew[1], release_some, (void *)3);
    whole();
    destroy();
    renew();
    everybody(obtain_some, NULL);
}

/* ------------------------------------------------------------------ threads that end, and processes */

static pthread_key_t late;

/* Runs after the library's own exit hook: its key was made first. */
static void late_work(void *argument)
{
    (void)argument;
    obtain_some(NULL);
    release_some((void *)5);
}

static void *short_work(void *argument)
{
    CHECK(pthread_setspecific(late, argument) == 0);
    obtain_some(NULL);
    release_some((void *)4);
    /* The end of the thread is the next call. */
    brace();
    return NULL;
}

static void ends(void)
{
    CHECK(pthread_key_create(&late, late_work) == 0);
    for (size_t i = 0; i < 8; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, short_work, &late) == 0 && pthread_join(thread, NULL) == 0);
        whole();
        /* Each has taken over what the one before it has left. */
        CHECK(stats().heaps <= 1);
    }
}

enum { UNTOUCHED = 3 };

#if defined(__SANITIZE_ADDRESS__)

/* LeakSanitizer would search every process, and stumbles over the threads that a fork has left behind. */
static _Noreturn void leave(int result)
{
    _exit(result);
}

#else

/* What runs at exit, counters of a build with coverage among it, is not under test. */
static _Noreturn void leave(int result)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_AS, &limit);
    }
    exit(result);
}

#endif

static int touched(void)
{
    return mode == IN_TURN && ks_fault_left() ? UNTOUCHED : 0;
}

static int wait_for(pid_t child)
{
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool other_touched; /* the fault was used in a child of the workload's */

static void forked(void)
{
    crew_start(2);
    everybody(obtain_some, NULL);
    obtain_some(NULL);
    worker_do(&crew[0], release_some, (void *)3);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        crew_count = 0;
        obtain_some(NULL);
        finish();
        leave(touched());
    }
    int result = wait_for(child);
    CHECK(result == 0 || result == UNTOUCHED);
    other_touched = result == 0;
}

/* ------------------------------------------------------------------ each of them, with every fault */

static const struct workload {
    const char *name;
    void (*run)(void);
} workloads[] = {
    {"create", create},
    {"settings", configured},
    {"guards", guarded},
    {"retain", retained},
    {"alloc", alloc},
    {"bulk", bulk},
    {"realloc", reallocate},
    {"free", free_everywhere},
    {"reset", reset},
    {"purge", purge_sleepers},
    {"destroy", destroy_sleepers},
    {"exit", ends},
    {"fork", forked},
};

/* In a process of its own, because the library starts once, and its start is to fail too. */
static int run_apart(const struct workload *workload, enum mode how, long n)
{
    fflush(stdout);
    pid_t child = fork();
    if (child != 0)
        return wait_for(child);
    alarm(SECONDS_TO_HANG);
    if (!mode_start(how))
        leave(UNTOUCHED);
    ks_fault_after(n);
    if (begin()) {
        workload->run();
        finish();
    }
    leave(other_touched ? 0 : touched());
}

static long run_in_turn(const struct workload *workload)
{
    long faults = 0;
    int result;
    while ((result = run_apart(workload, IN_TURN, faults + 1)) == 0)
        CHECK(++faults < MOST);
    if (result != UNTOUCHED) {
        fprintf(stderr, "test_faults: %s, call %ld\n", workload->name, faults + 1);
        exit(1);
    }
    return faults;
}

static const char *const mode_names[MODES] = {
    "in turn", "in a shortage", "without a barrier", "with little address space", "with no address space",
};

static void run_always(const struct workload *workload, enum mode how)
{
    int result = run_apart(workload, how, 0);
    if (result == UNTOUCHED) {
        printf("%s: %s: not on this system\n", workload->name, mode_names[how]);
    } else if (result) {
        fprintf(stderr, "test_faults: %s, %s\n", workload->name, mode_names[how]);
        exit(1);
    }
}

int main(void)
{
    shortages = mmap(NULL, sizeof *shortages, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shortages != MAP_FAILED);
    long faults = 0;
    for (const struct workload *workload = workloads; workload < workloads + COUNT(workloads); workload++) {
        long more = run_in_turn(workload);
        long before = *shortages;
        for (enum mode how = IN_TURN + 1; how < MODES; how++)
            run_always(workload, how);
        printf("%-8s %3ld calls failed in turn, %3ld in a shortage\n", workload->name, more, *shortages - before);
        faults += more;
    }
    printf("%zu workloads, %ld calls failed in turn, %ld in shortages\n", COUNT(workloads), faults, *shortages);
    return 0;
}
