/*
 * The cable of tools/record-capture: joins tap interfaces of two network namespaces in user space, loses,
 * delays and reorders frames on the way, puts a VLAN tag on those of the second pair, and records what the
 * server's end sees.
 *
 *     record-cable OUTPUT.pcap CLIENT-NETNS SERVER-NETNS
 *
 * Makes `wire0` and `wire42` in each namespace. Ends, and completes the file, on SIGTERM or SIGINT.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS = 2, FRAME = 2048, WAITING = 8192, TAG = 4 };

enum { LOSS_PER_MILLE = 4, LATE_PER_MILLE = 20, DELAY_US = 300, LATE_US = 2500 };

static const char *const names[PAIRS] = {"wire0", "wire42"};
static const unsigned tags[PAIRS] = {0, 42};

struct waiting {
    int64_t due; /* microseconds */
    uint64_t order;
    int target;
    unsigned pair;
    int to_server;
    size_t length;
    uint8_t bytes[FRAME];
};

static struct waiting queue[WAITING]; /* a heap by due, then order */
static size_t queued;
static volatile sig_atomic_t ended;

static void end(int signal)
{
    (void)signal;
    ended = 1;
}

static void die(const char *what)
{
    fprintf(stderr, "record-cable: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int tap_open(const char *netns, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", netns);
    int space = open(path, O_RDONLY | O_CLOEXEC);
    if (space < 0 || setns(space, CLONE_NEWNET))
        die(path);
    close(space);
    int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (tap < 0 || ioctl(tap, TUNSETIFF, &request))
        die(name);
    return tap;
}

static int64_t now_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void record(pcap_dumper_t *dump, unsigned pair, const uint8_t *bytes, size_t length)
{
    uint8_t tagged[FRAME + TAG];
    int64_t now = now_us(CLOCK_REALTIME);
    size_t header = 12;
    size_t tag = tags[pair] ? TAG : 0;
    memcpy(tagged, bytes, header);
    if (tag)
        memcpy(tagged + header, (uint8_t[]){0x81, 0, (uint8_t)(tags[pair] >> 8), (uint8_t)tags[pair]}, TAG);
    memcpy(tagged + header + tag, bytes + header, length - header);
    struct pcap_pkthdr packet = {
        .ts = {.tv_sec = now / 1000000, .tv_usec = now % 1000000},
        .caplen = (bpf_u_int32)(length + tag),
        .len = (bpf_u_int32)(length + tag),
    };
    pcap_dump((u_char *)dump, &packet, tagged);
}

static int before(const struct waiting *a, const struct waiting *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void exchange(size_t a, size_t b)
{
    struct waiting kept = queue[a];
    queue[a] = queue[b];
    queue[b] = kept;
}

static void queue_push(const struct waiting *frame)
{
    if (queued == WAITING)
        return; /* a full wire loses frames, as wires do */
    size_t i = queued++;
    queue[i] = *frame;
    for (; i && before(&queue[i], &queue[(i - 1) / 2]); i = (i - 1) / 2)
        exchange(i, (i - 1) / 2);
}

static void queue_pop(void)
{
    queue[0] = queue[--queued];
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2; child++)
            if (child < queued && before(&queue[child], &queue[least]))
                least = child;
        if (least == i)
            return;
        exchange(i, least);
        i = least;
    }
}

static void take(int from, int to, unsigned pair, int to_server, pcap_dumper_t *dump)
{
    static uint64_t order;
    struct waiting frame = {.target = to, .pair = pair, .to_server = to_server};
    ssize_t length;
    while ((length = read(from, frame.bytes, sizeof frame.bytes)) > 14) {
        frame.length = (size_t)length;
        frame.order = order++;
        if (!to_server)
            record(dump, pair, frame.bytes, frame.length);
        if (random() % 1000 < LOSS_PER_MILLE)
            continue;
        frame.due = now_us(CLOCK_MONOTONIC) + DELAY_US + (random() % 1000 < LATE_PER_MILLE ? LATE_US : 0);
        queue_push(&frame);
    }
}

static void deliver(pcap_dumper_t *dump)
{
    while (queued && queue[0].due <= now_us(CLOCK_MONOTONIC)) {
        struct waiting *frame = &queue[0];
        if (frame->to_server)
            record(dump, frame->pair, frame->bytes, frame->length);
        if (write(frame->target, frame->bytes, frame->length) < 0 && errno != EIO && errno != EAGAIN)
            die("write");
        queue_pop();
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: record-cable OUTPUT.pcap CLIENT-NETNS SERVER-NETNS\n");
        return 2;
    }
    struct pollfd ends[2 * PAIRS];
    for (unsigned pair = 0; pair < PAIRS; pair++)
        for (int side = 0; side < 2; side++)
            ends[2 * pair + (unsigned)side] =
                (struct pollfd){.fd = tap_open(argv[2 + side], names[pair]), .events = POLLIN};
    pcap_dumper_t *dump = pcap_dump_open(pcap_open_dead(DLT_EN10MB, 65535), argv[1]);
    if (!dump)
        die(argv[1]);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = end}, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = end}, NULL);
    srandom(1);
    while (!ended) {
        poll(ends, 2 * PAIRS, queued ? 0 : 10);
        for (unsigned pair = 0; pair < PAIRS; pair++)
            for (unsigned side = 0; side < 2; side++)
                take(ends[2 * pair + side].fd, ends[2 * pair + !side].fd, pair, side == 0, dump);
        deliver(dump);
    }
    pcap_dump_close(dump);
    return 0;
}
