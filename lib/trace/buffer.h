/*
 * A thread's place in the recording: where its next event goes.
 *
 *     filled <= room
 *     payload[0, filled) are whole events, payload[filled, room) is zero but for what the thread is writing
 */
#ifndef TRACE_BUFFER_H
#define TRACE_BUFFER_H

#include "base/compiler.h"
#include "trace/chunk.h"
#include "trace/event.h"

#include <stdatomic.h>

/* How far a chunk is filled, as one word of one moment: bytes, and events in the upper half. */
#define FILLED_EVENT ((uint64_t)1 << 32)

static inline uint32_t filled_bytes(uint64_t filled)
{
    return (uint32_t)filled;
}

static inline uint32_t filled_events(uint64_t filled)
{
    return (uint32_t)(filled / FILLED_EVENT);
}

struct buffer {
    struct buffer *next; /* constant once it is listed: buffers are never unmapped */
    _Atomic bool taken;
    _Atomic uint32_t recording; /* that the rest is of (recording.h) */
    /* the thread that has taken it */
    uint32_t thread;
    uint32_t sample;
    uint32_t ends; /* how often the thread's end has been seen */
    uint32_t room;
    uint8_t *payload;
    struct trace_stream stream;
    _Atomic uint64_t filled; /* read by who ends the recording */
    /* under the recording's lock */
    struct mapped_chunk chunk;
};

extern struct buffer *_Atomic buffers; /* all that there are */

/* One that nobody has, or a new one; it is the caller's then. NULL without memory. */
struct buffer *buffer_take(void);

/* It is nobody's. */
void buffer_leave(struct buffer *buffer);

/* A chunk of the file for what comes next, from that time on; the one before has been ended. False with errno: see chunk_begin. */
bool buffer_begin_chunk(struct buffer *buffer, struct trace_file *file, uint64_t time);

/* Where the next event goes; NULL where there is no room for TRACE_EVENT_MOST bytes. */
static inline uint8_t *buffer_end(struct buffer *buffer)
{
    uint32_t bytes = filled_bytes(atomic_load_explicit(&buffer->filled, memory_order_relaxed));
    return likely(bytes <= buffer->room - TRACE_EVENT_MOST) ? buffer->payload + bytes : NULL;
}

/* One more event, from the end as it was to another. Release: who ends the recording takes its word for it. */
static inline void buffer_extend(struct buffer *buffer, const uint8_t *from, const uint8_t *to)
{
    uint64_t before = atomic_load_explicit(&buffer->filled, memory_order_relaxed);
    atomic_store_explicit(&buffer->filled, before + FILLED_EVENT + (uint64_t)(to - from), memory_order_release);
}

#endif
