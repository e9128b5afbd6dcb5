/* A replay in a process of its own, whose memory and whose malloc are its own too. */
#ifndef REPLAY_CHILD_H
#define REPLAY_CHILD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct child {
    const char *trace;
    const char *allocator; /* "keyslab", "malloc", or a library to preload */
    const char *config;    /* a file, or NULL for the built-in settings */
    uint64_t threads;      /* 0: as many as the trace has */
    bool salvage;
    bool weigh;
    double deadline; /* seconds of clock_seconds, after which it is ended; 0 for none */
};

double clock_seconds(void);

/*
 * The JSON object that `keyslab replay` prints. NULL after a complaint, or where the deadline is over or a signal has come, which `late`
 * tells. However this process ends, the replay ends with it.
 */
json_t *child_run(const struct child *child, bool *late);

/* A member of it. */
double number_of(const json_t *json, const char *name);

#endif
