/*
 * Records events of all threads into a trace file.
 *
 * Each thread codes its events into a buffer of its own; one writer thread carries full slots to the file as they come, and
 * what lies in unfinished ones once a second. A thread whose slots are all full waits for the writer: nothing is lost unless
 * sampling is asked for. The writer allocates nothing but whole mappings, so that malloc itself may be what is recorded.
 *
 * A child of a fork records nothing, or into a file of its own, with its PID at the end of the name, from its first event on.
 */
#ifndef TRACE_WRITER_H
#define TRACE_WRITER_H

#include "clock.h"
#include "event.h"

struct trace_options {
    const char *path;
    const char *children; /* a child's file is this, a dot and its PID; NULL: a child records nothing */
    const char *program;  /* for the file's head; cut after 63 bytes */
    uint32_t sample;      /* record one of so many blocks, by address; 0 or 1 for all */
    void (*begun)(
        void); /* called when a file has been begun, a child's too: names the keys that there are. May be NULL */
    void (*failed)(int error); /* called once when the file can no longer be written, by any thread. May be NULL */
};

/* Begins. False with errno where the file or the writer thread could not be had. One recording at a time in a process. */
bool trace_start(const struct trace_options *options);

/*
 * Records an event of the calling thread. The times must order what happens to an address in several threads: that of a free is
 * none after the block is gone, that of an allocation none before the free that made its address free, where another thread made it.
 * trace_lately is good for the one always, for the other where the thread has been told the time since it came by the block. Does
 * nothing while no recording runs, and inside of itself.
 */
void trace_record(const struct trace_event *event);

/* The same, for blocks of no special alignment, that were not asked for zeroed. */
void trace_record_block(enum trace_kind kind, uint64_t time, uint64_t key, const void *block, size_t size);

/*
 * Writes what all threads have recorded, and the file's last chunk. False with errno where the file is not whole: the first
 * write that failed. True where no recording runs.
 */
bool trace_finish(void);

#endif
