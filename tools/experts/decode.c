#include "decode.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum {
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_IPV6 = 0x86dd,
    ETHERTYPE_VLAN = 0x8100,
    ETHERTYPE_QINQ = 0x88a8,
    ETHERTYPE_QINQ_OLD = 0x9100,
    VLAN_TAGS_MOST = 4,
    EXTENSIONS_MOST = 16,
};

/* https://www.tcpdump.org/linktypes.html; DLT_RAW has two numbers. */
enum {
    LINK_NULL = 0,
    LINK_ETHERNET = 1,
    LINK_RAW_BSD = 12,
    LINK_RAW_OPENBSD = 14,
    LINK_RAW = 101,
    LINK_LOOP = 108,
    LINK_SLL = 113,
    LINK_IPV4 = 228,
    LINK_IPV6 = 229,
    LINK_SLL2 = 276,
};

/* The bytes that are left: `captured` of them may be read, `length` there were on the wire. */
struct cursor {
    const uint8_t *frame;
    const uint8_t *bytes;
    size_t captured;
    size_t length;
};

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t get32(const uint8_t *bytes)
{
    return (uint32_t)get16(bytes) << 16 | get16(bytes + 2);
}

static void skip(struct cursor *cursor, size_t count)
{
    cursor->bytes += count;
    cursor->captured -= count;
    cursor->length -= count;
}

/* Cuts what follows the datagram: padding up to the smallest frame. */
static void cut(struct cursor *cursor, size_t length)
{
    if (cursor->length > length)
        cursor->length = length;
    if (cursor->captured > length)
        cursor->captured = length;
}

static void take_payload(const struct cursor *cursor, struct packet *packet)
{
    packet->payload = (uint32_t)(cursor->bytes - cursor->frame);
    packet->payload_captured = (uint32_t)cursor->captured;
    packet->payload_length = (uint32_t)cursor->length;
}

/* Of the outermost header only: a piece of it holds no whole datagram of another. */
static void take_fragment(const struct cursor *cursor, struct packet *packet, uint32_t id, uint32_t offset, bool more)
{
    struct fragment *fragment = &packet->fragment;
    if (fragment->version)
        return;
    *fragment = (struct fragment){
        .version = packet->version,
        .protocol = packet->protocol,
        .more = more,
        .id = id,
        .offset = offset,
        .length = (uint32_t)cursor->length,
        .captured = (uint32_t)cursor->captured,
        .at = (uint32_t)(cursor->bytes - cursor->frame),
    };
    memcpy(fragment->source, packet->source.address, sizeof fragment->source);
    memcpy(fragment->destination, packet->destination.address, sizeof fragment->destination);
}

static const char *decode_tcp(struct cursor *cursor, struct packet *packet)
{
    if (cursor->captured < 20)
        return "TCP header is cut";
    const uint8_t *header = cursor->bytes;
    size_t header_length = (size_t)(header[12] >> 4) * 4;
    packet->source.port = get16(header);
    packet->destination.port = get16(header + 2);
    packet->sequence = get32(header + 4);
    packet->flags = header[13];
    if (header_length < 20)
        return "TCP header length is below 20";
    if (header_length > cursor->length)
        return "TCP header length is beyond the segment";
    if (header_length > cursor->captured)
        return "TCP options are cut";
    skip(cursor, header_length);
    take_payload(cursor, packet);
    return NULL;
}

static const char *decode_udp(struct cursor *cursor, struct packet *packet)
{
    if (cursor->captured < 8)
        return "UDP header is cut";
    packet->source.port = get16(cursor->bytes);
    packet->destination.port = get16(cursor->bytes + 2);
    size_t length = get16(cursor->bytes + 4);
    /* Zero is a jumbogram's: the datagram goes on to the end. */
    if (length && length < 8)
        return "UDP length is below 8";
    if (length > cursor->length)
        return "UDP length is beyond the datagram";
    if (length)
        cut(cursor, length);
    skip(cursor, 8);
    take_payload(cursor, packet);
    return NULL;
}

static const char *decode_icmp(struct cursor *cursor, struct packet *packet)
{
    if (cursor->captured < 8)
        return cursor->length < 8 ? NULL : "ICMP header is cut";
    uint8_t type = cursor->bytes[0];
    bool echo = packet->protocol == PROTOCOL_ICMP ? type == 0 || type == 8 : type == 128 || type == 129;
    if (echo)
        packet->source.port = packet->destination.port = get16(cursor->bytes + 4);
    return NULL;
}

static const char *decode_transport(struct cursor *cursor, struct packet *packet)
{
    if (packet_is_later_fragment(packet))
        return NULL;
    switch (packet->protocol) {
    case PROTOCOL_TCP:
        return decode_tcp(cursor, packet);
    case PROTOCOL_UDP:
        return decode_udp(cursor, packet);
    case PROTOCOL_ICMP:
    case PROTOCOL_ICMP6:
        return decode_icmp(cursor, packet);
    default:
        return NULL;
    }
}

static const char *decode_ipv4(struct cursor *cursor, struct packet *packet)
{
    if (cursor->captured < 20)
        return "IPv4 header is cut";
    const uint8_t *header = cursor->bytes;
    size_t header_length = (size_t)(header[0] & 15) * 4;
    if (header[0] >> 4 != 4)
        return "IPv4 header of another version";
    if (header_length < 20)
        return "IPv4 header length is below 20";
    if (header_length > cursor->captured)
        return "IPv4 options are cut";
    packet->version = 4;
    packet->protocol = header[9];
    memcpy(packet->source.address, header + 12, 4);
    memcpy(packet->destination.address, header + 16, 4);
    /* Zero where segmentation was left to the card: the datagram goes on to the end. */
    size_t total = get16(header + 2);
    if (total && total < header_length)
        return "IPv4 total length is below its header";
    if (total > cursor->length)
        return "IPv4 total length is beyond the frame";
    if (total)
        cut(cursor, total);
    skip(cursor, header_length);
    uint16_t flags = get16(header + 6);
    if (flags & 0x3fff)
        take_fragment(cursor, packet, get16(header + 4), (flags & 0x1fff) * 8u, flags & 0x2000);
    return decode_transport(cursor, packet);
}

/* One extension header, if that is what comes next; its length is 0 where there is none. */
static const char *extension(struct cursor *cursor, struct packet *packet, size_t *length)
{
    *length = 0;
    switch (packet->protocol) {
    case 0:   /* hop-by-hop */
    case 43:  /* routing */
    case 60:  /* destination options */
    case 135: /* mobility */
    case 139: /* host identity */
    case 140: /* shim6 */
        if (cursor->captured < 8)
            return "IPv6 extension header is cut";
        *length = ((size_t)cursor->bytes[1] + 1) * 8;
        break;
    case 44: /* fragment */
        if (cursor->captured < 8)
            return "IPv6 fragment header is cut";
        *length = 8;
        break;
    case 51: /* authentication */
        if (cursor->captured < 8)
            return "IPv6 authentication header is cut";
        *length = ((size_t)cursor->bytes[1] + 2) * 4;
        break;
    default:
        return NULL;
    }
    if (*length > cursor->length)
        return "IPv6 extension header is beyond the datagram";
    if (*length > cursor->captured)
        return "IPv6 extension header is cut";
    const uint8_t *header = cursor->bytes;
    bool is_fragment = packet->protocol == 44;
    packet->protocol = header[0];
    skip(cursor, *length);
    if (is_fragment && get16(header + 2) & 0xfff9)
        take_fragment(cursor, packet, get32(header + 4), get16(header + 2) & 0xfff8, header[3] & 1);
    return NULL;
}

static const char *decode_ipv6(struct cursor *cursor, struct packet *packet)
{
    if (cursor->captured < 40)
        return "IPv6 header is cut";
    const uint8_t *header = cursor->bytes;
    if (header[0] >> 4 != 6)
        return "IPv6 header of another version";
    packet->version = 6;
    packet->protocol = header[6];
    memcpy(packet->source.address, header + 8, 16);
    memcpy(packet->destination.address, header + 24, 16);
    size_t length = get16(header + 4);
    skip(cursor, 40);
    /* Zero is a jumbogram's: the datagram goes on to the end. */
    if (length > cursor->length)
        return "IPv6 payload length is beyond the frame";
    if (length)
        cut(cursor, length);
    for (int i = 0; i < EXTENSIONS_MOST && !packet_is_later_fragment(packet); i++) {
        size_t extension_length;
        const char *problem = extension(cursor, packet, &extension_length);
        if (problem)
            return problem;
        if (!extension_length)
            return decode_transport(cursor, packet);
    }
    return packet_is_later_fragment(packet) ? NULL : "IPv6 has too many extension headers";
}

static bool is_tag(uint16_t ethertype)
{
    return ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ || ethertype == ETHERTYPE_QINQ_OLD;
}

static const char *decode_network(struct cursor *cursor, struct packet *packet)
{
    for (int tags = 0; is_tag(packet->ethertype); tags++) {
        if (tags == VLAN_TAGS_MOST)
            return "too many VLAN tags";
        if (cursor->captured < 4)
            return "VLAN tag is cut";
        packet->vlan = get16(cursor->bytes) & 0xfff;
        packet->ethertype = get16(cursor->bytes + 2);
        skip(cursor, 4);
    }
    if (packet->ethertype != ETHERTYPE_IPV4 && packet->ethertype != ETHERTYPE_IPV6)
        return NULL;
    memset(&packet->source, 0, sizeof packet->source);
    memset(&packet->destination, 0, sizeof packet->destination);
    return packet->ethertype == ETHERTYPE_IPV4 ? decode_ipv4(cursor, packet) : decode_ipv6(cursor, packet);
}

static const char *decode_ethernet(struct cursor *cursor, struct packet *packet)
{
    if (cursor->captured < 14)
        return "Ethernet header is cut";
    memcpy(packet->destination.address, cursor->bytes, 6);
    memcpy(packet->source.address, cursor->bytes + 6, 6);
    packet->ethertype = get16(cursor->bytes + 12);
    skip(cursor, 14);
    return decode_network(cursor, packet);
}

/* `header` bytes, then IP of the version that its first byte names. */
static const char *decode_raw(struct cursor *cursor, size_t header, struct packet *packet)
{
    if (cursor->captured <= header)
        return "link header is cut";
    skip(cursor, header);
    packet->ethertype = cursor->bytes[0] >> 4 == 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4;
    return decode_network(cursor, packet);
}

/* `header` bytes, with the ethertype of what follows at `protocol`. */
static const char *decode_cooked(struct cursor *cursor, size_t header, size_t protocol, struct packet *packet)
{
    if (cursor->captured < header)
        return "link header is cut";
    packet->ethertype = get16(cursor->bytes + protocol);
    skip(cursor, header);
    return decode_network(cursor, packet);
}

bool decode_knows(uint16_t link)
{
    static const uint16_t known[] = {LINK_NULL, LINK_ETHERNET, LINK_RAW_BSD, LINK_RAW_OPENBSD, LINK_RAW,
                                     LINK_LOOP, LINK_SLL,      LINK_IPV4,    LINK_IPV6,        LINK_SLL2};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i] == link)
            return true;
    return false;
}

static const char *decode_link(struct cursor *cursor, struct packet *packet)
{
    switch (packet->link) {
    case LINK_ETHERNET:
        return decode_ethernet(cursor, packet);
    case LINK_NULL:
    case LINK_LOOP:
        return decode_raw(cursor, 4, packet);
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_RAW:
    case LINK_IPV4:
    case LINK_IPV6:
        return decode_raw(cursor, 0, packet);
    case LINK_SLL:
        return decode_cooked(cursor, 16, 14, packet);
    case LINK_SLL2:
        return decode_cooked(cursor, 20, 0, packet);
    default:
        return NULL;
    }
}

const char *decode(uint16_t link, const uint8_t *bytes, size_t captured, size_t length, struct packet *packet)
{
    struct cursor cursor = {bytes, bytes, captured, length < captured ? captured : length};
    memset(packet, 0, sizeof *packet);
    packet->link = link;
    packet->problem = decode_link(&cursor, packet);
    return packet->problem;
}

static uint64_t mix(uint64_t x)
{
    /* The finaliser of MurmurHash3, public domain. */
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

static uint64_t endpoint_hash(const struct endpoint *endpoint)
{
    uint64_t words[2];
    memcpy(words, endpoint->address, sizeof words);
    return mix(words[0] ^ mix(words[1] + endpoint->port));
}

uint64_t decode_hash(const struct packet *packet)
{
    uint64_t ends = endpoint_hash(&packet->source) + endpoint_hash(&packet->destination);
    return mix(ends + packet->protocol + ((uint64_t)packet->vlan << 8) + ((uint64_t)packet->version << 24));
}

const char *endpoint_text(const struct endpoint *endpoint, uint8_t version, char text[ENDPOINT_TEXT])
{
    const uint8_t *a = endpoint->address;
    char address[INET6_ADDRSTRLEN];
    if (version == 4)
        snprintf(text, ENDPOINT_TEXT, "%u.%u.%u.%u:%u", a[0], a[1], a[2], a[3], endpoint->port);
    else if (version == 6)
        snprintf(text, ENDPOINT_TEXT, "[%s]:%u", inet_ntop(AF_INET6, a, address, sizeof address), endpoint->port);
    else
        snprintf(text, ENDPOINT_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4], a[5]);
    return text;
}
