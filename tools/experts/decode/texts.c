/* What experts need of a decoded frame: the hash of its flow, and texts. */
#include "../decode.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static uint64_t mix(uint64_t x)
{
    /* The finaliser of MurmurHash3, public domain. */
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

static uint64_t endpoint_hash(const struct endpoint *endpoint)
{
    uint64_t words[2];
    memcpy(words, endpoint->address, sizeof words);
    return mix(words[0] ^ mix(words[1] + endpoint->port));
}

uint64_t decode_hash(const struct packet *packet)
{
    uint64_t ends = endpoint_hash(&packet->source) + endpoint_hash(&packet->destination);
    return mix(ends + packet->protocol + ((uint64_t)packet->vlan << 8) + ((uint64_t)packet->version << 24));
}

const char *endpoint_text(const struct endpoint *endpoint, uint8_t version, char text[ENDPOINT_TEXT])
{
    const uint8_t *a = endpoint->address;
    char address[INET6_ADDRSTRLEN];
    if (version == 4)
        snprintf(text, ENDPOINT_TEXT, "%u.%u.%u.%u:%u", a[0], a[1], a[2], a[3], endpoint->port);
    else if (version == 6)
        snprintf(text, ENDPOINT_TEXT, "[%s]:%u", inet_ntop(AF_INET6, a, address, sizeof address), endpoint->port);
    else
        snprintf(text, ENDPOINT_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4], a[5]);
    return text;
}

/* Of seven letters at most: see LAYERS_TEXT. */
static const char layer_names[LAYERS][8] = {
    [LAYER_LLC] = "llc",       [LAYER_VLAN] = "vlan",       [LAYER_PBB] = "pbb",       [LAYER_MACSEC] = "macsec",
    [LAYER_TAG] = "tag",       [LAYER_PIM] = "pim",         [LAYER_MPLS] = "mpls",     [LAYER_PPPOE] = "pppoe",
    [LAYER_PPP] = "ppp",       [LAYER_4IN4] = "4in4",       [LAYER_6IN4] = "6in4",     [LAYER_4IN6] = "4in6",
    [LAYER_6IN6] = "6in6",     [LAYER_ETHERIP] = "etherip", [LAYER_GRE] = "gre",       [LAYER_ERSPAN] = "erspan",
    [LAYER_WCCP] = "wccp",     [LAYER_WLAN] = "wlan",       [LAYER_L2TP] = "l2tp",     [LAYER_VXLAN] = "vxlan",
    [LAYER_GENEVE] = "geneve", [LAYER_GTP] = "gtp",         [LAYER_TEREDO] = "teredo", [LAYER_LISP] = "lisp",
    [LAYER_TZSP] = "tzsp",     [LAYER_AYIYA] = "ayiya",
};

const char *packet_layers_text(const struct packet *packet, char text[LAYERS_TEXT])
{
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < packet->layer_count; i++)
        used += (size_t)snprintf(text + used, LAYERS_TEXT - used, "%s%s", i ? "/" : "", layer_names[packet->layers[i]]);
    return text;
}
