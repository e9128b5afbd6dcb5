/*
 * Stretches: tables that grow in place. Entries never move, because they are found by index, and nothing is mapped before it is
 * needed, because a limit of the process's address space (RLIMIT_AS) counts every mapping, readable or not.
 *
 * All stretches lie in one window, where the system maps nothing of its own accord: see platform_window. A stretch is mapped from its
 * start on, and never over another mapping: where it meets one, it can grow no further.
 */
#ifndef LIB_STRETCH_H
#define LIB_STRETCH_H

#include "base/platform.h"

/*
 *     base to base + end is mapped, readable and writable, and was zero at first
 *     end <= tried <= most, and end == tried while nobody grows it
 */
struct stretch {
    /* fixed after start */
    char *base;
    size_t most;  /* bytes that it may have */
    size_t step;  /* bytes that are mapped at once */
    size_t tried; /* the growing thread's: nothing beyond it was ever mapped */
    size_t end;   /* any, atomic: the growing thread writes it */
};

/* Finds the window, at the start of the library. False where the system has no room for one. */
bool window_start(void);

/* `most`, or less in proportion to the window, where the machine has few addresses. */
size_t window_share(size_t most);

/* Sets addresses of the window apart, and maps none. At the start of the library only. False where the window ends. */
bool stretch_start(struct stretch *stretch, size_t most, size_t step);

/* The first `end` bytes can be read and written, for ever. False where the system refuses, or the stretch ends. */
bool stretch_reach(struct stretch *stretch, size_t end);

/*
 * For stretches that grow together or not at all: between growth_begin and growth_end, which one thread at a time can be, extends a
 * stretch as above, or takes the extension back before another thread can know of it.
 */
void growth_begin(void);
void growth_end(void);
bool stretch_extend(struct stretch *stretch, size_t end);
void stretch_cut(struct stretch *stretch, size_t end);

#endif
