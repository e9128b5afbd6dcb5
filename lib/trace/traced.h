/*
 * Keys that are traced: what a trace is told of their blocks, and with which time. Every operation on such a key takes the slow
 * path; C13 of docs/concurrency.md.
 *
 * All but traced_name are called inside an operation or with a reference to the key.
 */
#ifndef LIB_TRACED_H
#define LIB_TRACED_H

#include "core/model.h"

/* A number for a new key, the same in every trace. */
uint32_t traced_number(void);

/* The key's name. */
void traced_name(const struct key *key);

/* A block of a class that has been handed out, with no alignment asked for, and not zeroed; any other one. */
void traced_alloc(struct heap *heap, const void *block, size_t size);
void traced_alloc_special(struct heap *heap, const void *block, size_t size, size_t alignment, bool zeroed);

/* The time of a free that is about to be made, of a block of the heap's own or not; 0 where a reset has begun, which drops the block. */
uint64_t traced_before(struct heap *heap, bool own);

/* A block that was freed; `before` as traced_before returned it. */
void traced_free(const struct heap *heap, const void *block, uint64_t before);

/* A block that was resized, in place or not. */
void traced_realloc(struct heap *heap, const void *old, uint64_t before, void *block, size_t size);

/* A reset or destroy that is about to be made. */
void traced_reset(struct key *key);

#endif
