#include "extents.h"

#include "classes.h"

#include <pthread.h>
#include <sys/queue.h>

#define ARENAS_MAX  8192u
#define DRAWN_LEAST ((uint32_t)8) /* slabs drawn at once: 2 MiB, the reach of one page table, or a huge page */
#define DIRTY_LEAST ((size_t)8)   /* slabs that may always be free and resident; more where that was too few, */
#define DIRTY_MOST  ((size_t)128) /* up to this, */
#define DIRTY_PART  64            /* or this part of those in use */
#define BINS_FINE   16            /* one for each length below; then four for each power of two */
#define BINS        (BINS_FINE + 4 * (32 - 4))
#define LOOKS_MOST  32                /* into the one bin whose extents may be too short */
#define ROWS_WANTED ((size_t)1 << 22) /* of a terabyte */
#define ROWS_LEAST  ((size_t)1 << 12)
#define ROWS_STEP   ((size_t)1 << 12) /* made readable at once: sparse tables count in full where memory is locked */

enum kind { OUTSIDE, USED, USED_ZERO, DIRTY, ZERO };

/*
 * A row for each slab of the range, from the lowest that was drawn. At all times, under the lock
 *
 *     the first and the last row of an extent have its kind, length and arena; the others are not looked at
 *     a free extent, DIRTY or ZERO, is in its arena's bin of its kind and length, and no neighbour of its arena is of its kind
 */
struct extent {
    LIST_ENTRY(extent) link; /* a bin */
    uint32_t length;         /* slabs */
    uint16_t arena;
    uint8_t kind;
};

LIST_HEAD(bin_list, extent);

/* used == slabs in USED and USED_ZERO extents; dirty == slabs in DIRTY ones */
struct arena {
    uint16_t index;
    bool huge;
    struct arena *spare_next;
    size_t used;
    size_t dirty;
    size_t dirty_allowed;          /* DIRTY_LEAST to DIRTY_MOST */
    uint32_t purged_most;          /* the longest extent that was ever purged */
    int64_t decay;                 /* as backend.decay has it */
    int64_t idle_since;            /* where that is milliseconds: when it was last looked at, */
    size_t idle;                   /* and the slabs that have been dirty ever since */
    struct bin_list bins[2][BINS]; /* DIRTY, ZERO */
};

/* One lock for all arenas: it is held for some hundred nanoseconds, once for each slab that a thread takes. */
static struct {
    pthread_mutex_t lock;
    pthread_t forking; /* atomic: the thread that has the lock while it forks, else 0 */
    const struct extent_source *source;
    struct extent *rows; /* rows[0] is OUTSIDE, as is the row behind the last: nobody's neighbour is missing */
    size_t rows_count;
    size_t rows_ready; /* that can be read and written */
    char *base;        /* the address of rows[1] */
    struct arena *arenas[ARENAS_MAX];
    uint32_t arenas_count;
    struct arena *spare; /* that were destroyed */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ------------------------------------------------------------------ the lock */

/* Other handlers of a fork may allocate while its thread has the lock, those of the child too. C10.1. */
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

/* C10.1. */
static void lock_before_fork(void)
{
    pthread_mutex_lock(&pool.lock);
    store_relaxed(&pool.forking, pthread_self());
}

/* C10.1. */
static void unlock_after_fork(void)
{
    store_relaxed(&pool.forking, (pthread_t)0);
    pthread_mutex_unlock(&pool.lock);
}

/* ------------------------------------------------------------------ lengths and rows */

static uint32_t bin_of_length(uint32_t length)
{
    if (length < BINS_FINE)
        return length;
    uint32_t log = 31 - (uint32_t)__builtin_clz(length);
    return BINS_FINE + 4 * (log - 4) + (length >> (log - 2) & 3);
}

static struct extent *row_of(const void *start)
{
    return &pool.rows[1 + ((size_t)((const char *)start - pool.base) >> SLAB_SHIFT)];
}

static char *start_of(const struct extent *extent)
{
    return pool.base + ((size_t)(extent - pool.rows - 1) << SLAB_SHIFT);
}

static void extent_mark(const struct arena *arena, struct extent *extent, uint32_t length, enum kind kind)
{
    struct extent *last = extent + length - 1;
    extent->length = last->length = length;
    extent->arena = last->arena = arena->index;
    extent->kind = last->kind = (uint8_t)kind;
}

static bool is_alike(const struct arena *arena, const struct extent *extent, enum kind kind)
{
    return extent->kind == kind && extent->arena == arena->index;
}

/* ------------------------------------------------------------------ bins */

static void extent_remove(struct arena *arena, struct extent *extent)
{
    LIST_REMOVE(extent, link);
    if (extent->kind == DIRTY)
        arena->dirty -= extent->length;
}

/* Becomes free, one with the neighbours that are free alike. */
static void extent_insert(struct arena *arena, struct extent *extent, uint32_t length, enum kind kind)
{
    struct extent *after = extent + length;
    if (is_alike(arena, after, kind)) {
        extent_remove(arena, after);
        length += after->length;
    }
    if (is_alike(arena, extent - 1, kind)) {
        struct extent *before = extent - extent[-1].length;
        extent_remove(arena, before);
        length += before->length;
        extent = before;
    }
    extent_mark(arena, extent, length, kind);
    LIST_INSERT_HEAD(&arena->bins[kind == ZERO][bin_of_length(length)], extent, link);
    if (kind == DIRTY)
        arena->dirty += length;
}

/* A free extent of a kind, `length` slabs or more: of the shortest there are, where the bins tell. NULL: none. */
static struct extent *extent_find(struct arena *arena, uint32_t length, enum kind kind)
{
    struct bin_list *bins = arena->bins[kind == ZERO];
    uint32_t bin = bin_of_length(length);
    struct extent *best = NULL;
    struct extent *extent;
    int looks = LOOKS_MOST;
    LIST_FOREACH (extent, &bins[bin], link) {
        if (extent->length >= length && (!best || extent->length < best->length))
            best = extent;
        if ((best && best->length == length) || !--looks)
            break;
    }
    while (!best && ++bin < BINS)
        best = LIST_FIRST(&bins[bin]);
    return best;
}

/* ------------------------------------------------------------------ from the range */

/* Rows up to `count`, and the one behind them. */
static bool rows_reach(size_t count)
{
    size_t ready = pool.rows_ready;
    if (count < ready)
        return true;
    size_t wanted = (count / ROWS_STEP + 1) * ROWS_STEP;
    if (wanted > pool.rows_count || !platform_commit(pool.rows + ready, (wanted - ready) * sizeof *pool.rows))
        return false;
    pool.rows_ready = wanted;
    return true;
}

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

/* A new extent, ZERO and free. The first one is the lowest there will be. */
static struct extent *extent_draw(struct arena *arena, uint32_t length)
{
    uint32_t drawn = drawn_for(arena, length);
    char *start = source_draw(arena, drawn);
    if (!start && drawn > length)
        start = source_draw(arena, drawn = length);
    if (!start)
        return NULL;
    if (!pool.base)
        pool.base = start;
    struct extent *extent = row_of(start);
    if (!rows_reach((size_t)(extent - pool.rows) + drawn))
        return NULL;
    extent_insert(arena, extent, drawn, ZERO);
    return extent_find(arena, length, ZERO);
}

/* ------------------------------------------------------------------ back to the system */

/* Takes a DIRTY extent's pages away, with the lock released: nobody else finds the extent meanwhile. */
static bool extent_purge(struct arena *arena, struct extent *extent)
{
    uint32_t length = extent->length;
    extent_remove(arena, extent);
    extent_mark(arena, extent, length, USED);
    pool_unlock();
    bool purged = (arena->huge ? pool.source->discard_huge : pool.source->discard)(start_of(extent), length * SLAB_BYTES);
    pool_lock();
    extent_insert(arena, extent, length, purged ? ZERO : DIRTY);
    if (purged && length > arena->purged_most)
        arena->purged_most = length;
    return purged;
}

/* The longest first: one call for each, and what is short is soon needed again. Ends where the system keeps its pages. */
static void purge_down_to(struct arena *arena, size_t most)
{
    bool purged = true;
    for (uint32_t bin = BINS; bin-- > 0;)
        while (purged && arena->dirty > most && !LIST_EMPTY(&arena->bins[0][bin]))
            purged = extent_purge(arena, LIST_FIRST(&arena->bins[0][bin]));
}

static size_t dirty_most(const struct arena *arena)
{
    return arena->used / DIRTY_PART > arena->dirty_allowed ? arena->used / DIRTY_PART : arena->dirty_allowed;
}

/* Where nobody has said how long pages stay, it is their number that counts. */
static void purge_excess(struct arena *arena)
{
    if (arena->dirty > dirty_most(arena))
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
    if (arena->dirty < arena->idle)
        arena->idle = arena->dirty;
    if (now - arena->idle_since < arena->decay / 2)
        return;
    size_t idle = arena->idle;
    arena->idle = arena->dirty - idle;
    arena->idle_since = now;
    purge_down_to(arena, arena->dirty - idle);
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
    size_t bytes = 0;
    pool.source = source;
    pool.rows = platform_reserve(ROWS_WANTED * sizeof *pool.rows, ROWS_LEAST * sizeof *pool.rows, PAGE, &bytes);
    pool.rows_count = bytes / sizeof *pool.rows;
    return pool.rows && pthread_atfork(lock_before_fork, unlock_after_fork, unlock_after_fork) == 0;
}

static struct arena *arena_new(void)
{
    struct arena *arena = pool.spare;
    if (arena) {
        pool.spare = arena->spare_next;
        return arena;
    }
    if (pool.arenas_count == ARENAS_MAX || !(arena = platform_map(sizeof *arena)))
        return NULL;
    arena->index = (uint16_t)pool.arenas_count;
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
        *index = arena->index;
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

/* `length` slabs of a free extent, aligned; the rest stays free. */
static struct extent *extent_cut(struct arena *arena, struct extent *extent, uint32_t length, size_t alignment)
{
    enum kind kind = extent->kind;
    uint32_t whole = extent->length;
    uintptr_t start = (uintptr_t)start_of(extent);
    uintptr_t aligned = (start + alignment - 1) & -alignment;
    uint32_t before = (uint32_t)((aligned - start) >> SLAB_SHIFT);
    extent_remove(arena, extent);
    extent_mark(arena, extent + before, length, kind == ZERO ? USED_ZERO : USED);
    if (before)
        extent_insert(arena, extent, before, kind);
    if (before + length < whole)
        extent_insert(arena, extent + before + length, whole - before - length, kind);
    return extent + before;
}

/* DIRTY ones first: they need no new pages. */
static struct extent *extent_take(struct arena *arena, uint32_t length, size_t alignment)
{
    uint32_t slack = alignment > SLAB_BYTES ? (uint32_t)(alignment >> SLAB_SHIFT) - 1 : 0;
    struct extent *extent = extent_find(arena, length + slack, DIRTY);
    if (!extent)
        extent = extent_find(arena, length + slack, ZERO);
    if (!extent)
        extent = extent_draw(arena, length + slack);
    if (!extent)
        return NULL;
    if (extent->kind == ZERO)
        regret_purge(arena, length);
    arena->used += length;
    return extent_cut(arena, extent, length, alignment);
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
    return extent ? start_of(extent) : NULL;
}

static void extents_give(void *start)
{
    pool_lock();
    struct extent *extent = row_of(start);
    struct arena *arena = pool.arenas[extent->arena];
    arena->used -= extent->length;
    extent_insert(arena, extent, extent->length, DIRTY);
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
    arena->idle = arena->dirty;
    arena->idle_since = platform_milliseconds();
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
    return row_of(start)->kind == USED_ZERO;
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
