/* A block for each frame, decoded once, and on the capture thread in bursts to one lane of each expert. */
#include "host.h"

#include "experts/decode.h"
#include "interrupt.h"
#include "origin.h"
#include "process.h"

#include <string.h>

static struct stash *stash_of(struct stashes *stashes, size_t size)
{
    size_t i = size / 16 % STASHES;
    while (stashes->all[i].size && stashes->all[i].size != size)
        i = (i + 1) % STASHES;
    stashes->all[i].size = size;
    return &stashes->all[i];
}

/* Sizes that the allocator would round to the same block come from one burst. */
static void *frame_block(struct host *host, struct stashes *stashes, size_t size)
{
    size_t good = ks_good_size(size);
    if (good > 1 << 16)
        return ks_alloc(host->key, size, NULL);
    struct stash *stash = stash_of(stashes, good);
    if (!stash->count)
        stash->count = ks_alloc_bulk(host->key, good, stash->blocks, BURST, NULL);
    return stash->count ? stash->blocks[--stash->count] : NULL;
}

void stashes_free(struct host *host, struct stashes *stashes)
{
    for (struct stash *stash = stashes->all; stash < stashes->all + STASHES; stash++)
        ks_free_bulk(host->key, stash->blocks, stash->count, NULL);
    *stashes = (struct stashes){0};
}

static void lane_send(struct lane *lane)
{
    unsigned spins = 0;
    if (!lane->filling)
        return;
    /* What an expert is too slow for is dropped with the key. */
    while (!ck_ring_enqueue_spsc(&lane->ring, lane->slots, lane->filling) && !interrupt_is_late())
        wait_a_little(&spins);
    lane->filling = NULL;
}

static bool lane_add(struct host *host, struct lane *lane, struct frame *frame)
{
    if (!lane->filling) {
        lane->filling = ks_alloc(host->key, sizeof *lane->filling, NULL);
        if (!lane->filling)
            return false;
        lane->filling->count = 0;
    }
    lane->filling->frames[lane->filling->count++] = frame;
    if (lane->filling->count == BURST)
        lane_send(lane);
    return true;
}

static void note_problem(struct host *host, uint64_t frame, const char *text)
{
    if (host->problems_count < PROBLEMS_KEPT)
        host->problems[host->problems_count] = (struct problem){frame, text};
    host->problems_count++;
}

void frame_deliver(void *context, struct frame *frame)
{
    struct host *host = context;
    uint64_t hash = decode_hash(&frame->packet);
    uint32_t refused = 0;
    frame->packet.clock = host->clock.passed;
    if (host->isolate) {
        processes_deliver(host, frame, hash);
        return;
    }
    for (size_t i = 0; i < host->experts_count; i++)
        if (host->experts[i].lanes)
            refused += !lane_add(host, &host->experts[i].lanes[hash % host->experts[i].lanes_count], frame);
    if (!host->readers)
        ks_free(host->key, frame);
    if (!refused)
        return;
    host->refused++;
    if (atomic_fetch_sub(&frame->readers, refused) == refused)
        ks_free(host->key, frame);
}

static void frame_fill(struct host *host, struct frame *frame, const struct captured *captured)
{
    atomic_init(&frame->readers, (uint32_t)host->readers);
    frame->data.TimeStamp = captured->time;
    frame->data.FrameLength = captured->length;
    frame->data.nBytesAvail = captured->captured;
    memcpy(frame->data.MacFrame, captured->bytes, captured->captured);
}

struct frame *frame_make(struct host *host, struct stashes *stashes, const struct captured *captured)
{
    struct frame *frame = frame_block(host, stashes, sizeof *frame + captured->captured);
    if (!frame)
        return NULL;
    decode(captured->link, captured->bytes, captured->captured, captured->length, &frame->packet);
    frame_fill(host, frame, captured);
    return frame;
}

/* Put together in the ring of the processes; one that may have to wait for others first is in a block. */
static struct frame *frame_make_shared(struct host *host, uint64_t number, const struct captured *captured)
{
    struct packet packet;
    size_t size = sizeof(struct frame) + captured->captured;
    decode(captured->link, captured->bytes, captured->captured, captured->length, &packet);
    bool may_wait = packet.fragment.version;
    struct frame *frame = may_wait ? frame_block(host, &host->stashes, size) : processes_reserve(host, number, size);
    if (!frame)
        return NULL;
    frame->packet = packet;
    frame_fill(host, frame, captured);
    return frame;
}

/* What there is to do before there is room for the frame: those that come before it, too, may be put into the ring. */
static uint64_t frame_number(struct host *host, const struct captured *captured)
{
    uint64_t number = host->numbered + atomic_fetch_add_explicit(&host->frames, 1, memory_order_relaxed) + 1;
    host->bytes += captured->length;
    origin_note(host->origin, captured);
    fragments_expire(&host->fragments, clock_advance(&host->clock, captured->time));
    return number;
}

static void frame_pass_on(struct host *host, struct frame *frame, uint64_t number)
{
    if (frame->packet.problem)
        note_problem(host, number, frame->packet.problem);
    frame->number = (uint32_t)number;
    frame->packet.clock = host->clock.passed;
    if (!frame->packet.fragment.version) {
        frame_deliver(host, frame);
    } else if (fragments_take(&host->fragments, frame) != KS_OK) {
        host->refused++;
        ks_free(host->key, frame);
    }
}

void frame_take(struct host *host, struct frame *frame, const struct captured *captured)
{
    frame_pass_on(host, frame, frame_number(host, captured));
}

void host_frame(struct host *host, const struct captured *captured)
{
    uint64_t number = frame_number(host, captured);
    struct frame *frame =
        host->isolate ? frame_make_shared(host, number, captured) : frame_make(host, &host->stashes, captured);
    if (frame)
        frame_pass_on(host, frame, number);
    else
        host->refused++;
}

void host_settle(struct host *host)
{
    fragments_close(&host->fragments);
}

void host_flush(struct host *host)
{
    origin_send(host->origin);
    if (host->isolate) {
        processes_flush(host);
        return;
    }
    for (size_t i = 0; i < host->experts_count; i++)
        for (unsigned t = 0; host->experts[i].lanes && t < host->experts[i].lanes_count; t++)
            lane_send(&host->experts[i].lanes[t]);
}
