/* Ethernet, 802.3, and the tags between a header and its ethertype. */
#include "frames.h"

static const uint8_t stations[] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};

static void ethernet(struct frame *frame)
{
    uint16_t type = frame->ethertype == TYPE_LENGTH ? (uint16_t)frame->length : frame->ethertype;
    PUT(frame, HALVES(type));
    frame_put(frame, stations, sizeof stations);
    frame->ethertype = TYPE_ETHERNET;
    frame->protocol = 143;
}

static void put_tag(struct frame *frame, uint16_t tag)
{
    uint16_t type = frame->ethertype == TYPE_LENGTH ? (uint16_t)frame->length : frame->ethertype;
    PUT(frame, HALVES(tag), HALVES(type));
}

static void vlan(struct frame *frame)
{
    put_tag(frame, 0x2000 | 42);
    frame->ethertype = 0x8100;
}

static void provider_vlan(struct frame *frame)
{
    put_tag(frame, 43);
    frame->ethertype = 0x88a8;
}

static void old_vlan(struct frame *frame)
{
    put_tag(frame, 44);
    frame->ethertype = 0x9100;
}

static void older_vlan(struct frame *frame)
{
    put_tag(frame, 45);
    frame->ethertype = 0x9200;
}

static void pbb(struct frame *frame)
{
    PUT(frame, 0, 0, 0, 5);
    frame->ethertype = 0x88e7;
}

static void snap(struct frame *frame)
{
    PUT(frame, 0xaa, 0xaa, 3, 0, 0, 0, HALVES(frame->ethertype));
    frame->ethertype = TYPE_LENGTH;
}

static void bridged_snap(struct frame *frame)
{
    PUT(frame, 0xaa, 0xaa, 3, 0, 0x80, 0xc2, 0, 7, 0, 0);
    frame->ethertype = TYPE_LENGTH;
}

static void llc_ip(struct frame *frame)
{
    PUT(frame, 6, 6, 3);
    frame->ethertype = TYPE_LENGTH;
}

static void macsec(struct frame *frame)
{
    PUT(frame, 0x20, 0, 0, 0, 0, 66, 2, 0, 0, 0, 0, 1, 0, 100, HALVES(frame->ethertype));
    frame->ethertype = 0x88e5;
}

static void vntag(struct frame *frame)
{
    PUT(frame, 0, 1, 0, 2, HALVES(frame->ethertype));
    frame->ethertype = 0x8926;
}

static void etag(struct frame *frame)
{
    PUT(frame, 0, 1, 0, 2, 0, 0, HALVES(frame->ethertype));
    frame->ethertype = 0x893f;
}

static void metadata(struct frame *frame)
{
    PUT(frame, 1, 1, 0, 1, 0, 7, HALVES(frame->ethertype));
    frame->ethertype = 0x8909;
}

static void hsr(struct frame *frame)
{
    PUT(frame, HALVES(frame->length + 6), 0, 1, HALVES(frame->ethertype));
    frame->ethertype = 0x892f;
}

static void rtag(struct frame *frame)
{
    PUT(frame, 0, 0, 0, 1, HALVES(frame->ethertype));
    frame->ethertype = 0xf1c1;
}

static void fabricpath(struct frame *frame)
{
    PUT(frame, 0, 0x60);
    frame->ethertype = 0x8903;
}

static void trill(struct frame *frame)
{
    PUT(frame, 0, 0x43, 0, 1, 0, 2, 0, 0, 0, 0);
    frame->ethertype = 0x22f3;
}

static void arista(struct frame *frame)
{
    PUT(frame, 0, 1, 0, 0x10, 0x5c, 0xee, 0xed, 0x57, 0x38, 0x4f, 0x59, 0xc8, HALVES(frame->ethertype));
    frame->ethertype = 0xd28b;
}

static void mpls(struct frame *frame)
{
    PUT(frame, 0, 1, 0x11, 64);
    frame->ethertype = TYPE_MPLS;
    frame->protocol = 137;
}

/* A label above others. */
static void label(struct frame *frame)
{
    PUT(frame, 0, 2, 0x10, 64);
}

static void control_word(struct frame *frame)
{
    PUT(frame, 0, 0, 0, 7);
}

static void nsh(struct frame *frame)
{
    uint8_t next = frame->ethertype == TYPE_IPV4 ? 1 : frame->ethertype == TYPE_IPV6 ? 2 : 3;
    PUT(frame, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    PUT(frame, 0x0f, 0xc6, 1, next, 0, 0, 1, 255);
    frame->ethertype = 0x894f;
}

const struct header headers_ethernet[] = {
    {"eth", ethernet},
    {"vlan", vlan},
    {"vlan-88a8", provider_vlan},
    {"vlan-9100", old_vlan},
    {"vlan-9200", older_vlan},
    {"pbb", pbb},
    {"snap", snap},
    {"snap-bridged", bridged_snap},
    {"llc-ip", llc_ip},
    {"macsec", macsec},
    {"vntag", vntag},
    {"etag", etag},
    {"metadata", metadata},
    {"hsr", hsr},
    {"rtag", rtag},
    {"fabricpath", fabricpath},
    {"trill", trill},
    {"arista", arista},
    {"mpls", mpls},
    {"label", label},
    {"control-word", control_word},
    {"nsh", nsh},
    {0},
};
