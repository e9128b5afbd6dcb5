/*
 * Threads that read an interface, one for each of its packet sockets. What costs of a frame is theirs: its block, its copy
 * and its decoding. The capture thread takes the frames from them, numbers them in the order in which it does, and
 * delivers them; so all that depends on an order has one thread as before, and a flow, which the kernel gives to one socket,
 * keeps its own.
 */
#ifndef HOST_READERS_H
#define HOST_READERS_H

#include "host.h"

#include "capture/packet_socket.h"

struct readers;

/* After host_start. NULL after a complaint. */
struct readers *readers_start(struct host *host, struct packet_group *group);

/* Delivers at most `most` of the frames that are there: how many. Only the capture thread. */
uint64_t readers_deliver(struct readers *readers, uint64_t most);

/* True once one of them has ended, by itself or because the group was stopped, and all its frames are delivered. */
bool readers_ended(struct readers *readers);

/*
 * Ends the threads and delivers at most `most` of the frames that they had; the sockets stay open. False where one of the
 * readers ended because its socket is broken: the reason is in `error`. Before host_drain.
 */
bool readers_stop(struct readers *readers, uint64_t most, struct read_error *error);

#endif
