/*
 * Size classes: tables of block sizes, and the arithmetic on them. Each key has a table; keys with equal ones share it, and none is
 * ever freed.
 *
 * table[i].bytes rises with i; every size is a multiple of class_multiple(it, the key's alignment), so that slab-aligned multiples
 * of it have the alignment that the key promises; the last is CLASS_TOP. See class_sizes_error.
 */
#ifndef LIB_CLASSES_H
#define LIB_CLASSES_H

#include "base/platform.h"

#define CLASS_LIMIT       48 /* most classes, that of the large blocks included */
#define CLASS_LARGE       (CLASS_LIMIT - 1)
#define CLASS_COVERED     CLASS_LIMIT /* of slabs inside of a large block: no address of theirs is a block's first byte */
#define CLASS_TOP         65536       /* bytes of the top class in every table */
#define CLASS_GRANULE     8           /* which all sizes are multiples of */
#define CLASS_LEAST       16
#define CLASS_ALIGNED     16  /* blocks of less than ... */
#define CLASS_SMALL       512 /* ... this size are aligned to so much at the most, others to no less */
#define SLAB_SHIFT        18
#define SLAB_BYTES        ((size_t)1 << SLAB_SHIFT)
#define GROUP_BLOCKS      32u              /* neighbouring blocks of a slab whose bits make up one word */
#define GROUP_BYTES       72u              /* of a group's record: that word, a clock, and two bytes for each block */
#define GROUP_STRIDE_MOST (2 * CACHE_LINE) /* from one record to the next */

struct class
{
    uint64_t reciprocal; /* ceil(2^64 / bytes): see class_index */
    uint32_t bytes;
    uint32_t capacity; /* blocks that SLAB_BYTES have room for; how many are carved is the key's slab size's */
    uint32_t stride;   /* bytes from one group's record to the next */
};

/* Entries from `count` up to CLASS_LARGE are zero. */
struct classes {
    uint32_t count;
    uint16_t bins[CLASS_TOP / CLASS_GRANULE + 1]; /* by granules: where the class's bin lies in a heap */
    struct class table[CLASS_COVERED + 1];
};

/* What a table is made from. */
struct class_choice {
    const uint32_t *sizes;
    uint32_t count;
};

extern const struct class_choice class_choice_default;

/* What a size must be a multiple of where blocks are aligned to `alignment`, 8 to 64. */
static inline uint32_t class_multiple(uint32_t size, uint32_t alignment)
{
    if (size < CLASS_SMALL)
        return alignment < CLASS_ALIGNED ? alignment : CLASS_ALIGNED;
    return alignment > CLASS_ALIGNED ? alignment : CLASS_ALIGNED;
}

/* What keeps sizes[i], with those before it, from being a class's: NULL, or what a size must be, for a message. */
const char *class_size_error(const uint32_t *sizes, uint32_t i, uint32_t alignment);

/* The same of a whole list. */
const char *class_sizes_error(const uint32_t *sizes, uint32_t count, uint32_t alignment);

/* Sizes without errors at another alignment become multiples of this one: rounded up, those that are then alike once. */
void class_sizes_align(uint32_t *sizes, uint32_t *count, uint32_t alignment);

void class_table_fill(struct class *table, const struct class_choice *choice);

/* Fills all of `classes` from a choice without errors. */
void classes_fill(struct classes *classes, const struct class_choice *choice);

#define BIN_BYTES 64 /* of a heap, for each class */

/* Where in a heap the bin of a size lies. */
FAST_PATH uint32_t bin_of_size(const struct classes *classes, size_t size)
{
    return classes->bins[(size + CLASS_GRANULE - 1) / CLASS_GRANULE];
}

/* The smallest class that holds `size` bytes, for sizes up to CLASS_TOP. Zero bytes fall in the first class.
 */
FAST_PATH uint32_t class_of_size(const struct classes *classes, size_t size)
{
    return bin_of_size(classes, size) / BIN_BYTES;
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
