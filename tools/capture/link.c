#include "link.h"

#include <pcap/pcap.h>
#include <stddef.h>

enum { LINK_RAW_OPENBSD = 14, LINK_DBUS = 231, LINK_USBPCAP = 249, LINK_EBHSCR = 279 };

/* Where the two differ, on Linux. */
static const struct {
    uint16_t link;
    int dlt;
} numbers[] = {
    {100, DLT_ATM_RFC1483}, {101, DLT_RAW},      {102, DLT_SLIP_BSDOS},
    {103, DLT_PPP_BSDOS},   {106, DLT_ATM_CLIP}, {LINK_RAW_OPENBSD, DLT_RAW},
};

int link_to_dlt(uint16_t link)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].link == link)
            return numbers[i].dlt;
    return link;
}

uint16_t link_of_dlt(int dlt)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].dlt == dlt)
            return numbers[i].link;
    return (uint16_t)dlt;
}

const char *link_name(uint16_t link)
{
    const char *name = pcap_datalink_val_to_name(link_to_dlt(link));
    return name ? name : "unknown";
}

uint32_t link_frame_most(uint16_t link)
{
    switch (link) {
    case LINK_DBUS:
        return 128 << 20;
    case LINK_EBHSCR:
    case LINK_USBPCAP:
        return 8 << 20;
    default:
        return 1 << 20; /* the largest packet that Linux joins from segments has half of that */
    }
}
