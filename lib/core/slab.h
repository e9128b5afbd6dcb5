/*
 * Slabs: their epochs, and the lists that they are on. A slab is carved group by group, from its start: only what has been handed
 * out is ever touched. The owner thread of the heap alone calls these.
 */
#ifndef LIB_CORE_SLAB_H
#define LIB_CORE_SLAB_H

#include "core/group.h"

/* A slab of `bytes` that is on no list yet, and has begun no epoch. NULL with KS_QUOTA or KS_NO_MEMORY. */
struct slab *slab_take(struct heap *heap, size_t bytes, size_t alignment, ks_status *status);

/*
 * A slab for the class, begun anew, on heap.slabs, with nothing carved: an empty one of the heap's, else one from the arena. NULL with
 * KS_QUOTA or KS_NO_MEMORY.
 */
struct slab *slab_begin(struct heap *heap, uint32_t class, ks_status *status);

/* Begins a slab on heap.slabs anew, after a reset, for the class that it has, with its first group carved: of so many blocks. */
uint32_t slab_rewind(const struct heap *heap, struct slab *slab);

/* The same with one that is on no list, and nothing carved; it is on heap.slabs then. */
void slab_restart(struct heap *heap, struct slab *slab);

/* A slab of which nothing is in use leaves its class, for heap.empty. */
void slab_set_empty(struct heap *heap, struct slab *slab);

/* Makes `slab` the first slab of a large block of `bytes`, with one block, handed out; the slabs behind it are covered. */
void slab_begin_large(struct heap *heap, struct slab *slab, size_t bytes);

/* Begins the slab's next group, of which there is one; returns it. All its blocks are free. */
uint32_t slab_carve(struct heap *heap, struct slab *slab);

/* A carved group with free blocks goes into the summary. */
void slab_summarize(struct heap *heap, struct slab *slab, uint32_t group);

/* Takes a group out of the summary. False where it is not in there. */
bool slab_leave_summary(struct heap *heap, struct slab *slab, uint32_t group);

/* The first group of a slab on a partial list, out of the summary. */
uint32_t slab_unsummarize(struct heap *heap, struct slab *slab);

/* Looks at `most` of the heap's slabs in turn, and puts those of which no block is in use on heap.empty. */
void slabs_find_empty(struct heap *heap, uint64_t most);

/*
 * Gives a slab that is on no list any more back to the arena. Its tag is marked first: the heap's own thread may be handed
 * an old pointer into it at any time, and must not take it for its own while somebody else begins an epoch there.
 */
void slab_give(struct heap *heap, struct slab *slab);

/* Gives up to `most` of the heap's empty slabs back to the arena. */
void slabs_give_empty(struct heap *heap, uint64_t most);

/* A bit for each of the slab's groups that waits for a free in a paranoid key: checks/quarantine.h. */
uint32_t *slab_waiting(const struct slab *slab, uint32_t group);

#endif
