/*
 * A chunk of the trace's file that is mapped while a thread fills it: what the thread records is the system's at once, and in the file
 * however the program ends. Where the file cannot be mapped (a device, a few network file systems) the chunk is memory of its own, and is written
 * when it is full.
 */
#ifndef TRACE_CHUNK_H
#define TRACE_CHUNK_H

#include "trace/file.h"

/* All zero where none is mapped. */
struct mapped_chunk {
    struct trace_chunk *header;
    uint8_t *payload;
    void *pages;
    size_t size; /* of the pages */
    uint64_t offset;
    bool apart; /* not mapped from the file */
};

/* A new chunk at the file's end, with so many bytes of payload, all zero. False with errno without room or memory; the file is as before. */
bool chunk_begin(struct mapped_chunk *chunk, struct trace_file *file, uint32_t thread, uint32_t bytes, uint64_t time);

/* The thread that has filled it is done. False with errno where it could not be written. */
bool chunk_end(struct mapped_chunk *chunk, const struct trace_file *file, uint32_t events);

/*
 * The chunk ends after so many events and bytes, though its thread may be writing more: what it writes from now on is not in the file.
 * False with errno without memory, or where it could not be written.
 */
bool chunk_take_away(struct mapped_chunk *chunk, const struct trace_file *file, uint32_t events, uint32_t bytes);

/* Unmaps it, complete or not. */
void chunk_forget(struct mapped_chunk *chunk);

#endif
