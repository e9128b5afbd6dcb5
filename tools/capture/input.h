/*
 * A file's contents: of a regular file, a FIFO or standard input, plain or compressed with gzip or zstd. What
 * it is compressed with is seen by its first bytes.
 */
#ifndef CAPTURE_INPUT_H
#define CAPTURE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { INPUT_PEEK_MOST = 256 };

struct input;

/* Of the path "-" standard input; `name` is for messages. NULL after a complaint. */
struct input *input_open(const char *path, const char *name);

/* For messages. */
const char *input_name(const struct input *input);

/* The next bytes, fewer than `size` only where no more will come: at the end, or where it breaks off. */
size_t input_read(struct input *input, void *to, size_t size);
uint64_t input_skip(struct input *input, uint64_t size);

/* As input_read, of bytes that are read again afterwards; up to INPUT_PEEK_MOST. */
size_t input_peek(struct input *input, void *to, size_t size);

/* Where the next byte is in the contents, uncompressed. */
uint64_t input_offset(const struct input *input);

/* What is wrong, once all that was good has been read. NULL for an input that is whole so far. */
const char *input_error(const struct input *input);

/* False where nothing has come for so many milliseconds, of a pipe. */
bool input_ready(struct input *input, int milliseconds);

/* The contents end here; from a signal handler, too. */
void input_stop(struct input *input);

/* False for pipes and other files that can be read only once. */
bool input_can_rewind(const struct input *input);
/* False after a complaint. */
bool input_rewind(struct input *input);

bool input_is_compressed(const struct input *input);

/* The same as a stream, which is to be closed before the input is. NULL without memory. */
FILE *input_stream(struct input *input);

void input_close(struct input *input);

#endif
