/*
 * From a frame's bytes to its addresses, ports and payload: link types Ethernet, raw IP, loopback and Linux
 * cooked; VLAN tags, IPv4, IPv6 with extension headers, TCP, UDP, ICMP. Reads nothing outside the bytes that were captured, and believes no length that
 * they do not cover.
 */
#ifndef EXPERTS_DECODE_H
#define EXPERTS_DECODE_H

#include "packet.h"

#include <stddef.h>

/* Whether frames of a link type can be decoded. */
bool decode_knows(uint16_t link);

/*
 * Decodes `captured` of a frame's `length` bytes as far as they go. NULL when all is well, else what is
 * wrong, as in packet->problem; the fields up to that point are good then.
 */
const char *decode(uint16_t link, const uint8_t *bytes, size_t captured, size_t length, struct packet *packet);

/* The same for both directions of a flow. */
uint64_t decode_hash(const struct packet *packet);

/* "192.0.2.1:443", "[2001:db8::1]:443" or a MAC address; at most ENDPOINT_TEXT bytes. */
#define ENDPOINT_TEXT 56
const char *endpoint_text(const struct endpoint *endpoint, uint8_t version, char text[ENDPOINT_TEXT]);

#endif
