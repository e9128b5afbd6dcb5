#include "core/validate.h"

#include "core/key.h"
#include "core/reset.h"

/* A block of another key; what a destroyed key has left is nobody's. */
static ks_status other_status(ks_key_t handle)
{
    return key_exists(handle) ? KS_WRONG_KEY : KS_BAD_BLOCK;
}

/* Whether a block whose bit is clear is free all the same, and waits in quarantine (C6.1). */
static bool block_waits(const struct heap *heap, const struct slab *slab, const struct lookup *found)
{
    const struct checks *checks = heap->key->checks;
    return checks && checks->waiting(slab, group_of(found->block.index)) & found->block.entry.mask;
}

/* Of one that is free: it may never have been handed out in the slab's present epoch (C6.1). */
static ks_status free_status(const struct slab *slab, uint32_t index)
{
    const char *group = load_relaxed(&slab->groups) + (size_t)group_of(index) * load_relaxed(&slab->stride);
    return load_relaxed(&((const struct group *)group)->born[index % GROUP_BLOCKS]) ? KS_DOUBLE_FREE : KS_STALE;
}

/*
 * Of a block whose group has been carved, in a slab that was the key's when its handle was read. The tag is looked at
 * again: a slab that its owner has given back may have become another thread's since, with the address handed out
 * (C6.1).
 */
static ks_status carved_status(const struct heap *heap, struct lookup *found, bool is_free)
{
    uint64_t tag = load_relaxed(&found->slab->tag);
    POINT("validate: tag read again");
    if ((tag & ~TAG_GIVEN) != found->tag || load_relaxed(&found->home->tag) != found->tag ||
        load_relaxed(&found->home->generation) != heap->generation)
        return KS_STALE;
    POINT("validate: home seen");
    if (is_free || tag & TAG_GIVEN)
        return free_status(found->slab, found->block.index);
    return block_waits(heap, found->slab, found) ? KS_DOUBLE_FREE : KS_OK;
}

/*
 * Every field is read for itself while the slab may be changing hands, which takes a free of a block that is
 * not live. Whatever mixture was read then, the owner validates the block again before it becomes free (C6.1).
 */
static struct lookup look_up(const struct heap *heap, const void *block)
{
    struct lookup found = {.status = KS_BAD_BLOCK};
    size_t offset = (size_t)((uintptr_t)block - (uintptr_t)range.base);
    if (offset >= load_acquire(&range.high))
        return found;
    struct slab *slab = slab_at(offset);
    uint64_t tag = load_acquire(&slab->tag);
    if (!tag)
        return found;
    POINT("validate: tag read");
    found.slab = slab;
    found.tag = tag & ~TAG_GIVEN;
    found.home = heap_at(found.tag);
    bool is_out = remote_find(slab, offset & (SLAB_BYTES - 1), &found.block);
    if (!class_index(offset & (SLAB_BYTES - 1), load_relaxed(&slab->reciprocal), &found.block.index) ||
        found.block.index >= load_relaxed(&slab->limit))
        return found;
    POINT("validate: looked up");
    ks_key_t handle = load_relaxed(&slab->handle);
    POINT("validate: handle read");
    if (handle != heap->handle)
        found.status = other_status(handle);
    else if (found.block.index >= load_relaxed(&slab->carved))
        found.status = KS_STALE;
    else
        found.status = carved_status(heap, &found, !is_out);
    if (found.status != KS_BAD_BLOCK)
        found.class_size = load_relaxed(&slab->block_bytes);
    return found;
}

/*
 * A reset clears one thread's handle after the other: the block's owner may have seen it, and handed the block out
 * since, while this thread's heap is behind. Then it catches up before it refuses (C3.6).
 */
struct lookup validate(struct heap *heap, const void *block)
{
    struct lookup found = look_up(heap, block);
    if (likely(found.status != KS_STALE) || load_ordered(&heap->key->generation) == heap->generation)
        return found;
    POINT("validate: behind");
    heap_catch_up(thread_self, heap);
    return look_up(heap, block);
}

/*
 * Of the caller's own block the clock tells; the owner of another's is sent the clock of the first lookup, and
 * finds out (C7.5).
 */
struct lookup validate_again(const struct heap *heap, const void *block, const struct lookup *before)
{
    struct lookup now = look_up(heap, block);
    if (now.status != KS_OK)
        return now;
    bool same = now.tag == before->tag && now.block.entry.place == before->block.entry.place;
    now.block.entry.stamp = before->block.entry.stamp;
    if (same && now.home == heap) {
        uint32_t group = group_of(now.block.index);
        same = blocks_kept(slab_group(now.slab, group), now.block.entry.stamp, now.block.entry.mask);
    }
    if (!same)
        now.status = KS_DOUBLE_FREE;
    return now;
}
