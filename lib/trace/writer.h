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

/* Nanoseconds of the events' clock. */
uint64_t trace_now(void);

/*
 * Records an event of the calling thread; event->thread is set here. A free's time is taken before the block is freed, that of
 * all others after: so the times order what happens to an address in several threads. Does nothing while no recording runs, and
 * inside of itself.
 */
void trace_record(struct trace_event *event);

/*
 * Writes what all threads have recorded, and the file's last chunk. False with errno where the file is not whole: the first
 * write that failed. True where no recording runs.
 */
bool trace_finish(void);

#endif
