/*
 * Tables that grow where they lie: what is indexed must stay in its place, and what is not used must not be mapped, because a
 * limit of the process's address space (RLIMIT_AS) counts whatever is, readable or not.
 *
 * All stretches lie in one window: addresses that nothing else comes to lie in, for reasons that platform_window has. None of it is
 * mapped beforehand. A stretch is mapped from its start on, as far as it has been needed, and never over anybody else's mapping:
 * where there is one all the same, the stretch ends.
 */
#ifndef LIB_STRETCH_H
#define LIB_STRETCH_H

#include "platform.h"

/*
 *     base to base + end is mapped, readable and writable, and was zero at first
 *     end <= tried <= most, and end == tried while nobody grows it
 */
struct stretch {
    /* fixed after start */
    char *base;
    size_t most; /* bytes that it may have */
    size_t step; /* bytes that are mapped at once */
    /* whoever grows it */
    size_t tried; /* beyond it nothing was ever mapped */
    /* any, atomic; whoever grows it writes */
    size_t end;
};

/* Finds the window, at the start of the library. False where the system has no room for one. */
bool window_start(void);

/* What there is of `most` addresses, of which the window has less, in proportion, where the machine has little room. */
size_t window_share(size_t most);

/* Sets addresses of the window apart, and maps none. At the start of the library only. False where the window ends. */
bool stretch_start(struct stretch *stretch, size_t most, size_t step);

/* The first `end` bytes can be read and written, for ever. False where the system refuses, or the stretch ends. */
bool stretch_reach(struct stretch *stretch, size_t end);

/*
 * For what has to grow as a whole or not at all. Between growth_begin and growth_end, in one thread at a time: the same; and the end as it
 * was before, where nobody knows of a later one yet. Whoever waits for growth waits for a few system calls.
 */
void growth_begin(void);
void growth_end(void);
bool stretch_extend(struct stretch *stretch, size_t end);
void stretch_cut(struct stretch *stretch, size_t end);

#endif
