/*
 * Magazines in and out of bins, and the housekeeping that comes with it: a tick for every so many slow paths of a heap
 * gives back what has not been needed, sends what has waited, and looks after the thread's other heaps.
 */
#ifndef LIB_REFILL_H
#define LIB_REFILL_H

#include "holder.h"

/* Loads a magazine that is not empty into the class's bin. False with KS_QUOTA or KS_NO_MEMORY. */
bool heap_refill(struct heap *heap, uint32_t class, ks_status *status);

/* A block that is free already, for a bin whose magazine is full or that has none. */
void heap_overflow(struct heap *heap, uint32_t class, struct slot slot);

/* Sends a box that is due, as one of the heap's slow paths: a thread that only frees has no others. */
void heap_send(struct thread *thread, struct heap *heap, struct outbox *box);

/*
 * The credit of a bin is used up: it has handed out BEAT blocks more. A thread whose magazines never run dry or full looks
 * after its other heaps at this pace.
 */
SLOW_PATH void heap_beat(struct heap *heap, struct bin *bin);

/*
 * Makes room under the quota, or in memory: settles this heap and those of the key that nobody holds. For an
 * allocation that has been refused, which then tries once more.
 */
void heap_relieve(struct heap *heap);

#endif
