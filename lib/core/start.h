/* The start of the library, once in the process, by the first caller. */
#ifndef LIB_CORE_START_H
#define LIB_CORE_START_H

#include "base/platform.h"

/* False where the system refuses what the library cannot do without: address space, a hook for the end of threads. */
bool library_start(void);

#endif
