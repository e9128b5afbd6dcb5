/*
 * Guards of keys with paranoid checks: the pages of an extent behind its last block are without access, so that a
 * write or read beyond it is stopped there. The heap's owner sets a guard when the slab begins anew, and lifts it
 * before the next time, or before the memory goes back to the arena.
 *
 * A guard is a help, not a guarantee: where the system has no mapping left for it, or GUARDS_MOST are set, the slab
 * has none.
 */
#ifndef LIB_CHECKS_GUARD_H
#define LIB_CHECKS_GUARD_H

#include "core/model.h"

/* Sets one, where nobody holds the range, from the first whole page behind the slab's blocks, which take `bytes`, up to the end of what was taken. */
void guard_set(struct slab *slab, size_t bytes);

/* Lifts it where there is one. False where the system refuses: the memory is of no use. */
bool guard_lift(struct slab *slab);

#endif
