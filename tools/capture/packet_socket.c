#include "packet_socket.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 1 << 19,
    BLOCKS = 32,
    SLOT_BYTES = 2048, /* what the kernel checks the request by; frames of a block are as long as they are */
    TIMEOUT_MS = 20,
    TAG_BYTES = 4,
    MACS_BYTES = 12,
    LINK_ETHERNET = 1,
};

struct packet_socket {
    const struct packet_group *group;
    int descriptor;
    uint8_t *ring;
    unsigned block;                /* the one to be read next, or that is being read */
    uint32_t left;                 /* frames in it; 0 before it is begun */
    struct tpacket3_hdr *position; /* the next of them */
    bool is_down;                  /* no block has come since the interface went down */
    uint64_t dropped;
};

struct packet_group {
    unsigned count;
    int interface;
    bool is_loopback;
    atomic_bool stopped;
    struct packet_socket sockets[];
};

/* ------------------------------------------------------------------ opening */

static bool fail(struct read_error *error, const char *what)
{
    return read_error_set(error, "%s: %s", what, strerror(errno));
}

static bool set(int descriptor, int name, const void *value, socklen_t size)
{
    return !setsockopt(descriptor, SOL_PACKET, name, value, size);
}

/* The kernel takes VLAN tags out of frames: room to put them back. */
static bool make_ring(struct packet_socket *socket, struct read_error *error)
{
    const int version = TPACKET_V3;
    const unsigned reserve = TAG_BYTES;
    const struct tpacket_req3 request = {
        .tp_block_size = BLOCK_BYTES,
        .tp_block_nr = BLOCKS,
        .tp_frame_size = SLOT_BYTES,
        .tp_frame_nr = BLOCK_BYTES / SLOT_BYTES * BLOCKS,
        .tp_retire_blk_tov = TIMEOUT_MS,
    };
    if (!set(socket->descriptor, PACKET_VERSION, &version, sizeof version) ||
        !set(socket->descriptor, PACKET_RESERVE, &reserve, sizeof reserve) ||
        !set(socket->descriptor, PACKET_RX_RING, &request, sizeof request))
        return fail(error, "a ring of packets");
    void *ring = mmap(NULL, (size_t)BLOCK_BYTES * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, socket->descriptor, 0);
    if (ring == MAP_FAILED)
        return fail(error, "mapping a ring of packets");
    socket->ring = ring;
    return true;
}

static bool set_filter(const struct packet_socket *socket, const struct sock_fprog *program, struct read_error *error)
{
    return !setsockopt(socket->descriptor, SOL_SOCKET, SO_ATTACH_FILTER, program, sizeof *program) ||
           fail(error, "a filter in the kernel");
}

/* Before it is one of the group a socket would get every frame. */
static bool drop_all(const struct packet_socket *socket, struct read_error *error)
{
    struct sock_filter none[] = {{.code = BPF_RET | BPF_K, .k = 0}};
    return set_filter(socket, &(struct sock_fprog){.len = 1, .filter = none}, error);
}

static bool bind_to(const struct packet_socket *socket, int interface, struct read_error *error)
{
    const struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_ALL),
        .sll_ifindex = interface,
    };
    const struct packet_mreq promiscuous = {.mr_ifindex = interface, .mr_type = PACKET_MR_PROMISC};
    if (bind(socket->descriptor, (const struct sockaddr *)&address, sizeof address))
        return fail(error, "binding a packet socket");
    return set(socket->descriptor, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) ||
           fail(error, "promiscuous mode");
}

/* The first socket makes the group, with a number that no other program's has. */
static bool join(const struct packet_group *group, const struct packet_socket *socket, struct read_error *error)
{
    uint32_t fanout = PACKET_FANOUT_HASH << 16;
    socklen_t size = sizeof fanout;
    if (socket == group->sockets)
        fanout |= (uint32_t)PACKET_FANOUT_FLAG_UNIQUEID << 16;
    else if (getsockopt(group->sockets->descriptor, SOL_PACKET, PACKET_FANOUT, &fanout, &size))
        return fail(error, "dealing packets out by their flows");
    return set(socket->descriptor, PACKET_FANOUT, &fanout, sizeof fanout) ||
           fail(error, "dealing packets out by their flows");
}

static bool socket_open(struct packet_group *group, struct packet_socket *opened, struct read_error *error)
{
    opened->group = group;
    opened->descriptor = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (opened->descriptor < 0)
        return fail(error, "a packet socket");
    group->count++;
    return make_ring(opened, error) && drop_all(opened, error) && bind_to(opened, group->interface, error) &&
           join(group, opened, error);
}

/* All have joined: what comes from now on is dealt out. */
static bool socket_begin(struct packet_socket *socket, const struct bpf_program *filter, struct read_error *error)
{
    int nothing = 0;
    struct tpacket_stats_v3 statistics;
    socklen_t size = sizeof statistics;
    getsockopt(socket->descriptor, SOL_PACKET, PACKET_STATISTICS, &statistics, &size);
    if (filter)
        return set_filter(socket,
                          &(struct sock_fprog){.len = (unsigned short)filter->bf_len,
                                               .filter = (struct sock_filter *)filter->bf_insns},
                          error);
    return !setsockopt(socket->descriptor, SOL_SOCKET, SO_DETACH_FILTER, &nothing, sizeof nothing) ||
           fail(error, "a filter in the kernel");
}

static bool group_begin(struct packet_group *group, const struct bpf_program *filter, unsigned sockets,
                        struct read_error *error)
{
    for (unsigned i = 0; i < sockets; i++)
        if (!socket_open(group, &group->sockets[i], error))
            return false;
    for (unsigned i = 0; i < sockets; i++)
        if (!socket_begin(&group->sockets[i], filter, error))
            return false;
    return true;
}

struct packet_group *packet_group_open(pcap_t *pcap, const char *name, const struct bpf_program *filter,
                                       unsigned sockets, struct read_error *error)
{
    unsigned interface = if_nametoindex(name);
    if (!interface || pcap_datalink(pcap) != DLT_EN10MB) {
        read_error_set(error, "only an interface with Ethernet's headers can be read so");
        return NULL;
    }
    struct packet_group *group = calloc(1, sizeof *group + sockets * sizeof *group->sockets);
    if (!group) {
        read_error_set(error, "out of memory");
        return NULL;
    }
    group->interface = (int)interface;
    group->is_loopback = interface == if_nametoindex("lo");
    atomic_init(&group->stopped, false);
    if (group_begin(group, filter, sockets, error))
        return group;
    packet_group_close(group);
    return NULL;
}

void packet_group_close(struct packet_group *group)
{
    for (unsigned i = 0; i < group->count; i++) {
        if (group->sockets[i].ring)
            munmap(group->sockets[i].ring, (size_t)BLOCK_BYTES * BLOCKS);
        close(group->sockets[i].descriptor);
    }
    free(group);
}

unsigned packet_group_sockets(const struct packet_group *group)
{
    return group->count;
}

struct packet_socket *packet_group_socket(struct packet_group *group, unsigned i)
{
    return &group->sockets[i];
}

/* ------------------------------------------------------------------ reading */

static struct tpacket_block_desc *block_of(const struct packet_socket *socket)
{
    return (struct tpacket_block_desc *)(socket->ring + (size_t)socket->block * BLOCK_BYTES);
}

/* The kernel and this thread hand a block over by its status: release and acquire. */
static bool block_is_ready(const struct packet_socket *socket)
{
    return __atomic_load_n(&block_of(socket)->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER;
}

static void block_return(struct packet_socket *socket)
{
    __atomic_store_n(&block_of(socket)->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    socket->block = (socket->block + 1) % BLOCKS;
    socket->position = NULL;
}

/* An interface that is down may come up again; one that is no more is broken. */
static enum capture_result look_for_interface(struct packet_socket *socket, struct read_error *error)
{
    char name[IF_NAMESIZE];
    socket->is_down = true;
    if (if_indextoname((unsigned)socket->group->interface, name))
        return CAPTURE_QUIET;
    read_error_set(error, "The interface disappeared");
    return CAPTURE_BROKEN;
}

static enum capture_result take_error(struct packet_socket *socket, struct read_error *error)
{
    int reason = 0;
    socklen_t size = sizeof reason;
    getsockopt(socket->descriptor, SOL_SOCKET, SO_ERROR, &reason, &size);
    if (reason == ENETDOWN)
        return look_for_interface(socket, error);
    read_error_set(error, "%s", strerror(reason ? reason : EIO));
    return CAPTURE_BROKEN;
}

static enum capture_result wait_for_block(struct packet_socket *socket, struct read_error *error)
{
    struct pollfd waited = {.fd = socket->descriptor, .events = POLLIN};
    int ready = poll(&waited, 1, TIMEOUT_MS);
    if (atomic_load(&socket->group->stopped))
        return CAPTURE_END;
    if (ready < 0 && errno != EINTR) {
        fail(error, "waiting for packets");
        return CAPTURE_BROKEN;
    }
    if (block_is_ready(socket)) {
        socket->is_down = false;
        return CAPTURE_FRAME;
    }
    if (ready > 0 && waited.revents & (POLLERR | POLLHUP | POLLNVAL))
        return take_error(socket, error);
    return socket->is_down ? look_for_interface(socket, error) : CAPTURE_QUIET;
}

/* Puts the tag back where it was: what is before it moves into the room that the ring has for that. */
static uint8_t *with_tag(struct tpacket3_hdr *header, uint8_t *bytes)
{
    uint16_t type = htons(header->tp_status & TP_STATUS_VLAN_TPID_VALID ? header->hv1.tp_vlan_tpid : ETH_P_8021Q);
    uint16_t tag = htons((uint16_t)header->hv1.tp_vlan_tci);
    memmove(bytes - TAG_BYTES, bytes, MACS_BYTES);
    memcpy(bytes - TAG_BYTES + MACS_BYTES, &type, sizeof type);
    memcpy(bytes - TAG_BYTES + MACS_BYTES + sizeof type, &tag, sizeof tag);
    return bytes - TAG_BYTES;
}

static void take(struct tpacket3_hdr *header, struct captured *frame)
{
    uint8_t *bytes = (uint8_t *)header + header->tp_mac;
    bool tagged = header->hv1.tp_vlan_tci || header->tp_status & TP_STATUS_VLAN_VALID;
    tagged &= header->tp_snaplen >= MACS_BYTES;
    uint32_t more = tagged ? TAG_BYTES : 0;
    *frame = (struct captured){
        .time = (int64_t)header->tp_sec * 1000000 + header->tp_nsec / 1000,
        .length = header->tp_len + more,
        .captured = header->tp_snaplen + more,
        .link = LINK_ETHERNET,
        .bytes = tagged ? with_tag(header, bytes) : bytes,
    };
}

/* What leaves by the loopback interface comes in by it, too. */
static bool is_second_look(const struct packet_socket *socket, const struct tpacket3_hdr *header)
{
    const struct sockaddr_ll *address =
        (const struct sockaddr_ll *)((const uint8_t *)header + TPACKET_ALIGN(sizeof *header));
    return socket->group->is_loopback && address->sll_pkttype == PACKET_OUTGOING;
}

static void block_begin(struct packet_socket *socket)
{
    struct tpacket_block_desc *block = block_of(socket);
    socket->left = block->hdr.bh1.num_pkts;
    socket->position = (struct tpacket3_hdr *)((uint8_t *)block + block->hdr.bh1.offset_to_first_pkt);
}

enum capture_result packet_socket_next(struct packet_socket *socket, struct captured *frame, struct read_error *error)
{
    for (;;) {
        if (atomic_load_explicit(&socket->group->stopped, memory_order_relaxed))
            return CAPTURE_END;
        if (!socket->position && !block_is_ready(socket)) {
            enum capture_result result = wait_for_block(socket, error);
            if (result != CAPTURE_FRAME)
                return result;
        }
        if (!socket->position)
            block_begin(socket);
        if (!socket->left) {
            block_return(socket);
            continue;
        }
        struct tpacket3_hdr *header = socket->position;
        socket->left--;
        socket->position = (struct tpacket3_hdr *)((uint8_t *)header + header->tp_next_offset);
        if (is_second_look(socket, header))
            continue;
        take(header, frame);
        return CAPTURE_FRAME;
    }
}

void packet_group_stop(struct packet_group *group)
{
    atomic_store(&group->stopped, true);
}

uint64_t packet_group_dropped(struct packet_group *group)
{
    uint64_t dropped = 0;
    for (unsigned i = 0; i < group->count; i++) {
        struct packet_socket *socket = &group->sockets[i];
        struct tpacket_stats_v3 statistics = {0};
        socklen_t size = sizeof statistics;
        /* Each look begins the kernel's count anew. */
        if (!getsockopt(socket->descriptor, SOL_PACKET, PACKET_STATISTICS, &statistics, &size))
            socket->dropped += statistics.tp_drops;
        dropped += socket->dropped;
    }
    return dropped;
}
