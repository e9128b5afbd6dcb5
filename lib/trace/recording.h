/*
 * The recording that runs, if one does: what the threads that record (record.c) and its beginning and end (writer.c) have in common.
 */
#ifndef TRACE_RECORDING_H
#define TRACE_RECORDING_H

#include "base/compiler.h"
#include "trace/buffer.h"

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

/* A child's first event: begins a recording of its own, where that is wanted, and the event is of a block that comes to be. */
void recording_begin_in_child(enum trace_kind kind, uint64_t address);

/* With sampling, the same answer for an address always, so that a block is in the trace with all its events or not at all. */
bool recording_samples(uint32_t sample, uint64_t address);

/* A buffer for the calling thread in this recording, `mine` where that is not NULL; NULL without memory or room, which ends it. */
struct buffer *recording_join(struct buffer *mine, uint32_t word, uint64_t time);

/* The buffer's chunk is full, and the next one follows. False where the recording ends, or has ended. */
bool recording_turn(struct buffer *buffer);

/* Called by a thread that ends, with its buffer. */
void recording_leave(void *buffer);

/* The calling thread has no buffer from now on. */
void recording_forget_mine(void);

#endif
