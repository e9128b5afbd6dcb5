/* Files that tell of sizes, each by what is in it: what is read goes into a tally. */
#ifndef TUNE_SOURCE_H
#define TUNE_SOURCE_H

#include "capture/input.h"
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
    bool broken;      /* cut or damaged: only what comes before that was read */
};

/* Reads all of a file; a broken one as far as it goes, with a complaint. False after one where there is nothing. */
bool source_read(const char *name, const struct source_options *options, struct tally *tally, struct source *source);

/* Each kind by itself. The input is the source's; that of a capture is closed. */
bool source_read_trace(const struct source_options *options, struct tally *tally, struct source *source);
bool source_read_capture(struct input *input, const struct source_options *options, struct tally *tally,
                         struct source *source);
bool source_read_histogram(struct input *input, const struct source_options *options, struct tally *tally,
                           struct source *source);
bool source_read_heaptrack(struct input *input, struct tally *tally, struct source *source);
bool source_read_replay(struct input *input, struct tally *tally, struct source *source);

#endif
