/*
 * What a thread records lies in a buffer of its own until it is in the file: one producer, the thread that has taken the buffer, and
 * one consumer, the writer.
 *
 *     done <= head < done + SLOTS
 *     slots [done, head) are full, slots[head] is being filled, the others are empty
 *     carried <= slots[done].filled: so much of that slot is in the file
 */
#ifndef TRACE_BUFFER_H
#define TRACE_BUFFER_H

#include "../compiler.h"
#include "event.h"
#include "file.h"

#include <stdatomic.h>

enum { SLOTS = 4 };

enum buffer_state { BUFFER_IDLE, BUFFER_TAKEN, BUFFER_LEFT };

/* How far a slot, or a part of it, is filled, as one word of one moment: bytes, and events in the upper half. */
#define FILLED_EVENT ((uint64_t)1 << 32)

static inline uint32_t filled_bytes(uint64_t filled)
{
    return (uint32_t)filled;
}

static inline uint32_t filled_events(uint64_t filled)
{
    return (uint32_t)(filled / FILLED_EVENT);
}

struct slot {
    _Atomic uint64_t filled;
    uint64_t time; /* of the stream where the slot begins */
    uint8_t bytes[TRACE_CHUNK_BYTES];
};

struct buffer {
    struct buffer *next; /* constant once it is listed: buffers are never unmapped */
    _Atomic uint32_t state;
    _Atomic uint32_t recording; /* that the rest is of (recording.h): the writer leaves those of others alone */
    uint32_t thread;
    /* producer */
    uint32_t sample;
    struct slot *filling; /* slots[head] */
    struct trace_stream stream;
    _Atomic uint64_t head;
    /* writer */
    _Atomic uint64_t done;
    uint64_t carried;
    struct slot slots[SLOTS];
};

extern struct buffer *_Atomic buffers; /* all that there are */

/* One that is idle, or a new one; it is the caller's then. NULL without memory. */
struct buffer *buffer_take(void);

/* The producer begins a recording: a slot whose stream begins at that time, and nothing before it. */
void buffer_begin(struct buffer *buffer, uint32_t recording, uint32_t thread, uint32_t sample, uint64_t time);

/* The slot that is being filled is full, and an empty one follows: false while there is none. */
bool buffer_turn(struct buffer *buffer);

/* Where the producer puts its next event; NULL where there is no room for TRACE_EVENT_MOST bytes. */
static inline uint8_t *buffer_end(struct buffer *buffer)
{
    struct slot *slot = buffer->filling;
    uint32_t bytes = filled_bytes(atomic_load_explicit(&slot->filled, memory_order_relaxed));
    return likely(bytes <= sizeof slot->bytes - TRACE_EVENT_MOST) ? slot->bytes + bytes : NULL;
}

/* One more event, from the end as it was to another. */
static inline void buffer_extend(struct buffer *buffer, const uint8_t *from, const uint8_t *to)
{
    struct slot *slot = buffer->filling;
    uint64_t before = atomic_load_explicit(&slot->filled, memory_order_relaxed);
    atomic_store_explicit(&slot->filled, before + FILLED_EVENT + (uint64_t)(to - from), memory_order_release);
}

/*
 * The writer hands what is new in the buffer to `carry`, a slot or a part of one at a time, in their order: what is in unfinished slots
 * too, where it is told so. Buffers of other recordings are only made idle where their threads have left them.
 */
void buffer_drain(struct buffer *buffer, uint32_t recording, bool unfinished,
                  void (*carry)(struct trace_chunk *chunk, const void *payload));

#endif
