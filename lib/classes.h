/*
 * Size classes: a table of block sizes, and the arithmetic on them.
 *
 * classes.table[i].bytes rises with i; every size is a multiple of 16, and of 64 from 512 up, so that
 * slab-aligned multiples of it have the alignment that the interface promises.
 */
#ifndef LIB_CLASSES_H
#define LIB_CLASSES_H

#include "platform.h"

#define CLASS_LIMIT    48 /* most classes, that of the large blocks included */
#define CLASS_LARGE    (CLASS_LIMIT - 1)
#define CLASS_COVERED  CLASS_LIMIT /* of slabs inside of a large block: no address of theirs is a block's first byte */
#define CLASS_TOP      65536       /* bytes of the top class in every table */
#define CLASS_GRANULE  16
#define SLAB_SHIFT     18
#define SLAB_BYTES     ((size_t)1 << SLAB_SHIFT)
#define MAGAZINE_SLOTS 60 /* most blocks in one magazine: it and its header fill 1,024 bytes */

struct class
{
    uint64_t reciprocal; /* ceil(2^64 / bytes): see class_index */
    uint32_t bytes;
    uint32_t capacity; /* blocks in a slab: SLAB_BYTES / bytes */
    uint32_t magazine; /* blocks in a magazine of this class */
};

struct classes {
    uint32_t count;
    uint16_t bins[CLASS_TOP / CLASS_GRANULE + 1]; /* by granules: where the class's bin lies in a heap */
    struct class table[CLASS_COVERED + 1];
};

extern struct classes classes;

/* Fills `classes` from the default table. Called once, before any block is handed out. */
void classes_start(void);

#define BIN_BYTES 64 /* of a heap, for each class */

/* Where in a heap the bin of a size lies. */
FAST_PATH uint32_t bin_of_size(size_t size)
{
    return classes.bins[(size + CLASS_GRANULE - 1) / CLASS_GRANULE];
}

/* The smallest class that holds `size` bytes, for sizes up to CLASS_TOP. Zero bytes fall in the first class.
 */
FAST_PATH uint32_t class_of_size(size_t size)
{
    return bin_of_size(size) / BIN_BYTES;
}

/*
 * Which block an offset into a slab falls in, and whether it is the block's first byte. With c =
 * ceil(2^64/b), the high word of n*c is floor(n/b), and the low word is below c exactly when b divides n
 * (Lemire, Kaser, Kurz: Faster remainder by direct computation, 2019). One multiplication answers both; the
 * tests compare every offset of every class with plain division.
 */
FAST_PATH bool class_index(size_t offset, uint64_t reciprocal, uint32_t *index)
{
    unsigned __int128 product = (unsigned __int128)offset * reciprocal;
    *index = (uint32_t)(product >> 64);
    return (uint64_t)product < reciprocal;
}

#endif
