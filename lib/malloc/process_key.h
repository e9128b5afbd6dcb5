/*
 * The one key that all blocks of the process belong to.
 *
 * It comes to be with the first call that allocates, which the dynamic linker makes before any constructor has run, and
 * is never destroyed: destructors that run after main still free.
 */
#ifndef LIB_MALLOC_PROCESS_KEY_H
#define LIB_MALLOC_PROCESS_KEY_H

#include "base/platform.h"
#include "keyslab/keyslab.h"

/* What glibc's headers declare, and all that this library shows. See malloc.map. */
#define EXPORTED __attribute__((visibility("default")))

/* Another name of a function, with all that the compiler has been told about it. */
#if __has_attribute(copy)
#define SAME_AS(function) __attribute__((alias(#function), copy(function))) EXPORTED
#else
#define SAME_AS(function) __attribute__((alias(#function))) EXPORTED
#endif

/* Any, atomic: 0 until process_key_start. */
extern ks_key_t process_key_handle;

/* The key (C2.6), or 0, with which every call of the library is refused. */
FAST_PATH ks_key_t process_key(void)
{
    return load_acquire(&process_key_handle);
}

/* Creates the key, once. False where the system has no memory for it. */
bool process_key_start(void);

#endif
