/*
 * What arenas come from: jemalloc (jemalloc.c) in a process that has it, elsewhere the library's own extents (extents.c).
 * docs/jemalloc.md says which processes have it.
 */
#ifndef LIB_BACKEND_H
#define LIB_BACKEND_H

#include "base/platform.h"
#include "keyslab/keyslab.h"

/* Where an arena's address space comes from: extents are drawn and never given back, their pages are; or they are unmapped for a time. */
struct extent_source {
    void *(*draw)(size_t bytes, size_t alignment);
    bool (*discard)(void *start, size_t bytes);
    bool (*renew)(void *start, size_t bytes);           /* maps what was unmapped, zeroed */
    void *(*draw_huge)(size_t bytes, size_t alignment); /* the same for huge pages */
    bool (*discard_huge)(void *start, size_t bytes);
    bool (*renew_huge)(void *start, size_t bytes);
    bool (*release)(void *start,
                    size_t bytes); /* unmaps either kind, where that can be done now; of huge pages, whole ones */
};

/* How long an arena keeps unused pages, where it is not milliseconds. */
#define DECAY_FOR_EVER ((int64_t)-1)
#define DECAY_AS_EVER  ((int64_t)-2) /* as the backend has it where nobody has said so */

struct backend {
    enum ks_backend kind;

    /* Once, before any other call. False where the system refuses what arenas cannot do without. */
    bool (*start)(const struct extent_source *source);

    /* A new arena. False where there is no memory for it, or no more arenas: jemalloc has 4,095. About 35 us with jemalloc. */
    bool (*create)(bool huge, unsigned *arena);

    /* For an arena that nothing was taken from. */
    void (*destroy)(unsigned arena);

    /* Uninitialised; NULL where refused. The alignment is that of a slab or more. */
    void *(*take)(unsigned arena, size_t bytes, size_t alignment);
    void (*give)(void *start);

    /* What `take` would really hand out for `bytes`, 0 for too many. */
    size_t (*round)(size_t bytes, size_t alignment);

    void (*decay)(unsigned arena, int64_t milliseconds);

    /* Gives the arena's unused pages back to the system at once. */
    void (*purge)(unsigned arena);
};

/* For this process; libkeyslab-malloc has a choice of its own. */
const struct backend *backend_choose(void);

#endif
