#include "frames.h"

#include <string.h>

void frame_put(struct frame *frame, const void *bytes, size_t count)
{
    frame->bytes -= count;
    frame->length += count;
    memcpy(frame->bytes, bytes, count);
}

static void put_ports(struct frame *frame)
{
    PUT(frame, HALVES(FRAME_SOURCE_PORT), HALVES(FRAME_DESTINATION_PORT));
    frame->ports = frame->length;
}

static void tcp(struct frame *frame)
{
    PUT(frame, 0, 0, 0, 99, 0, 0, 0, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0);
    put_ports(frame);
    frame->protocol = 6;
}

static void udp(struct frame *frame)
{
    PUT(frame, HALVES(frame->length + 8), 0, 0);
    put_ports(frame);
    frame->protocol = 17;
}

static void icmp(struct frame *frame)
{
    PUT(frame, 8, 0, 0, 0, 0, 77, 0, 1);
    frame->protocol = 1;
}

static void ip4(struct frame *frame)
{
    uint8_t level = (uint8_t)frame->ip_headers++;
    PUT(frame, 0x45, 0, HALVES(frame->length + 20), 0, 1, 0x40, 0, 64, frame->protocol, 0, 0, 10, 0, level, 1, 10, 0,
        level, 2);
    frame->ethertype = TYPE_IPV4;
    frame->protocol = 4;
}

static void ip6(struct frame *frame)
{
    uint8_t level = (uint8_t)frame->ip_headers++;
    PUT(frame, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, level, 1, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, level, 2);
    PUT(frame, 0x60, 0, 0, 0, HALVES(frame->length - 32), frame->protocol, 64);
    frame->ethertype = TYPE_IPV6;
    frame->protocol = 41;
}

static void hop_by_hop(struct frame *frame)
{
    PUT(frame, frame->protocol, 0, 1, 4, 0, 0, 0, 0);
    frame->protocol = 0;
}

static void destination_options(struct frame *frame)
{
    PUT(frame, frame->protocol, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    frame->protocol = 60;
}

static void authentication(struct frame *frame)
{
    PUT(frame, frame->protocol, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    frame->protocol = 51;
}

/* A fragment header on a datagram that is whole. */
static void atomic(struct frame *frame)
{
    PUT(frame, frame->protocol, 0, 0, 0, 0, 0, 0, 9);
    frame->protocol = 44;
}

static const struct header headers_ip[] = {
    {"tcp", tcp},
    {"udp", udp},
    {"icmp", icmp},
    {"ip4", ip4},
    {"ip6", ip6},
    {"hop", hop_by_hop},
    {"options", destination_options},
    {"ah", authentication},
    {"atomic", atomic},
    {0},
};

static bool put_header(struct frame *frame, const char *name, size_t length)
{
    static const struct header *const known[] = {headers_ip, headers_ethernet, headers_serial, headers_tunnels,
                                                 headers_capturing};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        for (const struct header *header = known[i]; header->name; header++)
            if (!strncmp(header->name, name, length) && !header->name[length]) {
                header->put(frame);
                return true;
            }
    return false;
}

bool frame_build(struct frame *frame, const char *headers)
{
    *frame = (struct frame){.bytes = frame->room + FRAME_ROOM};
    frame_put(frame, "0123456789", FRAME_PAYLOAD);
    const char *end = headers + strlen(headers);
    while (end > headers) {
        const char *begin = end;
        while (begin > headers && begin[-1] != '/')
            begin--;
        if (!put_header(frame, begin, (size_t)(end - begin)))
            return false;
        end = begin > headers ? begin - 1 : begin;
    }
    return true;
}
