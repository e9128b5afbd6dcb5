/* The start of the library, once in the process, by whoever calls it first. */
#ifndef LIB_START_H
#define LIB_START_H

#include "platform.h"

/* False where the system refuses what the library cannot do without: address space, a hook for the end of threads. */
bool library_start(void);

#endif
