/* Threads that carry out a plan, window by window. */
#ifndef REPLAY_CREW_H
#define REPLAY_CREW_H

#include "allocator.h"
#include "classes/classes.h"
#include "optimum.h"
#include "plan.h"

enum {
    /* Every size that can be a class has a place, in order, and what is larger the last one. */
    PLACES = CLASS_SMALL / CLASS_GRANULE + (SIZE_TOP - CLASS_SMALL) / CLASS_ALIGNED + 1,
    PLACE_ABOVE = PLACES - 1,
    ASK_SOME = 17, /* of so many operations one is asked what its block can hold; odd, since traces take turns */
    ASK_ALL = 1,
};

/* Blocks of one class: what was asked for, and what the allocator gave. */
struct given {
    uint64_t blocks;
    wide asked;
    wide usable;
    wide asked_time; /* bytes times nanoseconds of the trace, in which the blocks lived */
    wide usable_time;
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
    uint64_t duration;          /* of the trace, nanoseconds */
    struct given given[PLACES]; /* of the blocks that were asked */
    uint64_t unmatched;
};

/* The last size that a place stands for; 0 for PLACE_ABOVE. */
uint32_t place_size(uint32_t place);

/*
 * `every`: ASK_SOME, or ASK_ALL, which is slower than the program that was recorded. False after a complaint that names `path`.
 */
bool crew_replay(const char *path, struct trace_reader *reader, const struct allocator *allocator, uint32_t workers,
                 uint32_t every, struct outcome *outcome);

#endif
