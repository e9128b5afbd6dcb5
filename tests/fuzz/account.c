#include "account.h"

#include <string.h>

#define EVENTS_MOST  2048
#define PENDING_MOST 1024

/* Told by the hook in this operation. */
struct event {
    struct ks_error error;
    const void *context;
    bool expected;
};

/* Accepted frees of an address that home is to refuse. */
struct pending {
    uint32_t key;
    uint32_t count;
    const void *block;
    size_t class_size; /* at the free */
};

static struct event events[EVENTS_MOST];
static uint32_t events_count;
static struct pending pending[PENDING_MOST];
static uint32_t pending_count;
static uint64_t numbers[THREADS]; /* of the threads, as the hook was told; 0 for not yet */

void account_start(void)
{
    events_count = pending_count = 0;
    memset(numbers, 0, sizeof numbers);
}

/* ------------------------------------------------------------------ the hook */

void account_hook(void *context, const struct ks_error *error)
{
    if (events_count == EVENTS_MOST)
        fail("the hook was called %u times", EVENTS_MOST);
    events[events_count++] = (struct event){.error = *error, .context = context};
}

static struct event *event_find(uint32_t key, const void *block)
{
    for (struct event *event = events; event < events + events_count; event++)
        if (!event->expected && !event->error.at_home && event->error.block == block &&
            event->error.key == reference.keys[key].handle)
            return event;
    return NULL;
}

ks_status account_told(uint32_t key, const void *block)
{
    const struct event *event = event_find(key, block);
    return event ? event->error.status : KS_OK;
}

void account_refused(uint32_t key, const void *block, ks_status status, size_t class_size)
{
    reference.keys[key].refused[status]++;
    if (!reference.keys[key].hooked)
        return;
    struct event *event = event_find(key, block);
    if (!event)
        fail("%p was refused, and the hook was not told", block);
    expect_status("what the hook was told", event->error.status, status);
    if (class_size != ANY_SIZE)
        expect_number("the class size that the hook was told", event->error.class_size, class_size);
    event->expected = true;
}

/* ------------------------------------------------------------------ refusals at home */

void account_excess(uint32_t key, const struct block *block)
{
    reference.keys[key].pending++;
    if (!reference.keys[key].hooked)
        return;
    for (struct pending *entry = pending; entry < pending + pending_count; entry++) {
        if (entry->key == key && entry->block == block->start && entry->class_size == block->usable) {
            entry->count++;
            return;
        }
    }
    if (pending_count == PENDING_MOST)
        fail("too many refusals to come");
    pending[pending_count++] = (struct pending){key, 1, block->start, block->usable};
}

static void pending_remove(struct pending *entry)
{
    *entry = pending[--pending_count];
}

void account_forgive(uint32_t key)
{
    reference.keys[key].pending = 0;
    for (struct pending *entry = pending + pending_count; entry-- > pending;)
        if (entry->key == key)
            pending_remove(entry);
}

static void refused_at_home(const struct ks_error *error)
{
    struct pending *entry = pending;
    while (entry < pending + pending_count && (entry->block != error->block || entry->class_size != error->class_size ||
                                               reference.keys[entry->key].handle != error->key))
        entry++;
    if (entry == pending + pending_count)
        fail("%p was refused at home, and no second free of it was accepted", error->block);
    expect_status("refused at home", error->status, KS_DOUBLE_FREE);
    struct key *key = &reference.keys[entry->key];
    key->pending--;
    key->refused_at_home++;
    if (!--entry->count)
        pending_remove(entry);
}

void account_settle(uint32_t thread)
{
    for (const struct event *event = events; event < events + events_count; event++) {
        const struct ks_error *error = &event->error;
        if (error->at_home)
            refused_at_home(error);
        else if (!event->expected)
            fail("the hook was told that %p is refused: %s", error->block, ks_strerror(error->status));
        const struct key *key = event->context;
        if (key->handle != error->key)
            fail("the hook was told of another key");
        if (!numbers[thread])
            numbers[thread] = error->thread;
        expect_number("the thread that the hook was told", error->thread, numbers[thread]);
    }
    events_count = 0;
}

void account_left(uint32_t thread)
{
    numbers[thread] = 0;
}

/* ------------------------------------------------------------------ statistics */

static const struct ks_key_stats *stats_of(uint32_t key)
{
    static struct ks_key_stats stats;
    expect_status("ks_key_stats", ks_key_stats(reference.keys[key].handle, &stats), KS_OK);
    return &stats;
}

static void sync(struct key *key, const struct ks_key_stats *stats)
{
    if (key->hooked) {
        expect_number("refused_at_home", stats->refused_at_home, key->refused_at_home);
        return;
    }
    uint64_t more = stats->refused_at_home - key->refused_at_home;
    if (more > key->pending)
        fail("%zu blocks were refused at home, of %zu at most", (size_t)more, (size_t)key->pending);
    key->pending -= more;
    key->refused_at_home += more;
}

void account_sync(uint32_t key)
{
    if (!reference.keys[key].hooked)
        sync(&reference.keys[key], stats_of(key));
}

static void check_between(const char *what, uint64_t got, uint64_t least, uint64_t most)
{
    if (got < least || got > most)
        fail("%s: expected %zu to %zu, got %zu", what, (size_t)least, (size_t)most, (size_t)got);
}

/*
 * A second free that is under way is counted as in flight like the first, at the cost of what is live: by so many blocks
 * that number may be too low.
 */
static void check_class(const struct key *key, struct count *count, const struct ks_class_stats *stats)
{
    expect_number("allocated", stats->allocated, count->allocated);
    expect_number("freed_local", stats->freed_local, count->freed_local);
    check_between("dropped", stats->dropped, count->dropped_least, count->dropped_most);
    /* What a reset has dropped is settled. */
    count->dropped_least = count->dropped_most = stats->dropped;
    uint64_t least = count->live > key->pending ? count->live - key->pending : 0;
    check_between("live", stats->live, least, count->live);
    if (!key->pending)
        expect_number("live_bytes", stats->live_bytes, count->live_bytes);
    expect_number("the sum of a class", stats->freed_local + stats->freed_remote + stats->live + stats->dropped,
                  stats->allocated);
    check_between("in_flight", stats->in_flight, 0, stats->freed_remote);
}

static void check_refusals(const struct key *key, const struct ks_key_stats *stats)
{
    expect_number("refused_memory", stats->refused_memory, key->refused[KS_NO_MEMORY]);
    expect_number("refused_quota", stats->refused_quota, key->refused[KS_QUOTA]);
    expect_number("refused_terminated", stats->refused_terminated, key->refused[KS_TERMINATED]);
    expect_number("refused_large", stats->refused_large, key->refused[KS_TOO_LARGE]);
    expect_number("bad_block", stats->bad_block, key->refused[KS_BAD_BLOCK]);
    expect_number("wrong_key", stats->wrong_key, key->refused[KS_WRONG_KEY]);
    expect_number("stale", stats->stale, key->refused[KS_STALE]);
    expect_number("double_free", stats->double_free, key->refused[KS_DOUBLE_FREE] + key->refused_at_home);
}

static void check_sums(const struct ks_key_stats *stats)
{
    struct ks_class_stats sum = {0};
    for (uint32_t i = 0; i < stats->class_count; i++) {
        sum.allocated += stats->classes[i].allocated;
        sum.freed_local += stats->classes[i].freed_local;
        sum.freed_remote += stats->classes[i].freed_remote;
        sum.dropped += stats->classes[i].dropped;
        sum.live += stats->classes[i].live;
        sum.live_bytes += stats->classes[i].live_bytes;
    }
    expect_number("sum of allocated", stats->allocated, sum.allocated);
    expect_number("sum of freed_local", stats->freed_local, sum.freed_local);
    expect_number("sum of freed_remote", stats->freed_remote, sum.freed_remote);
    expect_number("sum of dropped", stats->dropped, sum.dropped);
    expect_number("sum of live", stats->live, sum.live);
    expect_number("sum of live_bytes", stats->live_bytes, sum.live_bytes);
}

static void check_key(struct key *key, const struct ks_key_stats *stats)
{
    sync(key, stats);
    expect_number("generation", stats->generation, key->generation);
    expect_number("terminated", stats->terminated, key->terminated);
    expect_number("heaps", stats->heaps, key->heaps);
    expect_number("quota", stats->quota, key->quota);
    if (key->quota && stats->arena_peak > key->quota)
        fail("%zu bytes from the arena, over the quota of %zu", (size_t)stats->arena_peak, key->quota);
    check_between("arena_bytes", stats->arena_bytes, stats->live_bytes, stats->arena_peak);
    for (uint32_t i = 0; i < stats->class_count; i++)
        check_class(key, &key->counts[i], &stats->classes[i]);
    check_refusals(key, stats);
    check_sums(stats);
    expect_status("ks_key_check", ks_key_check(key->handle), KS_OK);
}

void account_check(uint32_t key)
{
    check_key(&reference.keys[key], stats_of(key));
}

/* Slabs with live blocks of the key, and its large blocks. */
static uint64_t bytes_in_use(uint32_t key)
{
    uint64_t bytes = 0;
    uintptr_t last = 0;
    struct block *block;
    for (uint32_t i = 0; (block = block_in_order(i)); i++) {
        uintptr_t slab = (uintptr_t)block->start >> SLAB_SHIFT;
        if (block->key != key || block->state != LIVE)
            continue;
        if (block->large)
            bytes += block->usable;
        else if (slab != last)
            bytes += reference.keys[key].slab_bytes;
        last = slab;
    }
    return bytes;
}

/* No slab of the class is kept in which no block lives, and only its slabs have free blocks. */
static void check_class_purged(const struct ks_class_stats *stats, size_t slab_bytes)
{
    check_between("slabs", stats->slabs, 0, stats->live);
    uint64_t room = stats->size ? stats->slabs * (slab_bytes / stats->size) : stats->slabs;
    check_between("held", stats->held, 0, room - stats->live);
}

void account_check_purged(uint32_t number)
{
    struct key *key = &reference.keys[number];
    const struct ks_key_stats *stats = stats_of(number);
    sync(key, stats);
    expect_number("still to be refused at home", key->pending, 0);
    expect_number("in flight", stats->in_flight, 0);
    for (uint32_t i = 0; i < stats->class_count; i++)
        check_class_purged(&stats->classes[i], key->slab_bytes);
    uint64_t retained = key->retain == KS_RETAIN_NONE ? 0 : stats->heaps * (key->retain / key->slab_bytes);
    check_between("slabs set aside", stats->slabs_aside, 0, retained);
    expect_number("arena_bytes", stats->arena_bytes, bytes_in_use(number) + stats->slabs_aside * key->slab_bytes);
    check_key(key, stats);
}
