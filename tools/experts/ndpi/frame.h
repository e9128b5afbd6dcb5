/*
 * The IP packet of a frame, by the rules of nDPI's own reader, so that both count the same: behind VLAN tags (8100), MPLS
 * labels and PPPoE, through IP in IP, and no further; the outer packet of any other tunnel. Not a later fragment, not what
 * the snapshot length has cut, whatever the type field says.
 */
#ifndef EXPERTS_NDPI_FRAME_H
#define EXPERTS_NDPI_FRAME_H

#include <stdbool.h>
#include <stdint.h>

struct ip_packet {
    const uint8_t *bytes; /* from the IP header to the end of what was captured */
    uint16_t size;
    uint16_t vlan; /* innermost, 0 for none */
    uint8_t protocol;
    /* Whole header of TCP or UDP only; else 0. */
    uint16_t ports[2];
    /* Of IPv6 the last 64 bits, folded: the reader keeps no more of them. */
    uint32_t addresses[2];
};

/* False where there is none that counts. */
bool frame_ip_packet(uint16_t link, const uint8_t *bytes, uint32_t captured, struct ip_packet *packet);

#endif
