/*
 * What the decoder makes of frames that are not as they should be: lengths beyond the frame, fragments, headers that are none,
 * and what only looks like a tunnel.
 */
#include "decode_block.h"

static void depth(void **state)
{
    (void)state;
    struct packet packet;
    char text[LAYERS_TEXT];
    for (int tags = 15; tags < 19; tags++) {
        char headers[200] = "eth";
        for (int i = 0; i < tags; i++)
            strcat(headers, "/vlan");
        strcat(headers, "/ip4/tcp");
        struct frame frame;
        build(&frame, headers);
        const char *problem = decode_block(1, frame.bytes, frame.length, frame.length, &packet);
        assert_int_equal(packet.layer_count, tags < LAYERS_MOST ? tags : LAYERS_MOST);
        assert_int_equal(strlen(packet_layers_text(&packet, text)), packet.layer_count * 5 - 1);
        if (tags <= LAYERS_MOST)
            assert_null(problem);
        else
            assert_string_equal(problem, "more than 16 layers");
        assert_int_equal(packet.version, tags <= LAYERS_MOST ? 4 : 0);
    }
}

/* Of all that is too deep the flow is the last that was reached. */
static void depth_of_tunnels(void **state)
{
    (void)state;
    struct frame frame;
    struct packet packet;
    build(&frame, "eth/ip4/ip4/ip4/ip4/ip4/ip4/ip4/ip4/ip4/ip4/ip4/ip4/ip4/ip4/ip4/ip4/ip4/ip4/ip4/tcp");
    assert_string_equal(decode_block(1, frame.bytes, frame.length, frame.length, &packet), "more than 16 layers");
    assert_int_equal(packet.version, 4);
    assert_int_equal(packet.source.address[2], 2);
    assert_int_equal(packet.source.port, 0);
}

/* A port makes no tunnel. */
static void what_looks_like_no_tunnel(void **state)
{
    (void)state;
    static const uint16_t ports[] = {4789, 4790, 6081, 2152, 3386, 3544, 1701, 6635, 4754, 4341, 37008, 5072};
    static const char *const bodies[] = {
        "HTTP/1.1 200 OK: a text, long enough for any header that could be read into it.",
        "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07"
        "example\x03net\x00\x00\x01\x00\x01 and so on, and on and on.",
        "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    };
    for (size_t i = 0; i < COUNT(ports); i++)
        for (size_t j = 0; j < COUNT(bodies); j++)
            for (int back = 0; back < 2; back++) {
                struct frame frame;
                struct packet packet;
                frame_build(&frame, "");
                frame_put(&frame, bodies[j], 48);
                PUT(&frame, HALVES(back ? ports[i] : 40000), HALVES(back ? 40000 : ports[i]),
                    HALVES(8 + 48 + FRAME_PAYLOAD), 0, 0);
                PUT(&frame, 0x45, 0, HALVES(frame.length + 20), 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2);
                const char *problem = decode_block(228, frame.bytes, frame.length, frame.length, &packet);
                if (problem || packet.layer_count || packet.protocol != PROTOCOL_UDP ||
                    packet.source.port != (back ? ports[i] : 40000))
                    fail_msg("port %u, body %zu: %s", ports[i], j, problem ? problem : "taken for a tunnel");
                assert_int_equal(packet.payload_length, 48 + FRAME_PAYLOAD);
            }
}

static void add16(uint8_t *bytes, unsigned more)
{
    unsigned value = (unsigned)(bytes[0] << 8 | bytes[1]) + more;
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static void check_flow(const char *headers, const struct packet *packet, uint8_t level, unsigned source,
                       unsigned destination)
{
    size_t last = packet->version == 4 ? 2 : 14;
    if (!packet->version || packet->source.address[last] != level || packet->source.port != source ||
        packet->destination.port != destination)
        fail_msg("%s: IPv%u, level %u, ports %u and %u", headers, packet->version, packet->source.address[last],
                 packet->source.port, packet->destination.port);
}

/* A length that says 8 bytes more than there are: the flow is that of the ports, the problem is reported, and what is missing was
 * not captured. */
static void lengths_beyond_the_frame(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        size_t at; /* the length that lies */
        const char *problem;
        unsigned payload_length;
    } rows[] = {
        {"eth/ip4/tcp", 16, "IPv4 total length is beyond the frame", 18},
        {"eth/ip6/tcp", 18, "IPv6 payload length is beyond the frame", 18},
        {"eth/ip4/udp", 16, "IPv4 total length is beyond the frame", 10},
        {"eth/ip4/udp", 38, "UDP length is beyond the datagram", 18},
        {"eth/snap/ip4/tcp", 12, "802.3 length is beyond the frame", 10},
        {"eth/pppoe/ppp/ip4/tcp", 18, "PPPoE length is beyond the frame", 10},
        {"eth/ip4/gre/ip6/tcp", 42, "IPv6 payload length is beyond the frame", 18},
        {"eth/ip4/gre/ip6/tcp", 16, "IPv4 total length is beyond the frame", 10},
        {"eth/ip4/vxlan/eth/ip4/tcp", 66, "IPv4 total length is beyond the frame", 18},
        {"eth/ip4/vxlan/eth/ip4/tcp", 38, "UDP length is beyond the datagram", 10},
        {"eth/ip4/gtp/ip4/tcp", 44, "GTP length is beyond the datagram", 10},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct frame frame;
        struct packet packet;
        build(&frame, rows[i].headers);
        add16(frame.bytes + rows[i].at, 8);
        const char *problem = decode_block(1, frame.bytes, frame.length, frame.length, &packet);
        if (!problem || strcmp(problem, rows[i].problem) != 0)
            fail_msg("%s at %zu: %s", rows[i].headers, rows[i].at, problem ? problem : "no problem");
        check_flow(rows[i].headers, &packet, 0, FRAME_SOURCE_PORT, FRAME_DESTINATION_PORT);
        assert_int_equal(packet.payload, frame.length - FRAME_PAYLOAD);
        assert_int_equal(packet.payload_captured, FRAME_PAYLOAD);
        assert_int_equal(packet.payload_length, rows[i].payload_length);
    }
}

/* A byte that makes a header none: the flow is that of what was reached before. */
static void headers_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        size_t at;
        uint8_t value;
        const char *problem;
        uint8_t version; /* 0 where no IP header was reached */
        unsigned source, destination;
    } rows[] = {
        {"eth/ip4/tcp", 14, 0x44, "IPv4 header length is below 20", 0, 0, 0},
        {"eth/ip4/tcp", 14, 0x55, "IPv4 header of another version", 0, 0, 0},
        {"eth/ip4/tcp", 17, 19, "IPv4 total length is below its header", 0, 0, 0},
        {"eth/ip6/tcp", 14, 0x40, "IPv6 header of another version", 0, 0, 0},
        {"eth/ip4/tcp", 14, 0x4f, "IPv4 total length is below its header", 0, 0, 0},
        {"eth/ip4/tcp", 46, 0x40, "TCP header length is below 20", 4, 1000, 2000},
        {"eth/ip4/tcp", 46, 0xf0, "TCP header length is beyond the segment", 4, 1000, 2000},
        {"eth/ip4/udp", 39, 7, "UDP length is below 8", 4, 1000, 2000},
        {"eth/ip6/options/tcp", 55, 255, "extension header is beyond the datagram", 6, 0, 0},
        {"eth/ip4/vxlan/eth/ip4/tcp", 64, 0x44, "IPv4 header length is below 20", 4, 50000, 4789},
        {"eth/ip4/vxlan/eth/ip6/tcp", 64, 0x50, "IPv6 header of another version", 4, 50000, 4789},
        {"eth/ip4/vxlan/eth/ip4/tcp", 96, 0x40, "TCP header length is below 20", 4, 1000, 2000},
        {"eth/ip6/gre/ip4/tcp", 58, 0x44, "IPv4 header length is below 20", 6, 0, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct frame frame;
        struct packet packet;
        build(&frame, rows[i].headers);
        frame.bytes[rows[i].at] = rows[i].value;
        const char *problem = decode_block(1, frame.bytes, frame.length, frame.length, &packet);
        if (!problem || strcmp(problem, rows[i].problem) != 0)
            fail_msg("%s at %zu: %s", rows[i].headers, rows[i].at, problem ? problem : "no problem");
        assert_int_equal(packet.version, rows[i].version);
        assert_int_equal(packet.source.port, rows[i].source);
        assert_int_equal(packet.destination.port, rows[i].destination);
        if (!packet.version)
            assert_memory_equal(packet.source.address, frame.bytes + 6, 6);
    }
}

/* What holds no IP, and is no problem: the flow is that of what is around it. */
static void nothing_to_look_into(void **state)
{
    (void)state;
    static const struct {
        uint16_t link;
        const char *headers;
        size_t at;
        uint8_t value;
        uint8_t version;
    } rows[] = {
        {1, "eth/pppoe/ppp/ip4/tcp", 15, 9, 0},       /* discovery */
        {1, "eth/pppoe/ppp/ip4/tcp", 20, 0xc0, 0},    /* a control protocol of PPP */
        {1, "eth/macsec/ip4/udp", 14, 0x2c, 0},       /* encrypted */
        {1, "eth/snap/ip4/tcp", 14, 0xfe, 0},         /* OSI */
        {1, "eth/snap/ip4/tcp", 17, 0x0c, 0},         /* a protocol of another organization */
        {1, "eth/ip4/vxlan/eth/ip4/tcp", 63, 6, 4},   /* ARP */
        {1, "eth/ip4/gtp/ip4/tcp", 43, 1, 4},         /* an echo */
        {1, "eth/ip4/gtp/ip4/tcp", 42, 0x10, 4},      /* GTP' */
        {1, "eth/ip4/gre/ip4/tcp", 36, 0x20, 4},      /* CDP */
        {1, "eth/ip4/pim/ip4/udp", 34, 0x20, 4},      /* a hello */
        {1, "eth/ip4/l2tp/ppp/ip4/tcp", 42, 0xc8, 4}, /* a control message */
        {1, "eth/mpls/ip4/tcp", 18, 0x10, 0},         /* an associated channel */
        {0, "null-little/ip4/tcp", 0, 7, 0},          /* OSI */
        {105, "wlan/snap/ip4/tcp", 1, 0x41, 0},       /* encrypted */
        {105, "wlan/snap/ip4/tcp", 0, 0x48, 0},       /* no data */
        {105, "wlan/snap/ip4/tcp", 0, 0x80, 0},       /* a beacon */
        {105, "wlan/snap/ip4/tcp", 22, 0x11, 0},      /* a later fragment of its own */
        {113, "sll/ip4/tcp", 14, 0x0c, 0},            /* a protocol that is not known */
        {239, "nflog-little/ip4/tcp", 0, 7, 0},       /* of a bridge */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct frame frame;
        struct packet packet;
        build(&frame, rows[i].headers);
        frame.bytes[rows[i].at] = rows[i].value;
        const char *problem = decode_block(rows[i].link, frame.bytes, frame.length, frame.length, &packet);
        if (problem || packet.version != rows[i].version || packet.source.port == FRAME_SOURCE_PORT)
            fail_msg("%s at %zu: %s", rows[i].headers, rows[i].at, problem ? problem : "another flow");
    }
}

/* ------------------------------------------------------------------ fragments */

enum { MORE = 0x2000 };

/* A piece of a datagram of IPv4 whose header begins at `at`. */
static void make_piece(struct frame *frame, const char *headers, size_t at, uint16_t flags_and_offset)
{
    build(frame, headers);
    frame->bytes[at + 6] = (uint8_t)(flags_and_offset >> 8);
    frame->bytes[at + 7] = (uint8_t)flags_and_offset;
}

static const char *decode_piece(const struct frame *frame, struct packet *packet)
{
    return decode_block(1, frame->bytes, frame->length, frame->length, packet);
}

static void a_first_fragment(void **state)
{
    (void)state;
    struct frame frame;
    struct packet packet;
    make_piece(&frame, "eth/ip4/udp", 14, MORE);
    add16(frame.bytes + 38, 3000);
    assert_null(decode_piece(&frame, &packet));
    check_flow("first fragment", &packet, 0, FRAME_SOURCE_PORT, FRAME_DESTINATION_PORT);
    assert_false(packet_is_later_fragment(&packet));
    assert_int_equal(packet.payload_length, FRAME_PAYLOAD);
    assert_int_equal(packet.fragment.version, 4);
    assert_int_equal(packet.fragment.protocol, PROTOCOL_UDP);
    assert_true(packet.fragment.more);
    assert_int_equal(packet.fragment.id, 1);
    assert_int_equal(packet.fragment.at, 34);
    assert_int_equal(packet.fragment.length, 8 + FRAME_PAYLOAD);
    assert_int_equal(packet.fragment.captured, 8 + FRAME_PAYLOAD);
}

static void a_later_fragment(void **state)
{
    (void)state;
    struct frame frame;
    struct packet packet;
    make_piece(&frame, "eth/ip4/udp", 14, 185);
    assert_null(decode_piece(&frame, &packet));
    check_flow("later fragment", &packet, 0, 0, 0);
    assert_true(packet_is_later_fragment(&packet));
    assert_int_equal(packet.protocol, PROTOCOL_UDP);
    assert_int_equal(packet.fragment.offset, 1480);
    assert_false(packet.fragment.more);
}

/* So small that TCP's header is not whole: its ports are. */
static void a_fragment_of_a_header(void **state)
{
    (void)state;
    struct frame frame;
    struct packet packet;
    make_piece(&frame, "eth/ip4/tcp", 14, MORE);
    add16(frame.bytes + 16, 0u - 12 - FRAME_PAYLOAD);
    assert_null(decode_piece(&frame, &packet));
    check_flow("fragment of a header", &packet, 0, FRAME_SOURCE_PORT, FRAME_DESTINATION_PORT);
    assert_int_equal(packet.payload, 0);
    assert_int_equal(packet.flags, 0);
}

/* Between other extension headers. */
static void fragments_of_ipv6(void **state)
{
    (void)state;
    for (unsigned offset = 0; offset < 3; offset++) {
        struct frame frame;
        struct packet packet;
        build(&frame, "eth/ip6/hop/options/atomic/options/udp");
        uint8_t *header = frame.bytes + 14 + 40 + 8 + 16;
        header[3] = (uint8_t)(offset * 8 | (offset < 2));
        add16(frame.bytes + frame.length - FRAME_PAYLOAD - 4, offset ? 0 : 3000);
        assert_null(decode_piece(&frame, &packet));
        check_flow("IPv6", &packet, 0, offset ? 0 : FRAME_SOURCE_PORT, offset ? 0 : FRAME_DESTINATION_PORT);
        assert_int_equal(packet.fragment.version, 6);
        assert_int_equal(packet.fragment.protocol, 60);
        assert_int_equal(packet.fragment.id, 9);
        assert_int_equal(packet.fragment.offset, offset * 8);
        assert_int_equal(packet.fragment.more, offset < 2);
        assert_int_equal(packet.fragment.at, header + 8 - frame.bytes);
    }
}

/* One that is the whole datagram is none. */
static void an_atomic_fragment(void **state)
{
    (void)state;
    struct frame frame;
    struct packet packet;
    build(&frame, "eth/ip6/atomic/udp");
    add16(frame.bytes + frame.length - FRAME_PAYLOAD - 4, 8);
    assert_string_equal(decode_piece(&frame, &packet), "UDP length is beyond the datagram");
    assert_int_equal(packet.fragment.version, 0);
}

/* The datagram that is in pieces is the tunnel's, the inner one, or both. */
static void fragments_and_tunnels(void **state)
{
    (void)state;
    static const struct {
        uint16_t outer, inner;
        uint8_t level; /* of the flow */
        bool ports;
        uint8_t fragment_level;
    } rows[] = {
        {MORE, 0, 0, true, 1},      {MORE | 9, 0, 1, false, 1}, {0, MORE, 0, true, 0},
        {0, MORE | 9, 0, false, 0}, {MORE, MORE, 0, true, 1},   {MORE, 9, 0, false, 1},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct frame frame;
        struct packet packet;
        make_piece(&frame, "eth/ip4/gre/ip4/udp", 14, rows[i].outer);
        frame.bytes[38 + 6] = (uint8_t)(rows[i].inner >> 8);
        frame.bytes[38 + 7] = (uint8_t)rows[i].inner;
        if (rows[i].outer)
            add16(frame.bytes + 38 + 2, 2000);
        assert_null(decode_piece(&frame, &packet));
        check_flow("tunnel", &packet, rows[i].level, rows[i].ports ? FRAME_SOURCE_PORT : 0,
                   rows[i].ports ? FRAME_DESTINATION_PORT : 0);
        assert_int_equal(packet.fragment.version, 4);
        assert_int_equal(packet.fragment.source[2], rows[i].fragment_level);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depth),
        cmocka_unit_test(depth_of_tunnels),
        cmocka_unit_test(what_looks_like_no_tunnel),
        cmocka_unit_test(lengths_beyond_the_frame),
        cmocka_unit_test(headers_that_are_none),
        cmocka_unit_test(nothing_to_look_into),
        cmocka_unit_test(a_first_fragment),
        cmocka_unit_test(a_later_fragment),
        cmocka_unit_test(a_fragment_of_a_header),
        cmocka_unit_test(fragments_of_ipv6),
        cmocka_unit_test(an_atomic_fragment),
        cmocka_unit_test(fragments_and_tunnels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
