#include "live.h"

#include "command.h"
#include "link.h"
#include "packet_socket.h"

#include <pcap/pcap.h>
#include <poll.h>
#include <stdlib.h>

enum { SNAP = 262144, TIMEOUT_MS = 20, BUFFER = 16 << 20 };

/* It has one of `pcap` and `group`. */
struct live {
    pcap_t *pcap;
    struct packet_group *group;
    uint16_t link;
};

static pcap_t *activate(const char *name)
{
    char error[PCAP_ERRBUF_SIZE];
    pcap_t *pcap = pcap_create(name, error);
    if (!pcap) {
        complain("%s: no such file, and as an interface: %s", name, error);
        return NULL;
    }
    pcap_set_snaplen(pcap, SNAP);
    pcap_set_promisc(pcap, 1);
    pcap_set_timeout(pcap, TIMEOUT_MS);
    pcap_set_buffer_size(pcap, BUFFER);
    int status = pcap_activate(pcap);
    if (status < 0) {
        complain("%s: no such file, and as an interface: %s", name,
                 status == PCAP_ERROR || status == PCAP_ERROR_NO_SUCH_DEVICE || status == PCAP_ERROR_PERM_DENIED
                     ? pcap_geterr(pcap)
                     : pcap_statustostr(status));
        pcap_close(pcap);
        return NULL;
    }
    pcap_setnonblock(pcap, 1, error);
    return pcap;
}

static bool compile(pcap_t *pcap, const char *filter, struct bpf_program *program)
{
    bool compiled = !pcap_compile(pcap, program, filter, 1, PCAP_NETMASK_UNKNOWN);
    if (!compiled)
        complain("--filter '%s': %s", filter, pcap_geterr(pcap));
    return compiled;
}

static bool set_filter(pcap_t *pcap, const char *filter, struct bpf_program *program)
{
    bool set = !pcap_setfilter(pcap, program);
    if (!set)
        complain("--filter '%s': %s", filter, pcap_geterr(pcap));
    return set;
}

/* libpcap's own look at the interface has said what is wrong with it, and of which kind it is. */
static void open_group(struct live *live, const char *name, const struct bpf_program *program, unsigned readers)
{
    struct read_error error = {0};
    live->group = packet_group_open(live->pcap, name, program, readers, &error);
    if (live->group) {
        pcap_close(live->pcap);
        live->pcap = NULL;
    } else {
        complain("%s: --readers %u: one reads it: %s", name, readers, error.text);
    }
}

struct live *live_open(const char *name, const char *filter, unsigned readers)
{
    struct bpf_program program = {0};
    pcap_t *pcap = activate(name);
    if (!pcap)
        return NULL;
    bool good = !filter || compile(pcap, filter, &program);
    struct live *live = good ? calloc(1, sizeof *live) : NULL;
    if (!live) {
        pcap_close(pcap);
        return NULL;
    }
    live->pcap = pcap;
    live->link = link_of_dlt(pcap_datalink(pcap));
    if (readers > 1)
        open_group(live, name, filter ? &program : NULL, readers);
    good = live->group || !filter || set_filter(pcap, filter, &program);
    pcap_freecode(&program);
    if (good)
        return live;
    live_close(live);
    return NULL;
}

struct packet_group *live_group(const struct live *live)
{
    return live->group;
}

/* The kernel's own time limit is for blocks that have frames: libpcap would wait for the first one for ever. */
static int wait_and_read(struct live *live, struct pcap_pkthdr **header, const u_char **bytes)
{
    int got = pcap_next_ex(live->pcap, header, bytes);
    if (got)
        return got;
    poll(&(struct pollfd){.fd = pcap_get_selectable_fd(live->pcap), .events = POLLIN}, 1, TIMEOUT_MS);
    return pcap_next_ex(live->pcap, header, bytes);
}

enum capture_result live_next(struct live *live, struct captured *frame, struct read_error *error)
{
    struct pcap_pkthdr *header;
    const u_char *bytes;
    switch (wait_and_read(live, &header, &bytes)) {
    case 1:
        break;
    case 0:
        return CAPTURE_QUIET;
    case PCAP_ERROR_BREAK:
        return CAPTURE_END;
    default:
        read_error_set(error, "%s", pcap_geterr(live->pcap));
        return CAPTURE_BROKEN;
    }
    *frame = (struct captured){
        .time = (int64_t)header->ts.tv_sec * 1000000 + header->ts.tv_usec,
        .length = header->len,
        .captured = header->caplen,
        .link = live->link,
        .bytes = bytes,
    };
    return CAPTURE_FRAME;
}

void live_stop(struct live *live)
{
    if (live->group)
        packet_group_stop(live->group);
    else
        pcap_breakloop(live->pcap);
}

uint64_t live_dropped(struct live *live)
{
    struct pcap_stat stat;
    if (live->group)
        return packet_group_dropped(live->group);
    return pcap_stats(live->pcap, &stat) ? 0 : (uint64_t)stat.ps_drop + stat.ps_ifdrop;
}

void live_close(struct live *live)
{
    if (live->group)
        packet_group_close(live->group);
    if (live->pcap)
        pcap_close(live->pcap);
    free(live);
}
