/* What a trace is replayed against: the library, or the process's malloc, which a preloaded library may be. */
#ifndef REPLAY_ALLOCATOR_H
#define REPLAY_ALLOCATOR_H

#include "plan.h"

#include <keyslab/keyslab.h>

struct allocator {
    const char *name;
    bool resets; /* knows keys, and drops all blocks of one at once */
    void *(*alloc)(ks_key_t key, const struct op *op);
    void *(*realloc)(ks_key_t key, void *block, size_t size);
    void (*free)(ks_key_t key, void *block);
    void (*reset)(ks_key_t key);
    size_t (*usable)(ks_key_t key, void *block);
};

extern const struct allocator allocator_keyslab;
extern const struct allocator allocator_malloc;

#endif
