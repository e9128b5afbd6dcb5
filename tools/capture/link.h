/* Link types, by their numbers in capture files: LINKTYPE_ of https://www.tcpdump.org/linktypes.html. */
#ifndef CAPTURE_LINK_H
#define CAPTURE_LINK_H

#include <stdint.h>

/* To and from libpcap's own numbers, DLT_. */
int link_to_dlt(uint16_t link);
uint16_t link_of_dlt(int dlt);

/* "EN10MB", "unknown" */
const char *link_name(uint16_t link);

/* The longest that a frame can be, with much to spare; what is longer is a length that is damaged. */
uint32_t link_frame_most(uint16_t link);

#endif
