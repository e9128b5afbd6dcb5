/*
 * The arenas of platform.h without jemalloc: one arena, of extents that are whole slabs long.
 *
 * In a process that has one key, and takes nothing below a slab from its arena, jemalloc's own megabyte of code and books
 * would be most of what a small program pays for keyslab. docs/malloc.md has the figures.
 */
#ifndef LIB_EXTENTS_H
#define LIB_EXTENTS_H

#include "platform.h"

/* Whether the extent that starts here came untouched from the system, and so was zero when it was taken. */
bool extent_was_zero(const void *start);

#endif
