/*
 * From a frame's bytes to its addresses, ports and payload, through every encapsulation that is known, to the innermost flow.
 * Reads nothing outside the bytes that were captured, and believes no length that they do not cover.
 *
 * - The flow is that of the innermost IP header that is whole; a frame without one is of the flow between its stations.
 * - A length that is beyond the frame is reported, and decoding goes on with what is there. A header that is none (of
 *   another version, shorter than it can be) is reported and ends it: the flow stays that of what is around it.
 * - The first fragment of a datagram is decoded as far as it goes, and what is beyond it is no problem. The flow of a later
 *   one has no ports.
 * - What is encrypted, and what carries no IP, is no problem.
 * - Of frames that 802.11 sends as one, the first counts.
 * - There are 16 layers at the most around the innermost flow; a frame with more is reported.
 */
#ifndef EXPERTS_DECODE_H
#define EXPERTS_DECODE_H

#include "packet.h"

#include <stddef.h>

/* What is decoded, as text of several lines. */
extern const char decode_list[];

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

/* The layers around the innermost IP header, as "vlan/mpls/gre"; empty where there are none. */
enum { LAYERS_TEXT = LAYERS_MOST * 8 };
const char *packet_layers_text(const struct packet *packet, char text[LAYERS_TEXT]);

#endif
