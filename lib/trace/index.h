/*
 * What chunks a trace's file has: opening looks at every chunk's header, keeps a few bytes of each, and finds where the file is cut or
 * damaged.
 */
#ifndef TRACE_INDEX_H
#define TRACE_INDEX_H

#include "trace/file.h"

#define NO_PIECE UINT32_MAX

struct piece {
    uint64_t offset; /* of the header */
    uint64_t time;
    uint32_t thread;
    uint32_t next; /* piece of the same thread, or NO_PIECE */
};

struct trace_index {
    int descriptor;
    uint64_t size;
    uint64_t used;   /* of the file, up to its end or to what is wrong */
    uint64_t events; /* in all pieces */
    struct trace_info info;
    uint32_t pieces_count;
    struct piece *pieces; /* chunks of events, as they stand in the file */
    struct trace_error problem;
};

/* Says what is wrong, where nothing is said yet; false. */
__attribute__((format(printf, 2, 3))) bool trace_problem_tell(struct trace_error *error, const char *format, ...);

/*
 * False with index->problem for a file that is not whole; what lies before the damage is in the index, and so are chunks that are not
 * complete. index_close is due in any case.
 */
bool index_open(struct trace_index *index, const char *path);

/*
 * A chunk, with the number of its events, and its payload of TRACE_CHUNK_BYTES at the most. False, with a problem, where it is damaged; one
 * that is not complete has the events that are whole, and no others.
 */
bool index_read(struct trace_index *index, const struct piece *piece, struct trace_chunk *chunk, void *payload);

void index_close(struct trace_index *index);

#endif
