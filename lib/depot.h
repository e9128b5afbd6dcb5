/*
 * Depots: the judged magazines that a bin has no room for, the hot end first, and their way into the slabs.
 */
#ifndef LIB_DEPOT_H
#define LIB_DEPOT_H

#include "model.h"

/* The magazine's entries are counted as parked already, or by the caller. */
void depot_push(struct bin *bin, struct shelf *shelf, struct magazine *magazine);

/* Takes one of its magazines out; its entries are parked no longer. */
struct magazine *depot_remove(struct bin *bin, struct shelf *shelf, struct magazine *magazine);

/* Shelves the `count` magazines at the cold end. */
void depot_trim(struct thread *thread, struct heap *heap, uint32_t class, uint32_t count);

/* Shelves every block of a magazine, which is left empty. */
void depot_shelve(struct thread *thread, struct heap *heap, struct magazine *magazine, uint32_t class);

#endif
