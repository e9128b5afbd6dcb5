/*
 * A hash table of records that begin with a struct record, in an expert's memory: what both experts keep their flows in,
 * and the one place that says when a flow ends. Records are found by both directions of a packet.
 *
 * A flow ends where two packets of its own, one behind the other in the capture, are more than 300 s apart, where a packet
 * is too long behind its first one, and where another TCP connection begins (connection.h). A record is removed when 600 s
 * have passed in the capture without a packet of it: by the capture's clock, which is the same for all threads.
 */
#ifndef EXPERTS_TABLE_H
#define EXPERTS_TABLE_H

#include "connection.h"
#include "decode.h"

#include <keyslab/netmon.h>
#include <sys/queue.h>
#include <uthash.h>

/* The same for both directions: the lower end first. */
struct record_key {
    struct endpoint ends[2];
    uint16_t vlan;
    uint8_t version;
    uint8_t protocol;
};

struct record {
    UT_hash_handle hh;
    TAILQ_ENTRY(record) idle;
    struct record_key key;
    bool swapped;     /* the key's second end sent the first packet */
    uint32_t number;  /* of the last frame */
    int64_t previous; /* its time, microseconds */
    int64_t first;    /* the earliest time */
    int64_t doubted;  /* the time of the segment that may be another connection's */
    int64_t touched;  /* the capture's clock at the last packet */
    struct connection connection;
};

TAILQ_HEAD(records, record);

struct flow_table {
    /* The caller's to set. */
    HEXPERTKEY key;
    size_t record_bytes;
    int64_t longest; /* microseconds from a record's first packet to its last; 0 for any time */
    /* What a record says is reported, and what it holds behind its struct record is freed or zeroed. */
    DWORD (*end)(struct flow_table *table, struct record *record);
    /* The table's. */
    struct record *records;
    struct records idle; /* the longest idle first */
};

/* Where a packet belongs. */
struct place {
    struct record *record;
    unsigned direction; /* 0 for packets of the record's first end, 1 for the other's */
    bool swapped;       /* by this packet: what was the second end is the first */
    enum connection_event event;
};

void table_open(struct flow_table *table);

/*
 * The record for a packet, after ending those that it ends. A new record is zeroed behind its struct record. After
 * CONNECTION_SPLIT the record is that of the connection that was in doubt, with its ends. Answers a NMERR value.
 */
DWORD table_place(struct flow_table *table, const EXPERTFRAMEDESCRIPTOR *descriptor, struct place *place);

/* Ends all. */
DWORD table_close(struct flow_table *table);

/* Who sent the first packet, and the other. */
static inline const struct endpoint *record_end(const struct record *record, unsigned direction)
{
    return &record->key.ends[direction ^ record->swapped];
}

#endif
