#include "decode.h"

#include "decode/decoder.h"

#include <string.h>

/* Steps are in decode/, and their tables beside them: of link types in link.c, of ethertypes in ethernet.c, of IP's protocols in
 * ip.c, of ports in udp_tunnels.c. The manual has the same list. */
const char decode_list[] = "Decoded, to the innermost flow:\n"
                           "  link types   Ethernet, 802.11 (plain, radiotap, Prism, AVS, PPI), Linux cooked\n"
                           "               (1 and 2), raw IP, BSD loopback, PPP (plain, HDLC, PPPoE, with\n"
                           "               direction), Cisco HDLC, frame relay, NFLOG\n"
                           "  framing      802.3 with 802.2 and SNAP, VLAN (802.1Q, 802.1ad and older), PBB,\n"
                           "               VN-Tag, 802.1BR, HSR, 802.1CB, Cisco metadata, FabricPath, TRILL,\n"
                           "               NSH, Arista time stamps, 802.1AE that does not encrypt, MPLS with\n"
                           "               Ethernet pseudowires, PPPoE, PPP\n"
                           "  in IP        IPv4 and IPv6 in each other, GRE (versions 0 and 1) with IP,\n"
                           "               Ethernet, PPP, MPLS, ERSPAN I to III, WCCP, 802.11 or NSH, EtherIP,\n"
                           "               MPLS, registers of PIM, authentication headers\n"
                           "  in UDP       VXLAN (4789), VXLAN-GPE (4790), GENEVE (6081), GTP (2152, 3386),\n"
                           "               Teredo (3544), L2TP (1701), MPLS (6635), GRE (4754), LISP (4341),\n"
                           "               TZSP (37008), AYIYA (5072): where it looks so\n"
                           "  at the end   TCP, UDP, ICMP, ICMPv6";

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
