#include "buffer.h"

#include <sys/mman.h>

struct buffer *_Atomic buffers;

/* ------------------------------------------------------------------ the thread that records */

static struct buffer *take_idle(void)
{
    for (struct buffer *buffer = atomic_load(&buffers); buffer; buffer = buffer->next) {
        uint32_t idle = BUFFER_IDLE;
        if (atomic_compare_exchange_strong(&buffer->state, &idle, BUFFER_TAKEN))
            return buffer;
    }
    return NULL;
}

static struct buffer *map_buffer(void)
{
    struct buffer *buffer = mmap(NULL, sizeof *buffer, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED)
        return NULL;
    atomic_store(&buffer->state, BUFFER_TAKEN);
    buffer->next = atomic_load(&buffers);
    while (!atomic_compare_exchange_weak(&buffers, &buffer->next, buffer))
        ;
    return buffer;
}

struct buffer *buffer_take(void)
{
    struct buffer *buffer = take_idle();
    return buffer ? buffer : map_buffer();
}

static void begin_slot(struct buffer *buffer, uint64_t index, uint64_t time)
{
    struct slot *slot = &buffer->slots[index % SLOTS];
    slot->time = time;
    buffer->filling = slot;
    buffer->stream = (struct trace_stream){.time = time};
    atomic_store_explicit(&slot->filled, 0, memory_order_relaxed);
}

void buffer_begin(struct buffer *buffer, uint32_t recording, uint32_t thread, uint32_t sample, uint64_t time)
{
    uint64_t head = atomic_load_explicit(&buffer->head, memory_order_relaxed);
    buffer->thread = thread;
    buffer->sample = sample;
    buffer->carried = 0;
    begin_slot(buffer, head, time);
    atomic_store_explicit(&buffer->done, head, memory_order_relaxed);
    atomic_store_explicit(&buffer->recording, recording, memory_order_release);
}

bool buffer_turn(struct buffer *buffer)
{
    uint64_t next = atomic_load_explicit(&buffer->head, memory_order_relaxed) + 1;
    if (next - atomic_load_explicit(&buffer->done, memory_order_acquire) >= SLOTS)
        return false;
    begin_slot(buffer, next, buffer->stream.time);
    atomic_store_explicit(&buffer->head, next, memory_order_release);
    return true;
}

/* ------------------------------------------------------------------ the writer */

static void carry_new(struct buffer *buffer, const struct slot *slot, uint64_t filled,
                      void (*carry)(struct trace_chunk *chunk, const void *payload))
{
    uint32_t carried = filled_bytes(buffer->carried);
    if (filled == buffer->carried)
        return;
    struct trace_chunk chunk = {
        .type = carried ? TRACE_MORE : TRACE_EVENTS,
        .bytes = filled_bytes(filled) - carried,
        .thread = buffer->thread,
        .events = filled_events(filled) - filled_events(buffer->carried),
        .time = slot->time,
    };
    carry(&chunk, slot->bytes + carried);
    buffer->carried = filled;
}

void buffer_drain(struct buffer *buffer, uint32_t recording, bool unfinished,
                  void (*carry)(struct trace_chunk *chunk, const void *payload))
{
    uint32_t state = atomic_load_explicit(&buffer->state, memory_order_acquire);
    if (atomic_load_explicit(&buffer->recording, memory_order_acquire) != recording) {
        atomic_compare_exchange_strong(&buffer->state, &(uint32_t){BUFFER_LEFT}, BUFFER_IDLE);
        return;
    }
    uint64_t head = atomic_load_explicit(&buffer->head, memory_order_acquire);
    uint64_t done = atomic_load_explicit(&buffer->done, memory_order_relaxed);
    for (; done < head; done++) {
        struct slot *slot = &buffer->slots[done % SLOTS];
        carry_new(buffer, slot, atomic_load_explicit(&slot->filled, memory_order_relaxed), carry);
        buffer->carried = 0;
        atomic_store_explicit(&buffer->done, done + 1, memory_order_release);
    }
    if (state == BUFFER_IDLE || (state == BUFFER_TAKEN && !unfinished))
        return;
    struct slot *slot = &buffer->slots[head % SLOTS];
    carry_new(buffer, slot, atomic_load_explicit(&slot->filled, memory_order_acquire), carry);
    if (state != BUFFER_LEFT)
        return;
    buffer->carried = 0;
    atomic_store_explicit(&buffer->state, BUFFER_IDLE, memory_order_release);
}
