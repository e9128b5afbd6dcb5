/*
 * The expert "flows": who talks to whom. One record a flow, with both directions' packets and bytes and the
 * TCP state, in the key's memory; a flow ends when it has been idle or has lasted too long, or when a new
 * connection takes its addresses.
 */
#include "event.h"
#include "table.h"

#include <string.h>

#define SECONDS ((int64_t)1000000)

enum { COLUMNS = 10 };

static const int64_t idle_timeout = 300 * SECONDS;
static const int64_t hard_timeout = 3600 * SECONDS;

enum state { STATE_NONE, STATE_SYN, STATE_OPENING, STATE_OPEN, STATE_CLOSING, STATE_CLOSED, STATE_RESET };

static const char *const state_names[] = {"", "syn", "opening", "open", "closing", "closed", "reset"};

struct flow {
    struct record record;
    uint64_t packets[2]; /* by direction */
    uint64_t bytes[2];   /* whole frames, as on the wire */
    uint32_t syn_sequence[2];
    bool syn_seen[2];
    bool fin_seen[2];
    uint8_t state;
};

BOOL WINAPI Register(PEXPERTENUMINFO info);
BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window);

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    describe(info, "flows", "Flows with both directions' packets, bytes and TCP state");
    return TRUE;
}

static const char *protocol_name(const struct record *record)
{
    if (!record->version)
        return "other";
    switch (record->protocol) {
    case PROTOCOL_TCP:
        return "tcp";
    case PROTOCOL_UDP:
        return "udp";
    case PROTOCOL_ICMP:
        return "icmp";
    case PROTOCOL_ICMP6:
        return "icmp6";
    default:
        return "ip";
    }
}

static DWORD flow_submit(HEXPERTKEY key, const struct flow *flow)
{
    char texts[2][ENDPOINT_TEXT];
    const struct record *record = &flow->record;
    PNMEVENTDATA event = event_new(key, "flows", "flow", COLUMNS);
    if (!event)
        return NMERR_OUT_OF_MEMORY;
    event_add_text(event, "protocol", protocol_name(record));
    event_add_text(event, "source", endpoint_text(&record->ends[0], record->version, texts[0]));
    event_add_text(event, "destination", endpoint_text(&record->ends[1], record->version, texts[1]));
    event_add_number(event, "vlan", record->vlan);
    event_add_number(event, "packets", (double)(flow->packets[0] + flow->packets[1]));
    event_add_number(event, "bytes", (double)(flow->bytes[0] + flow->bytes[1]));
    event_add_number(event, "packets back", (double)flow->packets[1]);
    event_add_number(event, "bytes back", (double)flow->bytes[1]);
    event_add_number(event, "seconds", (double)(record->last - record->first) / (double)SECONDS);
    event_add_text(event, "state", state_names[flow->state]);
    DWORD error = ExpertSubmitEvent(key, event);
    DWORD freed = (DWORD)ExpertFreeMemory(key, event);
    return error ? error : freed;
}

static DWORD flow_end(struct flow_table *table, struct record *record)
{
    DWORD error = flow_submit(table->key, (struct flow *)record);
    return error ? error : table_remove(table, record);
}

static DWORD flows_expire(struct flow_table *table, int64_t now)
{
    DWORD error = NMERR_SUCCESS;
    struct record *record;
    while (!error && (record = TAILQ_FIRST(&table->idle)) && now - record->last > idle_timeout)
        error = flow_end(table, record);
    return error;
}

/* A SYN that is not the one that opened the flow: the ports are used again. */
static bool is_new_connection(const struct flow *flow, const struct packet *packet, unsigned direction)
{
    return packet->protocol == PROTOCOL_TCP && (packet->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
           !packet_is_later_fragment(packet) && flow->syn_seen[direction] &&
           flow->syn_sequence[direction] != packet->sequence;
}

static void flow_follow_tcp(struct flow *flow, const struct packet *packet, unsigned direction)
{
    if (packet->flags & TCP_SYN) {
        flow->syn_seen[direction] = true;
        flow->syn_sequence[direction] = packet->sequence;
    }
    if (packet->flags & TCP_FIN)
        flow->fin_seen[direction] = true;
    if (packet->flags & TCP_RST)
        flow->state = STATE_RESET;
    else if (flow->state == STATE_RESET)
        return;
    else if (flow->fin_seen[0] && flow->fin_seen[1])
        flow->state = STATE_CLOSED;
    else if (flow->fin_seen[0] || flow->fin_seen[1])
        flow->state = STATE_CLOSING;
    else if (flow->state < STATE_OPEN)
        flow->state = !(packet->flags & TCP_SYN) ? STATE_OPEN : packet->flags & TCP_ACK ? STATE_OPENING : STATE_SYN;
}

static DWORD flow_count(struct flow_table *table, const struct packet *packet, const FRAME *frame)
{
    unsigned direction = 0;
    DWORD error = NMERR_SUCCESS;
    struct record *record = table_find(table, packet, &direction);
    if (record && (frame->TimeStamp - record->first > hard_timeout ||
                   is_new_connection((struct flow *)record, packet, direction))) {
        error = flow_end(table, record);
        record = NULL;
        direction = 0;
    }
    if (!error && !record)
        record = table_add(table, packet, frame->TimeStamp, &error);
    if (!record)
        return error;
    struct flow *flow = (struct flow *)record;
    flow->packets[direction]++;
    flow->bytes[direction] += frame->FrameLength;
    if (packet->protocol == PROTOCOL_TCP && packet->version && !packet_is_later_fragment(packet))
        flow_follow_tcp(flow, packet, direction);
    table_touch(table, record, frame->TimeStamp);
    return NMERR_SUCCESS;
}

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    struct flow_table table;
    EXPERTFRAMEDESCRIPTOR descriptor;
    DWORD error = table_open(&table, key, sizeof(struct flow));
    if (!error)
        error = ExpertIndicateStatus(key, EXPERTSTATUS_RUNNING, 0, "counting flows", 0);
    while (!error &&
           !(error = ExpertGetFrame(key, GET_FRAME_NEXT_FORWARD, FLAGS_ATTACH_PROPERTIES, 0, NULL, &descriptor))) {
        const FRAME *frame = descriptor.pFrame;
        error = flows_expire(&table, frame->TimeStamp);
        if (!error)
            error = flow_count(&table, descriptor.lpPropertyTable, frame);
    }
    if (error != NMERR_NO_MORE_FRAMES)
        return FALSE;
    error = NMERR_SUCCESS;
    struct record *record;
    while (!error && (record = TAILQ_FIRST(&table.idle)))
        error = flow_end(&table, record);
    table_close(&table);
    return !error && !ExpertIndicateStatus(key, EXPERTSTATUS_DONE, 0, NULL, 99);
}
