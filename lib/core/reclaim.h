/*
 * Other threads' heaps: whoever purges or destroys a key, is refused memory, or looks after those that sleep, locks a heap, and works on
 * it while its owner is outside every operation.
 */
#ifndef LIB_CORE_RECLAIM_H
#define LIB_CORE_RECLAIM_H

#include "core/ownership.h"

/*
 * Works on every heap of the key that is not inside an operation, its own threads' sleeping ones included: trims it
 * as it is wanted, or reclaims it when the key is destroyed. The others are marked, and their owners do it when
 * they next look. A heap without an owner keeps nothing. The caller is inside an operation, with a reference to the
 * key.
 */
void heaps_reclaim(struct thread *thread, struct key *key, ks_key_t handle, enum wanted wanted);

/* Trims the heaps of the key that have no owner: for an allocation that was refused. */
void orphans_trim(struct thread *thread, struct key *key);

/*
 * Looks after the next `count` of the other threads' heaps in the key: gives back what is free of those that have no owner, or whose owner
 * has done nothing with them for so many milliseconds. Threads that sleep would keep it, and what others have freed of theirs. Not in a
 * paranoid key, where blocks are meant to wait, nor under a quota, which is a bound already.
 */
void neighbours_trim(struct thread *thread, struct heap *heap, uint32_t count, int64_t asleep);

/*
 * Empties the other threads' heaps, or asks their owners to, if any of them may have empty slabs: for an allocation that was
 * refused, in a key whose threads may keep some for good. Whether there was one.
 */
bool others_trim(struct thread *thread, const struct heap *heap);

#endif
