/*
 * TCP streams put in order, for experts that read what is said in them. A segment that comes early is held in a block of its
 * true size until the gap before it closes; where segments overlap, the bytes that came first count. A stream holds a limited
 * amount: beyond it the gap is given up, and counted as lost. What cannot be of the stream is left out: numbers outside of its
 * window, and gaps larger than what may be held that the other side acknowledges nothing behind.
 *
 * An expert has a struct that begins with a struct stream, one for each direction of a connection, and two functions: one is
 * given the bytes in order, the other is called when streams end. Records are those of table.h.
 */
#ifndef EXPERTS_STREAM_H
#define EXPERTS_STREAM_H

#include "table.h"

struct segment;

struct stream {
    bool started;
    bool opened; /* `start` is where its SYN says that it begins */
    bool unsure; /* started where a segment without data was: behind it, or behind a keep-alive's number */
    uint32_t start;
    uint32_t next;         /* sequence number that comes next */
    struct segment *early; /* by sequence, no two overlapping */
    uint32_t held;         /* bytes in early segments */
    uint32_t segments;
    uint64_t delivered;
    uint64_t out_of_order; /* segments */
    uint64_t overlapped;   /* bytes that had come before */
    uint64_t gaps;
    uint64_t lost;
    uint64_t outside; /* bytes that cannot be of the stream */
};

struct conversation {
    struct record record;
    struct stream *streams[2]; /* by direction; NULL where nothing has come */
};

struct stream_table {
    /* The caller's to set. */
    struct flow_table flows; /* of it: key, and record_bytes for a struct that begins with a struct conversation */
    size_t stream_bytes;
    /* The bytes that come next in a stream, and the frame that made them known. */
    DWORD(*deliver)
    (struct stream_table *table, struct conversation *conversation, struct stream *stream, const uint8_t *bytes,
     uint32_t length);
    /* These streams of a conversation end, with all bytes delivered: one of them may be NULL. What they hold behind their
     * struct stream is freed. */
    DWORD (*end)(struct stream_table *table, struct conversation *conversation, struct stream *const streams[2]);
    /* The table's: the frame that is being looked at, for the two functions above. NULL at the end of the capture. */
    const EXPERTFRAMEDESCRIPTOR *frame;
};

void stream_table_open(struct stream_table *table);

/* The conversation that the frame is of, after its bytes have been delivered. TCP and UDP; only TCP has streams. */
DWORD stream_table_take(struct stream_table *table, const EXPERTFRAMEDESCRIPTOR *frame, struct place *place);

/* Ends all. */
DWORD stream_table_close(struct stream_table *table);

#endif
