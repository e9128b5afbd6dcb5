/* Tunnels in IP and in UDP. */
#include "frames.h"

/* As tunnels have it: the other port means nothing. */
static void put_udp(struct frame *frame, uint16_t port)
{
    PUT(frame, HALVES(50000), HALVES(port), HALVES(frame->length + 8), 0, 0);
    frame->protocol = 17;
}

static void gre(struct frame *frame)
{
    PUT(frame, 0, 0, HALVES(frame->ethertype));
    frame->protocol = 47;
}

/* Checksum, key, sequence number, and a route. */
static void gre_full(struct frame *frame)
{
    PUT(frame, 0xf0, 0, HALVES(frame->ethertype), 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0x08, 0, 0, 4, 10, 0, 0, 9, 0, 0,
        0, 0);
    frame->protocol = 47;
}

/* Version 1, of PPTP: key, sequence number and acknowledgement. */
static void gre_pptp(struct frame *frame)
{
    PUT(frame, 0x30, 0x81, 0x88, 0x0b, HALVES(frame->length), 0, 1, 0, 0, 0, 1, 0, 0, 0, 1);
    frame->protocol = 47;
}

static void gre_sequence(struct frame *frame)
{
    PUT(frame, 0x10, 0, HALVES(frame->ethertype), 0, 0, 0, 1);
    frame->protocol = 47;
}

static void erspan_1(struct frame *frame)
{
    frame->ethertype = 0x88be;
}

static void erspan_2(struct frame *frame)
{
    PUT(frame, 0x10, 1, 0, 1, 0, 0, 0, 0);
    frame->ethertype = 0x88be;
}

static void erspan_3(struct frame *frame)
{
    PUT(frame, 0x20, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    frame->ethertype = 0x22eb;
}

/* With what a platform adds. */
static void erspan_3_platform(struct frame *frame)
{
    PUT(frame, 0x20, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x14, 0, 0, 0, 0, 0, 0, 0);
    frame->ethertype = 0x22eb;
}

static void wccp(struct frame *frame)
{
    frame->ethertype = 0x883e;
}

static void wccp_2(struct frame *frame)
{
    PUT(frame, 0, 0, 0, 0);
    frame->ethertype = 0x883e;
}

static void gre_metadata(struct frame *frame)
{
    PUT(frame, HALVES(frame->ethertype), 1, 1, 0, 1, 0, 7);
    frame->ethertype = 0x8909;
}

static void etherip(struct frame *frame)
{
    PUT(frame, 0x30, 0);
    frame->protocol = 97;
}

static void pim(struct frame *frame)
{
    PUT(frame, 0x21, 0, 0, 0, 0, 0, 0, 0);
    frame->protocol = 103;
}

static void vxlan(struct frame *frame)
{
    PUT(frame, 8, 0, 0, 0, 0, 0, 5, 0);
    put_udp(frame, 4789);
}

static void vxlan_policy(struct frame *frame)
{
    PUT(frame, 0x88, 8, 0, 9, 0, 0, 5, 0);
    put_udp(frame, 4789);
}

static void vxlan_gpe(struct frame *frame)
{
    uint8_t next = frame->ethertype == TYPE_IPV4 ? 1 : frame->ethertype == TYPE_IPV6 ? 2 : 3;
    PUT(frame, 0x0c, 0, 0, next, 0, 0, 5, 0);
    put_udp(frame, 4790);
}

static void geneve(struct frame *frame)
{
    PUT(frame, 0, 0, HALVES(frame->ethertype), 0, 0, 5, 0);
    put_udp(frame, 6081);
}

static void geneve_options(struct frame *frame)
{
    PUT(frame, 4, 0, HALVES(frame->ethertype), 0, 0, 5, 0, 1, 2, 3, 0, 1, 2, 3, 2, 1, 2, 3, 4, 5, 6, 7, 8);
    put_udp(frame, 6081);
}

static void gtp(struct frame *frame)
{
    PUT(frame, 0x30, 255, HALVES(frame->length), 0, 0, 0, 1);
    put_udp(frame, 2152);
}

/* Sequence number, and two extension headers. */
static void gtp_extended(struct frame *frame)
{
    PUT(frame, 0x36, 255, HALVES(frame->length + 16), 0, 0, 0, 1, 0, 1, 0, 0x85, 1, 0, 9, 0xc0, 2, 1, 2, 3, 4, 5, 6, 0);
    put_udp(frame, 2152);
}

static void gtp_0(struct frame *frame)
{
    PUT(frame, 0x1e, 255, HALVES(frame->length), 0, 1, 0, 1, 255, 255, 255, 255, 1, 2, 3, 4, 5, 6, 7, 8);
    put_udp(frame, 3386);
}

static void teredo(struct frame *frame)
{
    put_udp(frame, 3544);
}

/* Authentication and origin. */
static void teredo_origin(struct frame *frame)
{
    PUT(frame, 0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1, 2, 3, 4, 5, 6);
    put_udp(frame, 3544);
}

static void l2tp(struct frame *frame)
{
    PUT(frame, 0x40, 2, HALVES(frame->length + 8), 0, 1, 0, 1);
    put_udp(frame, 1701);
}

/* Length, sequence numbers, and an offset of two bytes. */
static void l2tp_full(struct frame *frame)
{
    PUT(frame, 0x4a, 2, HALVES(frame->length + 16), 0, 1, 0, 1, 0, 1, 0, 0, 0, 2, 0, 0);
    put_udp(frame, 1701);
}

static void mpls_udp(struct frame *frame)
{
    put_udp(frame, 6635);
}

static void gre_udp(struct frame *frame)
{
    gre(frame);
    put_udp(frame, 4754);
}

static void lisp(struct frame *frame)
{
    PUT(frame, 0x80, 0, 0, 1, 0, 0, 0, 1);
    put_udp(frame, 4341);
}

/* A tag with a length, padding, and the end. */
static void tzsp(struct frame *frame)
{
    PUT(frame, 1, 0, 0, frame->ethertype == TYPE_ETHERNET ? 1 : 18, 10, 1, 0xd0, 0, 1);
    put_udp(frame, 37008);
}

static void ayiya(struct frame *frame)
{
    PUT(frame, 0x41, 0x52, 0x11, 41, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    put_udp(frame, 5072);
}

const struct header headers_tunnels[] = {
    {"gre", gre},
    {"gre-full", gre_full},
    {"gre-pptp", gre_pptp},
    {"gre-sequence", gre_sequence},
    {"erspan1", erspan_1},
    {"erspan2", erspan_2},
    {"erspan3", erspan_3},
    {"erspan3-platform", erspan_3_platform},
    {"wccp", wccp},
    {"wccp2", wccp_2},
    {"gre-metadata", gre_metadata},
    {"etherip", etherip},
    {"pim", pim},
    {"vxlan", vxlan},
    {"vxlan-policy", vxlan_policy},
    {"vxlan-gpe", vxlan_gpe},
    {"geneve", geneve},
    {"geneve-options", geneve_options},
    {"gtp", gtp},
    {"gtp-extended", gtp_extended},
    {"gtp-0", gtp_0},
    {"teredo", teredo},
    {"teredo-origin", teredo_origin},
    {"l2tp", l2tp},
    {"l2tp-full", l2tp_full},
    {"mpls-udp", mpls_udp},
    {"gre-udp", gre_udp},
    {"lisp", lisp},
    {"tzsp", tzsp},
    {"ayiya", ayiya},
    {0},
};
