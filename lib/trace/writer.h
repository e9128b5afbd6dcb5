/*
 * Records events of all threads into a trace file.
 *
 * Each thread codes its events into a chunk of the file that it has mapped, and takes the next one where that is full: nothing is lost
 * unless sampling is asked for, and what a program has recorded is in the file however it ends. Nothing is allocated but whole mappings, so
 * that malloc itself may be what is recorded.
 *
 * A child of a fork records nothing, or into a file of its own, from the first block on that it allocates.
 */
#ifndef TRACE_WRITER_H
#define TRACE_WRITER_H

#include "trace/clock.h"
#include "trace/event.h"

struct trace_options {
    const char *path; /* NULL: a file is begun with the first block, as in a child of a fork */
    /* A child's file is this, a dot and its PID; where another process has that, a dot and a number from 2 follow. NULL: none. */
    const char *children;
    /*
     * Not 0: a file that is there is not replaced. The recording goes on in it where this process has begun it at this time of the wall
     * clock, in nanoseconds, or later, and then replaced its program by another; else trace_start fails with EEXIST, or another
     * name is taken.
     */
    uint64_t since;
    const char *program; /* for the file's head; cut after 63 bytes */
    uint32_t sample;     /* record one of so many blocks, by address; 0 or 1 for all */
    bool ticks;          /* trace_lately will be asked */
    /* Called when a file has been begun, a child's too, or is gone on with: names the keys that there are. May be NULL. */
    void (*begun)(bool goes_on);
    /* Called once when the file can no longer be written, or a child's cannot be begun, by any thread. May be NULL. */
    void (*failed)(int error);
};

/* Begins. False with errno where the file or the clock's thread could not be had. One recording at a time in a process. */
bool trace_start(const struct trace_options *options);

/* The file that is written, or was the last that should have been. */
const char *trace_path(void);

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
 * Completes what all threads have recorded, and writes the file's last chunk. False with errno where not everything is in the file: the
 * first failure. True where no recording runs.
 */
bool trace_finish(void);

#endif
