/* 802.11, with the headers that capturing puts before it. */
#include "decoder.h"

#include <string.h>

/* Radiotap: the header says how long it is, and whether the frame's header is padded. */
enum { RADIOTAP_TSFT = 1, RADIOTAP_FLAGS = 2, RADIOTAP_MORE = 31, RADIOTAP_PADDED = 0x20 };

/* Whether the 802.11 header is padded to four bytes, which a field says that comes first or second. */
static bool radiotap_padded(const uint8_t *header, size_t length)
{
    uint32_t present = get32_little(header + 4);
    size_t at = 4;
    for (uint32_t more = present; more >> RADIOTAP_MORE; more = get32_little(header + at)) {
        at += 4;
        if (at + 4 > length)
            return false;
    }
    at += 4;
    if (!(present & RADIOTAP_FLAGS))
        return false;
    if (present & RADIOTAP_TSFT)
        at = (at + 7) / 8 * 8 + 8;
    return at < length && header[at] & RADIOTAP_PADDED;
}

void decode_radiotap(struct decoder *decoder)
{
    if (!decoder_need(decoder, 8, "radiotap header is cut"))
        return;
    const uint8_t *header = decoder->bytes;
    size_t length = get16_little(header + 2);
    if (decoder_skip_header(decoder, length, "radiotap length is below 8", "radiotap header is cut"))
        decoder->next = radiotap_padded(header, length) ? decode_wlan_padded : decode_wlan;
}

/* A header whose length, four bytes of it, stands behind the first four. */
static void decode_monitor(struct decoder *decoder, uint32_t length)
{
    if (decoder_skip_header(decoder, length, "monitor header length is below 8", "monitor header is cut"))
        decoder->next = decode_wlan;
}

void decode_avs(struct decoder *decoder)
{
    if (decoder_need(decoder, 8, "AVS header is cut"))
        decode_monitor(decoder, get32(decoder->bytes + 4));
}

/* Some drivers call theirs a Prism header that is AVS, which has a version of its own. */
void decode_prism(struct decoder *decoder)
{
    if (!decoder_need(decoder, 8, "Prism header is cut"))
        return;
    if ((get32(decoder->bytes) & 0xfffff000) == 0x80211000)
        decode_avs(decoder);
    else if (get32(decoder->bytes) < 0x1000)
        decode_monitor(decoder, get32(decoder->bytes + 4));
    else
        decode_monitor(decoder, get32_little(decoder->bytes + 4));
}

enum {
    CONTROL_TO_DS = 0x01, /* the second byte of frame control */
    CONTROL_FROM_DS = 0x02,
    CONTROL_MORE = 0x04,
    CONTROL_PROTECTED = 0x40,
    CONTROL_ORDER = 0x80,
    TYPE_DATA = 0x08, /* the first byte */
    SUBTYPE_NO_DATA = 0x40,
    SUBTYPE_QOS = 0x80,
    QOS_AGGREGATE = 0x80,
};

/* Which of the four addresses are the frame's ends depends on the way that it takes. */
static void take_stations(struct packet *packet, const uint8_t *header)
{
    bool to = header[1] & CONTROL_TO_DS;
    bool from = header[1] & CONTROL_FROM_DS;
    if (packet->version)
        return;
    memcpy(packet->destination.address, to ? header + 16 : header + 4, 6);
    memcpy(packet->source.address, !from ? header + 10 : to ? header + 24 : header + 16, 6);
}

/* Management and control frames: who receives, and who sends where that is said. */
static void take_neighbours(struct decoder *decoder)
{
    struct packet *packet = decoder->packet;
    if (packet->version || decoder->captured < 10)
        return;
    memcpy(packet->destination.address, decoder->bytes + 4, 6);
    if (decoder->captured >= 16)
        memcpy(packet->source.address, decoder->bytes + 10, 6);
}

static size_t qos_at(const uint8_t *header)
{
    return (header[1] & (CONTROL_TO_DS | CONTROL_FROM_DS)) == (CONTROL_TO_DS | CONTROL_FROM_DS) ? 30 : 24;
}

static size_t header_length(const uint8_t *header)
{
    size_t length = qos_at(header);
    if (header[0] & SUBTYPE_QOS)
        length += header[1] & CONTROL_ORDER ? 6 : 2;
    return length;
}

/* The first of the frames that are sent as one: both its addresses, its length. */
static void decode_aggregate(struct decoder *decoder)
{
    if (!decoder_need(decoder, 14, "A-MSDU header is cut"))
        return;
    const uint8_t *header = decoder->bytes;
    decoder_skip(decoder, 14);
    decoder_limit(decoder, get16(header + 12), "A-MSDU length is beyond the frame");
    decoder->next = decode_llc;
}

/* Only data frames hold what is looked into, and of those none that are encrypted. */
static void decode_frame(struct decoder *decoder, size_t alignment)
{
    if (!decoder_need(decoder, 2, "802.11 header is cut"))
        return;
    const uint8_t *header = decoder->bytes;
    if ((header[0] & 0x0f) != TYPE_DATA) {
        take_neighbours(decoder);
        return;
    }
    size_t length = header_length(header);
    if (!decoder_need(decoder, length, "802.11 header is cut"))
        return;
    take_stations(decoder->packet, header);
    bool first = !(header[22] & 0x0f);
    if (header[0] & SUBTYPE_NO_DATA || header[1] & CONTROL_PROTECTED || !first)
        return;
    size_t padded = (length + alignment - 1) / alignment * alignment;
    if (!decoder_need(decoder, padded, "802.11 header is cut"))
        return;
    decoder_skip(decoder, padded);
    decoder->piece |= (header[1] & CONTROL_MORE) != 0;
    bool aggregate = header[0] & SUBTYPE_QOS && header[qos_at(header)] & QOS_AGGREGATE;
    decoder->next = aggregate ? decode_aggregate : decode_llc;
}

void decode_wlan(struct decoder *decoder)
{
    decode_frame(decoder, 1);
}

void decode_wlan_padded(struct decoder *decoder)
{
    decode_frame(decoder, 4);
}
