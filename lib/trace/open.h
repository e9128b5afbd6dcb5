/* How a trace's file is opened for writing, and one that a program has left unfinished is gone on with. */
#ifndef TRACE_OPEN_H
#define TRACE_OPEN_H

#include "trace/file.h"

/* What chunks a file has. */
struct trace_extent {
    struct trace_info info;
    uint64_t events;
    uint64_t time;    /* of the latest chunk's beginning */
    uint32_t threads; /* the highest number */
    bool ended;       /* by its last chunk */
};

/* A file that is empty: what was at the path is replaced, and stays whole for whoever has it open. -1 with errno. */
int trace_open_new(const char *path);

/*
 * The file at the path for this process alone, until it has neither a descriptor nor a mapping of it left: a new one, an empty one, or one that
 * it can go on with, which the caller finds out. -1 with errno, EEXIST where another process has it.
 */
int trace_open_own(const char *path);

/*
 * All whole chunks in a file that no process writes to any more: those that were being filled are complete then, and `file` stands
 * behind the last one. False with errno, EILSEQ for what is no trace.
 */
bool trace_resume(struct trace_file *file, int descriptor, struct trace_extent *extent);

/*
 * Ends the trace of a process that did not do so itself. False with errno, EEXIST where a process still has it; `ended` says that none has,
 * whoever holds a descriptor of it.
 */
bool trace_complete(const char *path, bool ended);

#endif
