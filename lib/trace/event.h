/*
 * Events of a trace, and how one becomes a few bytes. docs/trace-format.md is the definition; this file is its code.
 *
 * An event is one word of eight bytes, made without a loop, because threads make it in the middle of their work: kind and size, and
 * time and address as differences from the event before it in the same stream. What does not fit, and the key where it changes, is said
 * before it. So most events take 8 bytes.
 */
#ifndef TRACE_EVENT_H
#define TRACE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trace_kind {
    TRACE_ALLOC = 1,
    TRACE_FREE,
    TRACE_RESIZE,     /* in place: the same address, another size */
    TRACE_MOVED_FROM, /* a reallocation leaves an address; the same thread's next event is TRACE_MOVED_TO */
    TRACE_MOVED_TO,
    TRACE_RESET, /* of a key: every block of it is gone */
    TRACE_KEY,   /* a key gets its name */
};

enum { TRACE_NAME_BYTES = 64, TRACE_EVENT_MOST = 128 /* bytes that one event can take */ };

struct trace_event {
    uint64_t time; /* nanoseconds, of a clock that all threads share */
    uint64_t key;
    uint64_t address;
    uint64_t size;
    uint32_t thread;             /* as it is read */
    uint8_t kind;                /* enum trace_kind */
    uint8_t alignment_shift;     /* 0: what every block has */
    bool zeroed;                 /* of TRACE_ALLOC */
    char name[TRACE_NAME_BYTES]; /* of TRACE_KEY */
};

/* What an event is coded against. All zero where a chunk begins a stream anew, but for the time. */
struct trace_stream {
    uint64_t time;
    uint64_t key;
    uint64_t granule; /* address / 16 */
};

/*
 * Writes the event's bytes, TRACE_EVENT_MOST at the most, and returns where they end. An event that is earlier than the one before it gets
 * that one's time.
 */
uint8_t *trace_encode(uint8_t *to, struct trace_stream *stream, const struct trace_event *event);

/* Reads one event from bytes before `end`; where it ends, or NULL for bytes that are no event. Leaves `thread` alone. */
const uint8_t *trace_decode(const uint8_t *from, const uint8_t *end, struct trace_stream *stream,
                            struct trace_event *event);

/* Whether nothing follows in a chunk but the zeros behind its last event. */
bool trace_is_padding(const uint8_t *from, const uint8_t *end);

/* How many whole events there are in a chunk whose stream begins at that time, and in *last where they end. */
uint32_t trace_count(const uint8_t *from, const uint8_t *end, uint64_t time, const uint8_t **last);

#endif
