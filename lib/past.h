/*
 * Past lives of slabs: what an address was before the slab's present life. An old pointer is told the truth about its block
 * until its address is handed out again; nothing is done on the strength of it. C7.4.
 */
#ifndef LIB_PAST_H
#define LIB_PAST_H

#include "arena.h"

/*
 * The slab's present life is over: its holder is about to begin another. The blocks up to the last one that was ever handed out:
 * the states behind them are fresh.
 */
uint32_t past_remember(struct slab *slab);

/* The last life that had handed out the byte `within` of the slab, in `*life`; false where there was none. */
bool past_at(const struct slab *slab, size_t within, struct past *life);

#endif
