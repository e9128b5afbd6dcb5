/*
 * The expert "reassembly": TCP streams put in order. A segment that comes early is held in a block of its true size until
 * the gap before it closes; where segments overlap, the bytes that came first count. A stream holds a limited amount:
 * beyond it the gap is given up, and counted as lost. What cannot be of the stream is left out: numbers outside of its
 * window, and gaps larger than what may be held that the other side acknowledges nothing behind.
 */
#include "event.h"
#include "table.h"

#include <string.h>

enum { HELD_MOST = 1 << 20, SEGMENTS_MOST = 1024, COLUMNS = 9 };

struct segment {
    struct segment *next; /* by sequence, no two overlapping */
    uint32_t sequence;
    uint32_t length;
    uint8_t bytes[];
};

struct stream {
    bool started;
    bool opened; /* `start` is where its SYN says that it begins */
    bool unsure; /* started where a segment without data was: behind it, or behind a keep-alive's number */
    uint32_t start;
    uint32_t next; /* sequence number that comes next */
    struct segment *early;
    uint32_t held; /* bytes in early segments */
    uint32_t segments;
    uint64_t delivered;
    uint64_t out_of_order; /* segments */
    uint64_t overlapped;   /* bytes that had come before */
    uint64_t gaps;
    uint64_t lost;
    uint64_t outside;  /* bytes that cannot be of the stream */
    uint32_t checksum; /* of what was delivered, in order */
};

struct conversation {
    struct record record;
    struct stream streams[2];
};

BOOL WINAPI Register(PEXPERTENUMINFO info);
BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window);

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    describe(info, "reassembly", "TCP streams put in order: bytes delivered, gaps, overlaps");
    return TRUE;
}

/* How far `a` is behind `b` in sequence space, negative when it is before. */
static int32_t after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

/* FNV-1a over the stream: the same bytes in the same order give the same value, however they arrived. */
static void deliver(struct stream *stream, const uint8_t *bytes, uint32_t length)
{
    uint32_t checksum = stream->checksum;
    for (uint32_t i = 0; i < length; i++)
        checksum = (checksum ^ bytes[i]) * 16777619u;
    stream->checksum = checksum;
    stream->delivered += length;
    stream->next += length;
}

/* Delivers the early segments that the gap no longer keeps back. */
static DWORD stream_catch_up(HEXPERTKEY key, struct stream *stream)
{
    struct segment *segment;
    while ((segment = stream->early) && after(segment->sequence, stream->next) <= 0) {
        uint32_t known = stream->next - segment->sequence;
        if (known > segment->length)
            known = segment->length;
        stream->overlapped += known;
        deliver(stream, segment->bytes + known, segment->length - known);
        stream->early = segment->next;
        stream->held -= segment->length;
        stream->segments--;
        DWORD error = (DWORD)ExpertFreeMemory(key, segment);
        if (error)
            return error;
    }
    return NMERR_SUCCESS;
}

/*
 * Whether the gap before the first early segment can be believed: a stream that jumps further than what may be held has
 * lost as much only if the other side, where it was captured, has got what is behind.
 */
static bool gap_is_real(const struct stream *stream, const struct side *side, const struct side *other)
{
    uint32_t gap = stream->early->sequence - stream->next;
    return gap <= HELD_MOST || !other->known ||
           (side->reached && after(side->acknowledged, stream->early->sequence) > 0);
}

static DWORD stream_drop_early(HEXPERTKEY key, struct stream *stream)
{
    struct segment *segment = stream->early;
    stream->early = segment->next;
    stream->held -= segment->length;
    stream->segments--;
    stream->outside += segment->length;
    return (DWORD)ExpertFreeMemory(key, segment);
}

/* Gives up the gap before the first early segment, or the segment. */
static DWORD stream_skip_gap(HEXPERTKEY key, struct stream *stream, const struct connection *connection,
                             unsigned direction)
{
    if (!gap_is_real(stream, &connection->sides[direction], &connection->sides[!direction]))
        return stream_drop_early(key, stream);
    stream->gaps++;
    stream->lost += stream->early->sequence - stream->next;
    stream->next = stream->early->sequence;
    return stream_catch_up(key, stream);
}

/* Holds the part of the bytes that no other early segment covers, in pieces where they cover more than one
 * gap. */
static DWORD stream_hold(HEXPERTKEY key, struct stream *stream, uint32_t sequence, const uint8_t *bytes,
                         uint32_t length)
{
    struct segment **link = &stream->early;
    while (length) {
        while (*link && after((*link)->sequence + (*link)->length, sequence) <= 0)
            link = &(*link)->next;
        struct segment *other = *link;
        if (other && after(other->sequence, sequence) <= 0) {
            uint32_t covered = other->sequence + other->length - sequence;
            if (covered > length)
                covered = length;
            stream->overlapped += covered;
            sequence += covered;
            bytes += covered;
            length -= covered;
            continue;
        }
        uint32_t piece = length;
        if (other && other->sequence - sequence < piece)
            piece = other->sequence - sequence;
        DWORD error;
        struct segment *segment = ExpertAllocMemory(key, sizeof *segment + piece, &error);
        if (!segment)
            return error;
        *segment = (struct segment){.next = other, .sequence = sequence, .length = piece};
        memcpy(segment->bytes, bytes, piece);
        *link = segment;
        stream->held += piece;
        stream->segments++;
        sequence += piece;
        bytes += piece;
        length -= piece;
    }
    return NMERR_SUCCESS;
}

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

static DWORD stream_take(HEXPERTKEY key, struct stream *stream, const struct connection *connection, unsigned direction,
                         const EXPERTFRAMEDESCRIPTOR *descriptor)
{
    const struct packet *packet = descriptor->lpPropertyTable;
    uint32_t sequence = packet->sequence;
    uint32_t length = packet->payload_captured;
    const uint8_t *bytes = descriptor->pFrame->MacFrame + packet->payload;
    if (packet->flags & TCP_SYN)
        sequence++;
    stream_start(stream, &connection->sides[direction], sequence, length);
    if (!length)
        return NMERR_SUCCESS;
    int32_t early = after(sequence, stream->next);
    if (early < 0) {
        uint32_t known = (uint32_t)-early < length ? (uint32_t)-early : length;
        stream->overlapped += known;
        sequence += known;
        bytes += known;
        length -= known;
    }
    if (early <= 0) {
        deliver(stream, bytes, length);
        return stream_catch_up(key, stream);
    }
    stream->out_of_order++;
    DWORD error = stream_hold(key, stream, sequence, bytes, length);
    while (!error && (stream->held > HELD_MOST || stream->segments > SEGMENTS_MOST))
        error = stream_skip_gap(key, stream, connection, direction);
    return error;
}

static DWORD stream_submit(HEXPERTKEY key, const struct record *record, unsigned direction, const struct stream *stream)
{
    char texts[2][ENDPOINT_TEXT];
    PNMEVENTDATA event = event_new(key, "reassembly", "stream", COLUMNS);
    if (!event)
        return NMERR_OUT_OF_MEMORY;
    event_add_text(event, "source", endpoint_text(record_end(record, direction), record->key.version, texts[0]));
    event_add_text(event, "destination", endpoint_text(record_end(record, !direction), record->key.version, texts[1]));
    event_add_number(event, "bytes", (double)stream->delivered);
    event_add_number(event, "out of order", (double)stream->out_of_order);
    event_add_number(event, "overlapped", (double)stream->overlapped);
    event_add_number(event, "gaps", (double)stream->gaps);
    event_add_number(event, "lost", (double)stream->lost);
    event_add_number(event, "outside", (double)stream->outside);
    event_add_number(event, "checksum", stream->checksum);
    DWORD error = ExpertSubmitEvent(key, event);
    DWORD freed = (DWORD)ExpertFreeMemory(key, event);
    return error ? error : freed;
}

static DWORD stream_end(struct flow_table *table, struct record *record, unsigned direction)
{
    struct stream *stream = &((struct conversation *)record)->streams[direction];
    DWORD error = NMERR_SUCCESS;
    while (!error && stream->early)
        error = stream_skip_gap(table->key, stream, &record->connection, direction);
    if (!error && stream->delivered)
        error = stream_submit(table->key, record, direction, stream);
    *stream = (struct stream){0};
    return error;
}

static DWORD conversation_end(struct flow_table *table, struct record *record)
{
    DWORD error = stream_end(table, record, 0);
    return error ? error : stream_end(table, record, 1);
}

/* The connection that was in doubt is another one. Of the side that opened it all that there is is of that one, but where
 * it had a connection with the same numbers before. */
static DWORD conversation_split(struct flow_table *table, struct conversation *conversation, bool swapped)
{
    struct record *record = &conversation->record;
    if (record->connection.was_doubt == DOUBT_AGAIN) {
        record->swapped ^= swapped;
        DWORD error = conversation_end(table, record);
        record->swapped ^= swapped;
        return error;
    }
    if (!swapped)
        return stream_end(table, record, 1);
    struct stream stream = conversation->streams[0];
    conversation->streams[0] = conversation->streams[1];
    conversation->streams[1] = stream;
    return stream_end(table, record, 1);
}

static DWORD conversation_take(struct flow_table *table, const EXPERTFRAMEDESCRIPTOR *descriptor)
{
    const struct packet *packet = descriptor->lpPropertyTable;
    struct place place = {0};
    DWORD error = table_place(table, descriptor, &place);
    struct conversation *conversation = (struct conversation *)place.record;
    if (!error && place.event == CONNECTION_SPLIT)
        error = conversation_split(table, conversation, place.swapped);
    /* What a reset holds is a message, and not of the stream. */
    if (error || !packet->segment || packet->flags & TCP_RST)
        return error;
    struct stream *stream = &conversation->streams[place.direction];
    const struct connection *connection = &conversation->record.connection;
    if (place.event == CONNECTION_STRAY || (place.event == CONNECTION_DOUBT && packet->flags & TCP_ACK)) {
        stream->outside += packet->payload_captured;
        return NMERR_SUCCESS;
    }
    return stream_take(table->key, stream, connection, place.direction, descriptor);
}

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    struct flow_table table = {.key = key, .record_bytes = sizeof(struct conversation), .end = conversation_end};
    EXPERTFRAMEDESCRIPTOR descriptor;
    table_open(&table);
    DWORD error = ExpertIndicateStatus(key, EXPERTSTATUS_RUNNING, 0, "putting streams in order", 0);
    while (!error &&
           !(error = ExpertGetFrame(key, GET_FRAME_NEXT_FORWARD, FLAGS_ATTACH_PROPERTIES, 0, NULL, &descriptor))) {
        const struct packet *packet = descriptor.lpPropertyTable;
        if (packet->version && packet->protocol == PROTOCOL_TCP)
            error = conversation_take(&table, &descriptor);
    }
    if (error != NMERR_NO_MORE_FRAMES)
        return FALSE;
    error = table_close(&table);
    return !error && !ExpertIndicateStatus(key, EXPERTSTATUS_DONE, 0, NULL, 99);
}
