/*
 * Magazines in and out of bins, and the housekeeping that comes with it: a tick for every so many of these slow paths gives
 * back what has not been needed, sends what has waited, and looks after the thread's other heaps.
 */
#ifndef LIB_REFILL_H
#define LIB_REFILL_H

#include "holder.h"

/* Loads a magazine that is not empty into the class's bin. False with KS_QUOTA or KS_NO_MEMORY. */
bool heap_refill(struct heap *heap, uint32_t class, ks_status *status);

/* A block that is free already, for a bin whose magazine is full or that has none. */
void heap_overflow(struct heap *heap, uint32_t class, void *block);

/*
 * Makes room under the quota, or in memory: settles this heap and those of the key that nobody holds. For an
 * allocation that has been refused, which then tries once more.
 */
void heap_relieve(struct heap *heap);

#endif
