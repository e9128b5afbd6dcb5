/* What stands between an Ethernet header and its ethertype, or around a whole frame in a bridged network. */
#include "decoder.h"

void decode_vlan(struct decoder *decoder)
{
    if (!decoder_layer(decoder, LAYER_VLAN) || !decoder_need(decoder, 4, "VLAN tag is cut"))
        return;
    const uint8_t *tag = decoder->bytes;
    decoder->packet->vlan = get16(tag) & 0xfff;
    decoder_skip(decoder, 4);
    decode_ethertype(decoder, get16(tag + 2));
}

/* `size` bytes, the last two of them the ethertype of what follows. */
static void decode_tag(struct decoder *decoder, size_t size)
{
    if (!decoder_layer(decoder, LAYER_TAG) || !decoder_need(decoder, size, "tag is cut"))
        return;
    const uint8_t *ethertype = decoder->bytes + size - 2;
    decoder_skip(decoder, size);
    decode_ethertype(decoder, get16(ethertype));
}

void decode_vntag(struct decoder *decoder)
{
    decode_tag(decoder, 6);
}

/* 802.1BR */
void decode_etag(struct decoder *decoder)
{
    decode_tag(decoder, 8);
}

/* HSR, and the redundancy tag of 802.1CB. */
void decode_redundancy(struct decoder *decoder)
{
    decode_tag(decoder, 6);
}

/* Version, number of options of four bytes each, then those. */
void decode_cisco_metadata(struct decoder *decoder)
{
    if (decoder_need(decoder, 2, "tag is cut"))
        decode_tag(decoder, 2 + decoder->bytes[1] * (size_t)4 + 2);
}

/* 802.1ah: the service tag, and a whole frame. */
void decode_pbb(struct decoder *decoder)
{
    if (!decoder_layer(decoder, LAYER_PBB) || !decoder_need(decoder, 4, "802.1ah tag is cut"))
        return;
    decoder_skip(decoder, 4);
    decoder->next = decode_ethernet;
}

/* Two bytes behind its ethertype, and a whole frame. */
void decode_fabricpath(struct decoder *decoder)
{
    if (!decoder_layer(decoder, LAYER_TAG) || !decoder_need(decoder, 2, "FabricPath tag is cut"))
        return;
    decoder_skip(decoder, 2);
    decoder->next = decode_ethernet;
}

void decode_trill(struct decoder *decoder)
{
    if (!decoder_layer(decoder, LAYER_TAG) || !decoder_need(decoder, 6, "TRILL header is cut"))
        return;
    size_t options = (get16(decoder->bytes) >> 6 & 31) * (size_t)4;
    if (!decoder_need(decoder, 6 + options, "TRILL header is cut"))
        return;
    decoder_skip(decoder, 6 + options);
    decoder->next = decode_ethernet;
}

/* 802.1AE: what is encrypted stays so; what is only authenticated can be read. */
void decode_macsec(struct decoder *decoder)
{
    enum { CHANNEL = 0x20, ENCRYPTED = 0x08, CHANGED = 0x04 };
    if (!decoder_layer(decoder, LAYER_MACSEC) || !decoder_need(decoder, 6, "802.1AE tag is cut"))
        return;
    uint8_t control = decoder->bytes[0];
    size_t length = control & CHANNEL ? 14 : 6;
    if (control & (ENCRYPTED | CHANGED) || !decoder_need(decoder, length + 2, "802.1AE tag is cut"))
        return;
    uint16_t ethertype = get16(decoder->bytes + length);
    decoder_skip(decoder, length + 2);
    if (ethertype > LENGTH_MOST)
        decode_ethertype(decoder, ethertype);
}

/* Arista's time stamps: 8 bytes, or 6 where the version says so. */
void decode_arista(struct decoder *decoder)
{
    enum { TIME_STAMP = 1, SHORT = 0x20 };
    if (!decoder_need(decoder, 4, "tag is cut"))
        return;
    if (get16(decoder->bytes) == TIME_STAMP)
        decode_tag(decoder, 4 + (decoder->bytes[3] & SHORT ? 6 : 8) + 2);
}
