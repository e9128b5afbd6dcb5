/*
 * The expert "tls": a row for each TLS handshake over TCP, from the reassembled bytes of both sides: what the client offers and what
 * the server has chosen, or the alert that ended it. A handshake is looked for wherever a segment begins, so that one that
 * follows other lines in the same stream is found too.
 */
#include "escape.h"
#include "event.h"
#include "stream.h"
#include "tls_hello.h"

#include <string.h>

enum { COLUMNS = 12, RECORD_HEADER = 5, RECORD_MOST = (1 << 14) + 2048, HELLO_MOST = 1 << 16, TEXT = 256 };

enum record_type { RECORD_CIPHERS = 20, RECORD_ALERT = 21, RECORD_HANDSHAKE = 22, RECORD_DATA = 23 };

enum { ALERT_LENGTH = 2 };

/* What is reported of one side. */
struct side_said {
    bool hello; /* the fields below are good, but for the alert */
    bool client;
    uint16_t version;
    uint16_t cipher;
    int64_t time; /* of the first message or alert, microseconds */
    uint8_t retries;
    uint8_t alert; /* the first one that is not close_notify, 0 */
    char server[TEXT];
    char alpn[TEXT];
    char ja4[JA4_TEXT];
};

enum progress { LOOKING, READING_HELLO, READING_ALERTS };

struct tls_stream {
    struct stream stream;
    uint8_t progress; /* enum progress */
    uint64_t gaps;    /* that have been seen */
    /* the record */
    uint8_t header[RECORD_HEADER];
    uint8_t header_have;
    uint32_t left; /* of the record's bytes */
    /* the handshake message, or the alert, in one record or more */
    uint8_t *bytes;
    uint32_t have;
    struct side_said *said; /* NULL until something was */
};

BOOL WINAPI Register(PEXPERTENUMINFO info);
BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window);

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    describe(info, "tls", "TLS handshakes: versions, names, protocols, ciphers, fingerprints, alerts");
    return TRUE;
}

/* ------------------------------------------------------------------ what was said */

static struct side_said *said_of(struct stream_table *table, struct tls_stream *stream,
                                 const struct conversation *conversation, DWORD *error)
{
    struct side_said *said = stream->said;
    if (said)
        return said;
    said = stream->said = ExpertAllocMemory(table->flows.key, sizeof *said, error);
    if (!said)
        return NULL;
    memset(said, 0, sizeof *said);
    said->time = table->frame ? table->frame->pFrame->TimeStamp : conversation->record.previous;
    return said;
}

/* "h2,http/1.1", as far as there is room. */
static void alpn_text(char text[TEXT], struct span alpn)
{
    size_t used = 0;
    while (alpn.length) {
        uint32_t length = span_number(&alpn, 1);
        struct span name = span_take(&alpn, length);
        if (used + 1 + ESCAPED(name.length) >= TEXT)
            return;
        if (used)
            text[used++] = ',';
        used += escape(text + used, name.bytes, name.length, ',');
    }
}

static void said_hello(struct side_said *said, const struct tls_hello *hello)
{
    struct span cipher = hello->ciphers;
    if (hello->retry) {
        said->retries++;
        return;
    }
    said->hello = true;
    said->client = hello->client;
    said->version = hello->version;
    alpn_text(said->alpn, hello->alpn);
    if (!hello->client)
        said->cipher = (uint16_t)span_number(&cipher, 2);
    else
        ja4(hello, said->ja4);
    if (ESCAPED(hello->server.length) < TEXT)
        escape(said->server, hello->server.bytes, hello->server.length, 0);
}

/* ------------------------------------------------------------------ records */

/* Whether bytes at the start of a segment may be a hello's or an alert's record. */
static bool looks_like_tls(const uint8_t *bytes, uint32_t length)
{
    enum { MAJOR = 3, MINOR_MOST = 4, TYPE = RECORD_HEADER };
    if (bytes[0] != RECORD_HANDSHAKE && bytes[0] != RECORD_ALERT)
        return false;
    if ((length > 1 && bytes[1] != MAJOR) || (length > 2 && bytes[2] > MINOR_MOST))
        return false;
    if (bytes[0] == RECORD_ALERT)
        return length >= RECORD_HEADER && bytes[3] == 0 && bytes[4] == ALERT_LENGTH;
    return length <= TYPE || bytes[TYPE] == TLS_CLIENT_HELLO || bytes[TYPE] == TLS_SERVER_HELLO;
}

static void stream_look(struct tls_stream *stream)
{
    stream->progress = LOOKING;
    stream->header_have = 0;
    stream->left = stream->have = 0;
}

/* The header is whole: whether what follows is for us. */
static void record_begin(struct tls_stream *stream)
{
    const uint8_t *header = stream->header;
    uint8_t type = header[0];
    stream->header_have = 0;
    stream->left = (uint32_t)(header[3] << 8 | header[4]);
    bool bad = type < RECORD_CIPHERS || type > RECORD_DATA || header[1] != 3 || stream->left > RECORD_MOST;
    bool encrypted = type == RECORD_DATA || (type == RECORD_CIPHERS && stream->progress == READING_ALERTS);
    if (bad || encrypted || (type == RECORD_ALERT && stream->left != ALERT_LENGTH))
        stream_look(stream);
    else if (type == RECORD_ALERT)
        stream->have = 0;
}

/* The message's bytes with its header, as far as is known. */
static uint32_t message_length(const struct tls_stream *stream)
{
    const uint8_t *bytes = stream->bytes;
    if (stream->header[0] == RECORD_ALERT)
        return ALERT_LENGTH;
    if (stream->have < TLS_MESSAGE_HEADER)
        return TLS_MESSAGE_HEADER;
    return TLS_MESSAGE_HEADER + (uint32_t)(bytes[1] << 16 | bytes[2] << 8 | bytes[3]);
}

static DWORD take_alert(struct stream_table *table, const struct conversation *conversation, struct tls_stream *stream)
{
    DWORD error = NMERR_SUCCESS;
    struct side_said *said = said_of(table, stream, conversation, &error);
    if (said && !said->alert)
        said->alert = stream->bytes[1];
    stream->have = 0;
    return error;
}

/* After the hello that counts only alerts are of interest: what else the sides say is encrypted, or not for this expert. */
static DWORD take_hello(struct stream_table *table, const struct conversation *conversation, struct tls_stream *stream)
{
    struct tls_hello hello;
    DWORD error = NMERR_SUCCESS;
    uint32_t length = stream->have;
    stream->have = 0;
    if (!tls_read_hello(&hello, stream->bytes, length)) {
        stream_look(stream);
        return error;
    }
    struct side_said *said = said_of(table, stream, conversation, &error);
    if (!said)
        return error;
    if (!said->hello)
        said_hello(said, &hello);
    if (hello.retry)
        return error;
    stream->progress = READING_ALERTS;
    uint8_t *bytes = stream->bytes;
    stream->bytes = NULL;
    return (DWORD)ExpertFreeMemory(table->flows.key, bytes);
}

/* One piece of the record, up to the end of the message. */
static DWORD take_piece(struct stream_table *table, const struct conversation *conversation, struct tls_stream *stream,
                        const uint8_t *bytes, uint32_t *length)
{
    DWORD error = NMERR_SUCCESS;
    uint32_t piece = *length < stream->left ? *length : stream->left;
    uint32_t need = message_length(stream) - stream->have;
    bool alert = stream->header[0] == RECORD_ALERT;
    bool wanted = alert || (stream->header[0] == RECORD_HANDSHAKE && stream->progress == READING_HELLO);
    if (wanted && piece > need)
        piece = need;
    *length = piece;
    stream->left -= piece;
    if (!wanted || !piece)
        return error;
    uint8_t *room = ExpertReallocMemory(table->flows.key, stream->bytes, stream->have + piece, &error);
    if (!room)
        return error;
    stream->bytes = room;
    memcpy(room + stream->have, bytes, piece);
    stream->have += piece;
    if (message_length(stream) > HELLO_MOST)
        stream_look(stream);
    else if (stream->have == message_length(stream))
        error = alert ? take_alert(table, conversation, stream) : take_hello(table, conversation, stream);
    return error;
}

static DWORD deliver(struct stream_table *table, struct conversation *conversation, struct stream *in_order,
                     const uint8_t *bytes, uint32_t length)
{
    struct tls_stream *stream = (struct tls_stream *)in_order;
    DWORD error = NMERR_SUCCESS;
    if (stream->gaps != in_order->gaps)
        stream_look(stream);
    stream->gaps = in_order->gaps;
    if (stream->progress == LOOKING && looks_like_tls(bytes, length))
        stream->progress = stream->said && stream->said->hello ? READING_ALERTS : READING_HELLO;
    while (length && !error && stream->progress != LOOKING) {
        uint32_t piece = 1;
        if (stream->left) {
            piece = length;
            error = take_piece(table, conversation, stream, bytes, &piece);
        } else {
            stream->header[stream->header_have++] = *bytes;
            if (stream->header_have == RECORD_HEADER)
                record_begin(stream);
        }
        bytes += piece;
        length -= piece;
    }
    return error;
}

/* ------------------------------------------------------------------ rows */

static const char *version_text(uint16_t version, char text[TEXT])
{
    static const char *const names[] = {"SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"};
    uint16_t minor = version - 0x0300;
    if (minor < sizeof names / sizeof *names)
        return names[minor];
    snprintf(text, TEXT, "0x%04x", version);
    return text;
}

static const char *alert_name(uint8_t alert)
{
    static const char *const names[] = {
        [10] = "unexpected_message",
        [20] = "bad_record_mac",
        [22] = "record_overflow",
        [40] = "handshake_failure",
        [42] = "bad_certificate",
        [43] = "unsupported_certificate",
        [44] = "certificate_revoked",
        [45] = "certificate_expired",
        [46] = "certificate_unknown",
        [47] = "illegal_parameter",
        [48] = "unknown_ca",
        [49] = "access_denied",
        [50] = "decode_error",
        [51] = "decrypt_error",
        [70] = "protocol_version",
        [71] = "insufficient_security",
        [80] = "internal_error",
        [86] = "inappropriate_fallback",
        [90] = "user_canceled",
        [109] = "missing_extension",
        [110] = "unsupported_extension",
        [112] = "unrecognized_name",
        [115] = "unknown_psk_identity",
        [116] = "certificate_required",
        [120] = "no_application_protocol",
    };
    return alert < sizeof names / sizeof *names ? names[alert] : NULL;
}

/* "server: handshake_failure"; of the server's if both have sent one. */
static const char *alert_text(const struct side_said *client, const struct side_said *server, char text[TEXT])
{
    uint8_t alert = server->alert ? server->alert : client->alert;
    const char *who = server->alert ? "server" : "client";
    const char *name = alert_name(alert);
    text[0] = 0;
    if (alert && name)
        snprintf(text, TEXT, "%s: %s", who, name);
    else if (alert)
        snprintf(text, TEXT, "%s: %u", who, alert);
    return text;
}

static DWORD handshake_submit(struct stream_table *table, const struct record *record, unsigned direction,
                              const struct side_said *client, const struct side_said *server, uint64_t bytes)
{
    char texts[2][ENDPOINT_TEXT];
    char version[TEXT] = "";
    char cipher[8] = "";
    char alert[TEXT];
    int64_t waited = client->time && server->time ? server->time - client->time : 0;
    PNMEVENTDATA event = event_new(table->flows.key, "tls", "handshake", COLUMNS);
    if (!event)
        return NMERR_OUT_OF_MEMORY;
    if (server->hello)
        snprintf(cipher, sizeof cipher, "0x%04x", server->cipher);
    event_add_text(event, "client", endpoint_text(record_end(record, direction), record->key.version, texts[0]));
    event_add_text(event, "server", endpoint_text(record_end(record, !direction), record->key.version, texts[1]));
    event_add_text(event, "name", client->server);
    event_add_text(event, "version", server->hello ? version_text(server->version, version) : "");
    event_add_text(event, "cipher", cipher);
    event_add_text(event, "offered alpn", client->alpn);
    event_add_text(event, "alpn", server->alpn);
    event_add_text(event, "ja4", client->ja4);
    event_add_number(event, "retries", server->retries);
    event_add_number(event, "ms", (double)waited / 1e3);
    event_add_text(event, "alert", alert_text(client, server, alert));
    event_add_number(event, "bytes", (double)bytes);
    return event_submit(table->flows.key, event);
}

static DWORD stream_forget(HEXPERTKEY key, struct tls_stream *stream)
{
    DWORD error = (DWORD)ExpertFreeMemory(key, stream->bytes);
    DWORD freed = (DWORD)ExpertFreeMemory(key, stream->said);
    return error ? error : freed;
}

/* Who is the client its hello tells; without one, the other's. */
static DWORD streams_end(struct stream_table *table, struct conversation *conversation, struct stream *const streams[2])
{
    static const struct side_said nothing;
    const struct side_said *said[2] = {&nothing, &nothing};
    uint64_t bytes = 0;
    DWORD error = NMERR_SUCCESS;
    for (unsigned i = 0; i < 2; i++) {
        const struct tls_stream *stream = (const struct tls_stream *)streams[i];
        if (stream && stream->said)
            said[i] = stream->said;
        bytes += stream ? stream->stream.delivered : 0;
    }
    unsigned client = (said[1]->hello && said[1]->client) || (said[0]->hello && !said[0]->client);
    if (said[0]->hello || said[1]->hello)
        error = handshake_submit(table, &conversation->record, client, said[client], said[!client], bytes);
    for (unsigned i = 0; i < 2 && !error; i++)
        if (streams[i])
            error = stream_forget(table->flows.key, (struct tls_stream *)streams[i]);
    return error;
}

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    struct stream_table table = {
        .flows = {.key = key, .record_bytes = sizeof(struct conversation)},
        .stream_bytes = sizeof(struct tls_stream),
        .deliver = deliver,
        .end = streams_end,
    };
    EXPERTFRAMEDESCRIPTOR frame;
    stream_table_open(&table);
    DWORD error = ExpertIndicateStatus(key, EXPERTSTATUS_RUNNING, 0, "reading handshakes", 0);
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
