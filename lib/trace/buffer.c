#include "trace/buffer.h"

#include <sys/mman.h>

/* A thread's first chunk is small, since many threads record little; each that follows has twice the size, up to the most. */
enum { FIRST_CHUNK = 2048 };

struct buffer *_Atomic buffers;

static struct buffer *take_idle(void)
{
    for (struct buffer *buffer = atomic_load(&buffers); buffer; buffer = buffer->next) {
        bool idle = false;
        if (atomic_compare_exchange_strong(&buffer->taken, &idle, true))
            return buffer;
    }
    return NULL;
}

static struct buffer *map_buffer(void)
{
    struct buffer *buffer = mmap(NULL, sizeof *buffer, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED)
        return NULL;
    atomic_store(&buffer->taken, true);
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

void buffer_leave(struct buffer *buffer)
{
    atomic_store_explicit(&buffer->taken, false, memory_order_release);
}

bool buffer_begin_chunk(struct buffer *buffer, struct trace_file *file, uint64_t time)
{
    const size_t header = sizeof(struct trace_chunk);
    size_t all = buffer->room ? 2 * (buffer->room + header) : FIRST_CHUNK;
    uint32_t room = (uint32_t)((all < TRACE_CHUNK_BYTES ? all : TRACE_CHUNK_BYTES) - header);
    if (!chunk_begin(&buffer->chunk, file, buffer->thread, room, time))
        return false;
    buffer->room = room;
    buffer->payload = buffer->chunk.payload;
    buffer->stream = (struct trace_stream){.time = time};
    atomic_store_explicit(&buffer->filled, 0, memory_order_relaxed);
    return true;
}
