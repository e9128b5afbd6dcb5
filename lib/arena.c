#include "arena.h"

#include "key.h"
#include "pool.h"
#include "settings.h"

#define RANGE_WANTED ((size_t)1 << 40)
#define RANGE_LEAST  ((size_t)1 << 28)
#define ARENAS_MAX   16 /* that keys share */
#define ARENAS_OWN   2048

struct range range;

/*
 * The arenas that keys share, then those of one key each. An arena is never destroyed, because its address space would be lost: when its
 * key is gone, and all memory is back in it, the next such key gets it.
 */
struct slot_of_arena {
    uint32_t made;      /* any, atomic: index of the jemalloc arena plus one; 0 until memory is first needed from it */
    uint32_t pool_link; /* any, atomic */
    int64_t decay;      /* any, atomic */
};

static struct slot_of_arena arenas[ARENAS_MAX + ARENAS_OWN];
static uint32_t arenas_count;
static struct pool own_arenas;
static uint32_t own_next = ARENAS_MAX; /* any, atomic: the first that was never taken */

/*
 * The descriptors, side areas and pasts up to the extent's end become readable before `high` rises over them.
 * Another thread may be committing an extent below this one that is not under `high` yet, so this commits
 * from `high` on. C8.3.
 */
static bool range_raise(size_t end)
{
    size_t high = load_acquire(&range.high);
    if (high < end) {
        size_t first = high >> SLAB_SHIFT;
        size_t count = ((end + SLAB_BYTES - 1) >> SLAB_SHIFT) - first;
        if (!platform_commit(range.slabs + first, count * sizeof *range.slabs) ||
            !platform_commit(range.sides + first * SIDE_BYTES, count * SIDE_BYTES) ||
            !platform_commit(range.pasts + first, count * sizeof *range.pasts))
            return false;
    }
    while (high < end && !cas(&range.high, &high, end))
        ;
    return true;
}

/*
 * Memory first, address space after: what the system refuses is not used up. Committing what another thread draws in the
 * end does no harm. C8.3.
 */
static void *range_draw(size_t bytes, size_t alignment)
{
    size_t next = load_relaxed(&range.next);
    size_t start;
    do {
        uintptr_t first = ((uintptr_t)range.base + next + alignment - 1) & ~(alignment - 1);
        start = first - (uintptr_t)range.base;
        if (start > range.bytes || bytes > range.bytes - start)
            return NULL;
        if (!platform_commit(range.base + start, bytes) || !range_raise(start + bytes))
            return NULL;
    } while (!cas(&range.next, &next, start + bytes));
    return range.base + start;
}

static const struct platform_extent_source range_source = {.draw = range_draw};

/* ------------------------------------------------------------------ arenas */

/*
 * Whoever sets a decay and whoever makes the arena each write one word and then look at the other's, so that one of them applies
 * it, or both. C8.6.
 */
static void arena_apply_decay(struct slot_of_arena *slot)
{
    uint32_t made = load_ordered(&slot->made);
    int64_t decay = load_ordered(&slot->decay);
    if (made)
        platform_arena_decay(made - 1, decay);
}

/* C8.6. */
void arena_decay_shared(int64_t decay)
{
    for (uint32_t i = 0; i < arenas_count; i++) {
        store_ordered(&arenas[i].decay, decay);
        arena_apply_decay(&arenas[i]);
    }
}

uint32_t arena_shared(uint32_t key_index)
{
    return key_index % arenas_count;
}

/* C8.6. */
bool arena_take_own(int64_t decay, uint32_t *arena)
{
    uint32_t own = pool_pop(&own_arenas);
    if (!own) {
        own = load_relaxed(&own_next);
        do {
            if (own == ARENAS_MAX + ARENAS_OWN)
                return false;
        } while (!cas(&own_next, &own, own + 1));
    }
    store_ordered(&arenas[own].decay, decay);
    arena_apply_decay(&arenas[own]);
    *arena = own;
    return true;
}

/* C8.6. */
static void arena_leave(uint32_t arena)
{
    if (arena >= ARENAS_MAX)
        pool_push(&own_arenas, arena);
}

/* C8.2. */
static bool arena_of(const struct key *key, uint32_t *arena)
{
    struct slot_of_arena *slot = &arenas[key->arena];
    uint32_t made = load_acquire(&slot->made);
    if (!made) {
        unsigned created;
        if (!platform_arena_create(&range_source, &created))
            return false;
        if (cas(&slot->made, &made, created + 1))
            made = created + 1;
        else
            platform_arena_destroy(created);
        arena_apply_decay(slot);
    }
    *arena = made - 1;
    return true;
}

/* C8.2. */
void arena_purge(uint32_t arena)
{
    uint32_t made = load_acquire(&arenas[arena].made);
    if (made)
        platform_arena_purge(made - 1);
}

/* ------------------------------------------------------------------ memory */

/*
 * Looks and charges in one exchange: two threads cannot both take the last of the quota, and a request that is refused
 * is at no moment charged, so that it cannot make another one fail that has room. C8.1.
 */
static bool charge(struct heap *heap, size_t bytes)
{
    struct key *key = heap->key;
    uint64_t charged = load_relaxed(&key->charged);
    do {
        POINT("charge: looked");
        if (key->quota && (bytes > key->quota || charged > key->quota - bytes))
            return false;
    } while (!cas(&key->charged, &charged, charged + bytes));
    owner_add(&heap->arena_bytes, bytes);
    uint64_t peak = load_relaxed(&key->charged_peak);
    while (peak < charged + bytes && !cas(&key->charged_peak, &peak, charged + bytes))
        ;
    return true;
}

/* C8.1. */
static void discharge(struct heap *heap, size_t bytes)
{
    owner_add(&heap->arena_bytes, -bytes);
    fetch_sub(&heap->key->charged, bytes);
}

size_t arena_round(size_t bytes, size_t alignment)
{
    return bytes > range.bytes ? 0 : platform_arena_round(bytes, alignment);
}

void *arena_take(struct heap *heap, size_t bytes, size_t alignment, ks_status *status)
{
    uint32_t arena;
    *status = KS_QUOTA;
    if (!charge(heap, bytes))
        return NULL;
    void *start = arena_of(heap->key, &arena) ? platform_arena_take(arena, bytes, alignment) : NULL;
    if (start && (size_t)((char *)start - range.base) >= range.bytes) {
        /* jemalloc's fallback arena, in a thread that is ending, where jemalloc is the program's malloc. */
        platform_arena_give(start);
        start = NULL;
    }
    if (!start) {
        discharge(heap, bytes);
        *status = KS_NO_MEMORY;
        return NULL;
    }
    *status = KS_OK;
    return start;
}

void arena_give(struct heap *heap, void *start, size_t bytes)
{
    /* jemalloc finds the extent's arena by its address. */
    platform_arena_give(start);
    discharge(heap, bytes);
}

void arena_abandon(struct heap *heap, void *start, size_t bytes)
{
    platform_discard(start, bytes);
    discharge(heap, bytes);
}

/* ------------------------------------------------------------------ start */

bool arena_start(void)
{
    size_t bytes;
    range.base = platform_reserve(RANGE_WANTED, RANGE_LEAST, SLAB_BYTES * 8, &range.bytes);
    if (!range.base)
        return false;
    size_t count = range.bytes >> SLAB_SHIFT;
    range.slabs = platform_reserve(count * sizeof *range.slabs, count * sizeof *range.slabs, PAGE, &bytes);
    range.sides = platform_reserve(count * SIDE_BYTES, count * SIDE_BYTES, PAGE, &bytes);
    range.pasts = platform_reserve(count * sizeof *range.pasts, count * sizeof *range.pasts, PAGE, &bytes);
    if (!range.slabs || !range.sides || !range.pasts)
        return false;
    uint32_t processors = platform_processors();
    arenas_count = processors < ARENAS_MAX ? processors : ARENAS_MAX;
    for (uint32_t i = 0; i < ARENAS_MAX; i++)
        arenas[i].decay = DECAY_AS_EVER;
    own_arenas = (struct pool){
        .members = (char *)arenas,
        .stride = sizeof *arenas,
        .link_offset = offsetof(struct slot_of_arena, pool_link),
    };
    key_leave_arena = arena_leave;
    platform_arena_fallback(&range_source);
    return true;
}
