#include "frame.h"

#include "experts/packet.h"

#include <ndpi_api.h>
#include <ndpi_main.h>
#include <string.h>

enum { SHORTEST = 28, IPV4_HEADER = 20, IPV6_HEADER = 40, TCP_HEADER = 20, UDP_HEADER = 8 };

enum {
    TYPE_IPV4 = 0x0800,
    TYPE_VLAN = 0x8100,
    TYPE_IPV6 = 0x86dd,
    TYPE_MPLS = 0x8847,
    TYPE_MPLS_MULTICAST = 0x8848,
    TYPE_PPPOE = 0x8864,
};

enum { PROTOCOL_IPV4 = 4, PROTOCOL_IPV6 = 41 };

/* LINKTYPE_ in capture files. */
enum {
    LINK_NULL = 0,
    LINK_ETHERNET = 1,
    LINK_PPP = 9,
    LINK_RAW_BSD = 12,
    LINK_PPP_HDLC = 50,
    LINK_RAW = 101,
    LINK_HDLC = 104,
    LINK_SLL = 113,
    LINK_IPV4 = 228,
    LINK_IPV6 = 229,
};

/* Where the reading of a frame is. */
struct place {
    const uint8_t *bytes;
    uint32_t captured;
    uint32_t offset; /* of what `type` says */
    uint16_t type;   /* 0 where nothing says it */
    uint16_t vlan;
};

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t get32(const uint8_t *bytes)
{
    return (uint32_t)get16(bytes) << 16 | get16(bytes + 2);
}

static bool has(const struct place *place, uint32_t bytes)
{
    return place->captured >= place->offset && place->captured - place->offset >= bytes;
}

/* ------------------------------------------------------------------ to the IP header */

/* A length instead of a type: 802.2, which the reader passes by without a look at its type. */
static bool skip_llc(struct place *place)
{
    enum { SAP_SNAP = 0xaa, SAP_SPANNING_TREE = 0x42, SNAP_HEADER = 8 };
    const uint8_t *llc = place->bytes + place->offset;
    if (llc[0] == SAP_SNAP || llc[1] == SAP_SNAP)
        place->offset += SNAP_HEADER;
    else if (llc[0] == SAP_SPANNING_TREE || llc[1] == SAP_SPANNING_TREE)
        return false;
    return true;
}

static bool skip_ethernet(struct place *place)
{
    enum { ETHERNET_HEADER = 14, TYPE_AT = 12, LENGTH_MOST = 1500, TYPE_LEAST = 1536 };
    uint16_t type = get16(place->bytes + TYPE_AT);
    place->offset = ETHERNET_HEADER;
    place->type = type >= TYPE_LEAST ? type : 0;
    return !type || type > LENGTH_MOST || skip_llc(place);
}

static bool skip_to(struct place *place, uint32_t offset, uint16_t type)
{
    place->offset = offset;
    place->type = type;
    return true;
}

static bool skip_ppp(struct place *place)
{
    bool is_hdlc = place->bytes[0] == 0x0f || place->bytes[0] == 0x8f;
    return is_hdlc ? skip_to(place, 4, get16(place->bytes + 2)) : skip_to(place, 2, get16(place->bytes));
}

static bool skip_link(struct place *place, uint16_t link)
{
    switch (link) {
    case LINK_ETHERNET:
        return skip_ethernet(place);
    case LINK_NULL:
        return skip_to(place, 4, get32(place->bytes) == 2 ? TYPE_IPV4 : TYPE_IPV6);
    case LINK_PPP_HDLC:
        return skip_to(place, 4, get16(place->bytes + 2));
    case LINK_PPP:
    case LINK_HDLC:
        return skip_ppp(place);
    case LINK_SLL:
        return skip_to(place, 16, get16(place->bytes + 14));
    case LINK_IPV4:
        return skip_to(place, 0, TYPE_IPV4);
    case LINK_IPV6:
        return skip_to(place, 0, TYPE_IPV6);
    case LINK_RAW:
    case LINK_RAW_BSD:
        return skip_to(place, 0, 0);
    default:
        return false;
    }
}

static void skip_vlan(struct place *place)
{
    enum { TAG = 4, IDENTIFIER = 0xfff };
    place->vlan = get16(place->bytes + place->offset) & IDENTIFIER;
    place->type = get16(place->bytes + place->offset + 2);
    place->offset += TAG;
}

static void skip_mpls(struct place *place)
{
    enum { LABEL = 4, BOTTOM = 0x100 };
    uint32_t label = get32(place->bytes + place->offset);
    place->type = TYPE_IPV4;
    place->offset += LABEL;
    while (!(label & BOTTOM) && has(place, LABEL + 1)) {
        label = get32(place->bytes + place->offset);
        place->offset += LABEL;
    }
}

static bool skip_tags(struct place *place)
{
    enum { PPPOE_HEADER = 8, LEAST = 5 };
    for (;;) {
        bool is_tag = place->type == TYPE_VLAN || place->type == TYPE_MPLS || place->type == TYPE_MPLS_MULTICAST;
        if (is_tag && !has(place, LEAST))
            return false;
        if (place->type == TYPE_VLAN)
            skip_vlan(place);
        else if (is_tag)
            skip_mpls(place);
        else if (place->type == TYPE_PPPOE)
            skip_to(place, place->offset + PPPOE_HEADER, TYPE_IPV4);
        else
            return true;
    }
}

/* ------------------------------------------------------------------ IP */

static bool is_ip_in_ip(uint8_t protocol)
{
    return protocol == PROTOCOL_IPV4 || protocol == PROTOCOL_IPV6;
}

/* Behind the extension headers: the protocol, where its header is and how long all of it is. */
struct ipv6_payload {
    uint8_t protocol;
    uint16_t length;
    uint16_t at;
};

static bool skip_extensions(const struct place *place, struct ipv6_payload *payload)
{
    enum { LENGTH_AT = 4, PROTOCOL_AT = 6 };
    const uint8_t *ip = place->bytes + place->offset;
    const uint8_t *at = ip + IPV6_HEADER;
    uint16_t size = (uint16_t)(place->captured - place->offset);
    payload->protocol = ip[PROTOCOL_AT];
    payload->length = get16(ip + LENGTH_AT);
    if (ndpi_handle_ipv6_extension_headers((uint16_t)(size - IPV6_HEADER), &at, &payload->length, &payload->protocol))
        return false;
    payload->at = (uint16_t)(at - ip);
    return true;
}

static bool ipv4_is_later_fragment(const struct place *place)
{
    enum { FRAGMENT_AT = 6, OFFSET = 0x1fff };
    return place->type == TYPE_IPV4 && get16(place->bytes + place->offset + FRAGMENT_AT) & OFFSET;
}

static uint16_t ipv4_header(const uint8_t *ip)
{
    return (uint16_t)((ip[0] & 15) * 4);
}

/* The innermost header of IP in IP; 0, or its version. */
static uint8_t find_ip(struct place *place)
{
    enum { PROTOCOL_AT = 9, LENGTH_AT = 4 };
    while (has(place, IPV4_HEADER)) {
        const uint8_t *ip = place->bytes + place->offset;
        struct ipv6_payload payload;
        uint32_t inner;
        if (ip[0] >> 4 == 4) {
            inner = is_ip_in_ip(ip[PROTOCOL_AT]) ? ipv4_header(ip) : 0;
            if (!inner)
                return ipv4_is_later_fragment(place) ? 0 : 4;
        } else if (ip[0] >> 4 == 6) {
            if (!has(place, IPV6_HEADER) || !has(place, IPV6_HEADER + (uint32_t)get16(ip + LENGTH_AT)) ||
                !skip_extensions(place, &payload))
                return 0;
            if (!is_ip_in_ip(payload.protocol))
                return 6;
            inner = payload.at;
        } else {
            return 0;
        }
        place->offset += inner;
    }
    return 0;
}

static void take_ports(struct ip_packet *packet, uint32_t at, uint16_t length)
{
    uint16_t least = packet->protocol == PROTOCOL_TCP ? TCP_HEADER : UDP_HEADER;
    bool has_ports = packet->protocol == PROTOCOL_TCP || packet->protocol == PROTOCOL_UDP;
    if (!has_ports || length < least)
        return;
    packet->ports[0] = get16(packet->bytes + at);
    packet->ports[1] = get16(packet->bytes + at + 2);
}

static bool take_ipv4(struct ip_packet *packet)
{
    enum { LENGTH_AT = 2, PROTOCOL_AT = 9, SOURCE_AT = 12, DESTINATION_AT = 16 };
    const uint8_t *ip = packet->bytes;
    uint16_t header = ipv4_header(ip);
    uint16_t total = get16(ip + LENGTH_AT);
    uint16_t length = (uint16_t)(total - header);
    if (packet->size < IPV4_HEADER || header > packet->size || total > packet->size || header + length > packet->size)
        return false;
    packet->protocol = ip[PROTOCOL_AT];
    packet->addresses[0] = get32(ip + SOURCE_AT);
    packet->addresses[1] = get32(ip + DESTINATION_AT);
    take_ports(packet, header, length);
    return true;
}

/* The reader adds the last two words as they lie in memory. */
static uint32_t folded(const uint8_t *address)
{
    uint32_t words[2];
    memcpy(words, address + 8, sizeof words);
    return words[0] + words[1];
}

static bool take_ipv6(const struct place *place, struct ip_packet *packet)
{
    enum { SOURCE_AT = 8, DESTINATION_AT = 24 };
    struct ipv6_payload payload;
    if (packet->size < IPV6_HEADER || !skip_extensions(place, &payload) || payload.at + payload.length > packet->size)
        return false;
    packet->protocol = payload.protocol;
    packet->addresses[0] = folded(packet->bytes + SOURCE_AT);
    packet->addresses[1] = folded(packet->bytes + DESTINATION_AT);
    take_ports(packet, payload.at, payload.length);
    return true;
}

bool frame_ip_packet(uint16_t link, const uint8_t *bytes, uint32_t captured, struct ip_packet *packet)
{
    struct place place = {.bytes = bytes, .captured = captured};
    if (captured < SHORTEST || !skip_link(&place, link) || !skip_tags(&place))
        return false;
    uint8_t version = find_ip(&place);
    if (!version)
        return false;
    *packet = (struct ip_packet){
        .bytes = bytes + place.offset,
        /* As wide as the library takes it: more than 65,535 bytes wrap there, too. */
        .size = (uint16_t)(captured - place.offset),
        .vlan = place.vlan,
    };
    return version == 4 ? take_ipv4(packet) : take_ipv6(&place, packet);
}
