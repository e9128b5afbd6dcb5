/*
 * The expert "reassembly": TCP streams put in order. A segment that comes early is held in a block of its
 * true size until the gap before it closes; where segments overlap, the bytes that came first count. A stream
 * holds a limited amount: beyond it the gap is given up, and counted as lost.
 */
#include "event.h"
#include "table.h"

#include <string.h>

enum { HELD_MOST = 1 << 20, SEGMENTS_MOST = 1024, COLUMNS = 9 };

#define IDLE_TIMEOUT ((int64_t)300 * 1000000)

struct segment {
    struct segment *next; /* by sequence, no two overlapping */
    uint32_t sequence;
    uint32_t length;
    uint8_t bytes[];
};

struct stream {
    bool started;
    uint32_t next; /* sequence number that comes next */
    struct segment *early;
    uint32_t held; /* bytes in early segments */
    uint32_t segments;
    uint64_t delivered;
    uint64_t out_of_order; /* segments */
    uint64_t overlapped;   /* bytes that had come before */
    uint64_t gaps;
    uint64_t lost;
    uint32_t checksum; /* of what was delivered, in order */
};

struct connection {
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

/* Gives up the gap before the first early segment. */
static DWORD stream_skip_gap(HEXPERTKEY key, struct stream *stream)
{
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

static DWORD stream_take(HEXPERTKEY key, struct stream *stream, const struct packet *packet, const FRAME *frame)
{
    uint32_t sequence = packet->sequence;
    uint32_t length = packet->payload_captured;
    const uint8_t *bytes = frame->MacFrame + packet->payload;
    if (packet->flags & TCP_SYN)
        sequence++;
    if (!stream->started) {
        stream->started = true;
        stream->next = sequence;
    }
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
        error = stream_skip_gap(key, stream);
    return error;
}

static DWORD stream_submit(HEXPERTKEY key, const struct record *record, unsigned direction, const struct stream *stream)
{
    char texts[2][ENDPOINT_TEXT];
    PNMEVENTDATA event = event_new(key, "reassembly", "stream", COLUMNS);
    if (!event)
        return NMERR_OUT_OF_MEMORY;
    event_add_text(event, "source", endpoint_text(&record->ends[direction], record->version, texts[0]));
    event_add_text(event, "destination", endpoint_text(&record->ends[!direction], record->version, texts[1]));
    event_add_number(event, "bytes", (double)stream->delivered);
    event_add_number(event, "out of order", (double)stream->out_of_order);
    event_add_number(event, "overlapped", (double)stream->overlapped);
    event_add_number(event, "gaps", (double)stream->gaps);
    event_add_number(event, "lost", (double)stream->lost);
    event_add_number(event, "checksum", stream->checksum);
    DWORD error = ExpertSubmitEvent(key, event);
    DWORD freed = (DWORD)ExpertFreeMemory(key, event);
    return error ? error : freed;
}

static DWORD connection_end(struct flow_table *table, struct record *record)
{
    struct connection *connection = (struct connection *)record;
    DWORD error = NMERR_SUCCESS;
    for (unsigned d = 0; !error && d < 2; d++) {
        struct stream *stream = &connection->streams[d];
        while (!error && stream->early)
            error = stream_skip_gap(table->key, stream);
        if (!error && stream->delivered)
            error = stream_submit(table->key, record, d, stream);
    }
    return error ? error : table_remove(table, record);
}

static DWORD connection_take(struct flow_table *table, const struct packet *packet, const FRAME *frame)
{
    unsigned direction = 0;
    DWORD error = NMERR_SUCCESS;
    struct record *record = table_find(table, packet, &direction);
    bool opens = (packet->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
    if (record && opens) {
        struct stream *stream = &((struct connection *)record)->streams[direction];
        if (stream->started && after(packet->sequence + 1, stream->next) > HELD_MOST) {
            error = connection_end(table, record);
            record = NULL;
            direction = 0;
        }
    }
    if (!error && !record)
        record = table_add(table, packet, frame->TimeStamp, &error);
    if (!record)
        return error;
    table_touch(table, record, frame->TimeStamp);
    return stream_take(table->key, &((struct connection *)record)->streams[direction], packet, frame);
}

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    struct flow_table table;
    EXPERTFRAMEDESCRIPTOR descriptor;
    DWORD error = table_open(&table, key, sizeof(struct connection));
    if (!error)
        error = ExpertIndicateStatus(key, EXPERTSTATUS_RUNNING, 0, "putting streams in order", 0);
    while (!error &&
           !(error = ExpertGetFrame(key, GET_FRAME_NEXT_FORWARD, FLAGS_ATTACH_PROPERTIES, 0, NULL, &descriptor))) {
        const FRAME *frame = descriptor.pFrame;
        const struct packet *packet = descriptor.lpPropertyTable;
        struct record *record;
        while (!error && (record = TAILQ_FIRST(&table.idle)) && frame->TimeStamp - record->last > IDLE_TIMEOUT)
            error = connection_end(&table, record);
        if (!error && !packet->problem && packet->version && packet->protocol == PROTOCOL_TCP &&
            !packet_is_later_fragment(packet))
            error = connection_take(&table, packet, frame);
    }
    if (error != NMERR_NO_MORE_FRAMES)
        return FALSE;
    error = NMERR_SUCCESS;
    struct record *record;
    while (!error && (record = TAILQ_FIRST(&table.idle)))
        error = connection_end(&table, record);
    table_close(&table);
    return !error && !ExpertIndicateStatus(key, EXPERTSTATUS_DONE, 0, NULL, 99);
}
