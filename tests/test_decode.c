/*
 * The decoder: each encapsulation, alone and inside each other, whole and cut at every byte. Frames lie in blocks of exactly
 * their size, so that AddressSanitizer sees a read past them.
 *
 *     test_decode                  the tests
 *     test_decode --seeds FOLDER   writes the frames as inputs of the fuzz target
 */
#include "decode_block.h"

#include <stdlib.h>

static const struct chain {
    uint16_t link;
    const char *headers;
    const char *layers;
} chains[] = {
    {1, "eth/ip4/tcp", ""},
    {1, "eth/ip6/udp", ""},
    {1, "eth/ip4/icmp", ""},
    {1, "eth/ip6/hop/options/atomic/options/ah/tcp", ""},
    {1, "eth/ip4/ah/udp", ""},
    {1, "eth/snap/ip4/tcp", "llc"},
    {1, "eth/snap-bridged/eth/ip6/tcp", "llc"},
    {1, "eth/llc-ip/ip4/udp", "llc"},
    {1, "eth/vlan/ip4/tcp", "vlan"},
    {1, "eth/vlan/snap/ip4/tcp", "vlan/llc"},
    {1, "eth/vlan-88a8/vlan/ip6/tcp", "vlan/vlan"},
    {1, "eth/vlan-9100/vlan-9200/vlan/vlan/vlan/ip4/udp", "vlan/vlan/vlan/vlan/vlan"},
    {1, "eth/vlan-88a8/pbb/eth/vlan/ip4/tcp", "vlan/pbb/vlan"},
    {1, "eth/pbb/eth/ip6/udp", "pbb"},
    {1, "eth/macsec/ip4/udp", "macsec"},
    {1, "eth/vntag/vlan/ip4/tcp", "tag/vlan"},
    {1, "eth/etag/ip4/tcp", "tag"},
    {1, "eth/metadata/ip4/tcp", "tag"},
    {1, "eth/vlan/hsr/ip4/tcp", "vlan/tag"},
    {1, "eth/rtag/ip6/tcp", "tag"},
    {1, "eth/fabricpath/eth/vlan/ip4/tcp", "tag/vlan"},
    {1, "eth/trill/eth/ip4/tcp", "tag"},
    {1, "eth/arista/ip4/tcp", "tag"},
    {1, "eth/pppoe/ppp/ip4/tcp", "pppoe"},
    {1, "eth/vlan/pppoe/ppp/ip6/udp", "vlan/pppoe"},
    {1, "eth/pppoe/ppp-short/ip4/tcp", "pppoe"},
    {1, "eth/pppoe/ppp/mpls/ip4/tcp", "pppoe/mpls"},
    {1, "eth/mpls/ip4/tcp", "mpls"},
    {1, "eth/label/label/mpls/ip6/udp", "mpls"},
    {1, "eth/mpls/eth/ip4/tcp", "mpls"},
    {1, "eth/label/mpls/control-word/eth/vlan/ip4/tcp", "mpls/vlan"},
    {1, "eth/mpls/control-word/eth/snap/ip4/tcp", "mpls/llc"},
    {1, "eth/nsh/eth/ip4/tcp", "tag"},
    {1, "eth/nsh/ip6/udp", "tag"},
    {1, "eth/ip4/gre/ip4/tcp", "gre"},
    {1, "eth/ip6/gre/ip4/udp", "gre"},
    {1, "eth/ip4/gre-full/ip6/tcp", "gre"},
    {1, "eth/ip4/gre/eth/ip4/tcp", "gre"},
    {1, "eth/ip4/gre-full/eth/vlan/ip6/tcp", "gre/vlan"},
    {1, "eth/ip4/gre/mpls/ip4/tcp", "gre/mpls"},
    {1, "eth/ip4/gre-pptp/ppp/ip4/tcp", "gre/ppp"},
    {1, "eth/ip4/gre-pptp/hdlc/ppp/ip6/udp", "gre/ppp"},
    {1, "eth/ip4/gre/erspan1/eth/ip4/tcp", "gre/erspan"},
    {1, "eth/ip4/gre-sequence/erspan2/eth/vlan/ip4/tcp", "gre/erspan/vlan"},
    {1, "eth/ip6/gre-sequence/erspan3/eth/ip4/udp", "gre/erspan"},
    {1, "eth/ip4/gre-sequence/erspan3-platform/eth/ip6/tcp", "gre/erspan"},
    {1, "eth/ip4/gre/wccp/ip4/tcp", "gre/wccp"},
    {1, "eth/ip4/gre/wccp2/ip4/tcp", "gre/wccp"},
    {1, "eth/ip4/gre/gre-metadata/ip4/tcp", "gre/tag"},
    {1, "eth/ip4/gre/wlan/snap/ip4/tcp", "gre/wlan"},
    {1, "eth/ip4/ip4/tcp", "4in4"},
    {1, "eth/ip4/ip6/udp", "6in4"},
    {1, "eth/ip6/ip4/tcp", "4in6"},
    {1, "eth/ip6/ip6/udp", "6in6"},
    {1, "eth/ip6/options/ip4/tcp", "4in6"},
    {1, "eth/ip4/etherip/eth/ip4/tcp", "etherip"},
    {1, "eth/ip6/eth/ip4/tcp", ""},
    {1, "eth/ip4/mpls/ip4/tcp", "mpls"},
    {1, "eth/ip4/pim/ip4/udp", "pim"},
    {1, "eth/ip4/vxlan/eth/ip4/tcp", "vxlan"},
    {1, "eth/ip6/vxlan-policy/eth/vlan/ip6/udp", "vxlan/vlan"},
    {1, "eth/ip4/vxlan-gpe/ip4/tcp", "vxlan"},
    {1, "eth/ip4/vxlan-gpe/eth/ip6/tcp", "vxlan"},
    {1, "eth/ip4/geneve/eth/ip4/tcp", "geneve"},
    {1, "eth/ip6/geneve-options/ip6/udp", "geneve"},
    {1, "eth/ip4/gtp/ip4/tcp", "gtp"},
    {1, "eth/ip6/gtp-extended/ip6/udp", "gtp"},
    {1, "eth/ip4/gtp-0/ip4/udp", "gtp"},
    {1, "eth/ip4/teredo/ip6/tcp", "teredo"},
    {1, "eth/ip4/teredo-origin/ip6/udp", "teredo"},
    {1, "eth/ip4/l2tp/hdlc/ppp/ip4/tcp", "l2tp"},
    {1, "eth/ip4/l2tp-full/ppp-short/ip6/udp", "l2tp"},
    {1, "eth/ip4/mpls-udp/label/mpls/ip4/tcp", "mpls"},
    {1, "eth/ip4/gre-udp/ip6/tcp", "gre"},
    {1, "eth/ip4/lisp/ip4/tcp", "lisp"},
    {1, "eth/ip6/lisp/ip6/udp", "lisp"},
    {1, "eth/ip4/tzsp/eth/vlan/ip4/tcp", "tzsp/vlan"},
    {1, "eth/ip4/tzsp/wlan-qos/snap/ip4/tcp", "tzsp"},
    {1, "eth/ip4/ayiya/ip6/tcp", "ayiya"},
    {0, "null-little/ip4/tcp", ""},
    {0, "null-little/ip6/tcp", ""},
    {0, "null-big/ip4/udp", ""},
    {0, "null-big/ip6/udp", ""},
    {0, "hdlc/ppp/ip4/tcp", ""},
    {108, "null-big/ip4/tcp", ""},
    {108, "null-big/ip6/tcp", ""},
    {12, "ip4/tcp", ""},
    {14, "ip6/tcp", ""},
    {101, "ip4/gre/ip6/tcp", "gre"},
    {101, "ip6/udp", ""},
    {228, "ip4/tcp", ""},
    {229, "ip6/ip4/tcp", "4in6"},
    {9, "hdlc/ppp/ip4/tcp", ""},
    {9, "ppp/ip6/tcp", ""},
    {50, "hdlc/ppp/ip4/tcp", ""},
    {50, "hdlc-cisco/ip4/tcp", ""},
    {51, "pppoe/ppp/ip4/tcp", ""},
    {104, "hdlc-cisco/mpls/ip6/tcp", "mpls"},
    {107, "fr/ip4/tcp", ""},
    {107, "fr/ip6/udp", ""},
    {107, "fr-snap/ip4/tcp", ""},
    {107, "fr-cisco/ip4/tcp", ""},
    {166, "pppd/ppp/ip4/tcp", ""},
    {204, "direction/hdlc/ppp/ip6/tcp", ""},
    {105, "wlan/snap/ip4/tcp", ""},
    {105, "wlan-wds/snap/vlan/ip6/udp", "vlan"},
    {105, "wlan-aggregate/snap/ip4/tcp", ""},
    {119, "prism/wlan/snap/ip4/tcp", ""},
    {119, "avs/wlan/snap/ip4/tcp", ""},
    {127, "radiotap/wlan-qos/snap/ip4/tcp", ""},
    {127, "radiotap-padded/snap/ip6/tcp", ""},
    {163, "avs/wlan-qos/snap/ip4/udp", ""},
    {192, "ppi/wlan-qos/snap/ip4/tcp", ""},
    {113, "sll/ip4/tcp", ""},
    {113, "sll/vlan/pppoe/ppp/ip4/tcp", "vlan/pppoe"},
    {113, "sll-gre/ip6/tcp", ""},
    {113, "sll-radiotap/radiotap/wlan/snap/ip4/tcp", ""},
    {113, "sll-llc/snap/ip4/tcp", ""},
    {276, "sll2/ip6/udp", ""},
    {276, "sll2/mpls/ip4/tcp", "mpls"},
    {239, "nflog-little/ip4/tcp", ""},
    {239, "nflog-big/ip6/udp", ""},
};

/* What carries IP, and is itself in IP. */
static const char *const tunnels[] = {
    "gre",
    "gre-full",
    "gre/eth",
    "gre/mpls",
    "gre-sequence/erspan2/eth",
    "ip4",
    "ip6",
    "etherip/eth",
    "mpls",
    "pim",
    "vxlan/eth",
    "vxlan-gpe",
    "geneve-options/eth/vlan",
    "gtp",
    "l2tp/ppp",
    "gtp-extended",
    "mpls-udp/mpls",
    "gre-udp",
    "geneve",
    "gre-pptp/ppp",
    "lisp",
    "tzsp/eth",
};

static bool is_six(const char *headers)
{
    const char *four = strstr(headers, "ip4"), *six = strstr(headers, "ip6"), *more;
    while (four && (more = strstr(four + 1, "ip4")))
        four = more;
    while (six && (more = strstr(six + 1, "ip6")))
        six = more;
    return six > four;
}

static void check_addresses(const char *headers, const struct packet *packet)
{
    static const uint8_t four[2][16] = {{10, 0, 0, 1}, {10, 0, 0, 2}};
    static const uint8_t six[2][16] = {{0x20, 1, 0x0d, 0xb8, [15] = 1}, {0x20, 1, 0x0d, 0xb8, [15] = 2}};
    const uint8_t(*ends)[16] = is_six(headers) ? six : four;
    if (packet->version != (is_six(headers) ? 6 : 4) || memcmp(packet->source.address, ends[0], 16) ||
        memcmp(packet->destination.address, ends[1], 16))
        fail_msg("%s: not the innermost addresses", headers);
}

static void check_ports(const char *headers, const struct frame *frame, const struct packet *packet)
{
    bool echo = !frame->ports;
    if (packet->source.port != (echo ? 77 : FRAME_SOURCE_PORT) ||
        packet->destination.port != (echo ? 77 : FRAME_DESTINATION_PORT))
        fail_msg("%s: ports %u and %u", headers, packet->source.port, packet->destination.port);
}

static void check_whole(uint16_t link, const char *headers)
{
    struct frame frame;
    struct packet packet;
    build(&frame, headers);
    const char *problem = decode_block(link, frame.bytes, frame.length, frame.length, &packet);
    if (problem)
        fail_msg("%s: %s", headers, problem);
    check_addresses(headers, &packet);
    check_ports(headers, &frame, &packet);
    if (!frame.ports)
        return;
    assert_int_equal(packet.payload, frame.length - FRAME_PAYLOAD);
    assert_int_equal(packet.payload_captured, FRAME_PAYLOAD);
    assert_int_equal(packet.payload_length, FRAME_PAYLOAD);
}

static void each_encapsulation(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(chains); i++) {
        struct frame frame;
        struct packet packet;
        char text[LAYERS_TEXT];
        assert_true(decode_knows(chains[i].link));
        check_whole(chains[i].link, chains[i].headers);
        build(&frame, chains[i].headers);
        decode(chains[i].link, frame.bytes, frame.length, frame.length, &packet);
        if (strcmp(packet_layers_text(&packet, text), chains[i].layers) != 0)
            fail_msg("%s: layers %s", chains[i].headers, text);
    }
}

static void each_inside_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(tunnels); i++)
        for (size_t j = 0; j < COUNT(tunnels); j++)
            for (int six = 0; six < 8; six++) {
                char headers[200];
                snprintf(headers, sizeof headers, "eth/ip%d/%s/ip%d/%s/ip%d/%s", six & 1 ? 6 : 4, tunnels[i],
                         six & 2 ? 6 : 4, tunnels[j], six & 4 ? 6 : 4, i & 1 ? "tcp" : "udp");
                check_whole(1, headers);
            }
}

/* Padding behind the frame is none of the payload. */
static void padding(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(chains); i++) {
        struct frame frame;
        struct packet packet;
        build(&frame, chains[i].headers);
        uint8_t padded[FRAME_ROOM + 30] = {0};
        memcpy(padded, frame.bytes, frame.length);
        if (!frame.ports)
            continue;
        assert_null(decode_block(chains[i].link, padded, frame.length + 30, frame.length + 30, &packet));
        check_ports(chains[i].headers, &frame, &packet);
        assert_int_equal(packet.payload_captured, FRAME_PAYLOAD);
        assert_int_equal(packet.payload_length, FRAME_PAYLOAD);
    }
}

/* What was captured of the payload lies in what was captured of the frame. */
static void check_bounds(const char *headers, const struct packet *packet, size_t captured)
{
    if (packet->payload > captured || packet->payload_captured > captured - packet->payload ||
        packet->payload_captured > packet->payload_length)
        fail_msg("%s, cut at %zu: payload of %u at %u", headers, captured, packet->payload_captured, packet->payload);
}

/* By the capture, which had more before it, or on the wire. The flow is found as soon as its ports are there. */
static void check_cut(const struct chain *chain, const struct frame *frame, size_t captured, size_t length)
{
    struct packet packet;
    const char *problem = decode_block(chain->link, frame->bytes, captured, length, &packet);
    check_bounds(chain->headers, &packet, captured);
    if (!frame->ports || captured < frame->length - frame->ports + 4)
        return;
    check_addresses(chain->headers, &packet);
    check_ports(chain->headers, frame, &packet);
    if (!problem && captured < length && packet.payload_length != FRAME_PAYLOAD)
        fail_msg("%s, cut at %zu: payload of %u", chain->headers, captured, packet.payload_length);
    if (!problem && captured == length && captured < frame->length)
        fail_msg("%s, ends at %zu: no problem", chain->headers, captured);
}

static void cut_at_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(chains); i++) {
        struct frame frame;
        build(&frame, chains[i].headers);
        for (size_t captured = 0; captured <= frame.length; captured++) {
            check_cut(&chains[i], &frame, captured, frame.length);
            check_cut(&chains[i], &frame, captured, captured);
        }
    }
}

/* Every byte of every header with every value of its bits turned. */
static void damaged_at_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(chains); i++) {
        struct frame frame;
        struct packet packet;
        build(&frame, chains[i].headers);
        for (size_t at = 0; at < frame.length; at++)
            for (unsigned bit = 0; bit < 9; bit++) {
                uint8_t turn = (uint8_t)(bit < 8 ? 1u << bit : 255);
                frame.bytes[at] ^= turn;
                decode_block(chains[i].link, frame.bytes, frame.length, frame.length, &packet);
                check_bounds(chains[i].headers, &packet, frame.length);
                frame.bytes[at] ^= turn;
            }
    }
}

static int write_seeds(const char *folder)
{
    for (size_t i = 0; i < COUNT(chains); i++) {
        struct frame frame;
        char path[500];
        if (!frame_build(&frame, chains[i].headers))
            return EXIT_FAILURE;
        snprintf(path, sizeof path, "%s/%u.%s", folder, chains[i].link, chains[i].headers);
        for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/'));)
            *slash = '.';
        FILE *file = fopen(path, "wb");
        if (!file) {
            perror(path);
            return EXIT_FAILURE;
        }
        const uint8_t head[] = {0, 0, HALVES(chains[i].link)};
        fwrite(head, 1, sizeof head, file);
        fwrite(frame.bytes, 1, frame.length, file);
        if (fclose(file)) {
            perror(path);
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--seeds"))
        return write_seeds(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_encapsulation), cmocka_unit_test(each_inside_each),      cmocka_unit_test(padding),
        cmocka_unit_test(cut_at_every_byte),  cmocka_unit_test(damaged_at_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
