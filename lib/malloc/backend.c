/* libkeyslab-malloc's arenas: extents always, and blocks that have room to grow. */
#include "classes/classes.h"
#include "memory/extents.h"

#define FINE_MOST ((size_t)8) /* slabs: longer extents come in an eighth's steps of a power of two */

/* Untouched pages cost nothing, and no quota counts them, so long blocks can grow where they are. Zero bytes are a block, too. */
static size_t round_to_slabs(size_t bytes, size_t alignment)
{
    (void)alignment;
    size_t length = bytes ? (bytes - 1) / SLAB_BYTES + 1 : 1;
    if (length > FINE_MOST) {
        size_t step = (size_t)1 << (63 - __builtin_clzl(length - 1)) >> 3;
        length = (length + step - 1) / step * step;
    }
    return length << SLAB_SHIFT;
}

const struct backend *backend_choose(void)
{
    static struct backend backend;
    backend = backend_extents;
    backend.round = round_to_slabs;
    return &backend;
}
