#include "slabs.h"

#define SLABS       4096 /* entries of the table; an input cannot touch a quarter of them */
#define GROUPS_MOST 512

struct slab {
    uintptr_t number;
    uint32_t input; /* the entry is of an earlier one otherwise */
    uint32_t live;
    uint32_t epoch;
    uint32_t heap, key, class;
    uint64_t generation;
    size_t block_bytes; /* 0 where no block begins in it but a large one, at its start */
    bool doubtful;      /* it may have begun another epoch since */
    bool forgetful;     /* blocks of an epoch before, or that are not known any more, may be free ones of this epoch */
    uint32_t clocks[GROUPS_MOST];
};

static struct slab slabs[SLABS];
static uint32_t doubted_input; /* in which any slab may have been used */

/* The entry of the slab, or the one that is free for it. */
static struct slab *slab_entry(const void *address)
{
    uintptr_t number = (uintptr_t)address >> SLAB_SHIFT;
    struct slab *slab = &slabs[number % SLABS];
    while (slab->input == reference.input && slab->number != number)
        slab = slab == slabs + SLABS - 1 ? slabs : slab + 1;
    if (slab->input != reference.input)
        slab->live = slab->epoch = 0;
    slab->number = number;
    return slab;
}

static bool slab_is_known(const struct slab *slab)
{
    return slab->input == reference.input;
}

static uint32_t group_number(const struct block *block)
{
    return (uint32_t)(((uintptr_t)block->start & (SLAB_BYTES - 1)) / block->usable / GROUP_BLOCKS);
}

/* The slabs inside of a large block: no block begins there. */
static void slabs_cover(const struct block *block)
{
    for (size_t at = SLAB_BYTES; at < block->usable; at += SLAB_BYTES) {
        struct slab *slab = slab_entry(block->start + at);
        if (slab_is_known(slab) && slab->live)
            fail("%p: a large block covers a slab with live blocks", (void *)block->start);
        slab->input = reference.input;
        slab->epoch++;
        slab->key = block->key;
        slab->block_bytes = 0;
        slab->doubtful = slab->forgetful = false;
    }
}

/*
 * A slab without live blocks may have begun anew, which shows only where it serves another heap, class or generation. One with live
 * blocks is in the same epoch.
 */
void slab_use(struct block *block)
{
    struct slab *slab = slab_entry(block->start);
    uint64_t generation = reference.keys[block->key].generation;
    bool same = slab_is_known(slab) && slab->heap == block->heap && slab->class == block->class &&
                slab->generation == generation && slab->block_bytes == (block->large ? 0 : block->usable);
    if (slab->live && !same)
        fail("%p: its slab has live blocks of another heap, class or generation", (void *)block->start);
    if (!slab->live) {
        slab->epoch++;
        slab->heap = block->heap;
        slab->key = block->key;
        slab->class = block->class;
        slab->generation = generation;
        slab->block_bytes = block->large ? 0 : block->usable;
        slab->forgetful = same;
        slab->doubtful = false;
    }
    slab->input = reference.input;
    slab->live++;
    block->epoch = slab->epoch;
    if (block->large)
        slabs_cover(block);
    else
        slab->clocks[group_number(block)]++;
}

void slab_leave(const struct block *block)
{
    slab_entry(block->start)->live--;
}

void slab_forget(const struct block *block)
{
    slab_entry(block->start)->forgetful = true;
}

void slabs_doubt(uint32_t heap)
{
    doubted_input = reference.input;
    for (struct slab *slab = slabs; slab < slabs + SLABS; slab++) {
        slab->doubtful |= !slab->live;
        slab->forgetful |= slab->heap == heap;
    }
}

bool block_is_in_place(const struct block *block)
{
    const struct slab *slab = slab_entry(block->start);
    return slab->epoch == block->epoch && !slab->doubtful;
}

/* Whether a block may begin there as the slab is cut. */
static bool is_first_byte(const struct slab *slab, const void *address)
{
    size_t within = (uintptr_t)address & (SLAB_BYTES - 1);
    if (!slab->block_bytes || within % slab->block_bytes)
        return false;
    return within / slab->block_bytes < reference.keys[slab->key].slab_bytes / slab->block_bytes;
}

uint32_t slab_judge(uint32_t key, const void *address)
{
    const struct slab *slab = slab_entry(address);
    if (doubted_input == reference.input && (!slab_is_known(slab) || slab->doubtful))
        return LOOSE;
    if (!slab_is_known(slab) || !is_first_byte(slab, address))
        return ONLY(KS_BAD_BLOCK);
    if (slab->key != key)
        return reference.keys[slab->key].live ? ONLY(KS_WRONG_KEY) : ONLY(KS_BAD_BLOCK);
    return ONLY(KS_STALE) | (slab->forgetful ? ONLY(KS_DOUBLE_FREE) : 0);
}

size_t slab_class_size(const void *address, ks_status status)
{
    const struct slab *slab = slab_entry(address);
    if (status == KS_BAD_BLOCK)
        return 0;
    return slab_is_known(slab) && !slab->doubtful && slab->block_bytes ? slab->block_bytes : ANY_SIZE;
}

struct group block_group(const struct block *block, uint32_t *bit)
{
    const struct slab *slab = slab_entry(block->start);
    uint32_t number = group_number(block);
    size_t index = ((uintptr_t)block->start & (SLAB_BYTES - 1)) / block->usable;
    *bit = (uint32_t)1 << index % GROUP_BLOCKS;
    return (struct group){slab->number, number, slab->clocks[number]};
}
