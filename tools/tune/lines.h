/* Text, a line at a time. */
#ifndef TUNE_LINES_H
#define TUNE_LINES_H

#include "capture/input.h"

struct lines {
    struct input *input;
    FILE *file;
    char *line; /* without its end */
    size_t room;
    uint64_t number; /* of that line, from 1 */
};

/* How many there are; the input is at its beginning again. False after a complaint. */
bool lines_count(struct input *input, uint64_t *count);

/* False after a complaint. The input stays open. */
bool lines_open(struct lines *lines, struct input *input);
/* False at the end. */
bool lines_next(struct lines *lines);
/* True where the input was whole; else a complaint. */
bool lines_close(struct lines *lines);

/* "PATH:LINE: expected WHAT, got 'LINE'"; false. */
bool lines_bad(const struct lines *lines, const char *expected);

#endif
