#include "checks/guard.h"

#include "core/address.h"

/*
 * In the process: each splits a mapping, and makes two more of it. Linux allows a process 65,530 (vm.max_map_count); half of them are
 * left to the program.
 */
#define GUARDS_MOST 16384

static uint32_t guards; /* any, atomic: that are set, or just being tried */

/*
 * Looks for threads that copy a block first (C7.5). Then the guard is counted, and the count taken back where it is
 * one too many (C8.8).
 */
void guard_set(struct slab *slab, size_t bytes)
{
    size_t from = (bytes + PAGE - 1) & ~(PAGE - 1);
    if (range_is_held())
        return;
    POINT("guard: none held");
    if (fetch_add(&guards, 1) < GUARDS_MOST && platform_protect(slab_start(slab) + from, slab->taken - from))
        slab->guard = from;
    else
        fetch_sub(&guards, 1);
}

/* The owner lifts it before the memory is used again or given back (C8.8). */
bool guard_lift(struct slab *slab)
{
    if (!slab->guard)
        return true;
    if (!platform_unprotect(slab_start(slab) + slab->guard, slab->taken - slab->guard))
        return false;
    slab->guard = 0;
    fetch_sub(&guards, 1);
    return true;
}
