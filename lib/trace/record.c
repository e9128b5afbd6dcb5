/* What a thread does to record an event. */
#include "trace/encode.h"
#include "trace/recording.h"
#include "trace/writer.h"

#include <errno.h>
#include <sched.h>

THREAD_LOCAL bool recording_inside;

static THREAD_LOCAL struct buffer *mine;

static bool is_of(const struct buffer *buffer, uint32_t word)
{
    return buffer && atomic_load_explicit(&buffer->recording, memory_order_relaxed) == word;
}

/* The thread's buffer in the recording that runs; NULL where none does, or where the thread is writing one. */
static SLOW_PATH struct buffer *join(enum trace_kind kind, uint64_t time, uint64_t address)
{
    if (recording_inside)
        return NULL;
    int error = errno;
    if (recording_phase(recording_word()) == RECORDING_WIPED)
        recording_begin_in_child(kind, address);
    while (recording_phase(recording_word()) == RECORDING_BEGINS)
        sched_yield(); /* another thread opens the file */
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

/* False where the recording ends meanwhile. */
static SLOW_PATH bool turn(struct buffer *buffer)
{
    int error = errno;
    recording_inside = true;
    bool turned = recording_turn(buffer);
    recording_inside = false;
    errno = error;
    return turned;
}

bool recording_samples(uint32_t sample, uint64_t address)
{
    uint64_t mixed = (address >> 4) * 0x9e3779b97f4a7c15ull;
    return sample <= 1 || (mixed >> 32) % sample == 0;
}

static inline struct buffer *buffer_of_now(enum trace_kind kind, uint64_t time, uint64_t address)
{
    struct buffer *buffer = mine;
    return likely(is_of(buffer, recording_word())) ? buffer : join(kind, time, address);
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
    struct buffer *buffer = buffer_of_now((enum trace_kind)event->kind, event->time, event->address);
    bool of_key = event->kind == TRACE_RESET || event->kind == TRACE_KEY;
    if (buffer && (of_key || recording_samples(buffer->sample, event->address)))
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
    struct buffer *buffer = buffer_of_now(kind, time, address);
    if (!buffer || (unlikely(buffer->sample > 1) && !recording_samples(buffer->sample, address)))
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

void recording_forget_mine(void)
{
    mine = NULL;
}
