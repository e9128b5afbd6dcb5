/*
 * A trace as work for threads: windows of operations, one list for each worker, blocks named by slots instead of addresses.
 *
 * The plan is made by one thread between the windows, while the workers wait; so a trace of any length is replayed with the memory
 * that its live blocks and one window need.
 */
#ifndef REPLAY_PLAN_H
#define REPLAY_PLAN_H

#include "live.h"
#include "trace/reader.h"

#include <stdatomic.h>

enum { WORKERS_MOST = 64, KEYS_PLANNED = 1000, WINDOW = 1 << 15 /* operations */ };

enum op_kind { OP_ALLOC, OP_FREE, OP_REALLOC, OP_RESET };

struct op {
    uint64_t size;
    uint64_t time; /* in the trace, nanoseconds since its start */
    uint32_t slot;
    uint32_t from; /* of OP_REALLOC: where the block was */
    uint16_t key;
    uint8_t kind;
    uint8_t alignment_shift;
    bool zeroed;
};

/*
 * A block, at one address. Within one window no slot is used twice, so workers need not agree on whose turn it is: who
 * wants to free a block waits for the slot to be filled.
 */
struct slot {
    _Atomic(void *) block; /* NULL until it is allocated, and after it is freed */
    uint16_t key;
    uint32_t worker; /* that allocated it last: frees it at a reset */
    bool live;
};

struct work {
    struct op *ops;
    uint32_t count;
    uint32_t room;
};

struct pending {
    bool moving; /* a move has left an address, and its slot waits for the new one */
    uint32_t slot;
};

struct plan {
    struct trace_reader *reader;
    uint32_t workers;
    struct work work[WORKERS_MOST];
    struct slot *slots;
    uint32_t slots_room;
    uint32_t slots_used;
    uint32_t *empty; /* slots to use, the last first; those freed in this window come behind `usable` */
    uint32_t empty_count;
    uint32_t usable;
    struct live live; /* live_block.size is the slot */
    struct pending *pendings;
    uint32_t pendings_room;
    uint32_t keys_count;
    uint64_t keys[KEYS_PLANNED];
    char names[KEYS_PLANNED][TRACE_NAME_BYTES];
    uint32_t lives[KEYS_PLANNED]; /* counts resets */
    bool reset_apart;             /* the allocator knows no reset: its blocks are freed one by one */
    bool reset_waits;             /* the last event read is a reset: it is a window of its own */
    uint64_t reset_key;
    uint32_t reset_thread;
    uint64_t now; /* the last event's time, nanoseconds since the trace's start */
    uint64_t operations;
    uint64_t unmatched;
    const char *problem; /* out of memory, too many keys, or the reader's */
};

void plan_begin(struct plan *plan, struct trace_reader *reader, uint32_t workers, bool reset_apart);

/* The next window. False at the end, or with a problem. */
bool plan_window(struct plan *plan);

/* Bytes that the plan itself holds. */
uint64_t plan_bytes(const struct plan *plan);

void plan_end(struct plan *plan);

#endif
