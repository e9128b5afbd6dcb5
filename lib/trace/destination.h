/* The file that a recording goes into, whatever the program does with its descriptors. */
#ifndef TRACE_DESTINATION_H
#define TRACE_DESTINATION_H

#include "trace/open.h"

#include <limits.h>
#include <sys/stat.h>

struct destination {
    char path[PATH_MAX + 32];
    struct trace_file file; /* its descriptor is -1 while there is none */
    struct stat identity;   /* of what the descriptor must still be */
    void *held;             /* a page of the file, for trace_open_own */
};

/*
 * A new file with that at its head; where `since` is not 0, one that is there is gone on with, if this process has begun it since then and
 * not ended it, and `before` says what is in it. False with errno, EEXIST where it is another process's.
 */
bool destination_open(struct destination *destination, const struct trace_info *info, uint64_t since,
                      struct trace_extent *before);

/* Whether there is a descriptor to use: one that the program has closed is opened again. False with errno. */
bool destination_ready(struct destination *destination);

/* The last chunk, and nothing behind it. False with errno. */
bool destination_end(struct destination *destination, const struct trace_last *last);

/* Keeps errno. */
void destination_close(struct destination *destination);

/* What a child of a fork does about its parent's. */
void destination_leave_to_parent(struct destination *destination);

#endif
