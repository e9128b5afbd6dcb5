/*
 * Tunnels in UDP. A port alone makes none: unless what follows the UDP header looks like the tunnel's header, the datagram
 * is one of the UDP flow and no problem.
 */
#include "decoder.h"

/* Flags, of which the one for a valid identifier is set, and nothing where it is reserved; else a frame that can be told from noise. */
static void decode_vxlan(struct decoder *decoder)
{
    enum { POLICY = 0x80, VALID = 0x08 };
    if (decoder->captured < 8 || decoder->length < 8 + 14)
        return;
    const uint8_t *header = decoder->bytes;
    bool nothing_reserved = !(header[0] & ~(POLICY | VALID)) && !(header[1] & ~0x48) && !header[7] &&
                            (header[0] & POLICY || !get16(header + 2));
    if (!(header[0] & VALID) || !(nothing_reserved || looks_like_ethernet(decoder, 8)))
        return;
    if (!decoder_layer(decoder, LAYER_VXLAN))
        return;
    decoder_skip(decoder, 8);
    decoder->next = decode_ethernet;
}

/* Version 0, nothing where it is reserved, a protocol that is known. */
static void decode_vxlan_gpe(struct decoder *decoder)
{
    enum { VALID = 0x08, NEXT_PROTOCOL = 0x04, VERSION = 0x30 };
    static step *const steps[] = {NULL, decode_ipv4, decode_ipv6, decode_ethernet, decode_nsh, decode_mpls};
    if (decoder->captured < 8)
        return;
    const uint8_t *header = decoder->bytes;
    uint8_t protocol = header[0] & NEXT_PROTOCOL ? header[3] : 3;
    if (!(header[0] & VALID) || header[0] & VERSION || get16(header + 1) || header[7] ||
        protocol >= sizeof steps / sizeof *steps || !steps[protocol])
        return;
    if (!decoder_layer(decoder, LAYER_VXLAN))
        return;
    decoder_skip(decoder, 8);
    decoder->next = steps[protocol];
}

/* Version 0, nothing where it is reserved, an ethertype that is known, and options that are as long together as the header
 * says. */
static bool looks_like_geneve(const struct decoder *decoder)
{
    if (decoder->captured < 8)
        return false;
    const uint8_t *header = decoder->bytes;
    size_t end = 8 + (header[0] & 63) * (size_t)4;
    if (header[0] >> 6 || header[1] & 63 || header[7] || end > decoder->captured || !knows_ethertype(get16(header + 2)))
        return false;
    size_t at = 8;
    while (at < end)
        at += 4 + (header[at + 3] & 31) * (size_t)4;
    return at == end;
}

static void decode_geneve(struct decoder *decoder)
{
    if (!looks_like_geneve(decoder) || !decoder_layer(decoder, LAYER_GENEVE))
        return;
    const uint8_t *header = decoder->bytes;
    decoder_skip(decoder, 8 + (header[0] & 63) * (size_t)4);
    decode_ethertype(decoder, get16(header + 2));
}

/* Where the packet begins behind GTP's header, its optional fields and extension headers; 0 where none does. */
static size_t gtp_payload(const struct decoder *decoder)
{
    enum { HAS_EXTENSION = 4, HAS_OPTIONAL = 7 };
    const uint8_t *header = decoder->bytes;
    if (!(header[0] & HAS_OPTIONAL))
        return 8;
    if (decoder->captured < 12)
        return 0;
    size_t at = 12;
    uint8_t type = header[0] & HAS_EXTENSION ? header[11] : 0;
    while (type) {
        if (at >= decoder->captured || !header[at])
            return 0;
        at += header[at] * (size_t)4;
        if (at > decoder->captured)
            return 0;
        type = header[at - 1];
    }
    return at;
}

enum { GTP_VERSION_AND_TYPE = 0xf0, GTP_USER_PACKET = 255 };

/* A user's packet, with IP behind the header; its length field counts what is behind `fixed` bytes. */
static void take_gtp(struct decoder *decoder, uint8_t version_and_type, size_t fixed, size_t at)
{
    const uint8_t *header = decoder->bytes;
    size_t length = fixed + get16(header + 2);
    if ((header[0] & GTP_VERSION_AND_TYPE) != version_and_type || header[1] != GTP_USER_PACKET || at > length ||
        !looks_like_ip(decoder, at) || !decoder_layer(decoder, LAYER_GTP))
        return;
    decoder_limit(decoder, length, "GTP length is beyond the datagram");
    decoder_skip(decoder, at);
    decoder->next = decode_ip;
}

static void decode_gtp(struct decoder *decoder)
{
    size_t at = decoder->captured < 8 ? 0 : gtp_payload(decoder);
    if (at)
        take_gtp(decoder, 0x30, 8, at);
}

/* Version 0, which has a port of its own. */
static void decode_gtp_0(struct decoder *decoder)
{
    if (decoder->captured >= 20)
        take_gtp(decoder, 0x10, 20, 20);
}

/* Authentication and origin, if they are there, then an IPv6 packet that is no longer than what is left. */
static void decode_teredo(struct decoder *decoder)
{
    const uint8_t *bytes = decoder->bytes;
    size_t at = 0;
    if (decoder->captured >= 4 && get16(bytes) == 1)
        at = 13 + bytes[2] + (size_t)bytes[3];
    if (decoder->captured >= at + 2 && get16(bytes + at) == 0)
        at += 8;
    if (decoder->captured < at + 6 || bytes[at] >> 4 != 6)
        return;
    if (decoder->length < at + 40 + get16(bytes + at + 4) || !decoder_layer(decoder, LAYER_TEREDO))
        return;
    decoder_skip(decoder, at);
    decoder->next = decode_ipv6;
}

/* A data message of version 2 with no reserved bit, whose PPP carries IP. */
static size_t l2tp_payload(const struct decoder *decoder)
{
    enum { CONTROL = 0x8000, LENGTH = 0x4000, SEQUENCE = 0x0800, OFFSET = 0x0200, RESERVED = 0x34f0, VERSION = 0x000f };
    if (decoder->captured < 8)
        return 0;
    uint16_t flags = get16(decoder->bytes);
    if (flags & (CONTROL | RESERVED) || (flags & VERSION) != 2)
        return 0;
    size_t at = 6;
    if (flags & LENGTH) {
        if (get16(decoder->bytes + 2) > decoder->length)
            return 0;
        at += 2;
    }
    if (flags & SEQUENCE)
        at += 4;
    if (flags & OFFSET) {
        if (decoder->captured < at + 2)
            return 0;
        at += 2 + (size_t)get16(decoder->bytes + at);
    }
    return at;
}

static bool looks_like_ppp(const struct decoder *decoder, size_t at)
{
    if (decoder->captured < at + 5)
        return false;
    const uint8_t *bytes = decoder->bytes + at;
    if (get16(bytes) == 0xff03)
        bytes += 2;
    if (!(bytes[0] & 1))
        bytes++;
    return (bytes[0] == 0x21 && bytes[1] >> 4 == 4) || (bytes[0] == 0x57 && bytes[1] >> 4 == 6);
}

static void decode_l2tp(struct decoder *decoder)
{
    size_t at = l2tp_payload(decoder);
    if (!at || !looks_like_ppp(decoder, at) || !decoder_layer(decoder, LAYER_L2TP))
        return;
    decoder_skip(decoder, at);
    decoder->next = decode_ppp;
}

/* Labels up to the bottom of the stack, then IP. */
static void decode_mpls_in_udp(struct decoder *decoder)
{
    size_t at = 0;
    while (decoder->captured >= at + 4 && !(decoder->bytes[at + 2] & 1))
        at += 4;
    if (looks_like_ip(decoder, at + 4))
        decoder->next = decode_mpls;
}

/* A GRE header of version 0 with nothing in what is reserved, and IP or Ethernet behind it. */
static void decode_gre_in_udp(struct decoder *decoder)
{
    enum { RESERVED_AND_VERSION = 0x4fff, ETHERNET = 0x6558 };
    if (decoder->captured < 4 || get16(decoder->bytes) & RESERVED_AND_VERSION)
        return;
    uint16_t protocol = get16(decoder->bytes + 2);
    if (protocol == ETHERTYPE_IPV4 || protocol == ETHERTYPE_IPV6 || protocol == ETHERNET)
        decoder->next = decode_gre;
}

/* Eight bytes, then IP that is as long as what is left. */
static void decode_lisp(struct decoder *decoder)
{
    enum { AT = 8 };
    if (decoder->captured < AT + 6 || !looks_like_ip(decoder, AT))
        return;
    const uint8_t *inside = decoder->bytes + AT;
    size_t length = inside[0] >> 4 == 4 ? get16(inside + 2) : 40 + (size_t)get16(inside + 4);
    if (AT + length != decoder->length || !decoder_layer(decoder, LAYER_LISP))
        return;
    decoder_skip(decoder, AT);
    decoder->next = decode_ip;
}

/* Where the frame begins behind TaZmen's tags, each with a length but for padding and the last one; 0 where none does. */
static size_t tzsp_payload(const struct decoder *decoder)
{
    enum { TAG_PADDING = 0, TAG_END = 1 };
    size_t at = 4;
    while (at < decoder->captured) {
        uint8_t tag = decoder->bytes[at++];
        if (tag == TAG_END)
            return at;
        if (tag != TAG_PADDING && at < decoder->captured)
            at += 1 + (size_t)decoder->bytes[at];
    }
    return 0;
}

/* Version 1, a frame that was received or is to be sent, of a kind that is known. */
static void decode_tzsp(struct decoder *decoder)
{
    enum { VERSION = 1, TRANSMIT = 1, ETHERNET = 1, WLAN = 18 };
    if (decoder->captured < 4 || decoder->bytes[0] != VERSION || decoder->bytes[1] > TRANSMIT)
        return;
    uint16_t kind = get16(decoder->bytes + 2);
    size_t at = tzsp_payload(decoder);
    if (!at || (kind != ETHERNET && kind != WLAN) || !decoder_layer(decoder, LAYER_TZSP))
        return;
    decoder_skip(decoder, at);
    decoder->next = kind == ETHERNET ? decode_ethernet : decode_wlan;
}

/* A packet that is forwarded, behind an identity and a signature whose lengths come first. */
static void decode_ayiya(struct decoder *decoder)
{
    enum { OPERATION = 0x0f, FORWARD = 1, NEXT_IPV6 = 41 };
    if (decoder->captured < 8)
        return;
    const uint8_t *header = decoder->bytes;
    size_t at = 8 + ((size_t)1 << (header[0] >> 4)) + (header[1] >> 4) * (size_t)4;
    if ((header[2] & OPERATION) != FORWARD || header[3] != NEXT_IPV6 || decoder->captured <= at ||
        header[at] >> 4 != 6 || !decoder_layer(decoder, LAYER_AYIYA))
        return;
    decoder_skip(decoder, at);
    decoder->next = decode_ipv6;
}

static const struct {
    uint16_t port;
    step *step;
} tunnels[] = {
    {4789, decode_vxlan},      {4790, decode_vxlan_gpe}, {6081, decode_geneve}, {2152, decode_gtp},
    {3386, decode_gtp_0},      {3544, decode_teredo},    {1701, decode_l2tp},   {6635, decode_mpls_in_udp},
    {4754, decode_gre_in_udp}, {4341, decode_lisp},      {37008, decode_tzsp},  {5072, decode_ayiya},
};

static step *tunnel_of(uint16_t port)
{
    for (size_t i = 0; i < sizeof tunnels / sizeof *tunnels; i++)
        if (tunnels[i].port == port)
            return tunnels[i].step;
    return NULL;
}

void decode_udp_tunnel(struct decoder *decoder)
{
    const struct packet *packet = decoder->packet;
    step *take = tunnel_of(packet->destination.port);
    decoder->next = take ? take : tunnel_of(packet->source.port);
}
