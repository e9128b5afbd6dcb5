/* The bytes of a descriptor as they are: a file's, or those of a pipe, which may be long in coming. */
#ifndef CAPTURE_RAW_H
#define CAPTURE_RAW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RAW_BUFFER = 1 << 17 };

/* bytes[begin] to bytes[end] have been read and not been taken; `offset` is where in the file `begin` is. */
struct raw {
    int descriptor;
    bool waits;          /* reading may block: no regular file */
    int64_t start;       /* where in the regular file reading began: standard input may be in use already */
    atomic_bool stopped; /* by a signal handler */
    bool ended;
    int error; /* errno of the read that failed, 0 for none */
    uint64_t offset;
    size_t begin;
    size_t end;
    uint8_t bytes[RAW_BUFFER];
};

/* Takes over the descriptor. */
void raw_open(struct raw *raw, int descriptor);
void raw_close(struct raw *raw);

/* Reads on, behind what is there. False at the end, after an error, and once it has been stopped. */
bool raw_more(struct raw *raw);

/* Reads on until `size` bytes are there, at most RAW_BUFFER; false where there are fewer. */
bool raw_want(struct raw *raw, size_t size);

void raw_take(struct raw *raw, size_t size);

/* Whether there is something to read, or the end, within so many milliseconds. */
bool raw_ready(struct raw *raw, int milliseconds);

/* Back to where reading began, in a regular file. */
bool raw_rewind(struct raw *raw);

#endif
