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

/* Sets one, where nobody holds the range, from the first whole page behind the slab's blocks, which take `bytes`, up to the end of what was taken. */
void guard_set(struct slab *slab, size_t bytes);

/* Lifts it where there is one. False where the system refuses: the memory is of no use. */
bool guard_lift(struct slab *slab);

#endif
