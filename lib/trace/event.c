#include "trace/encode.h"

#define KIND_MASK  ((1u << KIND_BITS) - 1)
#define LATER_MASK ((1u << LATER_BITS) - 1)

/* In an ITEM_WIDE, whose other 8 bytes are the size's upper bits. */
#define ALIGNMENT_SHIFT 4
#define ALIGNMENT_MASK  63u
#define LOW_SHIFT       10
#define WIDE_BITS       14

static size_t name_room(size_t length)
{
    return (length + sizeof(uint32_t) - 1) & ~(sizeof(uint32_t) - 1);
}

/* ------------------------------------------------------------------ writing */

static uint8_t *put_wide(uint8_t *to, const struct trace_event *event)
{
    uint32_t item = ITEM_WIDE | (uint32_t)event->alignment_shift << ALIGNMENT_SHIFT |
                    (uint32_t)(event->address & GRANULE_MASK) << LOW_SHIFT;
    return put_word(put_short(to, item), event->size >> SIZE_BITS);
}

static uint8_t *put_of_key(uint8_t *to, struct trace_stream *stream, const struct trace_event *event)
{
    uint64_t time = event->time > stream->time ? event->time : stream->time;
    to = put_later(to, time - stream->time, time);
    to = put_word(put_short(to, ITEM_SWITCH), event->key);
    stream->time = time;
    stream->key = event->key;
    if (event->kind == TRACE_RESET)
        return put_short(to, TRACE_RESET);
    size_t length = strnlen(event->name, TRACE_NAME_BYTES - 1);
    to = put_short(to, (uint32_t)length << KIND_BITS | TRACE_KEY);
    memset(to, 0, name_room(length));
    memcpy(to, event->name, length);
    return to + name_room(length);
}

uint8_t *trace_encode(uint8_t *to, struct trace_stream *stream, const struct trace_event *event)
{
    if (event->kind == TRACE_RESET || event->kind == TRACE_KEY)
        return put_of_key(to, stream, event);
    if (!block_fits(event->address, event->size) || event->alignment_shift)
        to = put_wide(to, event);
    unsigned kind = event->zeroed ? ITEM_ZEROED : event->kind;
    return put_block(to, stream, kind, event->time, event->key, event->address, event->size);
}

/* ------------------------------------------------------------------ reading */

static const uint8_t *get_short(const uint8_t *from, const uint8_t *end, uint32_t *item)
{
    if (!from || (size_t)(end - from) < sizeof *item)
        return NULL;
    memcpy(item, from, sizeof *item);
    *item = le32toh(*item);
    return from + sizeof *item;
}

static const uint8_t *get_word(const uint8_t *from, const uint8_t *end, uint64_t *word)
{
    if (!from || (size_t)(end - from) < sizeof *word)
        return NULL;
    memcpy(word, from, sizeof *word);
    *word = le64toh(*word);
    return from + sizeof *word;
}

static bool pass_time(struct trace_stream *stream, uint64_t time)
{
    bool later = time >= stream->time;
    stream->time = time;
    return later;
}

static bool get_wide(struct trace_event *event, uint32_t item, uint64_t word)
{
    event->alignment_shift = (uint8_t)(item >> ALIGNMENT_SHIFT & ALIGNMENT_MASK);
    event->address = item >> LOW_SHIFT & GRANULE_MASK;
    event->size = word << SIZE_BITS;
    return !(item >> WIDE_BITS) && !(word >> (64 - SIZE_BITS));
}

/* One of the things that are said before an event; its first four bytes are `item`. */
static const uint8_t *get_before(const uint8_t *from, const uint8_t *end, uint32_t item, struct trace_stream *stream,
                                 struct trace_event *event)
{
    unsigned kind = item & KIND_MASK;
    uint32_t rest = item >> KIND_BITS;
    if (kind == ITEM_LATER)
        return pass_time(stream, stream->time + rest) ? from : NULL;
    uint64_t word;
    from = get_word(from, end, &word);
    if (!from)
        return NULL;
    switch (kind) {
    case ITEM_TIME:
        return !rest && pass_time(stream, word) ? from : NULL;
    case ITEM_SWITCH:
        stream->key = word;
        return rest ? NULL : from;
    case ITEM_PLACE:
        stream->granule = word;
        return rest || word > UINT64_MAX >> GRANULE_SHIFT ? NULL : from;
    case ITEM_WIDE:
        return get_wide(event, item, word) ? from : NULL;
    default:
        return NULL;
    }
}

static const uint8_t *get_name(const uint8_t *from, const uint8_t *end, uint32_t length, char *name)
{
    if (length >= TRACE_NAME_BYTES || name_room(length) > (size_t)(end - from) || memchr(from, 0, length))
        return NULL;
    memcpy(name, from, length);
    name[length] = 0;
    return from + name_room(length);
}

static const uint8_t *get_block(const uint8_t *from, const uint8_t *end, struct trace_stream *stream,
                                struct trace_event *event)
{
    uint64_t word;
    from = get_word(from, end, &word);
    if (!from || !pass_time(stream, stream->time + (word >> KIND_BITS & LATER_MASK)))
        return NULL;
    event->size |= word >> SIZE_SHIFT & UINT16_MAX;
    stream->granule += (uint64_t)(int32_t)(uint32_t)(word >> AWAY_SHIFT);
    event->address |= stream->granule << GRANULE_SHIFT;
    return stream->granule > UINT64_MAX >> GRANULE_SHIFT ? NULL : from;
}

/* Whether an ITEM_WIDE was said before: of an event of a key there is nothing that it could be part of. */
static bool is_wide(const struct trace_event *event)
{
    return event->address || event->size || event->alignment_shift;
}

/* An event; its first four bytes are `item`. */
static const uint8_t *get_event(const uint8_t *from, const uint8_t *end, uint32_t item, struct trace_stream *stream,
                                struct trace_event *event)
{
    const uint8_t *behind = from + sizeof item;
    uint32_t rest = item >> KIND_BITS;
    event->zeroed = (item & KIND_MASK) == ITEM_ZEROED;
    event->kind = event->zeroed ? TRACE_ALLOC : item & KIND_MASK;
    switch (event->kind) {
    case 0:
        return NULL;
    case TRACE_RESET:
        return rest || is_wide(event) ? NULL : behind;
    case TRACE_KEY:
        return is_wide(event) ? NULL : get_name(behind, end, rest, event->name);
    default:
        return get_block(from, end, stream, event);
    }
}

const uint8_t *trace_decode(const uint8_t *from, const uint8_t *end, struct trace_stream *stream,
                            struct trace_event *event)
{
    uint32_t item;
    const uint8_t *next = get_short(from, end, &item);
    event->address = 0;
    event->size = 0;
    event->alignment_shift = 0;
    while (next && (item & KIND_MASK) > ITEM_ZEROED) {
        from = get_before(next, end, item, stream, event);
        next = get_short(from, end, &item);
    }
    if (!next)
        return NULL;
    from = get_event(from, end, item, stream, event);
    event->time = stream->time;
    event->key = stream->key;
    return from;
}

bool trace_is_padding(const uint8_t *from, const uint8_t *end)
{
    uint32_t item;
    return from == end || (get_short(from, end, &item) && !item);
}

uint32_t trace_count(const uint8_t *from, const uint8_t *end, uint64_t time, const uint8_t **last)
{
    struct trace_stream stream = {.time = time};
    struct trace_event event = {0};
    uint32_t events = 0;
    for (const uint8_t *at = from; !trace_is_padding(at, end) && (at = trace_decode(at, end, &stream, &event));
         from = at)
        events++;
    *last = from;
    return events;
}
