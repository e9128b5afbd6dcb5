/* Threads that carry out a plan, window by window. */
#ifndef REPLAY_CREW_H
#define REPLAY_CREW_H

#include "allocator.h"
#include "optimum.h"
#include "plan.h"

/* Requests that one of the library's classes holds, and what the allocator gave them. Sums over one operation of seventeen. */
struct given {
    uint64_t blocks;
    double asked;
    double usable;
};

struct outcome {
    double
        seconds; /* of the windows, from the first thread's start to the last one's end; the plan's making is not in it */
    uint64_t operations;
    uint64_t failed;        /* allocations that got no memory */
    uint64_t asked_peak;    /* bytes asked for and live, at the end of a window */
    uint64_t resident_peak; /* beyond what the process had before and the plan holds, at the end of a window */
    uint64_t resident_end;  /* the same when the trace has ended, with the blocks that are live then */
    uint64_t asked_end;
    struct size_table table;              /* the library's */
    struct given given[CLASSES_MOST + 1]; /* by class of the table; above them, what is larger */
    uint64_t unmatched;
};

/* False after a complaint that names `path`. */
bool crew_replay(const char *path, struct trace_reader *reader, const struct allocator *allocator, uint32_t workers,
                 struct outcome *outcome);

#endif
