/*
 * Guards of keys with paranoid checks: the pages of an extent behind its last block are without access, so that who writes or reads
 * beyond it is stopped there. Whoever holds the heap sets a guard when the slab's life begins, and lifts it before the next one,
 * or before the memory goes back to the arena.
 *
 * A guard is a help, not a promise: where the system has no mapping left for it, or GUARDS_MOST are set, the slab has none.
 */
#ifndef LIB_GUARD_H
#define LIB_GUARD_H

#include "model.h"

/* The bytes that blocks leave of every extent of the key. */
static inline size_t guard_least(const struct key *key)
{
    return key->paranoid ? PAGE : 0;
}

/* Sets one from the first whole page behind the slab's blocks, which take `bytes`, up to the end of what was taken. */
void guard_set(struct slab *slab, size_t bytes);

/*
 * Between these two no guard is set on a block that lives when it is judged after the first: what another thread's reset may drop, and
 * somebody else take, at any moment, can be read to its end.
 */
void guards_hold(void);
void guards_release(void);

/* In the child of a fork: who held guards in the parent is not there to release them. */
void guards_inherit(void);

/* Lifts it where there is one. False where the system refuses: the memory is of no use. */
bool guard_lift(struct slab *slab);

#endif
