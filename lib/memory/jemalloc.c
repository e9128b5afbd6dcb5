/*
 * Arenas over jemalloc, where the process has it: its functions are weak references, which are NULL where it was not loaded
 * with the program. docs/jemalloc.md.
 */
#include "memory/jemalloc.h"

#include <stdio.h>

#if KS_JEMALLOC_PRIVATE

/* In libkeyslab-jemalloc, whose functions carry a prefix. */
#define FROM_JEMALLOC __attribute__((weak, visibility("default")))
FROM_JEMALLOC void *keyslab_je_mallocx(size_t size, int flags);
FROM_JEMALLOC void keyslab_je_dallocx(void *block, int flags);
FROM_JEMALLOC size_t keyslab_je_nallocx(size_t size, int flags);
FROM_JEMALLOC int keyslab_je_mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size);

#define jemalloc(name)       keyslab_je_##name
#define MALLOCX_LG_ALIGN(la) ((int)(la))
#define MALLOCX_TCACHE_NONE  (1 << 8)
#define MALLOCX_ARENA(index) ((((int)(index)) + 1) << 20)

/* jemalloc's extent hooks, as <jemalloc/jemalloc.h> declares them. */
typedef struct extent_hooks_s extent_hooks_t;
struct extent_hooks_s {
    void *(*alloc)(extent_hooks_t *, void *, size_t, size_t, bool *, bool *, unsigned);
    bool (*dalloc)(extent_hooks_t *, void *, size_t, bool, unsigned);
    void (*destroy)(extent_hooks_t *, void *, size_t, bool, unsigned);
    bool (*commit)(extent_hooks_t *, void *, size_t, size_t, size_t, unsigned);
    bool (*decommit)(extent_hooks_t *, void *, size_t, size_t, size_t, unsigned);
    bool (*purge_lazy)(extent_hooks_t *, void *, size_t, size_t, size_t, unsigned);
    bool (*purge_forced)(extent_hooks_t *, void *, size_t, size_t, size_t, unsigned);
    bool (*split)(extent_hooks_t *, void *, size_t, size_t, size_t, bool, unsigned);
    bool (*merge)(extent_hooks_t *, void *, size_t, void *, size_t, bool, unsigned);
};

#else

#include <jemalloc/jemalloc.h>

#pragma weak mallocx
#pragma weak dallocx
#pragma weak nallocx
#pragma weak mallctl
#define jemalloc(name) name

#endif

/*
 * Extents are drawn from one range, and adjacent ones may always be split and merged. An extent is
 * never given back, only its pages are: refusing dalloc makes jemalloc retain it. Pages are purged by
 * MADV_DONTNEED alone, so that what a purge gives back leaves the resident set at once.
 */
struct arena_hooks {
    extent_hooks_t hooks;
    void *(*draw)(size_t bytes, size_t alignment);
    bool (*discard)(void *start, size_t bytes);
};

static void *extent_alloc(extent_hooks_t *hooks, void *wanted, size_t size, size_t alignment, bool *zero, bool *commit,
                          unsigned arena)
{
    (void)arena;
    if (wanted)
        return NULL;
    void *extent = ((struct arena_hooks *)hooks)->draw(size, alignment);
    if (extent) {
        *zero = true;
        *commit = true;
    }
    return extent;
}

static bool extent_purge(extent_hooks_t *hooks, void *start, size_t size, size_t offset, size_t length, unsigned arena)
{
    (void)size, (void)arena;
    return !((struct arena_hooks *)hooks)->discard((char *)start + offset, length);
}

static bool extent_split(extent_hooks_t *hooks, void *start, size_t size, size_t left, size_t right, bool committed,
                         unsigned arena)
{
    (void)hooks, (void)start, (void)size, (void)left, (void)right, (void)committed, (void)arena;
    return false;
}

static bool extent_merge(extent_hooks_t *hooks, void *left, size_t left_size, void *right, size_t right_size,
                         bool committed, unsigned arena)
{
    (void)hooks, (void)left, (void)left_size, (void)right, (void)right_size, (void)committed, (void)arena;
    return false;
}

/* With ordinary and with huge pages. Written at the start; jemalloc reads them for as long as the arenas live, which is for ever. */
static struct arena_hooks arena_hooks[2] = {
    [false... true].hooks =
        {
            .alloc = extent_alloc,
            .purge_forced = extent_purge,
            .split = extent_split,
            .merge = extent_merge,
        },
};

/*
 * The arena that jemalloc falls back on, whatever arena is asked for, in a thread whose jemalloc data have been destroyed, gets the
 * hooks, too. Where jemalloc is the program's malloc, that arena is not ours to change: see arena_take.
 */
static bool jemalloc_start(const struct extent_source *source)
{
    arena_hooks[false].draw = source->draw;
    arena_hooks[false].discard = source->discard;
    arena_hooks[true].draw = source->draw_huge;
    arena_hooks[true].discard = source->discard_huge;
#if KS_JEMALLOC_PRIVATE
    extent_hooks_t *hooks = &arena_hooks[false].hooks;
    jemalloc(mallctl)("arena.0.extent_hooks", NULL, NULL, &hooks, sizeof hooks);
#endif
    return true;
}

static void arena_set(unsigned arena, const char *what, void *value, size_t size)
{
    char name[48];
    snprintf(name, sizeof name, "arena.%u.%s", arena, what);
    jemalloc(mallctl)(name, NULL, NULL, value, size);
}

/*
 * Only after it is made, because the books that an arena begins with are 88 KiB of a 2 MiB extent: as a huge page they would be resident
 * in full. One huge page is drawn at once, where jemalloc would draw 2 MiB, 2.5 MiB, 3 MiB and so on, which end amid one.
 */
static void arena_draw_huge(unsigned arena)
{
    extent_hooks_t *hooks = &arena_hooks[true].hooks;
    size_t most = HUGE_PAGE;
    arena_set(arena, "extent_hooks", &hooks, sizeof hooks);
    arena_set(arena, "retain_grow_limit", &most, sizeof most);
}

static bool jemalloc_create(bool huge, unsigned *arena)
{
    if (FAULT())
        return false;
    extent_hooks_t *hooks = &arena_hooks[false].hooks;
    size_t size = sizeof *arena;
    if (jemalloc(mallctl)("arenas.create", arena, &size, &hooks, sizeof hooks))
        return false;
    if (huge)
        arena_draw_huge(*arena);
    return true;
}

static int flags_of(unsigned arena, size_t alignment)
{
    return MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE | MALLOCX_LG_ALIGN(__builtin_ctzl(alignment));
}

static void *jemalloc_take(unsigned arena, size_t bytes, size_t alignment)
{
    return FAULT() ? NULL : jemalloc(mallocx)(bytes, flags_of(arena, alignment));
}

static void jemalloc_give(void *start)
{
    jemalloc(dallocx)(start, MALLOCX_TCACHE_NONE);
}

static size_t jemalloc_round(size_t bytes, size_t alignment)
{
    return jemalloc(nallocx)(bytes, MALLOCX_LG_ALIGN(__builtin_ctzl(alignment)));
}

static void jemalloc_decay(unsigned arena, int64_t milliseconds)
{
    ssize_t decay = milliseconds;
    size_t size = sizeof decay;
    if (milliseconds == DECAY_AS_EVER)
        jemalloc(mallctl)("arenas.dirty_decay_ms", &decay, &size, NULL, 0);
    arena_set(arena, "dirty_decay_ms", &decay, sizeof decay);
}

static void jemalloc_purge(unsigned arena)
{
    arena_set(arena, "purge", NULL, 0);
}

static void jemalloc_destroy(unsigned arena)
{
    arena_set(arena, "destroy", NULL, 0);
}

bool jemalloc_is_loaded(void)
{
    return jemalloc(mallocx) && jemalloc(dallocx) && jemalloc(nallocx) && jemalloc(mallctl);
}

const struct backend backend_jemalloc = {
    .kind = KS_BACKEND_JEMALLOC,
    .start = jemalloc_start,
    .create = jemalloc_create,
    .destroy = jemalloc_destroy,
    .take = jemalloc_take,
    .give = jemalloc_give,
    .round = jemalloc_round,
    .decay = jemalloc_decay,
    .purge = jemalloc_purge,
};
