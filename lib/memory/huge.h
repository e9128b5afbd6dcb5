/*
 * The huge pages of the range: which of them have memory in use. The first touch of a huge page makes all of it resident, also what
 * jemalloc has never handed out and so would never give back. What is given back while nothing of its huge page is in use is
 * therefore given back as the whole page, and comes back as one.
 */
#ifndef LIB_HUGE_H
#define LIB_HUGE_H

#include "base/platform.h"

/* Memory that has been drawn, or mapped again. Only pages that lie in it as a whole are looked after. */
void huge_begin(const char *start, size_t bytes);

/* Memory that has been taken, before it is first written to; and before it is given to its arena again. */
void huge_use(const char *start, size_t bytes);
void huge_leave(const char *start, size_t bytes);

/* Gives unused memory back to the system. False where it refuses. */
bool huge_discard(void *start, size_t bytes);

#endif
