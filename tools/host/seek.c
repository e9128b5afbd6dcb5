#include "seek.h"

#include "command.h"
#include "history.h"
#include "host.h"

void seek_release(struct lane *lane)
{
    struct frame *found = lane->seek.found;
    lane->seek.found = NULL;
    ks_status status = found ? ks_free(lane->expert->host->key, found) : KS_OK;
    if (status != KS_OK)
        host_fatal("freeing a frame", status);
}

/* ------------------------------------------------------------------ the ring */

static DWORD next_of_ring(struct lane *lane, struct expert_filter *filter, struct frame **to)
{
    struct frame *frame;
    do
        frame = lane_next(lane);
    while (frame && filter && !filter_accepts(filter, lane->seek.share, frame));
    if (!frame)
        return NMERR_NO_MORE_FRAMES;
    lane->seek.forward = frame->number;
    *to = frame;
    return NMERR_SUCCESS;
}

/* ------------------------------------------------------------------ the history */

/* Lets frames go by while the capture thread goes on; a little at a time. */
static void let_go_by(struct lane *lane, unsigned *spins)
{
    if (!lane_let_go_by(lane)) {
        wait_a_little(spins);
        return;
    }
    *spins = 0;
    lane->seek.off_ring = true;
    atomic_store_explicit(&lane->is_waiting, true, memory_order_relaxed);
}

static bool is_to_end(const struct lane *lane)
{
    return host_is_late(lane->expert->host) || atomic_load_explicit(&lane->expert->failed, memory_order_relaxed);
}

/* Says why, once. */
static DWORD refuse(const struct expert *expert)
{
    if (!atomic_exchange(&expert->host->has_refused, true))
        complain("expert %s asks for frames that have gone by, or are to come: see --spool", expert->name);
    return NMERR_NOT_SUPPORTED;
}

/* Until the frame of that number is known, or something else is. */
static DWORD reach(struct lane *lane, uint32_t number)
{
    struct host *host = lane->expert->host;
    unsigned spins = 0;
    if (!host->history)
        return refuse(lane->expert);
    for (;;) {
        bool ended = is_to_end(lane);
        uint32_t before = history_count(host->history);
        DWORD result = history_reach(host->history, number);
        if (result != NMERR_PENDING)
            return result;
        if (ended)
            return NMERR_EXPERT_TERMINATE;
        if (history_count(host->history) == before)
            let_go_by(lane, &spins);
    }
}

/* NMERR_SUCCESS where the frame passes, NMERR_FRAME_NOT_FOUND where it does not. */
static DWORD read_frame(struct lane *lane, uint32_t number, struct expert_filter *filter)
{
    DWORD result = history_read(lane->expert->host->history, number, &lane->seek.found);
    if (result || !filter || filter_accepts(filter, lane->seek.share, lane->seek.found))
        return result;
    seek_release(lane);
    return NMERR_FRAME_NOT_FOUND;
}

static bool is_shared(const struct lane *lane, uint32_t number)
{
    const struct expert *expert = lane->expert;
    return history_hash(expert->host->history, number) % expert->lanes_count == lane->seek.share;
}

static DWORD look_at(struct lane *lane, uint32_t number, struct expert_filter *filter)
{
    return is_shared(lane, number) ? read_frame(lane, number, filter) : NMERR_FRAME_NOT_FOUND;
}

/* At the ends of the capture, and when the user ends the run, there are no more frames. */
static DWORD no_more(const struct lane *lane, DWORD result)
{
    return result == NMERR_OUT_OF_RANGE || (result == NMERR_EXPERT_TERMINATE && host_is_late(lane->expert->host))
               ? NMERR_NO_MORE_FRAMES
               : result;
}

static DWORD find_forward(struct lane *lane, uint32_t from, struct expert_filter *filter)
{
    DWORD result = NMERR_FRAME_NOT_FOUND;
    for (uint32_t number = from + 1; result == NMERR_FRAME_NOT_FOUND; number++) {
        if (is_to_end(lane))
            return NMERR_NO_MORE_FRAMES;
        result = reach(lane, number);
        if (result == NMERR_SUCCESS)
            result = look_at(lane, number, filter);
    }
    return no_more(lane, result);
}

static DWORD find_backward(struct lane *lane, uint32_t from, struct expert_filter *filter)
{
    DWORD result = NMERR_SUCCESS;
    if (from)
        result = reach(lane, from);
    /* Behind the last frame is what is behind any. */
    if (result == NMERR_OUT_OF_RANGE)
        from = history_count(lane->expert->host->history) + 1;
    else if (result)
        return no_more(lane, result);
    for (uint32_t number = from; number > 1; number--) {
        if (is_to_end(lane))
            return NMERR_NO_MORE_FRAMES;
        result = look_at(lane, number - 1, filter);
        if (result != NMERR_FRAME_NOT_FOUND)
            return result;
    }
    return NMERR_NO_MORE_FRAMES;
}

static DWORD find_specified(struct lane *lane, uint32_t number, struct expert_filter *filter)
{
    DWORD result = number ? reach(lane, number) : NMERR_OUT_OF_RANGE;
    return result ? result : read_frame(lane, number, filter);
}

/* ------------------------------------------------------------------ all of them */

static bool is_held(const struct frame *frame, uint32_t number)
{
    return frame && frame->number == number;
}

/* As lane_next has it for the watchdog: what takes long here is the host's doing. */
static void history_begin(struct lane *lane)
{
    atomic_store_explicit(&lane->is_waiting, true, memory_order_relaxed);
}

static DWORD history_took(struct lane *lane, DWORD result, struct frame **frame)
{
    *frame = lane->seek.found;
    lane_moved(lane);
    atomic_store_explicit(&lane->at, *frame ? (*frame)->number : 0, memory_order_relaxed);
    if (result == NMERR_NO_MORE_FRAMES)
        atomic_store_explicit(&lane->has_ended, true, memory_order_relaxed);
    atomic_store_explicit(&lane->is_waiting, false, memory_order_relaxed);
    return result;
}

/* The frame that the thread has already: asked for again with its properties, as experts do. */
static struct frame *held(const struct lane *lane, uint32_t number)
{
    if (is_held(lane->seek.found, number))
        return lane->seek.found;
    return is_held(lane->current, number) ? lane->current : NULL;
}

static DWORD specified(struct lane *lane, uint32_t number, struct expert_filter *filter, struct frame **frame)
{
    *frame = held(lane, number);
    if (*frame)
        return !filter || filter_accepts(filter, lane->seek.share, *frame) ? NMERR_SUCCESS : NMERR_FRAME_NOT_FOUND;
    seek_release(lane);
    history_begin(lane);
    return history_took(lane, find_specified(lane, number, filter), frame);
}

static DWORD next(struct lane *lane, DWORD direction, DWORD number, struct expert_filter *filter, struct frame **frame)
{
    struct seek *seek = &lane->seek;
    bool forward = direction == GET_FRAME_NEXT_FORWARD;
    uint32_t from = number ? number : seek->last;
    if (forward && from == INVALID_FRAME_NUMBER)
        from = 0;
    seek_release(lane);
    if (forward && from == seek->forward && !seek->off_ring)
        return next_of_ring(lane, filter, frame);
    history_begin(lane);
    DWORD result = forward ? find_forward(lane, from, filter) : find_backward(lane, from, filter);
    return history_took(lane, result, frame);
}

DWORD seek_frame(struct lane *lane, DWORD direction, DWORD number, struct expert_filter *filter, struct frame **frame)
{
    DWORD result = direction == GET_SPECIFIED_FRAME ? specified(lane, number, filter, frame)
                                                    : next(lane, direction, number, filter, frame);
    if (result == NMERR_SUCCESS)
        lane->seek.last = (*frame)->number; /* NOLINT(clang-analyzer-core.NullDereference): success has one */
    else if (result == NMERR_NO_MORE_FRAMES && atomic_load(&lane->expert->failed))
        result = NMERR_EXPERT_TERMINATE;
    return result;
}
