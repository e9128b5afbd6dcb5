/* 802.11, and the headers that capturing puts before frames. */
#include "frames.h"

#include <string.h>

static void put_zeros(struct frame *frame, size_t count)
{
    static const uint8_t zeros[200];
    frame_put(frame, zeros, count);
}

/* From a station to a network behind its access point. */
static void wlan(struct frame *frame)
{
    PUT(frame, 0x08, 1, 0, 0, 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x10, 0);
    frame->ethertype = 0x8200;
}

static void wlan_qos(struct frame *frame)
{
    PUT(frame, 0x88, 2, 0, 0, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x10, 0, 0, 0);
}

/* Between access points, with four addresses; and with the field that the order bit stands for. */
static void wlan_wds(struct frame *frame)
{
    PUT(frame, 0x88, 0x83, 0, 0, 2, 0, 0, 0, 0, 8, 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 2, 0x10, 0, 2, 0, 0, 0, 0, 1, 0, 0,
        0, 0, 0, 0);
}

static void wlan_aggregate(struct frame *frame)
{
    PUT(frame, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, HALVES(frame->length));
    PUT(frame, 0x88, 2, 0, 0, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x10, 0, 0x80, 0);
}

/* The header of 26 bytes padded to 28, as radiotap's flags say. */
static void radiotap_padded(struct frame *frame)
{
    PUT(frame, 0, 0);
    wlan_qos(frame);
    PUT(frame, 0, 0, 17, 0, 3, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x20);
}

/* Two words of what is present. */
static void radiotap(struct frame *frame)
{
    PUT(frame, 0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0);
}

static void prism(struct frame *frame)
{
    put_zeros(frame, 136);
    PUT(frame, 0x44, 0, 0, 0, 144, 0, 0, 0);
}

static void avs(struct frame *frame)
{
    put_zeros(frame, 56);
    PUT(frame, 0x80, 0x21, 0x10, 1, 0, 0, 0, 64);
}

static void ppi(struct frame *frame)
{
    PUT(frame, 0, 0, 12, 0, 105, 0, 0, 0, 9, 9, 0, 0);
}

static void sll(struct frame *frame)
{
    PUT(frame, 0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, HALVES(frame->ethertype));
}

static void sll2(struct frame *frame)
{
    PUT(frame, HALVES(frame->ethertype), 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0);
}

/* A GRE device: the protocol is one of GRE's. */
static void sll_gre(struct frame *frame)
{
    PUT(frame, 0, 0, 3, 10, 0, 4, 10, 0, 0, 1, 0, 0, 0, 0, HALVES(frame->ethertype));
}

static void sll_radiotap(struct frame *frame)
{
    PUT(frame, 0, 0, 3, 35, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0, 4);
}

static void sll_llc(struct frame *frame)
{
    PUT(frame, 0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0, 4);
}

static void null_little(struct frame *frame)
{
    PUT(frame, frame->ethertype == TYPE_IPV4 ? 2 : 30, 0, 0, 0);
}

static void null_big(struct frame *frame)
{
    PUT(frame, 0, 0, 0, frame->ethertype == TYPE_IPV4 ? 2 : 24);
}

static void nflog_little(struct frame *frame)
{
    uint16_t length = (uint16_t)(frame->length + 4);
    PUT(frame, frame->ethertype == TYPE_IPV4 ? 2 : 10, 0, 0, 0, 5, 0, 10, 0, 'x', 0, 0, 0, (uint8_t)length,
        (uint8_t)(length >> 8), 9, 0);
}

static void nflog_big(struct frame *frame)
{
    PUT(frame, frame->ethertype == TYPE_IPV4 ? 2 : 10, 0, 0, 0, 0, 5, 0, 10, 'x', 0, 0, 0, HALVES(frame->length + 4), 0,
        9);
}

const struct header headers_capturing[] = {
    {"wlan", wlan},
    {"wlan-qos", wlan_qos},
    {"wlan-wds", wlan_wds},
    {"wlan-aggregate", wlan_aggregate},
    {"radiotap-padded", radiotap_padded},
    {"radiotap", radiotap},
    {"prism", prism},
    {"avs", avs},
    {"ppi", ppi},
    {"sll", sll},
    {"sll2", sll2},
    {"sll-gre", sll_gre},
    {"sll-radiotap", sll_radiotap},
    {"sll-llc", sll_llc},
    {"null-little", null_little},
    {"null-big", null_big},
    {"nflog-little", nflog_little},
    {"nflog-big", nflog_big},
    {0},
};
