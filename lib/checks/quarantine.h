/*
 * Quarantine. Every block of a paranoid key that is freed is filled with a pattern, and waits behind others of its class before its bit
 * is set; the pattern is looked at when the block is handed out again. What a key without such checks does is not slowed by them: a
 * paranoid key's handle is in no thread's table, so that all that is done to it takes the slow paths.
 *
 * Blocks are handed out in random order within their group, so that neither what lies behind a block nor where the next one will lie can
 * be counted on.
 *
 *     a bit of slab_waiting is set  <=>  the block is in its class's list supply.waiting, and its bit in group.free is clear
 *     waiting_count blocks are in the list: QUARANTINE_BLOCKS at the most, QUARANTINE_BYTES, but QUARANTINE_LEAST in any class
 */
#ifndef LIB_CHECKS_QUARANTINE_H
#define LIB_CHECKS_QUARANTINE_H

#include "core/model.h"

#define QUARANTINE_BLOCKS 480u
#define QUARANTINE_BYTES  ((uint32_t)1 << 20)
#define QUARANTINE_LEAST  32u

/* For struct checks. */
void quarantine_freed(struct heap *heap, struct slab *slab, uint32_t group, uint32_t mask);
uint32_t quarantine_waiting(const struct slab *slab, uint32_t group);
uint32_t quarantine_choose(struct heap *heap, uint32_t free);
void quarantine_check(struct heap *heap, const struct bin *bin, uint32_t block);
void quarantine_release(struct heap *heap);
void quarantine_dropped(struct heap *heap);

#endif
