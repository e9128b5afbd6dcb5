/*
 * Remote frees: a thread collects the blocks of another heap that it frees in a batch, as entries of a message, and pushes the
 * message to the heap's queue; the owner takes the whole queue, and validates each entry against its group.
 */
#ifndef LIB_CORE_REMOTE_H
#define LIB_CORE_REMOTE_H

#include "core/group.h"
#include "core/message.h"

/* The tag of a batch that is not open: that of no heap. */
#define BATCH_CLOSED UINT64_MAX

/* The batch for the heap that a tag names: open if its tag is this one. */
FAST_PATH struct batch *heap_batch(struct heap *heap, uint64_t tag)
{
    return &heap->batches[tag % BATCHES];
}

/* What a lookup has found. */
struct remote_block {
    struct remote_entry entry; /* that frees it */
    uint32_t index;
    uint32_t free; /* of its group, at that clock */
};

/*
 * Looks an address up in another thread's slab: false where it is no block that may be handed out, or the block is
 * free. Every field is read for itself while the slab may be changing hands, which takes a free of a block that is
 * not live. The epoch is read first, with acquire: what is read after it is of that epoch, or of a later one. The
 * group's clock and bits are one load (C6.1).
 */
FAST_PATH bool remote_find(const struct slab *slab, size_t within, struct remote_block *found)
{
    uint32_t place = load_acquire(&slab->place);
    POINT("free: epoch read");
    if (unlikely(!class_index(within, load_relaxed(&slab->reciprocal), &found->index)))
        return false;
    POINT("find: index computed");
    if (unlikely(found->index >= load_acquire(&slab->carved)))
        return false;
    POINT("find: group carved");
    const char *groups = load_relaxed(&slab->groups);
    POINT("find: records found");
    const char *group = groups + (size_t)group_of(found->index) * load_relaxed(&slab->stride);
    POINT("find: record found");
    uint64_t word = load_relaxed(&((const struct group *)group)->word);
    POINT("free: group read");
    found->free = (uint32_t)word;
    found->entry = (struct remote_entry){
        .slab = slab_index(slab),
        .stamp = (uint32_t)(word >> CLOCK_SHIFT),
        .mask = bit_of(found->index),
        .place = place | group_of(found->index),
    };
    return likely(!(found->free & found->entry.mask));
}

/* What became of a block that was to be added to a batch. */
enum added {
    ADDED,
    ADDED_LAST,  /* the batch is to be sent now */
    ADDED_NOT,   /* there is no room for another entry: send first */
    ADDED_TWICE, /* it is in the last entry already */
};

/*
 * Adds live blocks of one group to an open batch. They join the last entry if they were looked up at the same clock
 * of the same epoch, which is in `place`: a block that is in there has been freed twice (C6.1). Else they begin an
 * entry, and the owner's hint is read: an owner that is short of memory may be waiting for these very blocks
 * (C6.5). A large block, which may have few bytes where its alignment made it large, is sent at once: its entry is
 * the last of its message.
 */
FAST_PATH enum added batch_add(struct batch *batch, const struct remote_entry *found, size_t bytes)
{
    struct remote_entry *last = batch->last;
    bool hurry = false;
    if (last->slab == found->slab && last->stamp == found->stamp && last->place == found->place) {
        if (unlikely(last->mask & found->mask))
            return ADDED_TWICE;
        last->mask |= found->mask;
    } else {
        if (last->mask && unlikely(++last == batch->message->entries + MESSAGE_ENTRIES))
            return ADDED_NOT;
        *last = *found;
        batch->last = last;
        POINT("add: entry begun");
        hurry = load_relaxed(&batch->home->low_memory) || PLACE_CLASS(found->place) == CLASS_LARGE;
    }
    batch->held += bytes;
    return unlikely(hurry || batch->held >= batch->most) ? ADDED_LAST : ADDED;
}

/* Opens a batch for the heap that a tag names; what it held for another is sent first. False without memory. */
bool batch_open(struct thread *thread, struct heap *heap, struct batch *batch, uint64_t tag);

/* Sends what the batch holds, and leaves it open for more where there is a message to be had. */
void batch_send(struct thread *thread, struct heap *heap, struct batch *batch);

/* Sends what has waited for `age` slow paths of the heap, and closes what has been empty for twice as long. */
void batches_send(struct thread *thread, struct heap *heap, uint32_t age);

/* Sends everything, and closes every batch. */
void batches_close(struct thread *thread, struct heap *heap);

/* Throws away what a reset has dropped. */
void batches_drop(struct thread *thread, struct heap *heap);

/*
 * Takes the queue: blocks that are good become free, the others are reported. Messages of another incarnation are
 * thrown away. Where refusals might find no room in thread.reports the rest stays pending, and thread.reports_full
 * is set.
 */
void remote_take(struct thread *thread, struct heap *heap);

#endif
