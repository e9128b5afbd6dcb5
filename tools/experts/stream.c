#include "stream.h"

#include <string.h>

enum { HELD_MOST = 1 << 20, SEGMENTS_MOST = 1024 };

struct segment {
    struct segment *next;
    uint32_t sequence;
    uint32_t length;
    uint8_t bytes[];
};

/* A stream that is worked on, and where it belongs. */
struct work {
    struct stream_table *table;
    HEXPERTKEY key;
    struct conversation *conversation;
    struct stream *stream;
    const struct side *side;
    const struct side *other;
};

static struct work work_on(struct stream_table *table, struct conversation *conversation, unsigned direction)
{
    const struct connection *connection = &conversation->record.connection;
    return (struct work){
        .table = table,
        .key = table->flows.key,
        .conversation = conversation,
        .stream = conversation->streams[direction],
        .side = &connection->sides[direction],
        .other = &connection->sides[!direction],
    };
}

/* How far `a` is behind `b` in sequence space, negative when it is before. */
static int32_t after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

static DWORD deliver(const struct work *work, const uint8_t *bytes, uint32_t length)
{
    work->stream->delivered += length;
    work->stream->next += length;
    if (!length)
        return NMERR_SUCCESS;
    return work->table->deliver(work->table, work->conversation, work->stream, bytes, length);
}

/* ------------------------------------------------------------------ early segments */

static DWORD take_out_early(const struct work *work)
{
    struct stream *stream = work->stream;
    struct segment *segment = stream->early;
    stream->early = segment->next;
    stream->held -= segment->length;
    stream->segments--;
    return (DWORD)ExpertFreeMemory(work->key, segment);
}

/* Delivers the early segments that the gap no longer keeps back. */
static DWORD catch_up(const struct work *work)
{
    struct stream *stream = work->stream;
    struct segment *segment;
    DWORD error = NMERR_SUCCESS;
    while (!error && (segment = stream->early) && after(segment->sequence, stream->next) <= 0) {
        uint32_t known = stream->next - segment->sequence;
        if (known > segment->length)
            known = segment->length;
        stream->overlapped += known;
        error = deliver(work, segment->bytes + known, segment->length - known);
        if (!error)
            error = take_out_early(work);
    }
    return error;
}

/*
 * Whether the gap before the first early segment can be believed: a stream that jumps further than what may be held has
 * lost as much only if the other side, where it was captured, has got what is behind.
 */
static bool gap_is_real(const struct work *work)
{
    const struct segment *early = work->stream->early;
    const struct side *side = work->side;
    uint32_t gap = early->sequence - work->stream->next;
    return gap <= HELD_MOST || !work->other->known || (side->reached && after(side->acknowledged, early->sequence) > 0);
}

/* Gives up the gap before the first early segment, or the segment. */
static DWORD skip_gap(const struct work *work)
{
    struct stream *stream = work->stream;
    if (!gap_is_real(work)) {
        stream->outside += stream->early->length;
        return take_out_early(work);
    }
    stream->gaps++;
    stream->lost += stream->early->sequence - stream->next;
    stream->next = stream->early->sequence;
    return catch_up(work);
}

static struct segment *segment_new(const struct work *work, uint32_t sequence, const uint8_t *bytes, uint32_t length,
                                   DWORD *error)
{
    struct segment *segment = ExpertAllocMemory(work->key, sizeof *segment + length, error);
    if (!segment)
        return NULL;
    *segment = (struct segment){.sequence = sequence, .length = length};
    memcpy(segment->bytes, bytes, length);
    work->stream->held += length;
    work->stream->segments++;
    return segment;
}

/* Holds the part of the bytes that no other early segment covers, in pieces where they cover more than one gap. */
static DWORD hold(const struct work *work, uint32_t sequence, const uint8_t *bytes, uint32_t length)
{
    struct segment **link = &work->stream->early;
    while (length) {
        while (*link && after((*link)->sequence + (*link)->length, sequence) <= 0)
            link = &(*link)->next;
        struct segment *other = *link;
        uint32_t piece = length;
        if (other && after(other->sequence, sequence) <= 0) {
            uint32_t covered = other->sequence + other->length - sequence;
            piece = covered < length ? covered : length;
            work->stream->overlapped += piece;
        } else {
            if (other && other->sequence - sequence < piece)
                piece = other->sequence - sequence;
            DWORD error;
            struct segment *segment = segment_new(work, sequence, bytes, piece, &error);
            if (!segment)
                return error;
            segment->next = other;
            *link = segment;
        }
        sequence += piece;
        bytes += piece;
        length -= piece;
    }
    return NMERR_SUCCESS;
}

/* ------------------------------------------------------------------ a segment */

/* Where the stream begins: behind its SYN, if that is known before anything was delivered, else at what was seen first. */
static void stream_start(struct stream *stream, const struct side *side, uint32_t sequence, uint32_t length)
{
    if (side->opened && !stream->delivered && (!stream->opened || stream->start != side->start)) {
        stream->started = stream->opened = true;
        stream->start = stream->next = side->start;
        stream->unsure = false;
    } else if (!stream->started) {
        stream->started = true;
        stream->unsure = !length;
        stream->next = sequence;
    } else if (stream->unsure && length) {
        if (sequence == stream->next + 1)
            stream->next = sequence;
        stream->unsure = false;
    }
}

static DWORD stream_take(const struct work *work, const EXPERTFRAMEDESCRIPTOR *frame)
{
    const struct packet *packet = frame->lpPropertyTable;
    struct stream *stream = work->stream;
    uint32_t sequence = packet->sequence;
    uint32_t length = packet->payload_captured;
    const uint8_t *bytes = frame->pFrame->MacFrame + packet->payload;
    if (packet->flags & TCP_SYN)
        sequence++;
    stream_start(stream, work->side, sequence, length);
    if (!length)
        return NMERR_SUCCESS;
    int32_t early = after(sequence, stream->next);
    if (early > 0) {
        stream->out_of_order++;
        DWORD error = hold(work, sequence, bytes, length);
        while (!error && (stream->held > HELD_MOST || stream->segments > SEGMENTS_MOST))
            error = skip_gap(work);
        return error;
    }
    uint32_t known = (uint32_t)-early < length ? (uint32_t)-early : length;
    stream->overlapped += known;
    DWORD error = deliver(work, bytes + known, length - known);
    return error ? error : catch_up(work);
}

/* ------------------------------------------------------------------ a conversation */

static DWORD streams_end(struct stream_table *table, struct conversation *conversation, unsigned first)
{
    struct stream *ended[2] = {NULL, NULL};
    DWORD error = NMERR_SUCCESS;
    for (unsigned i = first; i < 2 && !error; i++) {
        struct work work = work_on(table, conversation, i);
        ended[i] = work.stream;
        while (!error && work.stream && work.stream->early)
            error = skip_gap(&work);
    }
    if (!error)
        error = table->end(table, conversation, ended);
    for (unsigned i = first; i < 2 && !error; i++) {
        conversation->streams[i] = NULL;
        error = (DWORD)ExpertFreeMemory(table->flows.key, ended[i]);
    }
    return error;
}

static DWORD conversation_end(struct flow_table *flows, struct record *record)
{
    return streams_end((struct stream_table *)flows, (struct conversation *)record, 0);
}

/* The connection that was in doubt is another one. Of the side that opened it all that there is is of that one, but where
 * it had a connection with the same numbers before. */
static DWORD conversation_split(struct stream_table *table, struct conversation *conversation, bool swapped)
{
    struct record *record = &conversation->record;
    if (record->connection.was_doubt == DOUBT_AGAIN) {
        record->swapped ^= swapped;
        DWORD error = streams_end(table, conversation, 0);
        record->swapped ^= swapped;
        return error;
    }
    if (swapped) {
        struct stream *stream = conversation->streams[0];
        conversation->streams[0] = conversation->streams[1];
        conversation->streams[1] = stream;
    }
    return streams_end(table, conversation, 1);
}

static DWORD stream_needed(struct stream_table *table, struct conversation *conversation, unsigned direction)
{
    DWORD error = NMERR_SUCCESS;
    if (conversation->streams[direction])
        return error;
    struct stream *stream = ExpertAllocMemory(table->flows.key, table->stream_bytes, &error);
    if (!stream)
        return error;
    memset(stream, 0, table->stream_bytes);
    conversation->streams[direction] = stream;
    return NMERR_SUCCESS;
}

static DWORD segment_take(struct stream_table *table, const EXPERTFRAMEDESCRIPTOR *frame, const struct place *place)
{
    const struct packet *packet = frame->lpPropertyTable;
    struct conversation *conversation = (struct conversation *)place->record;
    DWORD error = stream_needed(table, conversation, place->direction);
    if (error)
        return error;
    struct work work = work_on(table, conversation, place->direction);
    if (place->event == CONNECTION_STRAY || (place->event == CONNECTION_DOUBT && packet->flags & TCP_ACK)) {
        work.stream->outside += packet->payload_captured;
        return NMERR_SUCCESS;
    }
    table->frame = frame;
    error = stream_take(&work, frame);
    table->frame = NULL;
    return error;
}

DWORD stream_table_take(struct stream_table *table, const EXPERTFRAMEDESCRIPTOR *frame, struct place *place)
{
    const struct packet *packet = frame->lpPropertyTable;
    *place = (struct place){0};
    DWORD error = table_place(&table->flows, frame, place);
    if (!error && place->event == CONNECTION_SPLIT)
        error = conversation_split(table, (struct conversation *)place->record, place->swapped);
    /* What a reset holds is a message, and not of the stream. */
    if (error || !packet->segment || packet->flags & TCP_RST)
        return error;
    return segment_take(table, frame, place);
}

void stream_table_open(struct stream_table *table)
{
    table->flows.end = conversation_end;
    table_open(&table->flows);
}

DWORD stream_table_close(struct stream_table *table)
{
    return table_close(&table->flows);
}
