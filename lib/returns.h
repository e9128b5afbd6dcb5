/*
 * The way home: a thread collects the blocks of another heap in an outbox, one for each home and class, and
 * pushes the whole magazine to the home's queue; the owner takes the whole queue and judges each block where
 * it lies.
 */
#ifndef LIB_RETURNS_H
#define LIB_RETURNS_H

#include "magazine.h"
#include "slab.h"

/* A user-space pointer leaves its upper 16 bits free, for the state and the slab's life that were read at the free. */
#define CARRIED_SHIFT 48
#define CARRIED_MASK  (((uint64_t)1 << CARRIED_SHIFT) - 1)

FAST_PATH uint16_t carried_of(uint8_t state, uint8_t life)
{
    return (uint16_t)(state | life << 8);
}

FAST_PATH struct outbox *heap_outbox(struct heap *heap, uint32_t place)
{
    return (struct outbox *)((char *)heap + place);
}

FAST_PATH bool outbox_is_for(const struct outbox *box, uint64_t tag, uint32_t class)
{
    return box->tag == tag && box->class == class;
}

/*
 * Makes a box one for this home and class; what it held for another is sent. The boxes of one home share what the key lets
 * a thread hold for another, so the fuller ones among them may be sent too. False without memory.
 */
bool outbox_open(struct thread *thread, struct heap *heap, struct outbox *box, struct heap *home, uint64_t tag,
                 uint32_t class);

/* Sends what the box holds, and leaves it open for more where there is a magazine to be had. */
void outbox_send(struct thread *thread, struct heap *heap, struct outbox *box);

/* Sends what has waited for `age` slow paths of the heap, and closes what has been empty for twice as long. */
void outboxes_send(struct thread *thread, struct heap *heap, uint32_t age);

/* Sends everything, and closes every box. */
void outboxes_close(struct thread *thread, struct heap *heap);

/* Throws away what a reset has dropped. */
void outboxes_discard(struct thread *thread, struct heap *heap);

/* Takes the queue: magazines of this incarnation to heap->returned, the others are thrown away. */
void returns_take(struct thread *thread, struct heap *heap);

/*
 * Takes the next returned magazine of a class in, if its blocks fit in `room` slots from `floor` on: the good ones are free now,
 * and fill the first `*count` slots; the refused ones are reported. False when there is none that fits, or no room to report
 * its refusals before this operation ends.
 */
bool returns_judge(struct thread *thread, struct heap *heap, uint32_t class, struct slot *floor, uint32_t room,
                   uint32_t *count);

FAST_PATH packed packed_of(uintptr_t block, uint16_t carried)
{
    return block | (packed)carried << CARRIED_SHIFT;
}

/*
 * Whether a box filled up to `top` is to be sent: it is full, or its owner starves, and may be waiting for its last blocks,
 * above all under a quota. C6.5.
 */
FAST_PATH bool outbox_is_due(const struct outbox *box, const packed *top)
{
    return unlikely(top == box->limit || load_relaxed(&box->home->hungry));
}

/* Adds a block that is known to be live to an open box. True when the box is to be sent. C6.1. */
FAST_PATH bool outbox_put(struct outbox *box, void *block, uint16_t carried)
{
    packed *top = box->top;
    *top++ = packed_of((uintptr_t)block, carried);
    store_relaxed(&box->top, top);
    return outbox_is_due(box, top);
}

#endif
