/*
 * A hash table of records that begin with a struct record, in an expert's memory: what both experts keep
 * their flows in. Records are found by both directions of a packet, and lie in a list, the longest idle
 * first.
 */
#ifndef EXPERTS_TABLE_H
#define EXPERTS_TABLE_H

#include "decode.h"

#include <keyslab/netmon.h>
#include <sys/queue.h>

struct record {
    struct record *next; /* in its bucket */
    TAILQ_ENTRY(record) idle;
    uint64_t hash;
    int64_t first; /* microseconds */
    int64_t last;
    struct endpoint ends[2]; /* who sent the first packet that was seen, and the other */
    uint16_t vlan;
    uint8_t version;
    uint8_t protocol;
};

TAILQ_HEAD(records, record);

struct flow_table {
    HEXPERTKEY key;
    struct record **buckets;
    size_t mask;
    size_t count;
    size_t record_bytes;
    struct records idle;
};

/* Each answers a NMERR value. */
DWORD table_open(struct flow_table *table, HEXPERTKEY key, size_t record_bytes);
void table_close(struct flow_table *table);

/* The record of a packet, or NULL. `*direction` is 0 for packets of the record's first end, 1 for the
 * other's. */
struct record *table_find(struct flow_table *table, const struct packet *packet, unsigned *direction);

/* A new one, zeroed behind its struct record; NULL with the reason. */
struct record *table_add(struct flow_table *table, const struct packet *packet, int64_t time, DWORD *error);

/* The record has just seen a packet. */
void table_touch(struct flow_table *table, struct record *record, int64_t time);

DWORD table_remove(struct flow_table *table, struct record *record);

#endif
