/* MPLS, GRE with what it carries, EtherIP and NSH. */
#include "decoder.h"

void decode_mpls(struct decoder *decoder)
{
    if (!decoder_layer(decoder, LAYER_MPLS))
        return;
    bool bottom;
    do {
        if (!decoder_need(decoder, 4, "MPLS label is cut"))
            return;
        bottom = decoder->bytes[2] & 1;
        decoder_skip(decoder, 4);
    } while (!bottom);
    if (!decoder->captured)
        return;
    /* Nothing says what follows: IP shows its version; a pseudowire may begin with a control word, whose first four bits are
     * zero. */
    uint8_t first = decoder->bytes[0] >> 4;
    if (first == 4) {
        decoder->next = decode_ipv4;
    } else if (first == 6) {
        decoder->next = decode_ipv6;
    } else if (looks_like_ethernet(decoder, 0)) {
        decoder->next = decode_ethernet;
    } else if (first == 0 && looks_like_ethernet(decoder, 4)) {
        decoder_skip(decoder, 4);
        decoder->next = decode_ethernet;
    }
}

void decode_etherip(struct decoder *decoder)
{
    if (!decoder_layer(decoder, LAYER_ETHERIP) || !decoder_need(decoder, 2, "EtherIP header is cut"))
        return;
    decoder_skip(decoder, 2);
    decoder->next = decode_ethernet;
}

/* What a router registers with the rendezvous point is a whole packet of IP; the other messages hold none. */
void decode_pim(struct decoder *decoder)
{
    enum { VERSION_2_REGISTER = 0x21 };
    if (decoder->captured <= 8 || decoder->bytes[0] != VERSION_2_REGISTER || !looks_like_ip(decoder, 8))
        return;
    if (!decoder_layer(decoder, LAYER_PIM))
        return;
    decoder_skip(decoder, 8);
    decoder->next = decode_ip;
}

/* Network service header: its length in words, and what follows. */
void decode_nsh(struct decoder *decoder)
{
    static step *const steps[] = {NULL, decode_ipv4, decode_ipv6, decode_ethernet, decode_nsh, decode_mpls};
    if (!decoder_layer(decoder, LAYER_TAG) || !decoder_need(decoder, 8, "NSH header is cut"))
        return;
    size_t length = (decoder->bytes[1] & 63) * (size_t)4;
    uint8_t protocol = decoder->bytes[3];
    if (decoder_skip_header(decoder, length, "NSH length is below 8", "NSH header is cut") &&
        protocol < sizeof steps / sizeof *steps)
        decoder->next = steps[protocol];
}

/* ------------------------------------------------------------------ GRE */

enum {
    GRE_CHECKSUM = 0x8000,
    GRE_ROUTING = 0x4000,
    GRE_KEY = 0x2000,
    GRE_SEQUENCE = 0x1000,
    GRE_ACKNOWLEDGEMENT = 0x0080, /* of version 1 */
    GRE_VERSION = 0x0007,
    GRE_ERSPAN = 0x88be, /* types I and II */
    GRE_ERSPAN_3 = 0x22eb,
    GRE_PPP = 0x880b,
};

/* Type II: what it is a copy of is in a header of 8 bytes, and a whole frame follows. Type III has 12, and 8 more where its last bit says so. */
static void decode_erspan(struct decoder *decoder)
{
    if (!decoder_layer(decoder, LAYER_ERSPAN) || !decoder_need(decoder, 8, "ERSPAN header is cut"))
        return;
    uint8_t version = decoder->bytes[0] >> 4;
    size_t length = version == 2 ? 12 : 8;
    if (version != 1 && version != 2)
        return;
    if (!decoder_need(decoder, length, "ERSPAN header is cut"))
        return;
    enum { FRAME_ETHERNET = 0, FRAME_IP = 2 };
    uint8_t frame = FRAME_ETHERNET;
    if (version == 2) {
        frame = decoder->bytes[10] >> 2 & 31;
        length += decoder->bytes[11] & 1 ? 8 : 0;
    }
    if (!decoder_need(decoder, length, "ERSPAN header is cut"))
        return;
    decoder_skip(decoder, length);
    if (frame == FRAME_ETHERNET)
        decoder->next = decode_ethernet;
    else if (frame == FRAME_IP)
        decoder->next = decode_ip;
}

/* Without a header: what a GRE header without a sequence number carries. */
static void decode_erspan_1(struct decoder *decoder)
{
    if (decoder_layer(decoder, LAYER_ERSPAN))
        decoder->next = decode_ethernet;
}

static void decode_gre_ppp(struct decoder *decoder)
{
    if (decoder_layer(decoder, LAYER_PPP))
        decoder->next = decode_ppp;
}

/* Redirected packets: version 2 of the protocol has four bytes before the IP header. */
static void decode_wccp(struct decoder *decoder)
{
    if (!decoder_layer(decoder, LAYER_WCCP) || !decoder_need(decoder, 1, "WCCP header is cut"))
        return;
    if (decoder->bytes[0] >> 4 != 4) {
        if (!decoder_need(decoder, 4, "WCCP header is cut"))
            return;
        decoder_skip(decoder, 4);
    }
    decoder->next = decode_ipv4;
}

static void decode_gre_wlan(struct decoder *decoder)
{
    if (decoder_layer(decoder, LAYER_WLAN))
        decoder->next = decode_wlan;
}

/* Cisco's metadata, whose ethertype comes first here. */
static void decode_gre_metadata(struct decoder *decoder)
{
    if (!decoder_layer(decoder, LAYER_TAG) || !decoder_need(decoder, 4, "tag is cut"))
        return;
    const uint8_t *header = decoder->bytes;
    size_t length = 4 + header[3] * (size_t)4;
    if (!decoder_need(decoder, length, "tag is cut"))
        return;
    decoder_skip(decoder, length);
    decode_ethertype(decoder, get16(header));
}

static const struct {
    uint16_t first;
    uint16_t last;
    step *step;
} protocols[] = {
    {ETHERTYPE_IPV4, ETHERTYPE_IPV4, decode_ipv4},
    {ETHERTYPE_IPV6, ETHERTYPE_IPV6, decode_ipv6},
    {0x6558, 0x6558, decode_ethernet}, /* Transparent Ethernet */
    {0x6400, 0x6400, decode_ethernet}, /* the same of some routers */
    {0x8847, 0x8848, decode_mpls},
    {GRE_ERSPAN, GRE_ERSPAN, decode_erspan},
    {GRE_ERSPAN_3, GRE_ERSPAN_3, decode_erspan},
    {GRE_PPP, GRE_PPP, decode_gre_ppp},
    {0x8881, 0x8881, decode_gre_ppp}, /* CDMA2000 */
    {0x883e, 0x883e, decode_wccp},
    {0x894f, 0x894f, decode_nsh},
    {0x8909, 0x8909, decode_gre_metadata},
    {0x6559, 0x6559, decode_frame_relay},
    {0x8200, 0x8370, decode_gre_wlan}, /* Aruba's */
};

void decode_gre_protocol(struct decoder *decoder, uint16_t protocol)
{
    decoder->packet->ethertype = protocol;
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (protocol >= protocols[i].first && protocol <= protocols[i].last)
            decoder->next = protocols[i].step;
}

/* Source routes of RFC 1701, up to an empty one. */
static bool skip_routes(struct decoder *decoder)
{
    for (;;) {
        if (!decoder_need(decoder, 4, "GRE route is cut"))
            return false;
        const uint8_t *route = decoder->bytes;
        if (!decoder_need(decoder, 4 + (size_t)route[3], "GRE route is cut"))
            return false;
        decoder_skip(decoder, 4 + (size_t)route[3]);
        if (!get16(route) && !route[3])
            return true;
    }
}

void decode_gre(struct decoder *decoder)
{
    if (!decoder_layer(decoder, LAYER_GRE) || !decoder_need(decoder, 4, "GRE header is cut"))
        return;
    uint16_t flags = get16(decoder->bytes);
    uint16_t protocol = get16(decoder->bytes + 2);
    size_t length = 4;
    if (flags & (GRE_CHECKSUM | GRE_ROUTING))
        length += 4;
    if (flags & GRE_KEY)
        length += 4;
    if (flags & GRE_SEQUENCE)
        length += 4;
    if ((flags & GRE_VERSION) == 1 && flags & GRE_ACKNOWLEDGEMENT)
        length += 4;
    if (!decoder_need(decoder, length, "GRE header is cut"))
        return;
    decoder_skip(decoder, length);
    if (flags & GRE_ROUTING && !skip_routes(decoder))
        return;
    /* Keepalives and acknowledgements carry nothing. */
    if (!decoder->length)
        return;
    decode_gre_protocol(decoder, protocol);
    if (protocol == GRE_ERSPAN && !(flags & GRE_SEQUENCE))
        decoder->next = decode_erspan_1;
}
