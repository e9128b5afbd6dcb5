/* The command line of `keyslab run`. */
#ifndef TOOLS_RUN_OPTIONS_H
#define TOOLS_RUN_OPTIONS_H

#include "host/host.h"
#include "rotation.h"

struct run_options {
    struct host *host;
    const char *fail;
    const char *filter;
    const char *config;
    const char *trace;
    uint64_t loops;
    uint64_t count;
    uint64_t top;
    uint64_t readers;
    struct rotation rotation;
    uint64_t dropped; /* in the periods before */
    bool json;
    size_t experts_count;
    const char **experts;
    size_t settings_count;
    char **settings; /* NAME=FILE */
    bool spool;
};

/*
 * Fills them in, and what of the host they say; zero-initialised before, but for the host. EXIT_DONE, or what to end with after a
 * complaint. Ends the program after --help.
 */
int run_options_parse(int argc, char **argv, struct run_options *options);

void run_options_free(struct run_options *options);

#endif
