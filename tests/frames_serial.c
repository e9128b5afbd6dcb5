/* PPP with its framings, Cisco HDLC and frame relay. */
#include "frames.h"

static void ppp(struct frame *frame)
{
    uint16_t number = frame->ethertype == TYPE_IPV4 ? 0x21 : frame->ethertype == TYPE_IPV6 ? 0x57 : 0x281;
    PUT(frame, HALVES(number));
    frame->ethertype = 0x880b;
}

static void short_ppp(struct frame *frame)
{
    PUT(frame, frame->ethertype == TYPE_IPV4 ? 0x21 : 0x57);
    frame->ethertype = 0x880b;
}

static void hdlc(struct frame *frame)
{
    PUT(frame, 0xff, 3);
}

static void pppoe(struct frame *frame)
{
    PUT(frame, 0x11, 0, 0, 1, HALVES(frame->length));
    frame->ethertype = 0x8864;
}

static void cisco_hdlc(struct frame *frame)
{
    PUT(frame, 0x0f, 0, HALVES(frame->ethertype));
}

static void direction(struct frame *frame)
{
    PUT(frame, 1);
}

static void pppd(struct frame *frame)
{
    PUT(frame, 1, 3);
}

static void frame_relay(struct frame *frame)
{
    PUT(frame, 0x18, 0x41, 3, frame->ethertype == TYPE_IPV4 ? 0xcc : 0x8e);
}

static void frame_relay_snap(struct frame *frame)
{
    PUT(frame, 0x18, 0x41, 3, 0, 0x80, 0, 0, 0, HALVES(frame->ethertype));
}

static void frame_relay_cisco(struct frame *frame)
{
    PUT(frame, 0x18, 0x40, 0x01, HALVES(frame->ethertype));
}

const struct header headers_serial[] = {
    {"ppp", ppp},
    {"ppp-short", short_ppp},
    {"hdlc", hdlc},
    {"pppoe", pppoe},
    {"hdlc-cisco", cisco_hdlc},
    {"direction", direction},
    {"pppd", pppd},
    {"fr", frame_relay},
    {"fr-snap", frame_relay_snap},
    {"fr-cisco", frame_relay_cisco},
    {0},
};
