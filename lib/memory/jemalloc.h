/* Arenas over jemalloc. */
#ifndef LIB_JEMALLOC_H
#define LIB_JEMALLOC_H

#include "memory/backend.h"

extern const struct backend backend_jemalloc;

/* Whether the process has it. */
bool jemalloc_is_loaded(void);

#endif
