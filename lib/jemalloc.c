/* The arenas of platform.h over jemalloc. */
#include "platform.h"

#include <stdio.h>

#if KS_JEMALLOC_PRIVATE

/* The private copy's functions carry a prefix: see docs/jemalloc.md. */
void *keyslab_je_mallocx(size_t size, int flags);
void keyslab_je_dallocx(void *block, int flags);
size_t keyslab_je_nallocx(size_t size, int flags);
int keyslab_je_mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size);

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

/*
 * The private copy serves slabs and large blocks only: thread caches would keep memory for threads that never
 * come back, and automatic arenas nobody uses.
 */
extern const char *keyslab_je_malloc_conf;
const char *keyslab_je_malloc_conf = "narenas:1,tcache:false,muzzy_decay_ms:0";

/*
 * Off before jemalloc's own constructor reads it: for the sake of unaligned blocks, of which there are none, it would lengthen each by a
 * page, and two slabs could not be neighbours. Half of every huge page would lie idle. docs/jemalloc.md.
 */
extern bool keyslab_je_opt_cache_oblivious;

__attribute__((constructor(101))) static void slabs_join(void)
{
    keyslab_je_opt_cache_oblivious = false;
}

#else

#include <jemalloc/jemalloc.h>

#define jemalloc(name) name

#endif

/*
 * Extents are drawn from one reservation, and adjacent ones may always be split and merged. An extent is
 * never given back, only its pages are: refusing dalloc makes jemalloc retain it. Pages are purged by
 * MADV_DONTNEED alone, so that what a purge gives back leaves the resident set at once.
 */
struct arena_hooks {
    extent_hooks_t hooks;
    void *(*draw)(size_t bytes, size_t alignment);
    bool (*discard)(void *start, size_t bytes);
};

/* C8.2. */
static void *extent_alloc(extent_hooks_t *hooks, void *wanted, size_t size, size_t alignment, bool *zero, bool *commit,
                          unsigned arena)
{
    (void)arena;
    if (wanted)
        return NULL;
    void *extent = load_acquire(&((struct arena_hooks *)hooks)->draw)(size, alignment);
    if (extent) {
        *zero = true;
        *commit = true;
    }
    return extent;
}

/* C8.2. */
static bool extent_purge(extent_hooks_t *hooks, void *start, size_t size, size_t offset, size_t length, unsigned arena)
{
    (void)size, (void)arena;
    return !load_acquire(&((struct arena_hooks *)hooks)->discard)((char *)start + offset, length);
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

/* jemalloc reads the hooks for as long as the arenas live, which is for ever. C8.2. */
static extent_hooks_t *hooks_of(const struct platform_extent_source *source, bool huge)
{
    static struct arena_hooks drawn[2] = {
        [false... true].hooks =
            {
                .alloc = extent_alloc,
                .purge_forced = extent_purge,
                .split = extent_split,
                .merge = extent_merge,
            },
    };
    store_release(&drawn[huge].discard, huge ? source->discard_huge : source->discard);
    store_release(&drawn[huge].draw, huge ? source->draw_huge : source->draw);
    return &drawn[huge].hooks;
}

void platform_arena_fallback(const struct platform_extent_source *source)
{
#if KS_JEMALLOC_PRIVATE
    extent_hooks_t *hooks = hooks_of(source, false);
    jemalloc(mallctl)("arena.0.extent_hooks", NULL, NULL, &hooks, sizeof hooks);
#else
    (void)source;
#endif
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
static void arena_draw_huge(unsigned arena, const struct platform_extent_source *source)
{
    extent_hooks_t *hooks = hooks_of(source, true);
    size_t most = HUGE_PAGE;
    arena_set(arena, "extent_hooks", &hooks, sizeof hooks);
    arena_set(arena, "retain_grow_limit", &most, sizeof most);
}

bool platform_arena_create(const struct platform_extent_source *source, bool huge, unsigned *arena)
{
    if (FAULT())
        return false;
    extent_hooks_t *hooks = hooks_of(source, false);
    size_t size = sizeof *arena;
    if (jemalloc(mallctl)("arenas.create", arena, &size, &hooks, sizeof hooks))
        return false;
    if (huge)
        arena_draw_huge(*arena, source);
    return true;
}

static int flags_of(unsigned arena, size_t alignment)
{
    return MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE | MALLOCX_LG_ALIGN(__builtin_ctzl(alignment));
}

void *platform_arena_take(unsigned arena, size_t bytes, size_t alignment)
{
    return FAULT() ? NULL : jemalloc(mallocx)(bytes, flags_of(arena, alignment));
}

void platform_arena_give(void *start)
{
    jemalloc(dallocx)(start, MALLOCX_TCACHE_NONE);
}

size_t platform_arena_round(size_t bytes, size_t alignment)
{
    return jemalloc(nallocx)(bytes, MALLOCX_LG_ALIGN(__builtin_ctzl(alignment)));
}

void platform_arena_decay(unsigned arena, int64_t milliseconds)
{
    ssize_t decay = milliseconds;
    size_t size = sizeof decay;
    if (milliseconds == DECAY_AS_EVER)
        jemalloc(mallctl)("arenas.dirty_decay_ms", &decay, &size, NULL, 0);
    arena_set(arena, "dirty_decay_ms", &decay, sizeof decay);
}

void platform_arena_purge(unsigned arena)
{
    arena_set(arena, "purge", NULL, 0);
}

void platform_arena_destroy(unsigned arena)
{
    arena_set(arena, "destroy", NULL, 0);
}
