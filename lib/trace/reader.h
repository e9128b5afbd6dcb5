/*
 * Reads a trace: the events of all threads in the order of their times, from a file that may be larger than memory.
 *
 * Opening looks at every chunk's header and keeps a few bytes of each; reading holds one chunk for each thread that was alive
 * at that moment of the trace.
 */
#ifndef TRACE_READER_H
#define TRACE_READER_H

#include "trace/event.h"
#include "trace/file.h"

struct trace_reader;

/*
 * NULL with `error` filled for a file that is no trace, cannot be read, or is damaged or cut off. With `salvage` the chunks before
 * the damage are good enough, and `error` says what was wrong with the rest, or is empty.
 */
struct trace_reader *trace_open(const char *path, bool salvage, struct trace_error *error);

const struct trace_info *trace_info(const struct trace_reader *reader);
uint64_t trace_events(const struct trace_reader *reader);  /* in all chunks */
uint64_t trace_threads(const struct trace_reader *reader); /* that have events */
uint64_t trace_bytes(const struct trace_reader *reader);   /* of the file, as far as it is used */

/*
 * The next event, good until the next call. TRACE_BROKEN, with trace_problem: a chunk does not hold what its checksum says; under `salvage` such chunks
 * are passed over, trace_lost counts the events that were in them, and trace_problem names the first.
 */
enum trace_result { TRACE_EVENT, TRACE_END, TRACE_BROKEN };
enum trace_result trace_next(struct trace_reader *reader, const struct trace_event **event);
const char *trace_problem(const struct trace_reader *reader);
uint64_t trace_lost(const struct trace_reader *reader);

/* To the first event again. */
void trace_rewind(struct trace_reader *reader);

void trace_close(struct trace_reader *reader);

#endif
