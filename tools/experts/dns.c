/*
 * The expert "dns": what was asked, what was answered, how long it took, and what failed. A row is a question of one client, with all
 * times that it was sent and answered under the same identifier; `ms` is from the first query to the first response. Port 53,
 * datagrams and streams.
 */
#include "dns_message.h"
#include "event.h"
#include "stream.h"

#include <string.h>

enum { COLUMNS = 11, PORT = 53, QUESTIONS_MOST = 1024 };

struct talk;

struct question_key {
    const struct talk *talk;
    uint64_t id;
};

struct question {
    UT_hash_handle hh;
    TAILQ_ENTRY(question) order;
    struct question_key key;
    unsigned client; /* the direction of its queries */
    uint16_t type;
    uint8_t rcode;
    uint32_t answers; /* in the first response */
    uint64_t queries;
    uint64_t responses;
    uint64_t malformed;
    uint64_t bytes;
    int64_t asked;  /* when first; microseconds */
    int64_t waited; /* until the first response */
    char name[];
};

TAILQ_HEAD(questions, question);

/* A client's port and a server. */
struct talk {
    struct conversation conversation;
    struct questions questions; /* the oldest first; not initialised while there are none */
    size_t questions_count;
    uint64_t malformed; /* messages that cannot be read at all */
    uint64_t malformed_bytes;
};

/* Messages in a stream have two bytes before them that say how long they are. */
struct framed_stream {
    struct stream stream;
    uint8_t *bytes; /* of the message, as far as it has come */
    uint32_t have;
    bool gone; /* bytes were lost: where messages begin is not known any more */
};

struct dns {
    struct stream_table streams;
    struct question *questions; /* by talk and identifier */
};

/* A message, and where it was seen. */
struct seen {
    struct dns_message message;
    struct talk *talk;
    unsigned direction;
    int64_t time;
    uint32_t bytes;
};

BOOL WINAPI Register(PEXPERTENUMINFO info);
BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window);

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    describe(info, "dns", "DNS questions: answers, failures, and how long they took");
    return TRUE;
}

/* ------------------------------------------------------------------ rows */

static DWORD question_submit(HEXPERTKEY key, const struct talk *talk, const struct question *question, const char *name,
                             const char *result)
{
    char texts[2][ENDPOINT_TEXT];
    char type[DNS_TEXT];
    const struct record *record = &talk->conversation.record;
    const struct endpoint *client = record_end(record, question->client);
    const struct endpoint *server = record_end(record, !question->client);
    PNMEVENTDATA event = event_new(key, "dns", "question", COLUMNS);
    if (!event)
        return NMERR_OUT_OF_MEMORY;
    if (question->responses && !question->rcode)
        event->Severity = NMEVENT_SEVERITY_INFORMATIONAL;
    else
        event->Severity = NMEVENT_SEVERITY_WARNING;
    event_add_text(event, "client", endpoint_text(client, record->key.version, texts[0]));
    event_add_text(event, "server", endpoint_text(server, record->key.version, texts[1]));
    event_add_text(event, "name", name);
    event_add_text(event, "type", question->type ? dns_type_text(question->type, type) : "");
    event_add_text(event, "result", result);
    event_add_number(event, "queries", (double)question->queries);
    event_add_number(event, "responses", (double)question->responses);
    event_add_number(event, "answers", question->answers);
    event_add_number(event, "ms", (double)question->waited / 1e3);
    event_add_number(event, "bytes", (double)question->bytes);
    event_add_number(event, "malformed", (double)question->malformed);
    return event_submit(key, event);
}

static DWORD question_report(HEXPERTKEY key, const struct talk *talk, const struct question *question)
{
    char text[DNS_TEXT];
    const char *result = question->responses ? dns_rcode_text(question->rcode, text) : "unanswered";
    return question_submit(key, talk, question, question->name, result);
}

static DWORD malformed_report(HEXPERTKEY key, const struct talk *talk)
{
    struct question none = {.malformed = talk->malformed, .bytes = talk->malformed_bytes};
    const struct record *record = &talk->conversation.record;
    none.client = record_end(record, 0)->port == PORT;
    return talk->malformed ? question_submit(key, talk, &none, "", "malformed") : NMERR_SUCCESS;
}

/* ------------------------------------------------------------------ questions */

static unsigned hash_of(const struct question_key *key)
{
    return (unsigned)((uintptr_t)key->talk >> 4) * 31 + (unsigned)key->id * 2654435761u;
}

static struct question *question_find(struct dns *dns, const struct talk *talk, uint16_t id)
{
    struct question_key key = {.talk = talk, .id = id};
    struct question *question;
    HASH_FIND_BYHASHVALUE(hh, dns->questions, &key, sizeof key, hash_of(&key), question);
    return question;
}

static DWORD question_end(struct dns *dns, struct talk *talk, struct question *question)
{
    struct flow_table *table = &dns->streams.flows;
    DWORD error = question_report(table->key, talk, question);
    if (error)
        return error;
    HASH_DELETE(hh, dns->questions, question); /* NOLINT(clang-analyzer-core.NullDereference): it is in there */
    TAILQ_REMOVE(&talk->questions, question, order);
    talk->questions_count--;
    return (DWORD)ExpertFreeMemory(table->key, question);
}

static DWORD questions_end(struct dns *dns, struct talk *talk, size_t left)
{
    DWORD error = NMERR_SUCCESS;
    while (!error && talk->questions_count > left)
        error = question_end(dns, talk, TAILQ_FIRST(&talk->questions));
    return error;
}

static struct question *question_new(struct dns *dns, const struct seen *seen, DWORD *error)
{
    size_t length = strlen(seen->message.name) + 1;
    struct question *question = ExpertAllocMemory(dns->streams.flows.key, sizeof *question + length, error);
    if (!question)
        return NULL;
    *question = (struct question){
        .key = {.talk = seen->talk, .id = seen->message.id},
        .client = seen->message.response ? !seen->direction : seen->direction,
        .type = seen->message.type,
        .asked = seen->time,
    };
    memcpy(question->name, seen->message.name, length);
    return question;
}

static DWORD question_add(struct dns *dns, struct talk *talk, struct question *question)
{
    struct flow_table *table = &dns->streams.flows;
    HASH_ADD_BYHASHVALUE(hh, dns->questions, key, sizeof question->key, hash_of(&question->key), question);
    if (!question->hh.tbl) {
        ExpertFreeMemory(table->key, question);
        return NMERR_OUT_OF_MEMORY;
    }
    if (!talk->questions_count)
        TAILQ_INIT(&talk->questions);
    TAILQ_INSERT_TAIL(&talk->questions, question, order);
    talk->questions_count++;
    return questions_end(dns, talk, QUESTIONS_MOST);
}

static bool is_same(const struct question *question, const struct dns_message *message)
{
    return question->type == message->type && !strcasecmp(question->name, message->name);
}

static void question_count(struct question *question, const struct seen *seen)
{
    bool first = seen->message.response && !question->responses;
    question->queries += !seen->message.response;
    question->responses += seen->message.response;
    question->malformed += seen->message.malformed;
    question->bytes += seen->bytes;
    if (!first)
        return;
    question->rcode = seen->message.rcode;
    question->answers = seen->message.answers;
    question->waited = question->queries ? seen->time - question->asked : 0;
}

/* ------------------------------------------------------------------ messages */

/* Asked again while no answer has come, or anew under an identifier that was used before. */
static DWORD take_query(struct dns *dns, const struct seen *seen)
{
    struct question *question = question_find(dns, seen->talk, seen->message.id);
    DWORD error = NMERR_SUCCESS;
    if (question && !question->responses && is_same(question, &seen->message)) {
        question_count(question, seen);
        return error;
    }
    if (question)
        error = question_end(dns, seen->talk, question);
    question = error ? NULL : question_new(dns, seen, &error);
    if (!question)
        return error;
    question_count(question, seen);
    return question_add(dns, seen->talk, question);
}

/* One that nothing has asked for, under this identifier with this question, has a row of its own. */
static DWORD take_response(struct dns *dns, const struct seen *seen)
{
    HEXPERTKEY key = dns->streams.flows.key;
    struct question *question = question_find(dns, seen->talk, seen->message.id);
    if (question && (!seen->message.asks || is_same(question, &seen->message))) {
        question_count(question, seen);
        return NMERR_SUCCESS;
    }
    DWORD error;
    question = question_new(dns, seen, &error);
    if (!question)
        return error;
    question_count(question, seen);
    error = question_report(key, seen->talk, question);
    DWORD freed = (DWORD)ExpertFreeMemory(key, question);
    return error ? error : freed;
}

static DWORD take_message(struct dns *dns, struct seen *seen, const uint8_t *bytes, uint32_t captured, uint32_t length)
{
    seen->bytes = length;
    if (dns_read(&seen->message, bytes, captured, length))
        return seen->message.response ? take_response(dns, seen) : take_query(dns, seen);
    seen->talk->malformed++;
    seen->talk->malformed_bytes += length;
    return NMERR_SUCCESS;
}

/* A datagram of which only the first fragment is seen goes on, as if it had been cut. */
static DWORD take_datagram(struct dns *dns, const EXPERTFRAMEDESCRIPTOR *frame, const struct place *place)
{
    const struct packet *packet = frame->lpPropertyTable;
    struct seen seen = {
        .talk = (struct talk *)place->record,
        .direction = place->direction,
        .time = frame->pFrame->TimeStamp,
    };
    if (!packet->payload_length || packet_is_later_fragment(packet))
        return NMERR_SUCCESS;
    const uint8_t *bytes = frame->pFrame->MacFrame + packet->payload;
    return take_message(dns, &seen, bytes, packet->payload_captured,
                        packet->fragment.more ? UINT16_MAX : packet->payload_length);
}

/* ------------------------------------------------------------------ streams */

/* What the message takes, with its length before it; two bytes while that is not known. */
static uint32_t message_bytes(const struct framed_stream *stream)
{
    return stream->have < 2 ? 2 : 2 + (uint32_t)(stream->bytes[0] << 8 | stream->bytes[1]);
}

static DWORD take_framed(struct dns *dns, struct conversation *conversation, struct framed_stream *stream)
{
    const EXPERTFRAMEDESCRIPTOR *frame = dns->streams.frame;
    struct seen seen = {
        .talk = (struct talk *)conversation,
        .direction = conversation->streams[1] == &stream->stream,
        .time = frame ? frame->pFrame->TimeStamp : conversation->record.previous,
    };
    uint32_t length = stream->have - 2;
    stream->have = 0;
    return take_message(dns, &seen, stream->bytes + 2, length, length);
}

static DWORD deliver(struct stream_table *table, struct conversation *conversation, struct stream *stream,
                     const uint8_t *bytes, uint32_t length)
{
    struct framed_stream *framed = (struct framed_stream *)stream;
    DWORD error = NMERR_SUCCESS;
    framed->gone |= stream->gaps != 0;
    while (length && !error && !framed->gone) {
        uint32_t need = message_bytes(framed);
        uint32_t piece = need - framed->have < length ? need - framed->have : length;
        uint8_t *room = ExpertReallocMemory(table->flows.key, framed->bytes, framed->have + piece, &error);
        if (!room)
            return error;
        framed->bytes = room;
        memcpy(framed->bytes + framed->have, bytes, piece);
        framed->have += piece;
        bytes += piece;
        length -= piece;
        if (framed->have > 2 && framed->have == message_bytes(framed))
            error = take_framed((struct dns *)table, conversation, framed);
        else if (framed->have == 2 && message_bytes(framed) == 2)
            framed->have = 0;
    }
    return error;
}

static DWORD talk_end(struct stream_table *table, struct conversation *conversation, struct stream *const streams[2])
{
    struct talk *talk = (struct talk *)conversation;
    HEXPERTKEY key = table->flows.key;
    DWORD error = questions_end((struct dns *)table, talk, 0);
    if (!error)
        error = malformed_report(key, talk);
    talk->malformed = talk->malformed_bytes = 0;
    for (unsigned i = 0; i < 2 && !error; i++)
        if (streams[i])
            error = (DWORD)ExpertFreeMemory(key, ((struct framed_stream *)streams[i])->bytes);
    return error;
}

/* ------------------------------------------------------------------ frames */

static bool is_dns(const struct packet *packet)
{
    return packet->version && (packet->protocol == PROTOCOL_UDP || packet->protocol == PROTOCOL_TCP) &&
           (packet->source.port == PORT || packet->destination.port == PORT);
}

static DWORD take_frame(struct dns *dns, const EXPERTFRAMEDESCRIPTOR *frame)
{
    const struct packet *packet = frame->lpPropertyTable;
    struct place place;
    if (!is_dns(packet))
        return NMERR_SUCCESS;
    DWORD error = stream_table_take(&dns->streams, frame, &place);
    return error || packet->protocol == PROTOCOL_TCP ? error : take_datagram(dns, frame, &place);
}

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    struct dns dns = {
        .streams =
            {
                .flows = {.key = key, .record_bytes = sizeof(struct talk)},
                .stream_bytes = sizeof(struct framed_stream),
                .deliver = deliver,
                .end = talk_end,
            },
    };
    EXPERTFRAMEDESCRIPTOR frame;
    stream_table_open(&dns.streams);
    DWORD error = ExpertIndicateStatus(key, EXPERTSTATUS_RUNNING, 0, "reading questions", 0);
    while (!error && !(error = ExpertGetFrame(key, GET_FRAME_NEXT_FORWARD, FLAGS_ATTACH_PROPERTIES, 0, NULL, &frame)))
        error = take_frame(&dns, &frame);
    if (error != NMERR_NO_MORE_FRAMES)
        return FALSE;
    error = stream_table_close(&dns.streams);
    return !error && !ExpertIndicateStatus(key, EXPERTSTATUS_DONE, 0, NULL, 99);
}
