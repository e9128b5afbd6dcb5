/*
 * Fault injection, in builds with -Dcheck=true: the calls to the outside in platform.c that may fail count
 * down, and the one that reaches zero fails.
 */
#ifndef LIB_FAULT_H
#define LIB_FAULT_H

#include "keyslab/keyslab.h"

/* The `calls`-th call from now fails, once; 0 for none. */
KS_API void ks_fault_after(long calls);

/* How many calls are left until one fails; 0 when it has failed, or none was to. */
KS_API long ks_fault_left(void);

#endif
