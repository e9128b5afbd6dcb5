/*
 * From a frame's bytes to its addresses, ports and payload: Ethernet, VLAN tags, IPv4, IPv6 with extension
 * headers, TCP, UDP, ICMP. Reads nothing outside the bytes that were captured, and believes no length that
 * they do not cover.
 */
#ifndef EXPERTS_DECODE_H
#define EXPERTS_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ICMP6 = 58 };

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };

struct endpoint {
    uint8_t address[16]; /* IPv4 in the first four bytes, MAC in the first six; the rest zero */
    uint16_t port;       /* ICMP echo: the identifier, at both ends */
};

struct packet {
    uint8_t version;  /* 4, 6, or 0 for what is not IP */
    uint8_t protocol; /* of the innermost header that was reached */
    uint16_t vlan;    /* innermost tag, 0 for none */
    uint16_t ethertype;
    bool fragment; /* not the first of its datagram: no ports */
    struct endpoint source;
    struct endpoint destination;
    /* TCP */
    uint32_t sequence;
    uint8_t flags;
    /* TCP and UDP: what was captured of the payload, and how long it was on the wire */
    const uint8_t *payload;
    uint32_t payload_captured;
    uint32_t payload_length;
};

/*
 * Decodes `captured` of a frame's `length` bytes as far as they go. NULL when all is well, else what is
 * wrong, in a few words; the fields up to that point are good then.
 */
const char *decode(const uint8_t *bytes, size_t captured, size_t length, struct packet *packet);

/* The same for both directions of a flow. */
uint64_t decode_hash(const struct packet *packet);

/* "192.0.2.1:443", "[2001:db8::1]:443" or a MAC address; at most ENDPOINT_TEXT bytes. */
#define ENDPOINT_TEXT 56
const char *endpoint_text(const struct endpoint *endpoint, uint8_t version, char text[ENDPOINT_TEXT]);

#endif
