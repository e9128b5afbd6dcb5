/* Where a bin's next group comes from when it has no recent one. */
#ifndef LIB_CORE_SUPPLY_H
#define LIB_CORE_SUPPLY_H

#include "core/maintenance.h"

/*
 * Gives a bin that has run dry a group of a partial slab, where nothing has come from other threads. False where there is none:
 * heap_supply. It is every 32nd allocation in some loops, so it does not count as a slow path.
 */
bool heap_supply_partial(struct heap *heap, struct bin *bin);

/* Makes sure of a free block in the class's bin, at the cost of other free memory if need be. False with KS_QUOTA or KS_NO_MEMORY. */
bool heap_supply(struct heap *heap, uint32_t class, ks_status *status);

#endif
