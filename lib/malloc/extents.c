#include "extents.h"

#include "classes.h"
#include "stretch.h"

#include <pthread.h>
#include <sys/queue.h>

#define DRAWN_LEAST  ((uint32_t)8) /* slabs drawn at once: 2 MiB, the reach of one page table */
#define DIRTY_LEAST  ((size_t)8)   /* slabs that may always be free and resident; more where that was too few, */
#define DIRTY_MOST   ((size_t)128) /* up to this, */
#define DIRTY_PART   64            /* or this part of those in use */
#define FINE_MOST    ((uint32_t)8) /* slabs: longer extents come in an eighth's steps of a power of two */
#define BINS_FINE    16            /* one for each length below; then four for each power of two */
#define BINS         (BINS_FINE + 4 * (32 - 4))
#define LOOKS_MOST   32                 /* into the one bin whose extents may be too short */
#define ABSENT_LEAST ((uint32_t)8)      /* slabs: shorter extents stay mapped when they are purged */
#define ABSENT_MOST  ((size_t)16384)    /* extents: each parts a mapping in two, and Linux allows a process 65,530 */
#define ROWS_MOST    ((size_t)1 << 22)  /* of a terabyte, */
#define ROWS_STEP    ((size_t)96 << 10) /* bytes of them that are mapped at once: of a gigabyte */

enum kind { OUTSIDE, USED, USED_ZERO, DIRTY, ZERO, ABSENT /* not mapped */ };

#define FREE_KINDS (1 + ABSENT - DIRTY)

/*
 * A row for each slab of the range, from the lowest that was drawn. At all times, under the lock
 *
 *     the first and the last row of an extent have its kind and length; the others are not looked at
 *     a free extent, DIRTY, ZERO or ABSENT, is in the bin of its kind and length, and no neighbour of it is of its kind
 *     used == slabs in USED and USED_ZERO extents; dirty == slabs in DIRTY ones; absent == ABSENT extents
 */
struct extent {
    LIST_ENTRY(extent) link; /* a bin */
    uint32_t length;         /* slabs */
    uint8_t kind;
};

LIST_HEAD(bin_list, extent);

static struct {
    pthread_mutex_t lock;
    const struct platform_extent_source *source;
    struct extent *rows;    /* rows[0] is OUTSIDE, as is the row behind the last: nobody's neighbour is missing */
    struct stretch stretch; /* of the rows */
    char *base;             /* the address of rows[1] */
    size_t used;
    size_t dirty;
    size_t absent;
    size_t dirty_allowed;                   /* DIRTY_LEAST to DIRTY_MOST */
    uint32_t purged_most;                   /* the longest extent that was ever purged */
    struct bin_list bins[FREE_KINDS][BINS]; /* DIRTY, ZERO, ABSENT */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .dirty_allowed = DIRTY_LEAST};

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

static void extent_mark(struct extent *extent, uint32_t length, enum kind kind)
{
    struct extent *last = extent + length - 1;
    extent->length = last->length = length;
    extent->kind = last->kind = (uint8_t)kind;
}

/* ------------------------------------------------------------------ bins */

static struct bin_list *bins_of(enum kind kind)
{
    return pool.bins[kind - DIRTY];
}

static void extent_remove(struct extent *extent)
{
    LIST_REMOVE(extent, link);
    if (extent->kind == DIRTY)
        pool.dirty -= extent->length;
    pool.absent -= extent->kind == ABSENT;
}

/* Becomes free, one with the neighbours that are free alike. */
static void extent_insert(struct extent *extent, uint32_t length, enum kind kind)
{
    struct extent *after = extent + length;
    if (after->kind == kind) {
        extent_remove(after);
        length += after->length;
    }
    if (extent[-1].kind == kind) {
        struct extent *before = extent - extent[-1].length;
        extent_remove(before);
        length += before->length;
        extent = before;
    }
    extent_mark(extent, length, kind);
    LIST_INSERT_HEAD(&bins_of(kind)[bin_of_length(length)], extent, link);
    if (kind == DIRTY)
        pool.dirty += length;
    pool.absent += kind == ABSENT;
}

/* A free extent of a kind, `length` slabs or more: of the shortest there are, where the bins tell. NULL: none. */
static struct extent *extent_find(uint32_t length, enum kind kind)
{
    struct bin_list *bins = bins_of(kind);
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

/* ------------------------------------------------------------------ from the range, and back to the system */

/* Rows up to `count`, and the one behind them. */
static bool rows_reach(size_t count)
{
    return stretch_reach(&pool.stretch, (count + 1) * sizeof *pool.rows);
}

/* A new extent, ZERO and free. The first one is the lowest there will be. */
static struct extent *extent_draw(uint32_t length)
{
    if (!pool.rows)
        return NULL;
    uint32_t drawn = length > DRAWN_LEAST ? length : DRAWN_LEAST;
    char *start = pool.source->draw(drawn * SLAB_BYTES, SLAB_BYTES);
    if (!start && drawn > length)
        start = pool.source->draw((drawn = length) * SLAB_BYTES, SLAB_BYTES);
    if (!start)
        return NULL;
    if (!pool.base)
        pool.base = start;
    struct extent *extent = row_of(start);
    if (!rows_reach((size_t)(extent - pool.rows) + drawn)) {
        pool.source->release(start, drawn * SLAB_BYTES);
        return NULL;
    }
    extent_insert(extent, drawn, ZERO);
    return extent_find(length, ZERO);
}

/* `length` slabs or more of an ABSENT extent, mapped again. */
static struct extent *extent_renew(uint32_t length)
{
    struct extent *extent = extent_find(length, ABSENT);
    if (!extent)
        return NULL;
    uint32_t whole = extent->length;
    uint32_t renewed = length > DRAWN_LEAST ? length : DRAWN_LEAST;
    if (renewed > whole)
        renewed = whole;
    if (!pool.source->renew(start_of(extent), renewed * SLAB_BYTES))
        return NULL;
    extent_remove(extent);
    extent_mark(extent, renewed, USED);
    if (renewed < whole)
        extent_insert(extent + renewed, whole - renewed, ABSENT);
    extent_insert(extent, renewed, ZERO);
    return extent_find(length, ZERO);
}

static bool extent_unmap(char *start, uint32_t length)
{
    return pool.absent < ABSENT_MOST && pool.source->release(start, length * SLAB_BYTES);
}

/*
 * Takes a DIRTY extent's pages away, with the lock released: nobody else finds the extent meanwhile. Long ones are unmapped, so
 * that under a limit the program can map as much elsewhere.
 */
static bool extent_purge(struct extent *extent)
{
    uint32_t length = extent->length;
    char *start = start_of(extent);
    extent_remove(extent);
    extent_mark(extent, length, USED);
    pthread_mutex_unlock(&pool.lock);
    bool unmapped = length >= ABSENT_LEAST && extent_unmap(start, length);
    bool purged = unmapped || platform_discard(start, length * SLAB_BYTES);
    pthread_mutex_lock(&pool.lock);
    extent_insert(extent, length, unmapped ? ABSENT : purged ? ZERO : DIRTY);
    if (purged && length > pool.purged_most)
        pool.purged_most = length;
    return purged;
}

/* The longest first: one call for each, and what is short is soon needed again. Ends where the system keeps its pages. */
static void purge_down_to(size_t most)
{
    bool purged = true;
    for (uint32_t bin = BINS; bin-- > 0;)
        while (purged && pool.dirty > most && !LIST_EMPTY(&bins_of(DIRTY)[bin]))
            purged = extent_purge(LIST_FIRST(&bins_of(DIRTY)[bin]));
}

/*
 * For when the system refuses to map more: unmaps all that is free, so that it no longer counts against a limit, and free neighbours of
 * any kind become one extent. Whether there was any.
 */
static bool unmap_all(void)
{
    bool any = false;
    bool unmapped = true;
    for (enum kind kind = DIRTY; kind <= ZERO; kind++)
        for (uint32_t bin = BINS; bin-- > 0;)
            for (struct extent *extent; unmapped && (extent = LIST_FIRST(&bins_of(kind)[bin]));) {
                uint32_t length = extent->length;
                unmapped = extent_unmap(start_of(extent), length);
                if (!unmapped)
                    continue;
                extent_remove(extent);
                extent_insert(extent, length, ABSENT);
                any = true;
            }
    return any;
}

static size_t dirty_most(void)
{
    return pool.used / DIRTY_PART > pool.dirty_allowed ? pool.used / DIRTY_PART : pool.dirty_allowed;
}

/*
 * A long extent had to be new. If one like it has been purged before, the program may be taking and freeing the same all the
 * time: the next one stays.
 */
static void regret_purge(uint32_t length)
{
    size_t wanted = 2 * (size_t)length < DIRTY_MOST ? 2 * (size_t)length : DIRTY_MOST;
    if (length <= pool.purged_most && wanted > pool.dirty_allowed)
        pool.dirty_allowed = wanted;
}

/* ------------------------------------------------------------------ the arena */

static void lock_before_fork(void)
{
    pthread_mutex_lock(&pool.lock);
}

static void unlock_after_fork(void)
{
    pthread_mutex_unlock(&pool.lock);
}

/* Called once, at the start: before anybody else could register for forks and allocate while the lock is held. */
void platform_arena_fallback(const struct platform_extent_source *source)
{
    pool.source = source;
    if (!stretch_start(&pool.stretch, (window_share(ROWS_MOST) + 2) * sizeof *pool.rows, ROWS_STEP))
        return;
    if (pthread_atfork(lock_before_fork, unlock_after_fork, unlock_after_fork) == 0)
        pool.rows = (struct extent *)pool.stretch.base;
}

/* There is one arena, and it is there. Nobody asks for huge pages: the process's key has built-in settings. */
bool platform_arena_create(const struct platform_extent_source *source, bool huge, unsigned *arena)
{
    (void)source, (void)huge;
    *arena = 0;
    return pool.rows && !FAULT();
}

void platform_arena_destroy(unsigned arena)
{
    (void)arena;
}

/* `length` slabs of a free extent, aligned; the rest stays free. */
static struct extent *extent_cut(struct extent *extent, uint32_t length, size_t alignment)
{
    enum kind kind = extent->kind;
    uint32_t whole = extent->length;
    uintptr_t start = (uintptr_t)start_of(extent);
    uintptr_t aligned = (start + alignment - 1) & -alignment;
    uint32_t before = (uint32_t)((aligned - start) >> SLAB_SHIFT);
    extent_remove(extent);
    extent_mark(extent + before, length, kind == ZERO ? USED_ZERO : USED);
    if (before)
        extent_insert(extent, before, kind);
    if (before + length < whole)
        extent_insert(extent + before + length, whole - before - length, kind);
    return extent + before;
}

/* A free extent, DIRTY or ZERO, of `length` slabs or more. */
static struct extent *extent_get(uint32_t length)
{
    struct extent *extent = extent_find(length, DIRTY);
    if (!extent)
        extent = extent_find(length, ZERO);
    if (!extent)
        extent = extent_renew(length);
    return extent ? extent : extent_draw(length);
}

void *platform_arena_take(unsigned arena, size_t bytes, size_t alignment)
{
    (void)arena;
    if (FAULT() || bytes + alignment > (size_t)UINT32_MAX << SLAB_SHIFT)
        return NULL;
    uint32_t length = (uint32_t)((bytes + SLAB_BYTES - 1) >> SLAB_SHIFT);
    uint32_t slack = alignment > SLAB_BYTES ? (uint32_t)(alignment >> SLAB_SHIFT) - 1 : 0;
    pthread_mutex_lock(&pool.lock);
    struct extent *extent = extent_get(length + slack);
    if (!extent && unmap_all())
        extent = extent_get(length + slack);
    if (extent) {
        if (extent->kind == ZERO)
            regret_purge(length);
        extent = extent_cut(extent, length, alignment);
        pool.used += length;
    }
    pthread_mutex_unlock(&pool.lock);
    return extent ? start_of(extent) : NULL;
}

void platform_arena_give(void *start)
{
    pthread_mutex_lock(&pool.lock);
    struct extent *extent = row_of(start);
    pool.used -= extent->length;
    extent_insert(extent, extent->length, DIRTY);
    if (pool.dirty > dirty_most())
        purge_down_to(dirty_most() / 2);
    pthread_mutex_unlock(&pool.lock);
}

/* Untouched pages cost nothing, so long blocks have room to grow by an eighth where they are. Zero bytes are a block, too. */
size_t platform_arena_round(size_t bytes, size_t alignment)
{
    (void)alignment;
    size_t length = bytes ? (bytes - 1) / SLAB_BYTES + 1 : 1;
    if (length > FINE_MOST) {
        size_t step = (size_t)1 << (63 - __builtin_clzl(length - 1)) >> 3;
        length = (length + step - 1) / step * step;
    }
    return length << SLAB_SHIFT;
}

/* Nobody sets a decay: the process's key has built-in settings. */
void platform_arena_decay(unsigned arena, int64_t milliseconds)
{
    (void)arena, (void)milliseconds;
}

void platform_arena_purge(unsigned arena)
{
    (void)arena;
    pthread_mutex_lock(&pool.lock);
    purge_down_to(0);
    pthread_mutex_unlock(&pool.lock);
}

bool extent_was_zero(const void *start)
{
    return row_of(start)->kind == USED_ZERO;
}
