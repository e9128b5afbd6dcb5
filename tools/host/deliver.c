/* The capture thread: a block for each frame, decoded once, in bursts to one lane of each expert. */
#include "host.h"

#include "experts/decode.h"
#include "interrupt.h"
#include "process.h"

#include <string.h>

enum { STASHES = 64 };

/* Blocks of one size, taken a burst at a time, for the frames to come. */
struct stash {
    size_t size;
    size_t count;
    void *blocks[BURST];
};

static struct stash stashes[STASHES];

static struct stash *stash_of(size_t size)
{
    size_t i = size / 16 % STASHES;
    while (stashes[i].size && stashes[i].size != size)
        i = (i + 1) % STASHES;
    stashes[i].size = size;
    return &stashes[i];
}

/* Sizes that the allocator would round to the same block come from one burst. */
static void *frame_block(struct host *host, size_t size)
{
    size_t good = ks_good_size(size);
    if (good > 1 << 16)
        return ks_alloc(host->key, size, NULL);
    struct stash *stash = stash_of(good);
    if (!stash->count)
        stash->count = ks_alloc_bulk(host->key, good, stash->blocks, BURST, NULL);
    return stash->count ? stash->blocks[--stash->count] : NULL;
}

void stashes_free(struct host *host)
{
    for (struct stash *stash = stashes; stash < stashes + STASHES; stash++) {
        ks_free_bulk(host->key, stash->blocks, stash->count, NULL);
        *stash = (struct stash){0};
    }
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
            refused += !lane_add(host, &host->experts[i].lanes[hash % host->threads], frame);
    if (!host->readers)
        ks_free(host->key, frame);
    if (!refused)
        return;
    host->refused++;
    if (atomic_fetch_sub(&frame->readers, refused) == refused)
        ks_free(host->key, frame);
}

/*
 * Where a frame is put together. Processes get it from there if that is their ring; one that may have to wait for others first
 * does so in a block.
 */
static struct frame *frame_room(struct host *host, const struct packet *packet, size_t size)
{
    bool may_wait = packet->fragment.version;
    return host->isolate && !may_wait ? processes_reserve(host, host->frames, size) : frame_block(host, size);
}

void host_frame(struct host *host, const struct captured *captured)
{
    struct packet packet;
    uint64_t number = atomic_fetch_add_explicit(&host->frames, 1, memory_order_relaxed) + 1;
    host->bytes += captured->length;
    fragments_expire(&host->fragments, clock_advance(&host->clock, captured->time));
    const char *problem = decode(captured->link, captured->bytes, captured->captured, captured->length, &packet);
    if (problem)
        note_problem(host, number, problem);
    struct frame *frame = frame_room(host, &packet, sizeof *frame + captured->captured);
    if (!frame) {
        host->refused++;
        return;
    }
    atomic_init(&frame->readers, (uint32_t)host->readers);
    frame->number = (uint32_t)number;
    frame->packet = packet;
    frame->packet.clock = host->clock.passed;
    frame->data.TimeStamp = captured->time;
    frame->data.FrameLength = captured->length;
    frame->data.nBytesAvail = captured->captured;
    memcpy(frame->data.MacFrame, captured->bytes, captured->captured);
    if (!packet.fragment.version) {
        frame_deliver(host, frame);
    } else if (fragments_take(&host->fragments, frame) != KS_OK) {
        host->refused++;
        ks_free(host->key, frame);
    }
}

void host_settle(struct host *host)
{
    fragments_close(&host->fragments);
}

void host_flush(struct host *host)
{
    if (host->isolate) {
        processes_flush(host);
        return;
    }
    for (size_t i = 0; i < host->experts_count; i++)
        for (unsigned t = 0; host->experts[i].lanes && t < host->threads; t++)
            lane_send(&host->experts[i].lanes[t]);
}
