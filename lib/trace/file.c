#include "trace/file.h"

#include "trace/checksum.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "traces are little-endian, and so must the machine be"
#endif

bool trace_recognise(const void *bytes, size_t size)
{
    return size >= 8 && !memcmp(bytes, TRACE_MAGIC, 8);
}

uint32_t trace_header_checksum(const struct trace_chunk *chunk)
{
    struct trace_chunk begun = *chunk;
    begun.events = 0;
    begun.payload_checksum = 0;
    return trace_checksum(&begun, offsetof(struct trace_chunk, header_checksum));
}

uint32_t trace_payload_checksum(const void *payload, size_t size)
{
    uint32_t checksum = trace_checksum(payload, size);
    return checksum ? checksum : UINT32_MAX;
}

/* All of both parts, however the system cuts them. */
static bool write_parts(struct trace_file *file, struct iovec parts[2])
{
    while (parts[0].iov_len + parts[1].iov_len) {
        ssize_t written = pwritev(file->descriptor, parts, 2, (off_t)file->bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        file->bytes += (uint64_t)written;
        for (unsigned i = 0; i < 2; i++) {
            size_t of_part = (size_t)written < parts[i].iov_len ? (size_t)written : parts[i].iov_len;
            parts[i].iov_base = (char *)parts[i].iov_base + of_part;
            parts[i].iov_len -= of_part;
            written -= (ssize_t)of_part;
        }
    }
    return true;
}

bool trace_file_begin(struct trace_file *file, int descriptor, const struct trace_info *info)
{
    struct trace_preamble preamble = {.version = TRACE_VERSION, .order = TRACE_ORDER};
    memcpy(preamble.magic, TRACE_MAGIC, sizeof preamble.magic);
    *file = (struct trace_file){.descriptor = descriptor};
    struct iovec parts[2] = {{&preamble, sizeof preamble}, {&preamble, 0}};
    struct trace_chunk chunk = {.type = TRACE_INFO, .bytes = sizeof *info, .time = info->time};
    return write_parts(file, parts) && trace_file_chunk(file, &chunk, info);
}

void trace_chunk_begin(const struct trace_file *file, struct trace_chunk *chunk)
{
    chunk->number = file->chunks;
    chunk->header_checksum = trace_header_checksum(chunk);
}

void trace_chunk_complete(struct trace_chunk *chunk, uint32_t events, const void *payload)
{
    uint32_t checksum = trace_payload_checksum(payload, chunk->bytes);
    chunk->events = events;
    atomic_signal_fence(memory_order_release); /* a program that is killed here leaves one that is not complete */
    chunk->payload_checksum = checksum;
}

bool trace_file_chunk(struct trace_file *file, struct trace_chunk *chunk, const void *payload)
{
    trace_chunk_begin(file, chunk);
    trace_chunk_complete(chunk, chunk->events, payload);
    file->chunks++;
    struct iovec parts[2] = {{chunk, sizeof *chunk}, {(void *)payload, chunk->bytes}};
    return write_parts(file, parts);
}

bool trace_file_end(struct trace_file *file, const struct trace_last *last)
{
    struct trace_chunk chunk = {.type = TRACE_LAST, .bytes = sizeof *last, .time = last->time};
    return trace_file_chunk(file, &chunk, last);
}
