#include "memory/extents.h"

#include "classes/classes.h"
#include "memory/absent.h"

#include <pthread.h>

#define ARENAS_MAX   8192u
#define DRAWN_LEAST  ((uint32_t)8) /* slabs drawn at once: 2 MiB, the reach of one page table, or a huge page */
#define DIRTY_LEAST  ((size_t)8)   /* slabs that may always be free and resident; more where that was too few, */
#define DIRTY_MOST   ((size_t)128) /* up to this, */
#define DIRTY_PART   64            /* or this part of those in use */
#define ABSENT_LEAST ((uint32_t)8) /* slabs: shorter extents stay mapped when they are purged */

/* used == slabs in USED and USED_ZERO extents */
struct arena {
    bool huge;
    struct arena *spare_next;
    size_t used;
    size_t dirty_allowed; /* DIRTY_LEAST to DIRTY_MOST */
    uint32_t purged_most; /* the longest extent that was ever purged */
    int64_t decay;        /* as backend.decay has it */
    int64_t idle_since;   /* where that is milliseconds: when it was last looked at, */
    size_t idle;          /* and the slabs that have been dirty ever since */
    struct bins bins;
};

/* One lock for all arenas: it is held for some hundred nanoseconds, once for each slab that a thread takes. */
static struct {
    pthread_mutex_t lock;
    pthread_t forking; /* atomic: the thread that has the lock while it forks, else 0 */
    const struct extent_source *source;
    struct arena *arenas[ARENAS_MAX];
    uint32_t arenas_count;
    struct arena *spare; /* that were destroyed */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ------------------------------------------------------------------ the lock */

/* Other handlers of a fork may allocate while its thread has the lock, those of the child too (C10.1). */
static bool is_forking(void)
{
    return load_relaxed(&pool.forking) == pthread_self();
}

static void pool_lock(void)
{
    if (!is_forking())
        pthread_mutex_lock(&pool.lock);
}

static void pool_unlock(void)
{
    if (!is_forking())
        pthread_mutex_unlock(&pool.lock);
}

/* Noted for other handlers of the same fork (C10.1). */
static void lock_before_fork(void)
{
    pthread_mutex_lock(&pool.lock);
    store_relaxed(&pool.forking, pthread_self());
}

/* In the parent and in the child (C10.1). */
static void unlock_after_fork(void)
{
    store_relaxed(&pool.forking, (pthread_t)0);
    pthread_mutex_unlock(&pool.lock);
}

/* ------------------------------------------------------------------ from the range */

static char *source_draw(const struct arena *arena, uint32_t length)
{
    return (arena->huge ? pool.source->draw_huge : pool.source->draw)(length * SLAB_BYTES, SLAB_BYTES);
}

/* Whole huge pages, or 2 MiB at least. */
static uint32_t drawn_for(const struct arena *arena, uint32_t length)
{
    if (arena->huge)
        return (length + DRAWN_LEAST - 1) / DRAWN_LEAST * DRAWN_LEAST;
    return length > DRAWN_LEAST ? length : DRAWN_LEAST;
}

/* A new extent, ZERO and free. */
static struct extent *extent_draw(struct arena *arena, uint32_t length)
{
    uint32_t drawn = drawn_for(arena, length);
    char *start = source_draw(arena, drawn);
    if (!start && drawn > length)
        start = source_draw(arena, drawn = length);
    if (!start)
        return NULL;
    struct extent *extent = extent_rows(start, drawn);
    if (!extent) {
        pool.source->release(start, drawn * SLAB_BYTES);
        return NULL;
    }
    extent_insert(&arena->bins, extent, drawn, ZERO);
    return extent_find(&arena->bins, length, ZERO);
}

/* `length` slabs or more of what was unmapped, ZERO and free. */
static struct extent *extent_renew(struct arena *arena, uint32_t length)
{
    struct extent *extent = absent_renew(&arena->bins, arena->huge, length, drawn_for(arena, length));
    if (!extent)
        return NULL;
    extent_insert(&arena->bins, extent, extent->length, ZERO);
    return extent_find(&arena->bins, length, ZERO);
}

/* ------------------------------------------------------------------ back to the system */

/*
 * Takes a DIRTY extent's pages away, with the lock released: nobody else finds the extent meanwhile. Long ones are unmapped, so that
 * under a limit the program can map as much elsewhere; what lies around whole huge pages stays DIRTY then.
 */
static bool extent_purge(struct arena *arena, struct extent *extent)
{
    uint32_t length = absent_part(extent, arena->huge);
    bool unmap = length >= ABSENT_LEAST;
    if (!unmap)
        length = extent->length;
    extent = extent_cut(&arena->bins, extent, length, unmap ? absent_alignment(arena->huge) : SLAB_BYTES);
    char *start = extent_start(extent);
    pool_unlock();
    bool unmapped = unmap && pool.source->release(start, length * SLAB_BYTES);
    bool purged =
        unmapped || (arena->huge ? pool.source->discard_huge : pool.source->discard)(start, length * SLAB_BYTES);
    pool_lock();
    extent_insert(&arena->bins, extent, length, unmapped ? ABSENT : purged ? ZERO : DIRTY);
    if (purged && length > arena->purged_most)
        arena->purged_most = length;
    return purged;
}

/* The longest first: one call for each, and what is short is soon needed again. Ends where the system keeps its pages. */
static void purge_down_to(struct arena *arena, size_t most)
{
    bool purged = true;
    while (purged && arena->bins.dirty > most)
        purged = extent_purge(arena, extent_longest_dirty(&arena->bins));
}

/* What of a DIRTY extent can be unmapped. Whether it was. */
static bool extent_unmap(struct arena *arena, struct extent *extent)
{
    uint32_t length = absent_part(extent, arena->huge);
    if (!length)
        return false;
    extent = extent_cut(&arena->bins, extent, length, absent_alignment(arena->huge));
    bool unmapped = pool.source->release(extent_start(extent), length * SLAB_BYTES);
    if (unmapped)
        absent_share(extent, length, arena->huge);
    else
        extent_insert(&arena->bins, extent, length, DIRTY);
    return unmapped;
}

/* All of an arena that is free, the longest first. Whether there was any. */
static bool arena_unmap(struct arena *arena)
{
    bool any = absent_share_all(&arena->bins, arena->huge);
    extent_merge_zero(&arena->bins);
    for (uint32_t bin = BINS; bin-- > 0;)
        for (struct extent *extent = LIST_FIRST(&arena->bins.lists[0][bin]), *next; extent; extent = next) {
            next = LIST_NEXT(extent, link);
            any |= extent_unmap(arena, extent);
        }
    return any;
}

/*
 * For when the system refuses to map more: unmaps all that is free, in every arena, so that it no longer counts against a limit, any
 * arena can have it, and neighbours become one extent. Whether there was any.
 */
static bool unmap_all(void)
{
    bool any = false;
    for (uint32_t i = 0; i < pool.arenas_count; i++)
        any |= arena_unmap(pool.arenas[i]);
    return any;
}

static size_t dirty_most(const struct arena *arena)
{
    return arena->used / DIRTY_PART > arena->dirty_allowed ? arena->used / DIRTY_PART : arena->dirty_allowed;
}

/* Where nobody has said how long pages stay, it is their number that counts. */
static void purge_excess(struct arena *arena)
{
    if (arena->bins.dirty > dirty_most(arena))
        purge_down_to(arena, dirty_most(arena) / 2);
}

/*
 * A long extent had to be new. If one like it has been purged before, the program may be taking and freeing the same all the
 * time: the next one stays.
 */
static void regret_purge(struct arena *arena, uint32_t length)
{
    size_t wanted = 2 * (size_t)length < DIRTY_MOST ? 2 * (size_t)length : DIRTY_MOST;
    if (length <= arena->purged_most && wanted > arena->dirty_allowed)
        arena->dirty_allowed = wanted;
}

/* What has not been needed for half of the time that pages may stay, in which case it goes before the time is over. */
static void purge_idle(struct arena *arena)
{
    int64_t now = platform_milliseconds();
    if (arena->bins.dirty < arena->idle)
        arena->idle = arena->bins.dirty;
    if (now - arena->idle_since < arena->decay / 2)
        return;
    size_t idle = arena->idle;
    arena->idle = arena->bins.dirty - idle;
    arena->idle_since = now;
    purge_down_to(arena, arena->bins.dirty - idle);
}

/* After each extent that was taken or given. */
static void purge_due(struct arena *arena)
{
    if (arena->decay == DECAY_AS_EVER)
        purge_excess(arena);
    else if (arena->decay == 0)
        purge_down_to(arena, 0);
    else if (arena->decay > 0)
        purge_idle(arena);
}

/* ------------------------------------------------------------------ arenas */

/* As early as can be: what registers for forks later and allocates in its handlers does so with the lock released. */
static bool extents_start(const struct extent_source *source)
{
    pool.source = source;
    absent_start(source, ARENAS_MAX);
    return extent_rows_start() && pthread_atfork(lock_before_fork, unlock_after_fork, unlock_after_fork) == 0;
}

static struct arena *arena_map(void)
{
    struct arena *arena = platform_map(sizeof *arena);
    return arena || !unmap_all() ? arena : platform_map(sizeof *arena);
}

static struct arena *arena_new(void)
{
    struct arena *arena = pool.spare;
    if (arena) {
        pool.spare = arena->spare_next;
        return arena;
    }
    if (pool.arenas_count == ARENAS_MAX || !(arena = arena_map()))
        return NULL;
    arena->bins.arena = (uint16_t)pool.arenas_count;
    pool.arenas[pool.arenas_count++] = arena;
    return arena;
}

static bool extents_create(bool huge, unsigned *index)
{
    if (FAULT())
        return false;
    pool_lock();
    struct arena *arena = arena_new();
    if (arena) {
        arena->huge = huge;
        arena->decay = DECAY_AS_EVER;
        arena->dirty_allowed = DIRTY_LEAST;
        *index = arena->bins.arena;
    }
    pool_unlock();
    return arena != NULL;
}

static void extents_destroy(unsigned index)
{
    pool_lock();
    struct arena *arena = pool.arenas[index];
    arena->spare_next = pool.spare;
    pool.spare = arena;
    pool_unlock();
}

/* A free extent, `length` slabs or more: DIRTY ones first, because they need no new pages. */
static struct extent *extent_get(struct arena *arena, uint32_t length)
{
    struct extent *extent = extent_find(&arena->bins, length, DIRTY);
    if (!extent)
        extent = extent_find(&arena->bins, length, ZERO);
    if (!extent)
        extent = extent_renew(arena, length);
    return extent ? extent : extent_draw(arena, length);
}

static struct extent *extent_take(struct arena *arena, uint32_t length, size_t alignment)
{
    uint32_t slack = alignment > SLAB_BYTES ? (uint32_t)(alignment >> SLAB_SHIFT) - 1 : 0;
    struct extent *extent = extent_get(arena, length + slack);
    if (!extent && unmap_all())
        extent = extent_get(arena, length + slack);
    if (!extent)
        return NULL;
    if (extent->kind == ZERO)
        regret_purge(arena, length);
    arena->used += length;
    return extent_cut(&arena->bins, extent, length, alignment);
}

static void *extents_take(unsigned index, size_t bytes, size_t alignment)
{
    if (FAULT() || bytes + alignment > (size_t)UINT32_MAX << SLAB_SHIFT)
        return NULL;
    pool_lock();
    struct arena *arena = pool.arenas[index];
    struct extent *extent = extent_take(arena, (uint32_t)((bytes + SLAB_BYTES - 1) >> SLAB_SHIFT), alignment);
    if (extent)
        purge_due(arena);
    pool_unlock();
    return extent ? extent_start(extent) : NULL;
}

static void extents_give(void *start)
{
    pool_lock();
    struct extent *extent = extent_at(start);
    struct arena *arena = pool.arenas[extent->arena];
    arena->used -= extent->length;
    extent_insert(&arena->bins, extent, extent->length, DIRTY);
    purge_due(arena);
    pool_unlock();
}

/* Four sizes to a doubling, of whole pages, as jemalloc's: quotas count bytes, not addresses. */
static size_t extents_round(size_t bytes, size_t alignment)
{
    (void)alignment;
    if (bytes <= PAGE)
        return PAGE;
    size_t step = (size_t)1 << (63 - __builtin_clzl(bytes - 1)) >> 2;
    if (step < PAGE)
        step = PAGE;
    return (bytes + step - 1) & -step;
}

static void extents_decay(unsigned index, int64_t milliseconds)
{
    pool_lock();
    struct arena *arena = pool.arenas[index];
    arena->decay = milliseconds;
    if (milliseconds > 0) {
        arena->idle = arena->bins.dirty;
        arena->idle_since = platform_milliseconds();
    }
    purge_due(arena);
    pool_unlock();
}

static void extents_purge(unsigned index)
{
    pool_lock();
    purge_down_to(pool.arenas[index], 0);
    pool_unlock();
}

bool extent_was_zero(const void *start)
{
    return extent_at(start)->kind == USED_ZERO;
}

const struct backend backend_extents = {
    .kind = KS_BACKEND_EXTENTS,
    .start = extents_start,
    .create = extents_create,
    .destroy = extents_destroy,
    .take = extents_take,
    .give = extents_give,
    .round = extents_round,
    .decay = extents_decay,
    .purge = extents_purge,
};
