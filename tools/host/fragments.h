/*
 * Which flow the fragments of a datagram are of: that of the first one, which has the ports. Decided before a frame gets
 * to a thread, so once for all experts.
 *
 * What the first fragment says is remembered by addresses, protocol, identification and VLAN. A later one becomes a packet
 * of its flow, and where that is TCP a segment with the sequence number that its place in the datagram has. Later ones
 * that come before the first are held until it comes. When it does not come within the time that a host waits for it, when
 * there are too many, and at the end they are delivered without ports.
 */
#ifndef TOOLS_FRAGMENTS_H
#define TOOLS_FRAGMENTS_H

#include <keyslab/keyslab.h>
#include <stdint.h>
#include <sys/queue.h>

struct datagram;
struct frame;

TAILQ_HEAD(datagrams, datagram);

struct fragments {
    ks_key_t key; /* what the table's memory is of */
    void (*deliver)(void *context, struct frame *frame);
    void *context;
    struct datagram *table;
    /* The oldest first: of each datagram either frames are held, or none. */
    struct datagrams waiting;
    struct datagrams passing;
    size_t held;
    size_t held_bytes;
};

void fragments_open(struct fragments *fragments, ks_key_t key, void (*deliver)(void *context, struct frame *frame),
                    void *context);

/* Takes a frame that holds a fragment: delivers it, and those that waited for it, or holds it. KS_OK, or why there was no
 * memory; the frame is the caller's then. */
ks_status fragments_take(struct fragments *fragments, struct frame *frame);

/* Ends what is too old by the capture's clock. */
void fragments_expire(struct fragments *fragments, int64_t clock);

/* Ends all: delivers what is held. */
void fragments_close(struct fragments *fragments);

#endif
