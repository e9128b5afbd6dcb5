/*
 * How an event of a block becomes bytes: the part of event.c that threads which record do at each event, without a call or a loop.
 */
#ifndef TRACE_ENCODE_H
#define TRACE_ENCODE_H

#include "base/compiler.h"
#include "trace/event.h"

#include <endian.h>
#include <string.h>

/* Behind the kinds of events: a TRACE_ALLOC that was asked for zeroed, and what some events need said before them. */
enum {
    ITEM_ZEROED = TRACE_KEY + 1,
    ITEM_LATER,  /* nanoseconds since the event before */
    ITEM_TIME,   /* the time, where it is later by more */
    ITEM_SWITCH, /* the key */
    ITEM_PLACE,  /* the address that the next one is counted from */
    ITEM_WIDE,   /* of the next block what does not fit its own item */
};

/* Where things lie in an item: the kind lowest in all of them, then what is later. */
#define KIND_BITS     4
#define LATER_BITS    12
#define SIZE_SHIFT    (KIND_BITS + LATER_BITS)
#define SIZE_BITS     16
#define AWAY_SHIFT    (SIZE_SHIFT + SIZE_BITS)
#define GRANULE_SHIFT 4 /* nearly all addresses are multiples of 16 */
#define GRANULE_MASK  (((uint64_t)1 << GRANULE_SHIFT) - 1)

static inline uint8_t *put_short(uint8_t *to, uint32_t item)
{
    item = htole32(item);
    memcpy(to, &item, sizeof item);
    return to + sizeof item;
}

static inline uint8_t *put_word(uint8_t *to, uint64_t word)
{
    word = htole64(word);
    memcpy(to, &word, sizeof word);
    return to + sizeof word;
}

static inline uint8_t *put_later(uint8_t *to, uint64_t later, uint64_t time)
{
    if (later <= UINT32_MAX >> KIND_BITS)
        return put_short(to, (uint32_t)later << KIND_BITS | ITEM_LATER);
    return put_word(put_short(to, ITEM_TIME), time);
}

/* Whether a block of no special alignment fits one item. */
FAST_PATH bool block_fits(uint64_t address, uint64_t size)
{
    return !(address & GRANULE_MASK) && !(size >> SIZE_BITS);
}

/* What does not fit has been said before. */
FAST_PATH uint8_t *put_block(uint8_t *to, struct trace_stream *stream, unsigned kind, uint64_t time, uint64_t key,
                             uint64_t address, uint64_t size)
{
    uint64_t granule = address >> GRANULE_SHIFT;
    uint64_t later = time - stream->time;
    uint64_t away = granule - stream->granule;
    if (unlikely(later >> LATER_BITS)) {
        if (time > stream->time)
            to = put_later(to, later, time);
        else
            time = stream->time; /* a signal's handler has recorded since, or a trace has begun */
        later = 0;
    }
    if (unlikely(key != stream->key))
        to = put_word(put_short(to, ITEM_SWITCH), key);
    if (unlikely((away + ((uint64_t)1 << 31)) >> 32)) {
        to = put_word(put_short(to, ITEM_PLACE), granule);
        away = 0;
    }
    *stream = (struct trace_stream){.time = time, .key = key, .granule = granule};
    return put_word(to, kind | later << KIND_BITS | (size & UINT16_MAX) << SIZE_SHIFT | away << AWAY_SHIFT);
}

#endif
