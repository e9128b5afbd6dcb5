/*
 * What a frame's headers say: the host decodes each frame once, and gives the experts the result as the
 * frame's property table.
 */
#ifndef EXPERTS_PACKET_H
#define EXPERTS_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ICMP6 = 58 };

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };

/* What lies around the innermost IP header, behind the frame's own link header. */
enum layer {
    LAYER_LLC, /* 802.2 behind a length of 802.3, with SNAP or without */
    LAYER_VLAN,
    LAYER_PBB,
    LAYER_MACSEC,
    LAYER_TAG, /* of another kind: VN-Tag, Cisco metadata, redundancy */
    LAYER_MPLS,
    LAYER_PPPOE,
    LAYER_PPP,
    LAYER_4IN4,
    LAYER_6IN4,
    LAYER_4IN6,
    LAYER_6IN6,
    LAYER_ETHERIP,
    LAYER_PIM,
    LAYER_GRE,
    LAYER_ERSPAN,
    LAYER_WCCP,
    LAYER_WLAN,
    LAYER_L2TP,
    LAYER_VXLAN,
    LAYER_GENEVE,
    LAYER_GTP,
    LAYER_TEREDO,
    LAYER_LISP,
    LAYER_TZSP,
    LAYER_AYIYA,
    LAYERS
};

/* Layers of a frame that are decoded; what has more is reported. */
enum { LAYERS_MOST = 16 };

struct endpoint {
    uint8_t address[16]; /* IPv4 in the first four bytes, MAC in the first six; the rest zero */
    uint16_t port;       /* ICMP echo: the identifier, at both ends */
};

/* The piece of a datagram that a frame holds, where its outermost fragmented IP header says so. */
struct fragment {
    uint8_t version;   /* 4 or 6; 0 for what is not fragmented */
    uint8_t protocol;  /* of the datagram's payload */
    bool more;         /* fragments follow */
    uint32_t id;       /* identification */
    uint32_t offset;   /* of the piece in the datagram's payload, in bytes */
    uint32_t length;   /* of the piece, as on the wire */
    uint32_t captured; /* of it in the frame */
    uint32_t at;       /* where in the frame the piece begins */
    uint16_t vlan;     /* innermost tag around the header that says so */
    uint8_t source[16];
    uint8_t destination[16];
};

struct packet {
    const char *problem; /* what is wrong with the frame, in a few words; NULL when all is well */
    uint16_t link;       /* link type of the frame, LINKTYPE_ in capture files */
    uint8_t layer_count;
    uint8_t layers[LAYERS_MOST]; /* enum layer, the outermost first */
    uint8_t version;             /* 4, 6, or 0 for what is not IP */
    uint8_t protocol;            /* of the innermost header that was reached */
    uint16_t vlan;               /* innermost tag, 0 for none */
    uint16_t ethertype;
    struct endpoint source;
    struct endpoint destination;
    struct fragment fragment;
    /* Time that has passed in the capture up to this frame, microseconds: never steps back. Set by the host. */
    int64_t clock;
    /* TCP, where the header's fixed part was read */
    bool segment;
    uint8_t flags;
    uint16_t window; /* as in the header, not scaled */
    uint32_t sequence;
    uint32_t acknowledgement;
    /*
     * TCP and UDP: where in the frame the payload begins, what was captured of it, how long it was on the wire; or how long
     * it is by a length that is beyond the frame, and was reported. All zero where the header is not whole.
     */
    uint32_t payload;
    uint32_t payload_captured;
    uint32_t payload_length;
};

/* A fragment that is not the first of its datagram: it has no ports of its own. */
static inline bool packet_is_later_fragment(const struct packet *packet)
{
    return packet->fragment.version && packet->fragment.offset;
}

#endif
