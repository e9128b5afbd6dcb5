/* The two ways of `keyslab replay`: one allocator in this process, or several in turn, each in a process of its own. */
#ifndef REPLAY_REPLAY_H
#define REPLAY_REPLAY_H

#include "json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;

enum { CONTENDERS_MOST = 16 };

#define JSON_FLAGS (JSON_INDENT(2) | JSON_REAL_PRECISION(12))

struct replay_options {
    const char *trace_name; /* as it was named */
    const char *trace;      /* under which it can be opened: input_path.h */
    const char *peer;
    char *compare;
    const char *configs[CONTENDERS_MOST];
    size_t configs_count;
    uint64_t threads; /* 0: as many as the trace has */
    uint64_t rounds;  /* 0: the default */
    bool salvage;
    bool weigh;
    bool quiet;
    bool json;
};

/* Their exit statuses, after a report or a complaint. */
int replay_once(const struct replay_options *options);
int replay_compared(const struct replay_options *options);

/* A config file by its name and the path that it can be opened under. All errors and warnings are told. NULL with errors. */
struct config *replay_config(const char *name, const char *path);

#endif
