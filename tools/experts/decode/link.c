/* The link types, by their numbers in capture files: https://www.tcpdump.org/linktypes.html. */
#include "decoder.h"

/* BSD's address families, which differ for IPv6. */
enum { FAMILY_IPV4 = 2, FAMILY_IPV6_BSD = 24, FAMILY_IPV6_FREEBSD = 28, FAMILY_IPV6_DARWIN = 30 };

static void decode_family(struct decoder *decoder, uint32_t family)
{
    if (family == FAMILY_IPV4)
        decoder->next = decode_ipv4;
    else if (family == FAMILY_IPV6_BSD || family == FAMILY_IPV6_FREEBSD || family == FAMILY_IPV6_DARWIN)
        decoder->next = decode_ipv6;
}

static void decode_loop(struct decoder *decoder)
{
    if (!decoder_need(decoder, 4, "link header is cut"))
        return;
    uint32_t family = get32(decoder->bytes);
    decoder_skip(decoder, 4);
    decode_family(decoder, family);
}

/*
 * The family is in the byte order of the machine that captured. Families are below 256, so that the order shows; IRIX has
 * them in the first two bytes, FreeBSD's ISDN has PPP instead, and old Linux an ethertype in the last two.
 */
static void decode_null(struct decoder *decoder)
{
    if (!decoder_need(decoder, 4, "link header is cut"))
        return;
    const uint8_t *header = decoder->bytes;
    uint16_t halves[] = {get16(header), get16(header + 2)};
    if (halves[0] == 0xff03) {
        decoder->next = decode_ppp;
        return;
    }
    decoder_skip(decoder, 4);
    if (halves[0] == 0 && halves[1] > LENGTH_MOST)
        decode_ethertype(decoder, halves[1]);
    else if (halves[0] == 0)
        decode_family(decoder, halves[1]);
    else if (halves[1] == 0)
        decode_family(decoder, header[0] ? header[0] : header[1]);
}

static void decode_sll_protocol(struct decoder *decoder, uint16_t hardware, uint16_t protocol)
{
    enum { HARDWARE_FRAME_RELAY = 770, HARDWARE_GRE = 778, HARDWARE_RADIOTAP = 803, HARDWARE_NETLINK = 824 };
    enum { PROTOCOL_ETHERNET = 3, PROTOCOL_LLC = 4, PROTOCOL_PPP = 7 };
    if (hardware == HARDWARE_NETLINK)
        return;
    if (hardware == HARDWARE_FRAME_RELAY)
        decoder->next = decode_frame_relay;
    else if (hardware == HARDWARE_RADIOTAP)
        decoder->next = decode_radiotap;
    else if (hardware == HARDWARE_GRE)
        decode_gre_protocol(decoder, protocol);
    else if (protocol > LENGTH_MOST)
        decode_ethertype(decoder, protocol);
    else if (protocol == PROTOCOL_ETHERNET)
        decoder->next = decode_ethernet;
    else if (protocol == PROTOCOL_LLC)
        decoder->next = decode_llc;
    else if (protocol == PROTOCOL_PPP)
        decoder->next = decode_ppp_hdlc;
}

static void decode_sll(struct decoder *decoder)
{
    if (!decoder_need(decoder, 16, "link header is cut"))
        return;
    const uint8_t *header = decoder->bytes;
    decoder_skip(decoder, 16);
    decode_sll_protocol(decoder, get16(header + 2), get16(header + 14));
}

static void decode_sll2(struct decoder *decoder)
{
    if (!decoder_need(decoder, 20, "link header is cut"))
        return;
    const uint8_t *header = decoder->bytes;
    decoder_skip(decoder, 20);
    decode_sll_protocol(decoder, get16(header + 8), get16(header));
}

/* A byte for the direction before what PPP has on serial lines. */
static void decode_ppp_directed(struct decoder *decoder)
{
    if (!decoder_need(decoder, 1, "link header is cut"))
        return;
    decoder_skip(decoder, 1);
    decoder->next = decode_ppp_hdlc;
}

/* The same in the place of PPP's address. */
static void decode_ppp_pppd(struct decoder *decoder)
{
    if (!decoder_need(decoder, 2, "link header is cut"))
        return;
    decoder_skip(decoder, decoder->bytes[1] == 0x03 ? 2 : 1);
    decoder->next = decode_ppp_hdlc;
}

/* A link type of its own after the header. */
static void decode_ppi(struct decoder *decoder)
{
    if (!decoder_need(decoder, 8, "PPI header is cut"))
        return;
    size_t length = get16_little(decoder->bytes + 2);
    uint32_t link = get32_little(decoder->bytes + 4);
    if (decoder_skip_header(decoder, length, "PPI length is below 8", "PPI header is cut"))
        decoder->next = step_of_link(link);
}

/* Attributes of netlink, in the byte order of the machine that captured: the one in which they lead to the payload. */
static size_t nflog_payload(const struct decoder *decoder, uint16_t (*get)(const uint8_t *), size_t *length)
{
    enum { ATTRIBUTE_PAYLOAD = 9 };
    for (size_t at = 4; at + 4 <= decoder->captured; at += (*length + 3) / 4 * 4) {
        *length = get(decoder->bytes + at);
        if (*length < 4)
            return 0;
        if (get(decoder->bytes + at + 2) == ATTRIBUTE_PAYLOAD)
            return at + 4;
    }
    return 0;
}

static void decode_nflog(struct decoder *decoder)
{
    enum { FAMILY_LINUX_IPV6 = 10 };
    if (!decoder_need(decoder, 4, "NFLOG header is cut"))
        return;
    uint8_t family = decoder->bytes[0];
    size_t length;
    size_t at = nflog_payload(decoder, get16_little, &length);
    if (!at)
        at = nflog_payload(decoder, get16, &length);
    if (!at || (family != FAMILY_IPV4 && family != FAMILY_LINUX_IPV6))
        return;
    decoder_skip(decoder, at);
    decoder_limit(decoder, length - 4, "NFLOG payload is beyond the frame");
    decoder->next = family == FAMILY_IPV4 ? decode_ipv4 : decode_ipv6;
}

static const struct {
    uint16_t link;
    step *step;
} steps[] = {
    {0, decode_null},         {1, decode_ethernet},       {9, decode_ppp_hdlc},
    {12, decode_ip}, /* raw IP as some BSDs number it, */
    {14, decode_ip}, /* and as OpenBSD does */
    {50, decode_ppp_hdlc},    {51, decode_pppoe_link},    {101, decode_ip},
    {104, decode_cisco_hdlc}, {105, decode_wlan},         {107, decode_frame_relay},
    {108, decode_loop},       {113, decode_sll},          {119, decode_prism},
    {127, decode_radiotap},   {163, decode_avs},          {166, decode_ppp_pppd},
    {192, decode_ppi},        {204, decode_ppp_directed}, {228, decode_ipv4},
    {229, decode_ipv6},       {239, decode_nflog},        {276, decode_sll2},
};

step *step_of_link(uint32_t link)
{
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (steps[i].link == link)
            return steps[i].step;
    return NULL;
}
