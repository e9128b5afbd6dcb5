#include "event.h"

#include <string.h>

/* The first byte of an event: its kind, and what follows beside that kind's own fields. */
#define KIND_MASK     0x07u
#define KEY_FOLLOWS   0x08u
#define ALIGNED       0x10u
#define ZEROED        0x20u
#define FLAGS_UNKNOWN 0xc0u

#define GRANULE_SHIFT 4 /* nearly all addresses are multiples of 16 */

static bool has_address(unsigned kind)
{
    return kind != TRACE_RESET && kind != TRACE_KEY;
}

static bool has_size(unsigned kind)
{
    return kind == TRACE_ALLOC || kind == TRACE_RESIZE || kind == TRACE_MOVED_TO;
}

static uint64_t rotate_right(uint64_t value, unsigned shift)
{
    return value >> shift | value << (64 - shift);
}

/* ------------------------------------------------------------------ writing */

/* Seven bits a byte, the lowest first; the top bit says that more follow. */
static uint8_t *put_number(uint8_t *to, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        *to++ = (uint8_t)(number | 0x80);
    *to++ = (uint8_t)number;
    return to;
}

/* Small differences of either sign as small numbers: 0, -1, 1, -2, ... */
static uint8_t *put_difference(uint8_t *to, uint64_t number, uint64_t before)
{
    uint64_t difference = number - before;
    return put_number(to, difference << 1 ^ (difference >> 63 ? UINT64_MAX : 0));
}

uint8_t *trace_encode(uint8_t *to, struct trace_stream *stream, const struct trace_event *event)
{
    bool key = event->key != stream->key;
    *to++ = (uint8_t)(event->kind | (key ? KEY_FOLLOWS : 0) | (event->alignment_shift ? ALIGNED : 0) |
                      (event->zeroed ? ZEROED : 0));
    to = put_number(to, event->time - stream->time);
    stream->time = event->time;
    if (key) {
        to = put_difference(to, event->key, stream->key);
        stream->key = event->key;
    }
    if (has_address(event->kind)) {
        uint64_t address = rotate_right(event->address, GRANULE_SHIFT);
        to = put_difference(to, address, stream->address);
        stream->address = address;
    }
    if (has_size(event->kind))
        to = put_number(to, event->size);
    if (event->alignment_shift)
        *to++ = event->alignment_shift;
    if (event->kind == TRACE_KEY) {
        size_t length = strnlen(event->name, TRACE_NAME_BYTES - 1);
        *to++ = (uint8_t)length;
        memcpy(to, event->name, length);
        to += length;
    }
    return to;
}

/* ------------------------------------------------------------------ reading */

static const uint8_t *get_number(const uint8_t *from, const uint8_t *end, uint64_t *number)
{
    *number = 0;
    for (unsigned shift = 0; from && from < end && shift < 64; shift += 7) {
        uint64_t bits = *from & 0x7f;
        if (shift == 63 && bits > 1)
            return NULL;
        *number |= bits << shift;
        if (!(*from++ & 0x80))
            return from;
    }
    return NULL;
}

static const uint8_t *get_difference(const uint8_t *from, const uint8_t *end, uint64_t *number)
{
    uint64_t coded;
    from = get_number(from, end, &coded);
    *number += coded >> 1 ^ (coded & 1 ? UINT64_MAX : 0);
    return from;
}

static const uint8_t *get_alignment(const uint8_t *from, const uint8_t *end, uint8_t *shift)
{
    if (!from || from == end || *from == 0 || *from > 63)
        return NULL;
    *shift = *from;
    return from + 1;
}

static const uint8_t *get_name(const uint8_t *from, const uint8_t *end, char *name)
{
    if (!from || from == end)
        return NULL;
    size_t length = *from++;
    if (length >= TRACE_NAME_BYTES || length > (size_t)(end - from) || memchr(from, 0, length))
        return NULL;
    memcpy(name, from, length);
    name[length] = 0;
    return from + length;
}

const uint8_t *trace_decode(const uint8_t *from, const uint8_t *end, struct trace_stream *stream,
                            struct trace_event *event)
{
    if (from == end)
        return NULL;
    unsigned first = *from++;
    event->kind = first & KIND_MASK;
    event->zeroed = first & ZEROED;
    event->alignment_shift = 0;
    event->size = 0;
    if (!event->kind || first & FLAGS_UNKNOWN)
        return NULL;
    uint64_t later;
    from = get_number(from, end, &later);
    if (!from || later > UINT64_MAX - stream->time)
        return NULL;
    stream->time += later;
    if (first & KEY_FOLLOWS)
        from = get_difference(from, end, &stream->key);
    if (has_address(event->kind))
        from = get_difference(from, end, &stream->address);
    if (has_size(event->kind))
        from = get_number(from, end, &event->size);
    if (first & ALIGNED)
        from = get_alignment(from, end, &event->alignment_shift);
    if (event->kind == TRACE_KEY)
        from = get_name(from, end, event->name);
    event->time = stream->time;
    event->key = stream->key;
    event->address = rotate_right(stream->address, 64 - GRANULE_SHIFT);
    return from;
}
