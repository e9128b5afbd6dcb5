/*
 * A trace file: a preamble, then chunks, the last of which says that the file is whole. See docs/trace-format.md.
 *
 * A chunk of events that is being filled has no events and no checksum of its payload in its header: both come when it is complete.
 */
#ifndef TRACE_FILE_H
#define TRACE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_MAGIC   "\x89KST\r\n\x1a\n" /* shows damage by text transfer, as PNG's does */
#define TRACE_VERSION 3
#define TRACE_ORDER   0xfeff /* of the bytes of every fixed number in the file: ff fe */

enum { TRACE_CHUNK_BYTES = 64 * 1024 /* most in one chunk's payload */ };

enum trace_chunk_type {
    TRACE_INFO = 0x4f464e49,   /* "INFO": the first chunk */
    TRACE_EVENTS = 0x53545645, /* "EVTS": a stream of events, then zeros */
    TRACE_LAST = 0x5453414c,   /* "LAST" */
};

struct trace_preamble {
    char magic[8];
    uint16_t version;
    uint16_t order;
    uint32_t reserved; /* 0 */
};

struct trace_chunk {
    uint32_t type;
    uint32_t bytes; /* of the payload, which follows */
    uint32_t thread;
    uint32_t events;           /* 0 until the chunk is complete */
    uint64_t time;             /* of the stream where it begins: no event of the chunk is earlier */
    uint64_t number;           /* 0, 1, 2, ... in the file */
    uint32_t payload_checksum; /* 0 until the chunk is complete */
    uint32_t header_checksum;  /* of the 36 bytes before, with zeros for events and payload_checksum */
};

struct trace_info {
    uint64_t wall_time; /* nanoseconds since 1970 when the trace began */
    uint64_t time;      /* of the events' clock at the same moment */
    uint32_t sample;    /* one of so many blocks is in the trace; 1 for all */
    uint32_t process;
    char program[64];
};

struct trace_last {
    uint64_t events;
    uint64_t time;
};

_Static_assert(sizeof(struct trace_preamble) == 16, "as the format says");
_Static_assert(sizeof(struct trace_chunk) == 40, "as the format says");
_Static_assert(sizeof(struct trace_info) == 88, "as the format says");
_Static_assert(sizeof(struct trace_last) == 16, "as the format says");

/* ------------------------------------------------------------------ reading: index.h, reader.h */

enum { TRACE_ERROR_BYTES = 256 };

struct trace_error {
    char text[TRACE_ERROR_BYTES]; /* what is wrong and at which offset, without the file's name; "" for nothing */
    bool salvageable;             /* the trace's beginning is good: with `salvage` it opens */
};

/* True where the file begins as a trace does. */
bool trace_recognise(const void *bytes, size_t size);

uint32_t trace_header_checksum(const struct trace_chunk *chunk);
uint32_t trace_payload_checksum(const void *payload, size_t size); /* never 0 */

static inline bool trace_chunk_is_complete(const struct trace_chunk *chunk)
{
    return chunk->payload_checksum;
}

/* ------------------------------------------------------------------ writing */

struct trace_file {
    int descriptor;
    uint64_t chunks;
    uint64_t bytes; /* where the next chunk goes */
};

/* Preamble and first chunk. Each of these is false with errno where not all could be written. */
bool trace_file_begin(struct trace_file *file, int descriptor, const struct trace_info *info);
/* The number and the checksum of a chunk that is to be filled at the file's end. */
void trace_chunk_begin(const struct trace_file *file, struct trace_chunk *chunk);
/* The chunk has so many events: its header says so with one store, after which it is complete. */
void trace_chunk_complete(struct trace_chunk *chunk, uint32_t events, const void *payload);
/* Fills in number and checksums. */
bool trace_file_chunk(struct trace_file *file, struct trace_chunk *chunk, const void *payload);
bool trace_file_end(struct trace_file *file, const struct trace_last *last);

#endif
