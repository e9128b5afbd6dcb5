/*
 * The expert "flows": who talks to whom. One record a flow, with both directions' packets and bytes and the TCP state, in
 * the key's memory.
 */
#include "event.h"
#include "table.h"

#include <string.h>

enum { COLUMNS = 11 };

static const int64_t longest = (int64_t)3600 * 1000000;

enum state { STATE_NONE, STATE_SYN, STATE_OPENING, STATE_OPEN, STATE_CLOSING, STATE_CLOSED, STATE_RESET };

static const char *const state_names[] = {"", "syn", "opening", "open", "closing", "closed", "reset"};

struct tally {
    uint64_t packets[2]; /* by direction */
    uint64_t bytes[2];   /* whole frames, as on the wire */
    int64_t first;       /* microseconds */
    int64_t last;
    bool fin_seen[2];
    uint8_t state;
};

/* While a segment may have been the first of another connection. */
struct doubt_tally {
    struct tally before;
    struct tally since;
};

struct flow {
    struct record record;
    struct tally tally;
    struct doubt_tally *doubt; /* NULL for none */
    uint8_t layer_count;       /* of the first packet */
    uint8_t layers[LAYERS_MOST];
};

BOOL WINAPI Register(PEXPERTENUMINFO info);
BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window);

NETMON_API BOOL WINAPI Register(PEXPERTENUMINFO info)
{
    describe(info, "flows", "Flows with both directions' packets, bytes and TCP state");
    return TRUE;
}

static const char *protocol_name(const struct record_key *key)
{
    if (!key->version)
        return "other";
    switch (key->protocol) {
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

static DWORD flow_submit(HEXPERTKEY key, const struct flow *flow, const struct tally *tally)
{
    char texts[2][ENDPOINT_TEXT];
    char layers[LAYERS_TEXT];
    const struct record *record = &flow->record;
    struct packet packet = {.layer_count = flow->layer_count};
    memcpy(packet.layers, flow->layers, sizeof packet.layers);
    PNMEVENTDATA event = event_new(key, "flows", "flow", COLUMNS);
    if (!event)
        return NMERR_OUT_OF_MEMORY;
    event_add_text(event, "protocol", protocol_name(&record->key));
    event_add_text(event, "source", endpoint_text(record_end(record, 0), record->key.version, texts[0]));
    event_add_text(event, "destination", endpoint_text(record_end(record, 1), record->key.version, texts[1]));
    event_add_number(event, "vlan", record->key.vlan);
    event_add_number(event, "packets", (double)(tally->packets[0] + tally->packets[1]));
    event_add_number(event, "bytes", (double)(tally->bytes[0] + tally->bytes[1]));
    event_add_number(event, "packets back", (double)tally->packets[1]);
    event_add_number(event, "bytes back", (double)tally->bytes[1]);
    event_add_number(event, "seconds", (double)((uint64_t)tally->last - (uint64_t)tally->first) / 1e6);
    event_add_text(event, "state", state_names[tally->state]);
    event_add_text(event, "layers", packet_layers_text(&packet, layers));
    return event_submit(key, event);
}

static DWORD flow_forget_doubt(struct flow_table *table, struct flow *flow)
{
    if (!flow->doubt)
        return NMERR_SUCCESS;
    DWORD error = (DWORD)ExpertFreeMemory(table->key, flow->doubt);
    flow->doubt = NULL;
    return error;
}

static DWORD flow_end(struct flow_table *table, struct record *record)
{
    struct flow *flow = (struct flow *)record;
    DWORD error = flow_submit(table->key, flow, &flow->tally);
    flow->tally = (struct tally){0};
    DWORD freed = flow_forget_doubt(table, flow);
    return error ? error : freed;
}

/* From here on there may be another connection. */
static DWORD flow_doubt(struct flow_table *table, struct flow *flow)
{
    DWORD error = NMERR_SUCCESS;
    if (!flow->doubt)
        flow->doubt = ExpertAllocMemory(table->key, sizeof *flow->doubt, &error);
    if (flow->doubt)
        *flow->doubt = (struct doubt_tally){.before = flow->tally};
    return error;
}

static void tally_swap(struct tally *tally)
{
    uint64_t packets = tally->packets[0];
    uint64_t bytes = tally->bytes[0];
    bool fin_seen = tally->fin_seen[0];
    tally->packets[0] = tally->packets[1];
    tally->bytes[0] = tally->bytes[1];
    tally->fin_seen[0] = tally->fin_seen[1];
    tally->packets[1] = packets;
    tally->bytes[1] = bytes;
    tally->fin_seen[1] = fin_seen;
}

/* There was: what came before the doubt was a flow of its own, which may have ended by its time since then. */
static DWORD flow_split(struct flow_table *table, struct flow *flow, bool swapped)
{
    struct record *record = &flow->record;
    DWORD error = NMERR_SUCCESS;
    if (flow->doubt) {
        record->swapped ^= swapped;
        error = flow_submit(table->key, flow, &flow->doubt->before);
        record->swapped ^= swapped;
        flow->tally = flow->doubt->since;
    }
    if (swapped)
        tally_swap(&flow->tally);
    DWORD freed = flow_forget_doubt(table, flow);
    return error ? error : freed;
}

static void tally_follow_tcp(struct tally *tally, const struct packet *packet, unsigned direction)
{
    if (packet->flags & TCP_FIN)
        tally->fin_seen[direction] = true;
    if (packet->flags & TCP_RST)
        tally->state = STATE_RESET;
    else if (tally->state == STATE_RESET)
        return;
    else if (tally->fin_seen[0] && tally->fin_seen[1])
        tally->state = STATE_CLOSED;
    else if (tally->fin_seen[0] || tally->fin_seen[1])
        tally->state = STATE_CLOSING;
    else if (tally->state < STATE_OPEN)
        tally->state = !(packet->flags & TCP_SYN) ? STATE_OPEN : packet->flags & TCP_ACK ? STATE_OPENING : STATE_SYN;
}

static void tally_count(struct tally *tally, const struct packet *packet, const FRAME *frame, unsigned direction)
{
    bool begun = tally->packets[0] || tally->packets[1];
    tally->packets[direction]++;
    tally->bytes[direction] += frame->FrameLength;
    if (!begun || frame->TimeStamp < tally->first)
        tally->first = frame->TimeStamp;
    if (!begun || frame->TimeStamp > tally->last)
        tally->last = frame->TimeStamp;
    if (packet->segment && !packet_is_later_fragment(packet))
        tally_follow_tcp(tally, packet, direction);
}

static DWORD flow_take(struct flow_table *table, const EXPERTFRAMEDESCRIPTOR *descriptor)
{
    const struct packet *packet = descriptor->lpPropertyTable;
    struct place place = {0};
    DWORD error = table_place(table, descriptor, &place);
    struct flow *flow = (struct flow *)place.record;
    if (!error && place.event == CONNECTION_DOUBT)
        error = flow_doubt(table, flow);
    if (!error && place.event == CONNECTION_SPLIT)
        error = flow_split(table, flow, place.swapped);
    if (error)
        return error;
    if (!flow->tally.packets[0] && !flow->tally.packets[1]) {
        flow->layer_count = packet->layer_count;
        memcpy(flow->layers, packet->layers, sizeof flow->layers);
    }
    tally_count(&flow->tally, packet, descriptor->pFrame, place.direction);
    if (flow->doubt)
        tally_count(&flow->doubt->since, packet, descriptor->pFrame, place.direction);
    return NMERR_SUCCESS;
}

NETMON_API BOOL WINAPI Run(HEXPERTKEY key, PEXPERTCONFIG config, PEXPERTSTARTUPINFO startup, DWORD flags, HWND window)
{
    (void)config, (void)startup, (void)flags, (void)window;
    struct flow_table table = {.key = key, .record_bytes = sizeof(struct flow), .longest = longest, .end = flow_end};
    EXPERTFRAMEDESCRIPTOR descriptor;
    table_open(&table);
    DWORD error = ExpertIndicateStatus(key, EXPERTSTATUS_RUNNING, 0, "counting flows", 0);
    while (!error &&
           !(error = ExpertGetFrame(key, GET_FRAME_NEXT_FORWARD, FLAGS_ATTACH_PROPERTIES, 0, NULL, &descriptor)))
        error = flow_take(&table, &descriptor);
    if (error != NMERR_NO_MORE_FRAMES)
        return FALSE;
    error = table_close(&table);
    return !error && !ExpertIndicateStatus(key, EXPERTSTATUS_DONE, 0, NULL, 99);
}
