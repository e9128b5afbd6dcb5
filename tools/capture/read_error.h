/* What went wrong in reading a file, in words: empty while nothing has. */
#ifndef CAPTURE_READ_ERROR_H
#define CAPTURE_READ_ERROR_H

#include <stdbool.h>

struct read_error {
    char text[240];
};

/* The first error stays. False, for the caller to return. */
bool read_error_set(struct read_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
