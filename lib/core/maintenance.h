/*
 * Maintenance: every so many slow paths or allocations of a heap, a pass gives back what has not been needed, sends what has waited,
 * and looks after the thread's other heaps.
 */
#ifndef LIB_CORE_MAINTENANCE_H
#define LIB_CORE_MAINTENANCE_H

#include "core/reclaim.h"

/* Counts a slow path of the heap, and makes the pass that is due. */
void heap_slow_path(struct thread *thread, struct heap *heap);

/*
 * A bin's countdown has ended: it has handed out PASS_ALLOCATIONS blocks more. A thread whose groups never run dry looks after its other
 * heaps at this pace.
 */
SLOW_PATH void heap_pass(struct heap *heap, struct bin *bin);

/* Sends a batch that is due, as one of the heap's slow paths: a thread that only frees has no others. */
void heap_send(struct thread *thread, struct heap *heap, struct batch *batch);

/*
 * Makes room under the quota, or in memory: trims this heap and those of the key that have no owner. For an allocation that has been
 * refused, which then tries once more.
 */
void heap_make_room(struct heap *heap);

#endif
