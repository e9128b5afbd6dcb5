/*
 * A reset, as the owner of a heap carries it out: every block is dropped, at a cost that does not grow with their number.
 */
#ifndef LIB_CORE_RESET_H
#define LIB_CORE_RESET_H

#include "core/heap.h"

/* Drops every block if the key has been reset since. */
void heap_catch_up(struct thread *thread, struct heap *heap);

/* Drops every block and gives all memory back: its key is destroyed. */
void heap_reclaim(struct thread *thread, struct heap *heap);

#endif
