/* TCP, UDP and ICMP. A header that is cut still names the ports, if they are there. */
#include "decoder.h"

static void take_ports(struct decoder *decoder)
{
    if (decoder->captured < 4)
        return;
    decoder->packet->source.port = get16(decoder->bytes);
    decoder->packet->destination.port = get16(decoder->bytes + 2);
}

static void take_payload(const struct decoder *decoder)
{
    struct packet *packet = decoder->packet;
    packet->payload = (uint32_t)(decoder->bytes - decoder->frame);
    packet->payload_captured = (uint32_t)decoder->captured;
    packet->payload_length = (uint32_t)decoder->length;
}

void decode_tcp(struct decoder *decoder)
{
    take_ports(decoder);
    if (!decoder_need(decoder, 20, "TCP header is cut"))
        return;
    const uint8_t *header = decoder->bytes;
    size_t header_length = (size_t)(header[12] >> 4) * 4;
    if (header_length < 20) {
        decoder_problem(decoder, "TCP header length is below 20");
        return;
    }
    if (header_length > decoder->length && !decoder->piece) {
        decoder_problem(decoder, "TCP header length is beyond the segment");
        return;
    }
    decoder->packet->segment = true;
    decoder->packet->flags = header[13];
    decoder->packet->sequence = get32(header + 4);
    decoder->packet->acknowledgement = get32(header + 8);
    decoder->packet->window = get16(header + 14);
    if (!decoder_need(decoder, header_length, "TCP options are cut"))
        return;
    decoder_skip(decoder, header_length);
    take_payload(decoder);
}

void decode_udp(struct decoder *decoder)
{
    take_ports(decoder);
    if (!decoder_need(decoder, 8, "UDP header is cut"))
        return;
    size_t length = get16(decoder->bytes + 4);
    /* Zero is a jumbogram's: the datagram goes on to the end. */
    if (length && length < 8) {
        decoder_problem(decoder, "UDP length is below 8");
        return;
    }
    if (length)
        decoder_limit(decoder, length, "UDP length is beyond the datagram");
    decoder_skip(decoder, 8);
    take_payload(decoder);
    decode_udp_tunnel(decoder);
}

void decode_icmp(struct decoder *decoder)
{
    struct packet *packet = decoder->packet;
    if (decoder->captured < 8) {
        if (decoder->length >= 8)
            decoder_problem(decoder, "ICMP header is cut");
        return;
    }
    uint8_t type = decoder->bytes[0];
    bool echo = packet->protocol == PROTOCOL_ICMP ? type == 0 || type == 8 : type == 128 || type == 129;
    if (echo)
        packet->source.port = packet->destination.port = get16(decoder->bytes + 4);
}
