/* Memory from arenas, all of it inside of the range, so that a shift finds its slab's descriptor. */
#ifndef LIB_ARENA_H
#define LIB_ARENA_H

#include "memory/backend.h"
#include "memory/range.h"

/*
 * Where memory comes from: one slot of the table of arenas or, with a set of shared arenas for each NUMA node, the slot's like in the
 * set of the node that asks.
 */
struct arena_choice {
    uint32_t slot;
    bool by_node;
    bool huge; /* its pages */
};

/* After range_start. */
bool arena_start(void);

/* What arenas come from in this process. */
enum ks_backend arena_backend(void);

/* One of the arenas that keys share, chosen by a number that differs from key to key. */
struct arena_choice arena_shared(uint32_t number, bool by_node, bool huge);

/* An arena of the caller's own, until arena_leave. `decay`: see arena_decay_shared. False where none is left. */
bool arena_own(int64_t decay, bool huge, struct arena_choice *arena);

/* All memory is back in an arena of the caller's own: the next one may have it. Nothing for a shared one. */
void arena_leave(struct arena_choice arena);

/* The bytes that arena_take takes for a block of `bytes`; 0 for more than can be addressed. */
size_t arena_round(size_t bytes, size_t alignment);

/* Memory aligned to a slab at least, or NULL. `bytes` is a result of arena_round. */
void *arena_take(struct arena_choice arena, size_t bytes, size_t alignment);

/* Gives it back. */
void arena_give(struct arena_choice arena, void *start, size_t bytes);

/* How long the shared arenas keep unused pages: milliseconds, DECAY_FOR_EVER or DECAY_AS_EVER. */
void arena_decay_shared(int64_t decay);

/* Gives the unused pages of every arena that may have been taken from back to the system. */
void arena_purge(struct arena_choice arena);

#endif
