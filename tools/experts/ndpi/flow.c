#include "flow.h"

static void key_of(const struct ip_packet *packet, struct flow_key *key)
{
    const uint32_t *addresses = packet->addresses;
    const uint16_t *ports = packet->ports;
    bool swapped = addresses[0] != addresses[1] ? addresses[0] > addresses[1] : ports[0] > ports[1];
    *key = (struct flow_key){
        .addresses = {addresses[swapped], addresses[!swapped]},
        .ports = {ports[swapped], ports[!swapped]},
        .vlan = packet->vlan,
        .protocol = packet->protocol,
    };
}

static bool flow_add(struct flow **flows, struct flow *flow, unsigned hash)
{
    HASH_ADD_BYHASHVALUE(hh, *flows, key, sizeof flow->key, hash, flow);
    return flow->hh.tbl;
}

static struct flow *flow_new(const struct flow_key *key)
{
    struct flow *flow = ndpi_calloc(1, sizeof *flow);
    if (!flow)
        return NULL;
    flow->key = *key;
    flow->detection = ndpi_flow_malloc(SIZEOF_FLOW_STRUCT);
    if (!flow->detection) {
        ndpi_free(flow);
        return NULL;
    }
    memset(flow->detection, 0, SIZEOF_FLOW_STRUCT);
    return flow;
}

struct flow *flow_of(struct flow **flows, const struct ip_packet *packet)
{
    struct flow *flow;
    struct flow_key key;
    unsigned hash;
    key_of(packet, &key);
    HASH_VALUE(&key, sizeof key, hash);
    HASH_FIND_BYHASHVALUE(hh, *flows, &key, sizeof key, hash, flow);
    if (flow)
        return flow;
    flow = flow_new(&key);
    if (!flow || flow_add(flows, flow, hash))
        return flow;
    flow_end_detection(flow);
    ndpi_free(flow);
    return NULL;
}

void flow_end_detection(struct flow *flow)
{
    if (flow->detection)
        ndpi_flow_free(flow->detection);
    flow->detection = NULL;
}

static bool is_known(ndpi_protocol protocol)
{
    return protocol.app_protocol != NDPI_PROTOCOL_UNKNOWN || protocol.master_protocol != NDPI_PROTOCOL_UNKNOWN;
}

/* True where a flow of that key took it up. */
static bool flow_join(struct flow **flows, const struct flow *from)
{
    struct flow *flow;
    HASH_FIND_BYHASHVALUE(hh, *flows, &from->key, sizeof from->key, from->hh.hashv, flow);
    if (!flow)
        return false;
    flow->packets += from->packets;
    flow->bytes += from->bytes;
    if (!is_known(flow->protocol))
        flow->protocol = from->protocol;
    return true;
}

bool flows_merge(struct flow **flows, struct flow **from)
{
    struct flow *flow;
    struct flow *next;
    HASH_ITER(hh, *from, flow, next)
    {
        unsigned hash = flow->hh.hashv;
        HASH_DELETE(hh, *from, flow);
        if (flow_join(flows, flow))
            ndpi_free(flow);
        else if (!flow_add(flows, flow, hash))
            return false;
    }
    return true;
}

void flows_free(struct flow **flows)
{
    struct flow *flow;
    struct flow *next;
    HASH_ITER(hh, *flows, flow, next)
    {
        HASH_DELETE(hh, *flows, flow);
        flow_end_detection(flow);
        ndpi_free(flow);
    }
}
