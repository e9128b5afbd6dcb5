/*
 * What becomes of a pointer that cannot be freed: one line on standard error, and the end of the process.
 *
 * KEYSLAB_MALLOC_ON_ERROR: "abort" (the default), "log" and go on, "ignore".
 */
#ifndef LIB_MALLOC_MISUSE_H
#define LIB_MALLOC_MISUSE_H

#include "base/platform.h"
#include "keyslab/keyslab.h"

/* The call that the thread is in, where it is not free. */
extern THREAD_LOCAL const char *misuse_call;

/* Reads the environment, and says so once where it does not know the value. */
void misuse_configure(void);

/* The key's error hook: all misuses of free and realloc, those that the owner finds too. */
void misuse_found(void *context, const struct ks_error *error);

/* `call` was handed `block`, which is no live block, and has no way to say so. */
void misuse_of_pointer(const char *call, const void *block);

#endif
