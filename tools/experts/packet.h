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
    uint8_t source[16];
    uint8_t destination[16];
};

struct packet {
    const char *problem; /* what is wrong with the frame, in a few words; NULL when all is well */
    uint16_t link;       /* link type of the frame, LINKTYPE_ in capture files */
    uint8_t version;     /* 4, 6, or 0 for what is not IP */
    uint8_t protocol;    /* of the innermost header that was reached */
    uint16_t vlan;       /* innermost tag, 0 for none */
    uint16_t ethertype;
    struct endpoint source;
    struct endpoint destination;
    struct fragment fragment;
    /* TCP */
    uint32_t sequence;
    uint8_t flags;
    /* TCP and UDP: where in the frame the payload begins, what was captured of it, how long it was on the wire */
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
