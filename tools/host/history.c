#include "history.h"

#include "experts/decode.h"
#include "host.h"
#include "origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Frames that are read on at a time, at the least and at the most: one request does not hold up those of other threads. */
enum { STEP_LEAST = 256, STEP_MOST = 4096 };

/* The index: chunks that stay where they are, so that what is known is read without the mutex. */
enum { CHUNK = 1 << 16, CHUNKS = 1 << 16 };

struct entry {
    uint64_t offset;
    int64_t time;
    int64_t clock;
    struct packet *packet; /* of a later fragment, with what the first one says; NULL where decoding tells all */
    uint64_t hash;
    uint32_t length;
    uint32_t captured;
    uint16_t link;
    bool settled; /* hash, clock and packet are final */
};

struct history {
    ks_key_t key;
    uint64_t most;
    struct origin *origin;
    pthread_mutex_t mutex; /* reading on */
    struct clock clock;
    struct fragments fragments;
    uint32_t read;              /* frames in the index */
    uint32_t settled;           /* all of them up to this one are */
    atomic_uint_fast32_t known; /* the same, for all threads */
    DWORD end;                  /* why there are no more; NMERR_SUCCESS while there may be */
    struct entry **chunks;
};

static struct entry *entry_of(const struct history *history, uint32_t number)
{
    return &history->chunks[(number - 1) / CHUNK][(number - 1) % CHUNK];
}

/* ------------------------------------------------------------------ reading on */

static struct entry *entry_add(struct history *history)
{
    uint32_t index = history->read;
    struct entry **chunk = &history->chunks[index / CHUNK];
    if (!*chunk)
        *chunk = malloc(CHUNK * sizeof **chunk);
    if (!*chunk)
        return NULL;
    history->read++;
    return &(*chunk)[index % CHUNK];
}

/* A frame has its place in a flow: at once, or when the first fragment of its datagram has come, or will not. */
static void settle(struct history *history, uint32_t number, const struct packet *packet)
{
    struct entry *entry = entry_of(history, number);
    entry->hash = decode_hash(packet);
    entry->clock = history->clock.passed;
    if (packet_is_later_fragment(packet)) {
        entry->packet = malloc(sizeof *packet);
        if (entry->packet)
            *entry->packet = *packet;
        else
            history->end = NMERR_OUT_OF_MEMORY;
    }
    entry->settled = true;
    while (history->settled < history->read && entry_of(history, history->settled + 1)->settled)
        history->settled++;
}

/* What fragments deliver: a block with the packet alone. */
static void deliver(void *context, struct frame *frame)
{
    struct history *history = context;
    settle(history, frame->number, &frame->packet);
    ks_free(history->key, frame);
}

static void take_fragment(struct history *history, uint32_t number, const struct captured *captured,
                          const struct packet *packet)
{
    struct frame *frame = ks_alloc(history->key, sizeof *frame, NULL);
    if (!frame) {
        history->end = NMERR_OUT_OF_MEMORY;
        return;
    }
    frame->number = number;
    frame->packet = *packet;
    frame->data.TimeStamp = captured->time;
    frame->data.nBytesAvail = captured->captured;
    if (fragments_take(&history->fragments, frame) == KS_OK)
        return;
    ks_free(history->key, frame);
    history->end = NMERR_OUT_OF_MEMORY;
}

/* As host_frame does. */
static void take(struct history *history, const struct captured *captured)
{
    struct packet packet;
    struct entry *entry = entry_add(history);
    if (!entry) {
        history->end = NMERR_OUT_OF_MEMORY;
        return;
    }
    *entry = (struct entry){
        .offset = captured->offset,
        .time = captured->time,
        .length = captured->length,
        .captured = captured->captured,
        .link = captured->link,
    };
    fragments_expire(&history->fragments, clock_advance(&history->clock, captured->time));
    decode(captured->link, captured->bytes, captured->captured, captured->length, &packet);
    packet.clock = history->clock.passed;
    if (packet.fragment.version)
        take_fragment(history, history->read, captured, &packet);
    else
        settle(history, history->read, &packet);
}

static bool one_more(const struct history *history)
{
    return !history->end && history->read < UINT32_MAX - 1 && (!history->most || history->read < history->most);
}

/* The next frame into the index; false where it has not come up to now. */
static bool read_one(struct history *history)
{
    struct captured captured;
    enum origin_result result = one_more(history) ? origin_next(history->origin, &captured) : ORIGIN_END;
    switch (result) {
    case ORIGIN_FRAME:
        take(history, &captured);
        break;
    case ORIGIN_AGAIN:
        fragments_close(&history->fragments);
        break;
    case ORIGIN_WAIT:
        return false;
    case ORIGIN_END:
        fragments_close(&history->fragments);
        history->end = history->end ? history->end : NMERR_OUT_OF_RANGE;
        break;
    case ORIGIN_FAILED:
        history->end = NMERR_FILE_READ_ERROR;
        break;
    }
    return true;
}

DWORD history_reach(struct history *history, uint32_t number)
{
    if (number <= history_count(history))
        return NMERR_SUCCESS;
    pthread_mutex_lock(&history->mutex);
    for (unsigned i = 0; i < STEP_MOST && !history->end && (i < STEP_LEAST || history->settled < number); i++)
        if (!read_one(history))
            break;
    if (!origin_flush(history->origin))
        history->end = NMERR_FILE_WRITE_ERROR;
    atomic_store_explicit(&history->known, history->settled, memory_order_release);
    DWORD result = history->settled >= number ? NMERR_SUCCESS : history->end ? history->end : NMERR_PENDING;
    pthread_mutex_unlock(&history->mutex);
    return result;
}

/* ------------------------------------------------------------------ what is known */

uint32_t history_count(const struct history *history)
{
    return (uint32_t)atomic_load_explicit(&history->known, memory_order_acquire);
}

uint64_t history_hash(const struct history *history, uint32_t number)
{
    return entry_of(history, number)->hash;
}

DWORD history_read(struct history *history, uint32_t number, struct frame **to)
{
    const struct entry *entry = entry_of(history, number);
    struct frame *frame = ks_alloc(history->key, sizeof *frame + entry->captured, NULL);
    if (!frame)
        return NMERR_OUT_OF_MEMORY;
    if (!origin_read(history->origin, entry->offset, frame->data.MacFrame, entry->captured)) {
        ks_free(history->key, frame);
        return NMERR_FILE_READ_ERROR;
    }
    frame->number = number;
    frame->data.TimeStamp = entry->time;
    frame->data.FrameLength = entry->length;
    frame->data.nBytesAvail = entry->captured;
    if (entry->packet)
        frame->packet = *entry->packet;
    else
        decode(entry->link, frame->data.MacFrame, entry->captured, entry->length, &frame->packet);
    frame->packet.clock = entry->clock;
    *to = frame;
    return NMERR_SUCCESS;
}

/* ------------------------------------------------------------------ its life */

struct history *history_open(struct origin *origin, ks_key_t key)
{
    struct history *history = malloc(sizeof *history);
    struct entry **chunks = calloc(CHUNKS, sizeof *chunks);
    if (!history || !chunks)
        host_fatal("the frames by number", KS_NO_MEMORY);
    *history = (struct history){
        .key = key,
        .most = origin_most(origin),
        .origin = origin,
        .chunks = chunks,
        .mutex = PTHREAD_MUTEX_INITIALIZER,
    };
    fragments_open(&history->fragments, key, deliver, history);
    return history;
}

static void free_packets(struct history *history)
{
    for (uint32_t number = 1; number <= history->read; number++)
        free(entry_of(history, number)->packet);
}

void history_close(struct history *history)
{
    fragments_close(&history->fragments);
    free_packets(history);
    for (uint32_t i = 0; i < CHUNKS && history->chunks[i]; i++)
        free(history->chunks[i]);
    free(history->chunks);
    free(history);
}
