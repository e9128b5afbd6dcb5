/*
 * Keys with paranoid checks. Every block that becomes free is filled with a pattern, waits in the depot behind QUARANTINE
 * magazines of its class before it is reused, and is looked at then. What a key without such checks does is not slowed by them: a
 * paranoid key's handle is in no thread's table, so that all that is done to it takes the slow paths.
 *
 * Its blocks are handed out in random order, a magazine's worth at a time, so that neither what lies behind a block nor where the
 * next one will lie can be counted on.
 *
 * In such a key's bins frees fill the spare magazine, which goes to the depot when it is full; allocations take from the loaded one,
 * which comes from the depot's cold end or from slabs.
 */
#ifndef LIB_QUARANTINE_H
#define LIB_QUARANTINE_H

#include "model.h"

#define QUARANTINE 8 /* magazines of each class */

/* Fills blocks that have just become free. */
void poison_fill(const struct heap *heap, uint32_t class, const struct slot *slots, uint32_t count);

/* A block that is about to be handed out: one that was written to while it was free is reported as damaged. */
void poison_check(struct heap *heap, uint32_t class, struct slot slot);

/* A free block, filled. */
void quarantine_put(struct thread *thread, struct heap *heap, uint32_t class, struct slot slot);

/* The magazine that has waited longest, where more than QUARANTINE wait; else NULL. */
struct magazine *quarantine_take(struct heap *heap, uint32_t class);

/* Puts slots into random order. */
void slots_shuffle(struct heap *heap, struct slot *slots, uint32_t count);

#endif
