/*
 * The expert "tcp-health": what went wrong in TCP connections, and how fast they answered. What counts as a retransmission, out of
 * order, a duplicate acknowledgement or a zero window is defined as in Wireshark's analysis of sequence numbers; docs/experts.md
 * has the definitions, and where the two differ.
 */
#include "event.h"
#include "table.h"

#include <string.h>

enum { COLUMNS = 12, SENT_MOST = 1000 };

/* Microseconds. */
enum { FAST_WITHIN = 20000, OUT_OF_ORDER_WITHIN = 3000 };

/* A segment that has not been acknowledged: `end` is behind it. */
struct sent {
    struct sent *older;
    uint32_t end;
    int64_t time;
};

/* Round trips, from a segment to what acknowledges the end of it. */
struct round_trips {
    uint64_t count;
    int64_t least;
    int64_t most;
    int64_t sum;
};

/* What one side has sent. */
struct sender {
    /* what is reported */
    uint64_t segments;
    uint64_t bytes; /* data, as on the wire */
    uint64_t retransmissions;
    uint64_t out_of_order;
    uint64_t duplicate_acks;
    uint64_t zero_windows;
    struct round_trips trips;
    /* what the next segment is compared with */
    bool sending;       /* `next` is good */
    bool acknowledging; /* `acknowledged` is good */
    bool kept_alive;    /* the last segment was a keep-alive */
    uint16_t window;    /* of the last segment */
    uint32_t next;      /* behind the highest number */
    int64_t next_time;  /* of the segment that made it so */
    uint32_t acknowledged;
    int64_t acknowledged_time; /* of the last segment */
    uint32_t duplicates;       /* of that acknowledgement, one behind the other */
    struct sent *sent;         /* the newest first */
    uint32_t sent_count;
};

struct health {
    struct record record;
    struct sender senders[2]; /* by direction */
    bool asked;               /* a SYN was seen */
    bool opened;              /* and the first segment behind the answer to it */
    int64_t asked_time;       /* of the last SYN */
    int64_t handshake;        /* from there to that segment */
};

/* One segment, and what it is to both sides. */
struct look {
    const struct packet *packet;
    struct health *health;
    struct sender *sender;
    struct sender *receiver;
    int64_t time;
    uint32_t length; /* of its data */
    uint32_t end;    /* behind it in sequence space, where SYN and FIN count */
    bool control;    /* SYN, FIN or RST */
    bool keep_alive; /* at most one byte, which is the last one that was sent */
    bool probe;      /* one byte for a window of zero */
};

BOOL WINAPI Register(PEXPERTENUMINFO info);
BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window);

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    describe(info, "tcp-health", "TCP: retransmissions, duplicate acknowledgements, zero windows, round trips");
    return TRUE;
}

/* How far `a` is behind `b` in sequence space, negative when it is before. */
static int32_t after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

/* ------------------------------------------------------------------ what a segment is */

/* No data, nothing new, the acknowledgement and the window of the segment before. */
static bool repeats(const struct look *look)
{
    const struct sender *sender = look->sender;
    const struct packet *packet = look->packet;
    return !look->length && !look->control && sender->sending && packet->sequence == sender->next &&
           sender->acknowledging && packet->acknowledgement == sender->acknowledged && packet->window == sender->window;
}

static void look_at_acknowledgement(const struct look *look)
{
    struct sender *sender = look->sender;
    bool zero = !look->packet->window;
    if (zero && !look->control && !look->probe)
        sender->zero_windows++;
    if (!zero && repeats(look) && !look->receiver->kept_alive) {
        sender->duplicate_acks++;
        sender->duplicates++;
    }
    if (look->packet->acknowledgement != sender->acknowledged)
        sender->duplicates = 0;
}

/* Data that the other side has asked for by two acknowledgements more than it needed, the last of them a moment ago. */
static bool is_fast(const struct look *look)
{
    const struct sender *receiver = look->receiver;
    return receiver->duplicates >= 2 && receiver->acknowledged == look->packet->sequence &&
           look->time - receiver->acknowledged_time < FAST_WITHIN;
}

/* Sooner behind the segment that should have come after it than anybody could have asked for it. */
static bool is_out_of_order(const struct look *look)
{
    const struct health *health = look->health;
    int64_t within = health->handshake ? health->handshake : OUT_OF_ORDER_WITHIN;
    return look->time - look->sender->next_time < within && look->sender->next != look->end;
}

static bool is_acknowledged(const struct look *look)
{
    const struct sender *receiver = look->receiver;
    return look->length && receiver->acknowledging &&
           after(look->packet->sequence + look->length, receiver->acknowledged) <= 0;
}

/* Whether the numbers are behind all that was sent; so are those of data behind a probe that sent their first byte. */
static bool advances(const struct look *look)
{
    const struct sender *sender = look->sender;
    int32_t ahead = after(look->packet->sequence, sender->next);
    return !sender->sending || ahead >= 0 || (look->length > 1 && ahead == -1);
}

static void look_at_sequence(const struct look *look)
{
    struct sender *sender = look->sender;
    if (look->packet->sequence == look->end || look->keep_alive)
        return;
    if (is_acknowledged(look))
        sender->retransmissions++;
    else if (advances(look))
        return;
    else if (!is_fast(look) && is_out_of_order(look))
        sender->out_of_order++;
    else
        sender->retransmissions++;
}

/* ------------------------------------------------------------------ round trips */

static void trips_add(struct round_trips *trips, int64_t time)
{
    if (!trips->count || time < trips->least)
        trips->least = time;
    if (!trips->count || time > trips->most)
        trips->most = time;
    trips->sum += time;
    trips->count++;
}

static DWORD sent_add(HEXPERTKEY key, const struct look *look)
{
    struct sender *sender = look->sender;
    DWORD error = NMERR_SUCCESS;
    if (look->packet->sequence == look->end || sender->sent_count == SENT_MOST)
        return error;
    struct sent *sent = ExpertAllocMemory(key, sizeof *sent, &error);
    if (!sent)
        return error;
    *sent = (struct sent){.older = sender->sent, .end = look->end, .time = look->time};
    sender->sent = sent;
    sender->sent_count++;
    return NMERR_SUCCESS;
}

/* Takes out what is acknowledged. Where that ends with a segment it was a round trip, since the first time it was sent. */
static DWORD sent_acknowledge(HEXPERTKEY key, const struct look *look)
{
    struct sender *receiver = look->receiver;
    int64_t trip = -1;
    for (struct sent **link = &receiver->sent; *link;) {
        struct sent *sent = *link;
        int32_t ahead = after(sent->end, look->packet->acknowledgement);
        if (ahead > 0) {
            link = &sent->older;
            continue;
        }
        if (!ahead)
            trip = look->time - sent->time;
        *link = sent->older;
        receiver->sent_count--;
        DWORD error = (DWORD)ExpertFreeMemory(key, sent);
        if (error)
            return error;
    }
    if (trip >= 0)
        trips_add(&receiver->trips, trip);
    return NMERR_SUCCESS;
}

/* From the last SYN to the first segment behind the answer: a round trip of both ways, wherever the capture was made. */
static void look_at_handshake(const struct look *look)
{
    struct health *health = look->health;
    uint8_t flags = look->packet->flags & (TCP_SYN | TCP_ACK);
    if (flags == TCP_SYN) {
        health->asked = true;
        health->asked_time = look->time;
    } else if (flags == TCP_ACK && health->asked && !health->opened) {
        health->opened = true;
        health->handshake = look->time - health->asked_time;
    }
}

/* ------------------------------------------------------------------ a connection */

static DWORD sender_submit(HEXPERTKEY key, const struct health *health, unsigned direction)
{
    char texts[2][ENDPOINT_TEXT];
    const struct record *record = &health->record;
    const struct sender *sender = &health->senders[direction];
    const struct round_trips *trips = &sender->trips;
    PNMEVENTDATA event = event_new(key, "tcp-health", "stream", COLUMNS);
    if (!event)
        return NMERR_OUT_OF_MEMORY;
    event_add_text(event, "source", endpoint_text(record_end(record, direction), record->key.version, texts[0]));
    event_add_text(event, "destination", endpoint_text(record_end(record, !direction), record->key.version, texts[1]));
    event_add_number(event, "segments", (double)sender->segments);
    event_add_number(event, "bytes", (double)sender->bytes);
    event_add_number(event, "retransmissions", (double)sender->retransmissions);
    event_add_number(event, "out of order", (double)sender->out_of_order);
    event_add_number(event, "duplicate acks", (double)sender->duplicate_acks);
    event_add_number(event, "zero windows", (double)sender->zero_windows);
    event_add_number(event, "handshake ms", (double)health->handshake / 1e3);
    event_add_number(event, "least rtt ms", (double)trips->least / 1e3);
    event_add_number(event, "mean rtt ms", trips->count ? (double)trips->sum / (double)trips->count / 1e3 : 0);
    event_add_number(event, "most rtt ms", (double)trips->most / 1e3);
    return event_submit(key, event);
}

static DWORD sender_forget(HEXPERTKEY key, struct sender *sender)
{
    DWORD error = NMERR_SUCCESS;
    while (!error && sender->sent) {
        struct sent *sent = sender->sent;
        sender->sent = sent->older;
        error = (DWORD)ExpertFreeMemory(key, sent);
    }
    return error;
}

static DWORD health_end(struct flow_table *table, struct record *record)
{
    struct health *health = (struct health *)record;
    DWORD error = NMERR_SUCCESS;
    for (unsigned i = 0; i < 2 && !error; i++) {
        if (health->senders[i].segments)
            error = sender_submit(table->key, health, i);
        if (!error)
            error = sender_forget(table->key, &health->senders[i]);
    }
    memset((char *)health + sizeof *record, 0, sizeof *health - sizeof *record);
    return error;
}

/* A segment some time ago was the first of another connection, whose ends are those that the record has now. */
static DWORD health_split(struct flow_table *table, struct health *health, bool swapped)
{
    health->record.swapped ^= swapped;
    DWORD error = health_end(table, &health->record);
    health->record.swapped ^= swapped;
    return error;
}

static struct look look_of(struct health *health, const EXPERTFRAMEDESCRIPTOR *frame, unsigned direction)
{
    const struct packet *packet = frame->lpPropertyTable;
    struct look look = {
        .packet = packet,
        .health = health,
        .sender = &health->senders[direction],
        .receiver = &health->senders[!direction],
        .time = frame->pFrame->TimeStamp,
        .length = packet->payload_length,
        .end = packet->sequence + packet->payload_length + ((packet->flags & (TCP_SYN | TCP_FIN)) != 0),
        .control = packet->flags & (TCP_SYN | TCP_FIN | TCP_RST),
    };
    const struct sender *sender = look.sender;
    int32_t ahead = after(packet->sequence, sender->next);
    look.probe = look.length == 1 && sender->sending && !ahead && look.receiver->segments && !look.receiver->window;
    look.keep_alive = look.length <= 1 && sender->sending && ahead == -1 && !look.control;
    return look;
}

/* What the next segment is compared with. */
static void sender_remember(const struct look *look)
{
    struct sender *sender = look->sender;
    if ((!sender->sending || after(look->end, sender->next) > 0) && !look->probe) {
        sender->sending = true;
        sender->next = look->end;
        sender->next_time = look->time;
    }
    sender->window = look->packet->window;
    sender->acknowledging = look->packet->flags & TCP_ACK;
    sender->acknowledged = look->packet->acknowledgement;
    sender->acknowledged_time = look->time;
    sender->kept_alive = look->keep_alive;
    sender->segments++;
    sender->bytes += look->length;
}

static DWORD health_take(struct flow_table *table, const EXPERTFRAMEDESCRIPTOR *frame)
{
    const struct packet *packet = frame->lpPropertyTable;
    struct place place = {0};
    DWORD error = table_place(table, frame, &place);
    struct health *health = (struct health *)place.record;
    if (!error && place.event == CONNECTION_SPLIT)
        error = health_split(table, health, place.swapped);
    if (error || !packet->segment || place.event == CONNECTION_STRAY)
        return error;
    struct look look = look_of(health, frame, place.direction);
    look_at_handshake(&look);
    look_at_acknowledgement(&look);
    look_at_sequence(&look);
    sender_remember(&look);
    error = sent_add(table->key, &look);
    if (!error && packet->flags & TCP_ACK)
        error = sent_acknowledge(table->key, &look);
    return error;
}

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    struct flow_table table = {.key = key, .record_bytes = sizeof(struct health), .end = health_end};
    EXPERTFRAMEDESCRIPTOR frame;
    table_open(&table);
    DWORD error = ExpertIndicateStatus(key, EXPERTSTATUS_RUNNING, 0, "looking at TCP", 0);
    while (!error && !(error = ExpertGetFrame(key, GET_FRAME_NEXT_FORWARD, FLAGS_ATTACH_PROPERTIES, 0, NULL, &frame))) {
        const struct packet *packet = frame.lpPropertyTable;
        if (packet->version && packet->protocol == PROTOCOL_TCP)
            error = health_take(&table, &frame);
    }
    if (error != NMERR_NO_MORE_FRAMES)
        return FALSE;
    error = table_close(&table);
    return !error && !ExpertIndicateStatus(key, EXPERTSTATUS_DONE, 0, NULL, 99);
}
