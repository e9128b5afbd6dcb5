#include "judge.h"

#include "key.h"
#include "past.h"

/* A block of another key; what a destroyed key has left is nobody's. */
static ks_status judge_other(ks_key_t handle)
{
    return key_exists(handle) ? KS_WRONG_KEY : KS_BAD_BLOCK;
}

/*
 * An address that the slab's present life has not handed out is judged by the life before: a late free is
 * told the truth about its block until the address is handed out again. C7.4.
 */
static ks_status judge_past(const struct heap *heap, const struct slab *slab, size_t within, size_t *class_size)
{
    struct past life;
    if (!past_at(slab, within, &life) || !life.step || within % life.step)
        return KS_BAD_BLOCK;
    if (life.handle != heap->handle && !key_exists(life.handle))
        return KS_BAD_BLOCK;
    *class_size = life.step == SLAB_BYTES ? life.bytes : life.step;
    if (life.handle != heap->handle)
        return KS_WRONG_KEY;
    return life.tag == load_relaxed(&heap_at(life.tag)->tag) ? KS_DOUBLE_FREE : KS_STALE;
}

/*
 * Every field is read for itself while the slab may be changing hands, which takes a free of a block that is
 * not live. Whatever mixture was read then, the owner judges the block again before it counts as free. C6.1.
 */
struct verdict judge_slow(const struct heap *heap, const void *block)
{
    struct verdict verdict = {.status = KS_BAD_BLOCK};
    size_t offset = (size_t)((uintptr_t)block - (uintptr_t)range.base);
    if (offset >= load_acquire(&range.high))
        return verdict;
    struct slab *slab = arena_slab(offset);
    size_t within = offset & (SLAB_BYTES - 1);
    uint64_t tag = load_acquire(&slab->tag);
    verdict.tag = tag & ~TAG_GIVEN;
    if (!tag)
        return verdict;

    size_t block_bytes = load_relaxed(&slab->block_bytes);
    uint32_t index;
    bool first = class_index(within, load_relaxed(&slab->reciprocal), &index);
    uint8_t *state = load_relaxed(&slab->states) + index;
    verdict.life = load_acquire(&slab->life);
    verdict.place = (struct place){slab, state, load_relaxed(state)};
    if (within >= load_relaxed(&slab->carved) * block_bytes || verdict.place.value == STATE_FRESH) {
        verdict.status = judge_past(heap, slab, within, &verdict.class_size);
        return verdict;
    }
    if (!first)
        return verdict;

    verdict.home = heap_at(verdict.tag);
    ks_key_t handle = load_relaxed(&slab->handle);
    if (handle != heap->handle)
        verdict.status = judge_other(handle);
    else if (load_relaxed(&verdict.home->tag) != verdict.tag ||
             load_relaxed(&verdict.home->generation) != heap->generation)
        verdict.status = KS_STALE;
    else
        verdict.status = tag == verdict.tag && verdict.place.value & STATE_LIVE ? KS_OK : KS_DOUBLE_FREE;
    if (verdict.status != KS_BAD_BLOCK)
        verdict.class_size = block_bytes;
    return verdict;
}
