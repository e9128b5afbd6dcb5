#include "platform.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* ------------------------------------------------------------------ thread-local storage */

static pthread_key_t exit_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

bool platform_exit_hook(void (*at_exit)(void *))
{
    return !FAULT() && pthread_key_create(&exit_key, at_exit) == 0;
}

bool platform_at_exit(void *value)
{
    return !FAULT() && pthread_setspecific(exit_key, value) == 0;
}

bool platform_fork_hook(void (*child)(void))
{
    return !FAULT() && pthread_atfork(NULL, NULL, child) == 0;
}

void platform_once(void (*start)(void))
{
    pthread_once(&once, start);
}

/* ------------------------------------------------------------------ the system's memory */

/* Where the process's address space is limited, no reservation takes more than a quarter of it. */
static size_t fair_share(size_t wanted, size_t least)
{
    struct rlimit limit;
    while (wanted / 2 >= least && !getrlimit(RLIMIT_AS, &limit) && wanted > limit.rlim_cur / 4)
        wanted /= 2;
    return wanted;
}

void *platform_reserve(size_t wanted, size_t least, size_t alignment, size_t *got)
{
    if (FAULT())
        return NULL;
    for (size_t bytes = fair_share(wanted, least); bytes >= least; bytes /= 2) {
        void *start = mmap(NULL, bytes + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (start == MAP_FAILED)
            continue;
        *got = bytes;
        return (void *)(((uintptr_t)start + alignment - 1) & ~(uintptr_t)(alignment - 1));
    }
    return NULL;
}

bool platform_commit(void *start, size_t bytes)
{
    if (FAULT())
        return false;
    uintptr_t first = (uintptr_t)start & ~(uintptr_t)(PAGE - 1);
    uintptr_t last = ((uintptr_t)start + bytes + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
    return mprotect((void *)first, last - first, PROT_READ | PROT_WRITE) == 0;
}

void *platform_map(size_t bytes)
{
    if (FAULT())
        return NULL;
    void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    /* Sparse tables: a huge page under each touched byte would be paid for in full. */
    madvise(start, bytes, MADV_NOHUGEPAGE);
    return start;
}

void platform_unmap(void *start, size_t bytes)
{
    munmap(start, bytes);
}

void platform_discard(void *start, size_t bytes)
{
    madvise(start, bytes, MADV_DONTNEED);
}

/* C5.1, C5.4. */
bool platform_barrier_everywhere(void)
{
    if (FAULT())
        return false;
    /* Refused until the process has registered, which it may do more than once. */
    return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0 ||
           (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
            syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0);
}

unsigned platform_processors(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors > 0 ? (unsigned)processors : 1;
}

/* ------------------------------------------------------------------ jemalloc */

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
    platform_discard((char *)start + offset, length);
    return false;
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

void platform_arena_purge(unsigned arena)
{
    arena_control(arena, "purge");
}

void platform_arena_destroy(unsigned arena)
{
    arena_control(arena, "destroy");
}
