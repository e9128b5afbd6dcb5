/*
 * An interface that several threads read: Linux's packet sockets, each with a ring in memory that the kernel fills
 * (TPACKET_V3), among which it deals the frames out by their flows' hash (PACKET_FANOUT_HASH), both directions of a flow to
 * the same one. One thread reads one socket.
 */
#ifndef CAPTURE_PACKET_SOCKET_H
#define CAPTURE_PACKET_SOCKET_H

#include "captured.h"
#include "read_error.h"

#include <pcap/pcap.h>
#include <stdbool.h>

enum { PACKET_SOCKETS_MOST = 64 };

struct packet_group;
struct packet_socket;

/*
 * Sockets on an interface that `pcap`, which is activated on it, stands for; `filter` is a program that it has compiled, or
 * NULL. NULL with the reason where the kernel or the kind of interface does not have it.
 */
struct packet_group *packet_group_open(pcap_t *pcap, const char *name, const struct bpf_program *filter,
                                       unsigned sockets, struct read_error *error);

unsigned packet_group_sockets(const struct packet_group *group);
struct packet_socket *packet_group_socket(struct packet_group *group, unsigned i);

/* Frames that found no room in a ring, of all sockets since they were opened. One thread at a time. */
uint64_t packet_group_dropped(struct packet_group *group);

/* Makes packet_socket_next return CAPTURE_END soon; may be called from a signal handler. */
void packet_group_stop(struct packet_group *group);

void packet_group_close(struct packet_group *group);

/* The next frame, whose bytes are good until the next call; CAPTURE_QUIET where none has come for a while. */
enum capture_result packet_socket_next(struct packet_socket *socket, struct captured *frame, struct read_error *error);

#endif
