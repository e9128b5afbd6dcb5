/* Statistics: ks_key_stats. Sums over the key's heaps; every counter is written by one thread and read by
 * any. */
#include "core/heap.h"
#include "core/key.h"

#include <string.h>

static_assert(CLASS_LIMIT <= KS_CLASSES_MAX, "every class has an entry in the statistics");

/* What a heap knows of one class, at one moment. */
struct census {
    uint64_t allocated, freed_remote, dropped, out, held, slabs, sent, received;
};

static uint64_t at_least_zero(uint64_t whole, uint64_t part)
{
    return whole > part ? whole - part : 0;
}

/* What a bin has handed out, read while its owner may be renewing the countdown (C0.7). */
static uint64_t allocated_by(struct bin *bin)
{
    uint64_t target;
    uint64_t countdown;
    do {
        target = load_acquire(&bin->target);
        POINT("stats: target read");
        countdown = load_acquire(&bin->countdown);
        POINT("stats: countdown read");
    } while (load_relaxed(&bin->target) != target);
    return target % 2 ? target - 1 : target - countdown;
}

/* A heap whose owner has not seen the last reset yet: all that it has out is dropped. */
static void census_of_stale(struct census *census)
{
    census->dropped += census->out;
    census->out = census->held = census->slabs = census->sent = census->received = 0;
}

/* Reads another thread's counters one by one, and cuts what is concluded to the whole (C0.1). */
static struct census census_of(struct heap *heap, uint32_t class, uint64_t generation)
{
    struct bin *bin = &heap->bins[class];
    struct supply *supply = &heap->supplies[class];
    struct census census = {
        .freed_remote = load_relaxed(&supply->freed_remote),
        .dropped = load_relaxed(&supply->dropped),
        .slabs = load_relaxed(&supply->slabs),
        .sent = load_relaxed(&bin->sent),
        .received = load_relaxed(&supply->received),
    };
    uint64_t gone = load_relaxed(&bin->freed) + census.freed_remote + census.dropped;
    /* After what has been freed of them. */
    census.allocated = allocated_by(bin);
    census.out = at_least_zero(census.allocated, gone);
    census.held = at_least_zero(load_relaxed(&supply->carved), census.out);
    if (load_relaxed(&heap->generation) != generation)
        census_of_stale(&census);
    return census;
}

/* The sums are of different moments, so the parts are cut to the whole (C0.1). */
static void class_sum(struct key *key, uint32_t class, uint64_t generation, struct ks_class_stats *stats)
{
    struct census sum = {0};
    for (struct heap *heap = load_acquire(&key->heaps); heap; heap = heap->key_next) {
        struct census census = census_of(heap, class, generation);
        sum.allocated += census.allocated;
        sum.freed_remote += census.freed_remote;
        sum.dropped += census.dropped;
        sum.out += census.out;
        sum.held += census.held;
        sum.slabs += census.slabs;
        sum.sent += census.sent;
        sum.received += census.received;
    }
    stats->size = key->classes->table[class].bytes;
    stats->allocated = sum.allocated;
    stats->held = sum.held;
    stats->slabs = sum.slabs;
    /* A block that was freed twice is pending twice: more may be pending than are out. */
    uint64_t in_flight = at_least_zero(sum.sent, sum.received);
    stats->in_flight = in_flight < sum.out ? in_flight : sum.out;
    /* Whatever changed between two reads, the parts are cut to the whole, in this order. */
    stats->dropped = sum.dropped < sum.allocated ? sum.dropped : sum.allocated;
    stats->live = sum.out - stats->in_flight;
    if (stats->live > stats->allocated - stats->dropped)
        stats->live = stats->allocated - stats->dropped;
    stats->freed_remote = sum.freed_remote + stats->in_flight;
    if (stats->freed_remote > stats->allocated - stats->dropped - stats->live)
        stats->freed_remote = stats->allocated - stats->dropped - stats->live;
    stats->freed_local = stats->allocated - stats->dropped - stats->live - stats->freed_remote;
    stats->live_bytes = stats->live * stats->size;
}

/* The same for large blocks, whose bytes are counted too (C0.1). */
static void large_sum(struct key *key, uint64_t generation, struct ks_key_stats *stats, struct ks_class_stats *large)
{
    uint64_t out = 0, sent = 0, received = 0, dropped = 0;
    for (struct heap *heap = load_acquire(&key->heaps); heap; heap = heap->key_next) {
        bool stale = load_relaxed(&heap->generation) != generation;
        uint64_t heap_out = load_relaxed(&heap->large_out);
        out += stale ? 0 : heap_out;
        sent += stale ? 0 : load_relaxed(&heap->large_sent);
        received += stale ? 0 : load_relaxed(&heap->large_received);
        dropped += load_relaxed(&heap->large_dropped) + (stale ? heap_out : 0);
        stats->allocated_bytes += load_relaxed(&heap->large_allocated);
        stats->slabs_aside += load_relaxed(&heap->empty_count);
        stats->heaps++;
    }
    stats->dropped_bytes += dropped;
    large->live_bytes = at_least_zero(out, at_least_zero(sent, received));
}

static void stats_add(struct ks_key_stats *stats, const struct ks_class_stats *class)
{
    stats->allocated += class->allocated;
    stats->freed_local += class->freed_local;
    stats->freed_remote += class->freed_remote;
    stats->dropped += class->dropped;
    stats->live += class->live;
    stats->in_flight += class->in_flight;
    stats->held += class->held;
    stats->slabs += class->slabs;
    stats->live_bytes += class->live_bytes;
    stats->allocated_bytes += class->allocated * class->size;
    stats->dropped_bytes += class->dropped * class->size;
}

/* Counters with many writers (C0.6). */
static void stats_refusals(struct key *key, struct ks_key_stats *stats)
{
    stats->refused_memory = load_relaxed(&key->refusals[KS_NO_MEMORY]);
    stats->refused_quota = load_relaxed(&key->refusals[KS_QUOTA]);
    stats->refused_terminated = load_relaxed(&key->refusals[KS_TERMINATED]);
    stats->refused_large = load_relaxed(&key->refusals[KS_TOO_LARGE]);
    stats->bad_block = load_relaxed(&key->refusals[KS_BAD_BLOCK]);
    stats->wrong_key = load_relaxed(&key->refusals[KS_WRONG_KEY]);
    stats->double_free = load_relaxed(&key->refusals[KS_DOUBLE_FREE]);
    stats->stale = load_relaxed(&key->refusals[KS_STALE]);
    stats->damaged = load_relaxed(&key->refusals[KS_DAMAGED]);
    stats->refused_at_home = load_relaxed(&key->refused_at_home);
}

/* Relaxed loads of counters that others go on writing (C0.1). */
ks_status ks_key_stats(ks_key_t handle, struct ks_key_stats *stats)
{
    if (!stats)
        return KS_INVALID;
    struct key *key = key_reference(handle);
    if (!key)
        return KS_BAD_KEY;
    memset(stats, 0, sizeof *stats);
    memcpy(stats->name, key->name, sizeof key->name);
    stats->key = handle;
    stats->backend = arena_backend();
    stats->generation = load_acquire(&key->generation);
    stats->terminated = load_relaxed(&key->terminated);
    stats->quota = key->quota;
    stats->arena_bytes = load_relaxed(&key->charged);
    stats->arena_peak = load_relaxed(&key->charged_peak);
    stats->class_count = key->classes->count + 1;
    for (uint32_t i = 0; i <= key->classes->count; i++) {
        uint32_t class = i < key->classes->count ? i : CLASS_LARGE;
        class_sum(key, class, stats->generation, &stats->classes[i]);
        if (class == CLASS_LARGE)
            large_sum(key, stats->generation, stats, &stats->classes[i]);
        stats_add(stats, &stats->classes[i]);
    }
    stats_refusals(key, stats);
    key_release(key);
    return KS_OK;
}
