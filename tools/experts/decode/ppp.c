/* PPP with its framings, and those that do the same on serial lines: Cisco HDLC and frame relay. */
#include "decoder.h"

void decode_ppp(struct decoder *decoder)
{
    /* Address and control may be left out, and so may the first byte of a protocol that is below 256. */
    if (decoder->captured >= 2 && get16(decoder->bytes) == 0xff03)
        decoder_skip(decoder, 2);
    size_t size = decoder->captured && decoder->bytes[0] & 1 ? 1 : 2;
    if (!decoder_need(decoder, size, "PPP header is cut"))
        return;
    uint16_t protocol = size == 1 ? decoder->bytes[0] : get16(decoder->bytes);
    decoder_skip(decoder, size);
    switch (protocol) {
    case 0x21:
        decoder->next = decode_ipv4;
        return;
    case 0x57:
        decoder->next = decode_ipv6;
        return;
    case 0x281:
    case 0x283:
        decoder->next = decode_mpls;
        return;
    default:
        return;
    }
}

/* In HDLC-like framing, or Cisco's. */
void decode_ppp_hdlc(struct decoder *decoder)
{
    bool cisco = decoder->captured && (decoder->bytes[0] == 0x0f || decoder->bytes[0] == 0x8f);
    decoder->next = cisco ? decode_cisco_hdlc : decode_ppp;
}

void decode_cisco_hdlc(struct decoder *decoder)
{
    if (!decoder_need(decoder, 4, "HDLC header is cut"))
        return;
    uint16_t protocol = get16(decoder->bytes + 2);
    decoder_skip(decoder, 4);
    if (protocol > LENGTH_MOST)
        decode_ethertype(decoder, protocol);
}

/* Whether the header is one of the session stage: what comes before it carries no data. */
static bool take_pppoe(struct decoder *decoder)
{
    if (!decoder_need(decoder, 6, "PPPoE header is cut"))
        return false;
    const uint8_t *header = decoder->bytes;
    decoder_skip(decoder, 6);
    if (header[1])
        return false;
    decoder_limit(decoder, get16(header + 4), "PPPoE length is beyond the frame");
    return true;
}

void decode_pppoe(struct decoder *decoder)
{
    if (decoder_layer(decoder, LAYER_PPPOE) && take_pppoe(decoder))
        decoder->next = decode_ppp;
}

/* The link type. */
void decode_pppoe_link(struct decoder *decoder)
{
    if (take_pppoe(decoder))
        decoder->next = decode_ppp;
}

/* RFC 2427: what follows an address of frame relay, by its network layer protocol. */
static void decode_multiprotocol(struct decoder *decoder)
{
    enum { NLPID_SNAP = 0x80, NLPID_IPV6 = 0x8e, NLPID_IPV4 = 0xcc, NLPID_PPP = 0xcf };
    /* A zero pads to two bytes. */
    if (decoder->captured && !decoder->bytes[0])
        decoder_skip(decoder, 1);
    if (!decoder_need(decoder, 1, "frame relay header is cut"))
        return;
    uint8_t protocol = decoder->bytes[0];
    decoder_skip(decoder, 1);
    if (protocol == NLPID_IPV4)
        decoder->next = decode_ipv4;
    else if (protocol == NLPID_IPV6)
        decoder->next = decode_ipv6;
    else if (protocol == NLPID_PPP)
        decoder->next = decode_ppp;
    else if (protocol == NLPID_SNAP)
        decoder->next = decode_snap;
}

void decode_frame_relay(struct decoder *decoder)
{
    /* Two to four bytes of address: the last is odd. */
    size_t address = 2;
    while (address < 4 && decoder->captured >= address && !(decoder->bytes[address - 1] & 1))
        address++;
    if (!decoder_need(decoder, address + 2, "frame relay header is cut"))
        return;
    decoder_skip(decoder, address);
    if (decoder->bytes[0] == 0x03) {
        decoder_skip(decoder, 1);
        decoder->next = decode_multiprotocol;
        return;
    }
    /* Cisco's */
    uint16_t protocol = get16(decoder->bytes);
    decoder_skip(decoder, 2);
    if (protocol > LENGTH_MOST)
        decode_ethertype(decoder, protocol);
}
