/*
 * Arenas without jemalloc: extents that are whole slabs long, free ones in bins by length.
 *
 * For processes that have no jemalloc, because keyslab was opened late, and for libkeyslab-malloc: in a process that has one key, and
 * takes nothing below a slab from its arena, jemalloc's own megabyte of code and books would be most of what a small program pays for
 * keyslab. docs/jemalloc.md, docs/malloc.md.
 */
#ifndef LIB_EXTENTS_H
#define LIB_EXTENTS_H

#include "memory/backend.h"

extern const struct backend backend_extents;

/* Whether the extent that starts here came untouched from the system, and so was zero when it was taken. */
bool extent_was_zero(const void *start);

#endif
