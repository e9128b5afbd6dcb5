/* What a thread does to record an event. */
#include "encode.h"
#include "recording.h"
#include "writer.h"

#include <errno.h>
#include <time.h>

enum { WAIT_NS = 50000 /* between two looks of a thread whose slots are full */ };

THREAD_LOCAL bool recording_inside;

static THREAD_LOCAL struct buffer *mine;

static bool is_of(const struct buffer *buffer, uint32_t word)
{
    return buffer && atomic_load_explicit(&buffer->recording, memory_order_relaxed) == word;
}

/* The thread's buffer in the recording that runs; NULL where none does, or where the thread is writing one. */
static SLOW_PATH struct buffer *join(uint64_t time)
{
    if (recording_inside)
        return NULL;
    int error = errno;
    if (recording_phase(recording_word()) == RECORDING_WIPED)
        recording_begin_in_child();
    uint32_t word = recording_word();
    struct buffer *joined = is_of(mine, word) ? mine : NULL;
    if (!joined && recording_phase(word) == RECORDING_ON) {
        recording_inside = true;
        joined = recording_join(mine, word, time);
        recording_inside = false;
    }
    if (joined)
        mine = joined;
    errno = error;
    return joined;
}

/* Hands the full slot over, and waits for an empty one. False where the recording ends meanwhile. */
static SLOW_PATH bool turn(struct buffer *buffer)
{
    int error = errno;
    bool runs = true;
    bool turned;
    recording_inside = true;
    while (!(turned = buffer_turn(buffer)) && runs) {
        recording_wake_writer();
        nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
        runs = recording_word() == atomic_load_explicit(&buffer->recording, memory_order_relaxed);
    }
    recording_wake_writer();
    recording_inside = false;
    errno = error;
    return turned;
}

/* The same answer for an address always, so that a block is in the trace with all its events or not at all. */
static bool is_sampled(const struct buffer *buffer, uint64_t address)
{
    uint64_t mixed = (address >> 4) * 0x9e3779b97f4a7c15ull;
    return (mixed >> 32) % buffer->sample == 0;
}

static inline struct buffer *buffer_of_now(uint64_t time)
{
    struct buffer *buffer = mine;
    return likely(is_of(buffer, recording_word())) ? buffer : join(time);
}

/* Where the next event goes; NULL where the recording ends meanwhile. */
static inline uint8_t *room(struct buffer *buffer)
{
    uint8_t *to = buffer_end(buffer);
    if (likely(to))
        return to;
    return turn(buffer) ? buffer_end(buffer) : NULL;
}

static SLOW_PATH void record(struct buffer *buffer, const struct trace_event *event)
{
    uint8_t *end = room(buffer);
    if (end)
        buffer_extend(buffer, end, trace_encode(end, &buffer->stream, event));
}

void trace_record(const struct trace_event *event)
{
    struct buffer *buffer = buffer_of_now(event->time);
    bool of_key = event->kind == TRACE_RESET || event->kind == TRACE_KEY;
    if (buffer && (buffer->sample <= 1 || of_key || is_sampled(buffer, event->address)))
        record(buffer, event);
}

static SLOW_PATH void record_wide(enum trace_kind kind, uint64_t time, uint64_t key, uint64_t address, uint64_t size)
{
    trace_record(
        &(struct trace_event){.kind = (uint8_t)kind, .time = time, .key = key, .address = address, .size = size});
}

void trace_record_block(enum trace_kind kind, uint64_t time, uint64_t key, const void *block, size_t size)
{
    uint64_t address = (uintptr_t)block;
    struct buffer *buffer = buffer_of_now(time);
    if (!buffer || (unlikely(buffer->sample > 1) && !is_sampled(buffer, address)))
        return;
    if (unlikely(!block_fits(address, size))) {
        record_wide(kind, time, key, address, size);
        return;
    }
    uint8_t *end = room(buffer);
    if (unlikely(!end))
        return;
    buffer_extend(buffer, end, put_block(end, &buffer->stream, kind, time, key, address, size));
}

void recording_leave(void *buffer)
{
    mine = NULL;
    atomic_store_explicit(&((struct buffer *)buffer)->state, BUFFER_LEFT, memory_order_release);
    recording_wake_writer();
}

struct buffer *recording_mine(void)
{
    return mine;
}
