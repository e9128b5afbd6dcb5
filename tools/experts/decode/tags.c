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
