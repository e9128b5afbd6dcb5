/* The traces that a recording leaves, at its end: those of processes that were killed are completed, and all are summed up. */
#ifndef TOOLS_RECORD_TRACES_H
#define TOOLS_RECORD_TRACES_H

#include <stdbool.h>
#include <stdint.h>

struct recording_end {
    const char *path;
    uint64_t since; /* when the recording began: traces of children that are older are not of it */
    int status;     /* the program's, as wait(2) has it */
    bool quiet;
};

/* The program's own trace, then those of its children. False where there is none. */
bool record_traces(const struct recording_end *end);

#endif
