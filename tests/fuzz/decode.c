/*
 * libFuzzer over the frame parser: any bytes, captured in full or cut. The frame lies in a block of exactly
 * its size, so that AddressSanitizer sees a read past it.
 */
#include "decode.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    /* The first two bytes say how much longer the frame was on the wire, the next two its link type. */
    size_t captured = size - 4;
    uint16_t link = (uint16_t)(data[2] << 8 | data[3]);
    size_t length = captured + (data[0] & 1 ? data[1] : 0);
    uint8_t *frame = malloc(captured ? captured : 1);
    if (!frame)
        return 0;
    memcpy(frame, data + 4, captured);
    struct packet packet;
    char text[ENDPOINT_TEXT];
    decode(link, frame, captured, length, &packet);
    uint64_t there = decode_hash(&packet);
    endpoint_text(&packet.source, packet.version, text);
    /* What was captured of the payload lies in the frame. */
    if (packet.payload > captured || packet.payload_captured > captured - packet.payload)
        abort();
    if (packet.payload_captured > packet.payload_length)
        abort();
    if (packet.fragment.at > captured || packet.fragment.captured > captured - packet.fragment.at)
        abort();
    if (packet.fragment.captured > packet.fragment.length)
        abort();
    struct endpoint kept = packet.source;
    packet.source = packet.destination;
    packet.destination = kept;
    if (decode_hash(&packet) != there)
        abort();
    free(frame);
    return 0;
}
