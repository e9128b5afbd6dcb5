/*
 * The recording that runs, if one does: what the threads that record (record.c) and the one that writes (writer.c) have in common.
 */
#ifndef TRACE_RECORDING_H
#define TRACE_RECORDING_H

#include "../compiler.h"
#include "buffer.h"

#include <pthread.h>

/* The lowest bits of a recording's word; its number stands above them. */
enum recording_phase { RECORDING_WIPED, RECORDING_OFF, RECORDING_BEGINS, RECORDING_ON };
#define RECORDING_PHASE_BITS 2

/* On a page that the kernel wipes in a child of a fork, which must not take its parent's recording for its own. */
struct recording {
    _Atomic uint32_t word;
};

extern struct recording *_Atomic recording;

static inline uint32_t recording_word(void)
{
    struct recording *now = atomic_load_explicit(&recording, memory_order_acquire);
    return atomic_load_explicit(&now->word, memory_order_acquire);
}

static inline enum recording_phase recording_phase(uint32_t word)
{
    return (enum recording_phase)(word & ((1u << RECORDING_PHASE_BITS) - 1));
}

/* The calling thread is at work on a trace: what it allocates meanwhile is not recorded. */
extern THREAD_LOCAL bool recording_inside;

/* The first event of a child of a fork: begins a recording of its own, where that is wanted. */
void recording_begin_in_child(void);

/* The recording ends, wherever it was: it cannot go on. */
void recording_fail(int error);

/* A buffer for the calling thread in this recording, `mine` where that is not NULL; NULL without memory, which ends it. */
struct buffer *recording_join(struct buffer *mine, uint32_t word, uint64_t time);

/* Called by a thread that ends, with its buffer. */
void recording_leave(void *buffer);

/* The calling thread's buffer, of whatever recording; NULL where it has none. */
struct buffer *recording_mine(void);

/* The writer looks at the buffers at once. */
void recording_wake_writer(void);

#endif
