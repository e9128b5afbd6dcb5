/*
 * The flows that one thread of the expert has seen, in memory of ndpi_malloc, which is that of the expert's key. A thread
 * that has seen the last of its frames leaves its table to the thread that ends last.
 */
#ifndef EXPERTS_NDPI_FLOW_H
#define EXPERTS_NDPI_FLOW_H

#include "frame.h"

#include <ndpi_api.h>
#include <ndpi_main.h>

/* uthash takes its memory where nDPI takes its own. A flow that finds no memory for its bucket is not added. */
#define HASH_NONFATAL_OOM          1
#define uthash_malloc(bytes)       ndpi_malloc(bytes)
#define uthash_free(memory, bytes) ndpi_free(memory)
#include <uthash.h>

/* Two ends in an order of their own, the same for both directions. */
struct flow_key {
    uint32_t addresses[2];
    uint16_t ports[2];
    uint16_t vlan;
    uint16_t protocol;
};

struct flow {
    struct flow_key key;
    uint64_t packets;
    uint64_t bytes; /* captured of whole frames */
    ndpi_protocol protocol;
    struct ndpi_flow_struct *detection; /* NULL once the protocol is known, or given up */
    UT_hash_handle hh;
};

/* The flow of a packet, a new one where there is none; NULL without memory. */
struct flow *flow_of(struct flow **flows, const struct ip_packet *packet);

/* Frees what detection has kept for the flow. */
void flow_end_detection(struct flow *flow);

/* Adds the flows of another table; `from` is empty then. False without memory. */
bool flows_merge(struct flow **flows, struct flow **from);

void flows_free(struct flow **flows);

#endif
