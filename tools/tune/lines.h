/* Text files, plain or compressed (gzip, and zstd where it is built in), a line at a time. */
#ifndef TUNE_LINES_H
#define TUNE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A stream of the file's contents, uncompressed. NULL after a complaint. */
FILE *text_open(const char *path);

struct lines {
    const char *path;
    FILE *file;
    char *line; /* without its end */
    size_t room;
    uint64_t number; /* of that line, from 1 */
};

/* False after a complaint. */
bool lines_open(struct lines *lines, const char *path);
/* False at the end. */
bool lines_next(struct lines *lines);
/* True where the file was read to its end; else a complaint. */
bool lines_close(struct lines *lines);

/* "PATH:LINE: expected WHAT, got 'LINE'"; false. */
bool lines_bad(const struct lines *lines, const char *expected);

#endif
