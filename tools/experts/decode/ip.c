/* IPv4, IPv6 with its extension headers, and fragments of both. */
#include "decoder.h"

#include <string.h>

enum {
    PROTOCOL_HOP_BY_HOP = 0,
    PROTOCOL_IPV4 = 4,
    PROTOCOL_IPV6 = 41,
    PROTOCOL_ROUTING = 43,
    PROTOCOL_FRAGMENT = 44,
    PROTOCOL_GRE = 47,
    PROTOCOL_AUTHENTICATION = 51,
    PROTOCOL_DESTINATION = 60,
    PROTOCOL_ETHERIP = 97,
    PROTOCOL_PIM = 103,
    PROTOCOL_MOBILITY = 135,
    PROTOCOL_MPLS = 137,
    PROTOCOL_HOST_IDENTITY = 139,
    PROTOCOL_SHIM6 = 140,
    PROTOCOL_ETHERNET = 143,
};

static step decode_ip_in_ip, decode_extension, decode_authentication, decode_fragment;

/* What an IP header's protocol stands for; the others are not looked into. */
static step *const steps[256] = {
    [PROTOCOL_HOP_BY_HOP] = decode_extension,
    [PROTOCOL_ICMP] = decode_icmp,
    [PROTOCOL_IPV4] = decode_ip_in_ip,
    [PROTOCOL_TCP] = decode_tcp,
    [PROTOCOL_UDP] = decode_udp,
    [PROTOCOL_IPV6] = decode_ip_in_ip,
    [PROTOCOL_ROUTING] = decode_extension,
    [PROTOCOL_FRAGMENT] = decode_fragment,
    [PROTOCOL_GRE] = decode_gre,
    [PROTOCOL_AUTHENTICATION] = decode_authentication,
    [PROTOCOL_ICMP6] = decode_icmp,
    [PROTOCOL_DESTINATION] = decode_extension,
    [PROTOCOL_ETHERIP] = decode_etherip,
    [PROTOCOL_PIM] = decode_pim,
    [PROTOCOL_MOBILITY] = decode_extension,
    [PROTOCOL_MPLS] = decode_mpls,
    [PROTOCOL_HOST_IDENTITY] = decode_extension,
    [PROTOCOL_SHIM6] = decode_extension,
    [PROTOCOL_ETHERNET] = decode_ethernet,
};

/* The flow is that of the innermost IP header: nothing stays of what an outer one carried. */
static void take_addresses(struct packet *packet, uint8_t version, const uint8_t *source)
{
    size_t size = version == 4 ? 4 : 16;
    packet->version = version;
    packet->ethertype = version == 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
    memset(&packet->source, 0, sizeof packet->source);
    memset(&packet->destination, 0, sizeof packet->destination);
    memcpy(packet->source.address, source, size);
    memcpy(packet->destination.address, source + size, size);
    packet->segment = false;
    packet->flags = 0;
    packet->sequence = packet->acknowledgement = 0;
    packet->payload = packet->payload_captured = packet->payload_length = 0;
}

/*
 * Of the outermost header that says so: the pieces of one datagram are put together before what it holds. Only the first
 * one is decoded further.
 */
static void take_fragment(struct decoder *decoder, uint32_t id, uint32_t offset, bool more)
{
    struct packet *packet = decoder->packet;
    decoder->piece = true;
    if (offset)
        decoder->next = NULL;
    if (packet->fragment.version)
        return;
    packet->fragment = (struct fragment){
        .version = packet->version,
        .protocol = packet->protocol,
        .more = more,
        .id = id,
        .offset = offset,
        .length = (uint32_t)decoder->length,
        .captured = (uint32_t)decoder->captured,
        .at = (uint32_t)(decoder->bytes - decoder->frame),
        .vlan = packet->vlan,
    };
    memcpy(packet->fragment.source, packet->source.address, sizeof packet->fragment.source);
    memcpy(packet->fragment.destination, packet->destination.address, sizeof packet->fragment.destination);
}

/* What makes a header none of IPv4, so that nothing in it can be believed. */
static const char *ipv4_fault(const uint8_t *header)
{
    size_t header_length = (size_t)(header[0] & 15) * 4;
    size_t total = get16(header + 2);
    if (header[0] >> 4 != 4)
        return "IPv4 header of another version";
    if (header_length < 20)
        return "IPv4 header length is below 20";
    if (total && total < header_length)
        return "IPv4 total length is below its header";
    return NULL;
}

void decode_ipv4(struct decoder *decoder)
{
    struct packet *packet = decoder->packet;
    if (!decoder_need(decoder, 20, "IPv4 header is cut"))
        return;
    const uint8_t *header = decoder->bytes;
    /* Some that send IPv6 say that it is IPv4. */
    if (header[0] >> 4 == 6) {
        decoder->next = decode_ipv6;
        return;
    }
    const char *fault = ipv4_fault(header);
    if (fault) {
        decoder_problem(decoder, fault);
        return;
    }
    take_addresses(packet, 4, header + 12);
    packet->protocol = header[9];
    /* Zero where segmentation was left to the card: the datagram goes on to the end. */
    size_t total = get16(header + 2);
    if (total)
        decoder_limit(decoder, total, "IPv4 total length is beyond the frame");
    size_t header_length = (size_t)(header[0] & 15) * 4;
    if (!decoder_need(decoder, header_length, "IPv4 options are cut"))
        return;
    decoder_skip(decoder, header_length);
    decoder->next = steps[packet->protocol];
    uint16_t flags = get16(header + 6);
    if (flags & 0x3fff)
        take_fragment(decoder, get16(header + 4), (flags & 0x1fff) * 8u, flags & 0x2000);
}

void decode_ipv6(struct decoder *decoder)
{
    struct packet *packet = decoder->packet;
    if (!decoder_need(decoder, 40, "IPv6 header is cut"))
        return;
    const uint8_t *header = decoder->bytes;
    if (header[0] >> 4 != 6) {
        decoder_problem(decoder, "IPv6 header of another version");
        return;
    }
    take_addresses(packet, 6, header + 8);
    packet->protocol = header[6];
    decoder_skip(decoder, 40);
    /* Zero is a jumbogram's: the datagram goes on to the end. */
    size_t length = get16(header + 4);
    if (length)
        decoder_limit(decoder, length, "IPv6 payload length is beyond the frame");
    decoder->next = steps[packet->protocol];
}

void decode_ip(struct decoder *decoder)
{
    if (!decoder_need(decoder, 1, "IP header is cut"))
        return;
    uint8_t version = decoder->bytes[0] >> 4;
    if (version == 4)
        decoder->next = decode_ipv4;
    else if (version == 6)
        decoder->next = decode_ipv6;
    else
        decoder_problem(decoder, "neither IPv4 nor IPv6");
}

static void decode_ip_in_ip(struct decoder *decoder)
{
    struct packet *packet = decoder->packet;
    if (!decoder_need(decoder, 1, "IP header in IP is cut"))
        return;
    bool four = packet->protocol == PROTOCOL_IPV4 && decoder->bytes[0] >> 4 != 6;
    enum layer layer = packet->version == 4 ? (four ? LAYER_4IN4 : LAYER_6IN4) : four ? LAYER_4IN6 : LAYER_6IN6;
    if (decoder_layer(decoder, layer))
        decoder->next = four ? decode_ipv4 : decode_ipv6;
}

bool looks_like_ip(const struct decoder *decoder, size_t ahead)
{
    if (decoder->captured <= ahead)
        return false;
    uint8_t first = decoder->bytes[ahead];
    return first >> 4 == 6 || (first >> 4 == 4 && (first & 15) >= 5);
}

/* An extension header of IPv6 that says how long it is, and what follows. */
static void take_extension(struct decoder *decoder, size_t length)
{
    struct packet *packet = decoder->packet;
    if (length > decoder->length && !decoder->piece) {
        decoder_problem(decoder, "extension header is beyond the datagram");
        return;
    }
    if (!decoder_need(decoder, length, "extension header is cut"))
        return;
    packet->protocol = decoder->bytes[0];
    decoder_skip(decoder, length);
    decoder->next = steps[packet->protocol];
}

static void decode_extension(struct decoder *decoder)
{
    if (decoder_need(decoder, 8, "extension header is cut"))
        take_extension(decoder, ((size_t)decoder->bytes[1] + 1) * 8);
}

static void decode_authentication(struct decoder *decoder)
{
    if (decoder_need(decoder, 8, "authentication header is cut"))
        take_extension(decoder, ((size_t)decoder->bytes[1] + 2) * 4);
}

/* One that says that it is the whole datagram is no fragment. */
static void decode_fragment(struct decoder *decoder)
{
    if (!decoder_need(decoder, 8, "IPv6 fragment header is cut"))
        return;
    const uint8_t *header = decoder->bytes;
    take_extension(decoder, 8);
    uint16_t offset = get16(header + 2);
    if (offset & 0xfff9)
        take_fragment(decoder, get32(header + 4), offset & 0xfff8, offset & 1);
}
