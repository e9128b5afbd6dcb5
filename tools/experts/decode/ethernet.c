/* Ethernet, 802.3 with 802.2 and SNAP, and the table of ethertypes. */
#include "decoder.h"

#include <string.h>

enum { ETHERTYPE_MPLS = 0x8847, ETHERTYPE_BRIDGING = 0x6558 };

/* The commonest first. */
static const struct {
    uint16_t ethertype;
    step *step;
} steps[] = {
    {ETHERTYPE_IPV4, decode_ipv4},
    {ETHERTYPE_IPV6, decode_ipv6},
    {0x8100, decode_vlan}, /* 802.1Q */
    {0x88a8, decode_vlan}, /* 802.1ad */
    {0x9100, decode_vlan}, /* both of these before there was 802.1ad */
    {0x9200, decode_vlan},
    {ETHERTYPE_MPLS, decode_mpls},
    {0x8848, decode_mpls}, /* upstream labels */
    {0x8864, decode_pppoe},
    {0x88e7, decode_pbb},
    {ETHERTYPE_BRIDGING, decode_ethernet},
    {0x894f, decode_nsh},
    {0x8870, decode_llc}, /* of jumbo frames */
    {0x88e5, decode_macsec},
    {0x8926, decode_vntag},
    {0x893f, decode_etag},
    {0x8909, decode_cisco_metadata},
    {0x892f, decode_redundancy}, /* HSR */
    {0xf1c1, decode_redundancy}, /* 802.1CB */
    {0x8903, decode_fabricpath},
    {0x22f3, decode_trill},
    {0xd28b, decode_arista},
};

static step *step_of(uint16_t ethertype)
{
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (steps[i].ethertype == ethertype)
            return steps[i].step;
    return NULL;
}

bool knows_ethertype(uint16_t ethertype)
{
    return step_of(ethertype) != NULL;
}

void decode_ethertype(struct decoder *decoder, uint16_t ethertype)
{
    decoder->packet->ethertype = ethertype;
    if (ethertype > LENGTH_MOST) {
        decoder->next = step_of(ethertype);
        return;
    }
    decoder_limit(decoder, ethertype, "802.3 length is beyond the frame");
    if (decoder_layer(decoder, LAYER_LLC))
        decoder->next = decode_llc;
}

void decode_ethernet(struct decoder *decoder)
{
    struct packet *packet = decoder->packet;
    if (!decoder_need(decoder, 14, "Ethernet header is cut"))
        return;
    const uint8_t *header = decoder->bytes;
    /* Inside IP the flow is that of the IP header around it, until there is another. */
    if (!packet->version) {
        memcpy(packet->destination.address, header, 6);
        memcpy(packet->source.address, header + 6, 6);
    }
    decoder_skip(decoder, 14);
    decode_ethertype(decoder, get16(header + 12));
}

bool looks_like_ethernet(const struct decoder *decoder, size_t ahead)
{
    if (decoder->captured < ahead + 15)
        return false;
    uint16_t ethertype = get16(decoder->bytes + ahead + 12);
    const uint8_t *inside = decoder->bytes + ahead + 14;
    if (ethertype == ETHERTYPE_IPV4)
        return inside[0] >> 4 == 4;
    if (ethertype == ETHERTYPE_IPV6)
        return inside[0] >> 4 == 6;
    if (ethertype <= LENGTH_MOST)
        return decoder->captured >= ahead + 17 && get16(inside) == 0xaaaa && inside[2] == 0x03;
    return ethertype == ETHERTYPE_ARP || knows_ethertype(ethertype);
}

/* An organization, and a protocol of its; where a whole frame follows, after so many bytes of padding. */
static void take_snap(struct decoder *decoder, size_t padding)
{
    if (!decoder_need(decoder, 5, "SNAP header is cut"))
        return;
    uint32_t organization = (uint32_t)decoder->bytes[0] << 16 | get16(decoder->bytes + 1);
    uint16_t protocol = get16(decoder->bytes + 3);
    decoder_skip(decoder, 5);
    switch (organization) {
    case 0x000000: /* encapsulated Ethernet */
    case 0x0000f8: /* through bridges that could not do that */
        if (protocol > LENGTH_MOST)
            decode_ethertype(decoder, protocol);
        return;
    case 0x0080c2: /* bridged, with and without its checksum */
        if ((protocol != 1 && protocol != 7) || !decoder_need(decoder, padding, "SNAP header is cut"))
            return;
        decoder_skip(decoder, padding);
        decoder->next = decode_ethernet;
        return;
    default:
        return;
    }
}

/* Of frame relay, where no padding is needed. */
void decode_snap(struct decoder *decoder)
{
    take_snap(decoder, 0);
}

/* 802.2: SNAP, or IP at a service access point of its own. Anything else is no IP, and no problem. */
void decode_llc(struct decoder *decoder)
{
    enum { SAP_IP = 0x06, SAP_SNAP = 0xaa, UNNUMBERED = 0x03 };
    if (decoder->length < 3 || !decoder_need(decoder, 3, "802.2 header is cut"))
        return;
    const uint8_t *header = decoder->bytes;
    decoder_skip(decoder, 3);
    if (header[2] != UNNUMBERED)
        return;
    if (header[0] == SAP_SNAP)
        take_snap(decoder, 2);
    else if (header[0] == SAP_IP)
        decoder->next = decode_ipv4;
}
