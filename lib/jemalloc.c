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
    const struct platform_extent_source *source;
};

/* C8.2. */
static void *extent_alloc(extent_hooks_t *hooks, void *wanted, size_t size, size_t alignment, bool *zero, bool *commit,
                          unsigned arena)
{
    (void)arena;
    if (wanted)
        return NULL;
    const struct platform_extent_source *source = load_acquire(&((struct arena_hooks *)hooks)->source);
    void *extent = source->draw(size, alignment);
    if (extent) {
        *zero = true;
        *commit = true;
    }
    return extent;
}

static bool extent_purge(extent_hooks_t *hooks, void *start, size_t size, size_t offset, size_t length, unsigned arena)
{
    (void)hooks, (void)size, (void)arena;
    return !platform_discard((char *)start + offset, length);
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
static extent_hooks_t *hooks_of(const struct platform_extent_source *source)
{
    static struct arena_hooks drawn = {
        .hooks =
            {
                .alloc = extent_alloc,
                .purge_forced = extent_purge,
                .split = extent_split,
                .merge = extent_merge,
            },
    };
    store_release(&drawn.source, source);
    return &drawn.hooks;
}

void platform_arena_fallback(const struct platform_extent_source *source)
{
#if KS_JEMALLOC_PRIVATE
    extent_hooks_t *hooks = hooks_of(source);
    jemalloc(mallctl)("arena.0.extent_hooks", NULL, NULL, &hooks, sizeof hooks);
#else
    (void)source;
#endif
}

bool platform_arena_create(const struct platform_extent_source *source, unsigned *arena)
{
    if (FAULT())
        return false;
    extent_hooks_t *hooks = hooks_of(source);
    size_t size = sizeof *arena;
    return jemalloc(mallctl)("arenas.create", arena, &size, &hooks, sizeof hooks) == 0;
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

static void arena_control(unsigned arena, const char *action)
{
    char name[48];
    snprintf(name, sizeof name, "arena.%u.%s", arena, action);
    jemalloc(mallctl)(name, NULL, NULL, NULL, 0);
}

void platform_arena_decay(unsigned arena, int64_t milliseconds)
{
    char name[48];
    ssize_t decay = milliseconds;
    size_t size = sizeof decay;
    if (milliseconds == DECAY_AS_EVER)
        jemalloc(mallctl)("arenas.dirty_decay_ms", &decay, &size, NULL, 0);
    snprintf(name, sizeof name, "arena.%u.dirty_decay_ms", arena);
    jemalloc(mallctl)(name, NULL, NULL, &decay, sizeof decay);
}

void platform_arena_purge(unsigned arena)
{
    arena_control(arena, "purge");
}

void platform_arena_destroy(unsigned arena)
{
    arena_control(arena, "destroy");
}
