#include "decode.h"

#include "decode/decoder.h"

#include <string.h>

bool decode_knows(uint16_t link)
{
    return step_of_link(link) != NULL;
}

const char *decode(uint16_t link, const uint8_t *bytes, size_t captured, size_t length, struct packet *packet)
{
    struct decoder decoder = {
        .packet = packet,
        .frame = bytes,
        .bytes = bytes,
        .captured = captured,
        .length = length < captured ? captured : length,
        .next = step_of_link(link),
    };
    memset(packet, 0, sizeof *packet);
    packet->link = link;
    while (decoder.next) {
        step *take = decoder.next;
        decoder.next = NULL;
        take(&decoder);
    }
    return packet->problem;
}
