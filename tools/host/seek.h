/*
 * Which frame an expert's thread is given: the next one of its ring, or one of the history.
 *
 * A thread that goes forward from the frame that its ring gave last takes the ring's next. Anything else comes from the
 * history. Where the history has to wait for the capture thread, the lane lets its ring go by meanwhile, so that the
 * capture thread goes on; from then on the lane has frames from the history alone.
 */
#ifndef HOST_SEEK_H
#define HOST_SEEK_H

#include "filters.h"

#include <keyslab/netmon.h>
#include <stdbool.h>

struct frame;
struct lane;

/* Of a lane; only its own thread. */
struct seek {
    uint32_t share;      /* of as many as the expert has lanes */
    uint32_t forward;    /* number of the frame that the ring gave last */
    uint32_t last;       /* of the one that the expert was given last */
    bool off_ring;       /* frames of the ring have gone by */
    struct frame *found; /* by the history; the lane's to free */
};

/* NMERR_SUCCESS and the frame, good until the next call; or as ExpertGetFrame. */
DWORD seek_frame(struct lane *lane, DWORD direction, DWORD number, struct expert_filter *filter, struct frame **frame);

/* Frees what was found last. */
void seek_release(struct lane *lane);

#endif
