/* What the reference knows of slabs: by whom they are cut, and how. */
#ifndef TESTS_FUZZ_SLABS_H
#define TESTS_FUZZ_SLABS_H

#include "reference.h"

#define GROUP_BLOCKS 32

/* A block that has just been handed out is in its slab: in another epoch of it, where it cannot be in the one that is known. */
void slab_use(struct block *block);

/* A block lives no more. */
void slab_leave(const struct block *block);

/* A dead block will not be known any more. */
void slab_forget(const struct block *block);

/* A block of the heap was handed out, nobody knows where, and freed at once. */
void slabs_doubt(uint32_t heap);

/* Whether the block's slab has certainly begun no other epoch since. */
bool block_is_in_place(const struct block *block);

/* What a free of an address may be answered that is in no block of the slab's present epoch. */
uint32_t slab_judge(uint32_t key, const void *address);

/* What the hook is told of the class then: ANY_SIZE where the reference does not know. */
size_t slab_class_size(const void *address, ks_status status);

/* ------------------------------------------------------------------ groups */

/* A group of a slab, at one time. */
struct group {
    uintptr_t slab;
    uint32_t number;
    uint32_t clock; /* allocations from it */
};

/* The one that a small block lies in, and its bit, at this moment. */
struct group block_group(const struct block *block, uint32_t *bit);

static inline bool groups_are_equal(struct group a, struct group b)
{
    return a.slab == b.slab && a.number == b.number && a.clock == b.clock;
}

#endif
