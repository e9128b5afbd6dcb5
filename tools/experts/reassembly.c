/*
 * The expert "reassembly": TCP streams put in order, and what was missing, early or there twice. What is delivered is only
 * summed up: an expert that reads it begins with stream.h, as this one does.
 */
#include "event.h"
#include "stream.h"

enum { COLUMNS = 9 };

struct summed_stream {
    struct stream stream;
    uint32_t checksum; /* of what was delivered, in order */
};

BOOL WINAPI Register(PEXPERTENUMINFO info);
BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window);

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    describe(info, "reassembly", "TCP streams put in order: bytes delivered, gaps, overlaps");
    return TRUE;
}

/* FNV-1a over the stream: the same bytes in the same order give the same value, however they arrived. */
static DWORD sum_up(struct stream_table *table, struct conversation *conversation, struct stream *stream,
                    const uint8_t *bytes, uint32_t length)
{
    (void)table, (void)conversation;
    struct summed_stream *summed = (struct summed_stream *)stream;
    uint32_t checksum = summed->checksum;
    for (uint32_t i = 0; i < length; i++)
        checksum = (checksum ^ bytes[i]) * 16777619u;
    summed->checksum = checksum;
    return NMERR_SUCCESS;
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
    event_add_number(event, "checksum", ((const struct summed_stream *)stream)->checksum);
    return event_submit(key, event);
}

static DWORD streams_end(struct stream_table *table, struct conversation *conversation, struct stream *const streams[2])
{
    DWORD error = NMERR_SUCCESS;
    for (unsigned i = 0; i < 2 && !error; i++)
        if (streams[i] && streams[i]->delivered)
            error = stream_submit(table->flows.key, &conversation->record, i, streams[i]);
    return error;
}

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    struct stream_table table = {
        .flows = {.key = key, .record_bytes = sizeof(struct conversation)},
        .stream_bytes = sizeof(struct summed_stream),
        .deliver = sum_up,
        .end = streams_end,
    };
    EXPERTFRAMEDESCRIPTOR frame;
    stream_table_open(&table);
    DWORD error = ExpertIndicateStatus(key, EXPERTSTATUS_RUNNING, 0, "putting streams in order", 0);
    while (!error && !(error = ExpertGetFrame(key, GET_FRAME_NEXT_FORWARD, FLAGS_ATTACH_PROPERTIES, 0, NULL, &frame))) {
        const struct packet *packet = frame.lpPropertyTable;
        struct place place;
        if (packet->version && packet->protocol == PROTOCOL_TCP)
            error = stream_table_take(&table, &frame, &place);
    }
    if (error != NMERR_NO_MORE_FRAMES)
        return FALSE;
    error = stream_table_close(&table);
    return !error && !ExpertIndicateStatus(key, EXPERTSTATUS_DONE, 0, NULL, 99);
}
