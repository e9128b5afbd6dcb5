/*
 * Frames for tests, built from a list of their headers: "eth/vlan/ip4/gre/ip6/tcp". Each header is put before what
 * follows it, so that lengths are right.
 */
#ifndef TESTS_FRAMES_H
#define TESTS_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRAME_ROOM = 2000, FRAME_PAYLOAD = 10, FRAME_SOURCE_PORT = 1000, FRAME_DESTINATION_PORT = 2000 };

/* What stands for an ethertype where there is none: the length of 802.3. */
enum { TYPE_LENGTH = 0, TYPE_IPV4 = 0x0800, TYPE_ETHERNET = 0x6558, TYPE_IPV6 = 0x86dd, TYPE_MPLS = 0x8847 };

struct frame {
    uint8_t room[FRAME_ROOM]; /* filled from its end */
    uint8_t *bytes;
    size_t length;
    /* what the frame begins with, for the header that comes before it */
    uint16_t ethertype;
    uint8_t protocol;
    unsigned ip_headers; /* the innermost has addresses that end in 0.1 and 0.2, the next in 1.1 and 1.2 */
    size_t ports;        /* distance of the innermost ports from the end, 0 where there are none */
};

/* Whether every header of the list is known. */
bool frame_build(struct frame *frame, const char *headers);

/* ------------------------------------------------------------------ for the headers */

struct header {
    const char *name;
    void (*put)(struct frame *frame);
};

extern const struct header headers_ethernet[], headers_serial[], headers_tunnels[], headers_capturing[];

void frame_put(struct frame *frame, const void *bytes, size_t count);

#define PUT(frame, ...) frame_put(frame, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define HALVES(value)   (uint8_t)((value) >> 8), (uint8_t)(value)

#endif
