/* Files that tell of sizes, each by what is in it: what is read goes into a tally. */
#ifndef TUNE_SOURCE_H
#define TUNE_SOURCE_H

#include "tally.h"

struct source_options {
    uint64_t headroom;  /* bytes beside each frame of a capture */
    bool salvage;       /* what can be read of a damaged trace is enough */
    const char *frames; /* name of the key that a capture's frames and a histogram's sizes belong to */
};

/* What a source was, for the report. */
struct source {
    const char *name; /* as it was named */
    const char *path; /* under which it can be opened: input_path.h */
    const char *kind; /* "trace", "capture", ... */
    const char *unit; /* "events", "frames", "blocks" or "lines" */
    uint64_t events;
    uint64_t threads; /* 0 where nothing is known of them */
    bool trace;       /* can be replayed */
    bool program;     /* all that a program allocates, not frames alone */
};

/* Reads all of a file. False after a complaint. */
bool source_read(const char *name, const struct source_options *options, struct tally *tally, struct source *source);

/* Each kind by itself; the last two are given their lines one by one. */
bool source_read_trace(const struct source_options *options, struct tally *tally, struct source *source);
bool source_read_capture(const struct source_options *options, struct tally *tally, struct source *source);
bool source_read_histogram(const struct source_options *options, struct tally *tally, struct source *source);
bool source_read_heaptrack(const struct source_options *options, struct tally *tally, struct source *source);
bool source_read_replay(const struct source_options *options, struct tally *tally, struct source *source);

#endif
