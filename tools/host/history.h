/*
 * The frames of a capture by number: what an expert asks for that goes backward, to a place, or ahead of what has come.
 *
 * A history is a second reader of the capture. It begins when an expert first asks, goes on as far as it has to, and does
 * what the capture thread does: counts, decodes, and joins fragments to their datagrams, so that a frame is the same
 * whichever way it was asked for. Of each frame it notes where the bytes lie; from then on a frame takes one read. So an
 * expert that never asks costs nothing, and nobody waits for the capture thread.
 *
 * A plain file is read where it is. The bytes of a compressed one are written into a temporary file as it is gone through.
 * What can be read only once, the capture thread itself writes into one as it comes, and the history reads that: only where the
 * user wants it, since it costs time and grows as long as the run does.
 */
#ifndef HOST_HISTORY_H
#define HOST_HISTORY_H

#include "capture/recording.h"
#include "experts/packet.h"

#include <keyslab/keyslab.h>
#include <keyslab/netmon.h>

struct history;
struct origin;
struct frame;

struct history_options {
    const char *source;                /* path of the capture; NULL where frames are not to be asked for */
    const char *filter;                /* or NULL */
    uint64_t most;                     /* frames of the run, 0 for all */
    const struct recording *recording; /* frames that are in memory, `loops` times; or NULL */
    uint64_t loops;
    bool spool; /* what can be read only once */
};

/* Its blocks are of the key. */
struct history *history_open(struct origin *origin, ks_key_t key);

/*
 * Reads on until the frame of that number is known; NMERR_OUT_OF_RANGE where there is none. NMERR_PENDING: not up to now,
 * ask again; NMERR_FILE_READ_ERROR, NMERR_OUT_OF_MEMORY. Any thread; it does not take long.
 */
DWORD history_reach(struct history *history, uint32_t number);

/* How many frames are known: all, where reaching for one more is out of range. */
uint32_t history_count(const struct history *history);

/* What decides which thread's share a frame that is known is in: decode_hash of it. */
uint64_t history_hash(const struct history *history, uint32_t number);

/* A frame that is known, in a block of the key. NMERR_SUCCESS, NMERR_FILE_READ_ERROR, NMERR_OUT_OF_MEMORY. */
DWORD history_read(struct history *history, uint32_t number, struct frame **frame);

void history_close(struct history *history);

#endif
