/*
 * What the steps of decoding share. A step takes one header: it reads what lies there, notes what it finds in the
 * packet, skips the header, and names the step for what follows, if there is one that it knows.
 */
#ifndef EXPERTS_DECODE_DECODER_H
#define EXPERTS_DECODE_DECODER_H

#include "../packet.h"

struct decoder {
    struct packet *packet;
    const uint8_t *frame;
    const uint8_t *bytes; /* what has not been decoded: `captured` of it may be read, never more than `length` */
    size_t captured;
    size_t length; /* as on the wire, or as a header claims that has been reported */
    bool piece;    /* the first fragment of a datagram: the lengths in it may be beyond it */
    void (*next)(struct decoder *decoder);
};

typedef void step(struct decoder *decoder);

enum {
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_ARP = 0x0806,
    ETHERTYPE_IPV6 = 0x86dd,
    LENGTH_MOST = 1500, /* up to here an ethertype is a length of 802.3 */
};

static inline uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static inline uint32_t get32(const uint8_t *bytes)
{
    return (uint32_t)get16(bytes) << 16 | get16(bytes + 2);
}

static inline uint16_t get16_little(const uint8_t *bytes)
{
    return (uint16_t)(bytes[1] << 8 | bytes[0]);
}

static inline uint32_t get32_little(const uint8_t *bytes)
{
    return (uint32_t)get16_little(bytes + 2) << 16 | get16_little(bytes);
}

/* The first problem of a frame is the one that is reported. */
static inline void decoder_problem(struct decoder *decoder, const char *problem)
{
    if (!decoder->packet->problem)
        decoder->packet->problem = problem;
}

/* Whether so many bytes can be read. Where they cannot that is a problem, but for a header that another fragment holds
 * the rest of. */
static inline bool decoder_need(struct decoder *decoder, size_t count, const char *problem)
{
    if (decoder->captured >= count)
        return true;
    if (!decoder->piece || decoder->length >= count)
        decoder_problem(decoder, problem);
    return false;
}

/* Only what can be read. */
static inline void decoder_skip(struct decoder *decoder, size_t count)
{
    decoder->bytes += count;
    decoder->captured -= count;
    decoder->length -= count;
}

/* Past a header that says itself how long it is, with its first 8 bytes. False where it says less, or is cut. */
static inline bool decoder_skip_header(struct decoder *decoder, size_t length, const char *below, const char *cut)
{
    if (length < 8) {
        decoder_problem(decoder, below);
        return false;
    }
    if (!decoder_need(decoder, length, cut))
        return false;
    decoder_skip(decoder, length);
    return true;
}

/*
 * A header says how long the rest is. What is there beyond it is padding; where there is less that is a problem, and what
 * is missing counts as not captured.
 */
static inline void decoder_limit(struct decoder *decoder, size_t length, const char *problem)
{
    if (length > decoder->length && decoder->piece)
        return;
    if (length > decoder->length)
        decoder_problem(decoder, problem);
    decoder->length = length;
    if (decoder->captured > length)
        decoder->captured = length;
}

/* One more layer around what follows; false where there are too many. */
static inline bool decoder_layer(struct decoder *decoder, enum layer layer)
{
    struct packet *packet = decoder->packet;
    if (packet->layer_count == LAYERS_MOST) {
        decoder_problem(decoder, "more than 16 layers");
        return false;
    }
    packet->layers[packet->layer_count++] = (uint8_t)layer;
    return true;
}

/* link.c: the step for a link type, NULL for those that are not decoded. */
step *step_of_link(uint32_t link);

/* wlan.c */
step decode_radiotap, decode_prism, decode_avs, decode_wlan, decode_wlan_padded;

/* ppp.c */
step decode_ppp, decode_ppp_hdlc, decode_pppoe, decode_pppoe_link, decode_cisco_hdlc, decode_frame_relay;

/* ethernet.c */
step decode_ethernet, decode_llc, decode_snap;
/* What follows is of a certain ethertype, or has its length there. */
void decode_ethertype(struct decoder *decoder, uint16_t ethertype);
bool knows_ethertype(uint16_t ethertype);
/* Whether an Ethernet header lies so many bytes ahead, before something that is decoded. */
bool looks_like_ethernet(const struct decoder *decoder, size_t ahead);

/* tags.c */
step decode_vlan, decode_pbb, decode_vntag, decode_etag, decode_cisco_metadata, decode_redundancy, decode_fabricpath,
    decode_trill, decode_macsec, decode_arista;

/* ip.c */
step decode_ipv4, decode_ipv6;
/* IP of the version that its first byte names. */
step decode_ip;
bool looks_like_ip(const struct decoder *decoder, size_t ahead);

/* transport.c */
step decode_tcp, decode_udp, decode_icmp;

/* tunnels.c */
step decode_mpls, decode_gre, decode_etherip, decode_nsh, decode_pim;
/* What follows is of a protocol of GRE. */
void decode_gre_protocol(struct decoder *decoder, uint16_t protocol);

/* udp_tunnels.c: what a datagram holds, by its ports and by what it looks like. */
void decode_udp_tunnel(struct decoder *decoder);

#endif
