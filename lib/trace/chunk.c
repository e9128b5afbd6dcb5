#include "trace/chunk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The pages that a chunk lies in, with what else is there: chunks stand one behind the other, wherever pages end. */
static bool map_pages(struct mapped_chunk *chunk, int descriptor, uint64_t offset, size_t bytes)
{
    size_t before = offset % (size_t)sysconf(_SC_PAGESIZE);
    size_t size = before + bytes;
    uint8_t *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, (off_t)(offset - before));
    if (pages == MAP_FAILED)
        return false;
    *chunk = (struct mapped_chunk){
        .header = (struct trace_chunk *)(void *)(pages + before),
        .payload = pages + before + sizeof *chunk->header,
        .pages = pages,
        .size = size,
        .offset = offset,
    };
    return true;
}

/* Memory that is no part of the file. */
static bool map_apart(struct mapped_chunk *chunk, uint64_t offset, size_t size)
{
    uint8_t *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return false;
    *chunk = (struct mapped_chunk){
        .header = (struct trace_chunk *)(void *)pages,
        .payload = pages + sizeof *chunk->header,
        .pages = pages,
        .size = size,
        .offset = offset,
        .apart = true,
    };
    return true;
}

/* Blocks on the disk: a mapped page that has none there ends the program where the disk is full. */
static bool make_room(int descriptor, uint64_t offset, size_t bytes)
{
    int error;
    while ((error = posix_fallocate(descriptor, (off_t)offset, (off_t)bytes)) == EINTR)
        ;
    errno = error;
    return !error;
}

bool chunk_begin(struct mapped_chunk *chunk, struct trace_file *file, uint32_t thread, uint32_t bytes, uint64_t time)
{
    struct trace_chunk header = {.type = TRACE_EVENTS, .bytes = bytes, .thread = thread, .time = time};
    size_t all = sizeof header + bytes;
    bool mapped = make_room(file->descriptor, file->bytes, all) && map_pages(chunk, file->descriptor, file->bytes, all);
    if (!mapped && (errno != ENODEV || !map_apart(chunk, file->bytes, all)))
        return false;
    trace_chunk_begin(file, &header);
    *chunk->header = header;
    file->bytes += all;
    file->chunks++;
    return true;
}

void chunk_forget(struct mapped_chunk *chunk)
{
    void *pages = chunk->pages;
    size_t size = chunk->size;
    *chunk = (struct mapped_chunk){0}; /* first: a child of a fork must not unmap what others map there now */
    atomic_signal_fence(memory_order_release);
    if (pages)
        munmap(pages, size);
}

/* Through the file's descriptor. */
static bool write_all(int descriptor, const void *from, size_t size, uint64_t offset)
{
    for (const uint8_t *at = from; size;) {
        ssize_t written = pwrite(descriptor, at, size, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        at += written;
        offset += (uint64_t)written;
        size -= (size_t)written;
    }
    return true;
}

bool chunk_end(struct mapped_chunk *chunk, const struct trace_file *file, uint32_t events)
{
    trace_chunk_complete(chunk->header, events, chunk->payload);
    bool written = !chunk->apart || write_all(file->descriptor, chunk->pages, chunk->size, chunk->offset);
    int error = errno;
    chunk_forget(chunk);
    errno = error;
    return written;
}

/*
 * Whatever a thread writes to the chunk's pages is its own from now on. Not by mmap: ThreadSanitizer takes that for a write to all the pages,
 * and the thread's for a race with it.
 */
static bool replace_pages(const struct mapped_chunk *chunk)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    return syscall(SYS_mmap, chunk->pages, chunk->size, PROT_READ | PROT_WRITE, flags, -1, 0) != -1;
}

/* The rest of the chunk is zero, since its thread can no longer write there. */
static bool end_at(struct mapped_chunk *own, const struct trace_file *file, uint32_t events, uint32_t bytes)
{
    memset(own->payload + bytes, 0, own->header->bytes - bytes);
    return chunk_end(own, file, events);
}

bool chunk_take_away(struct mapped_chunk *chunk, const struct trace_file *file, uint32_t events, uint32_t bytes)
{
    struct mapped_chunk own;
    size_t all = sizeof *chunk->header + chunk->header->bytes;
    if (chunk->apart) {
        if (!map_apart(&own, chunk->offset, all))
            return false;
        memcpy(own.pages, chunk->pages, sizeof *chunk->header + bytes);
        chunk->header = NULL; /* it is the thread's, and none of the file's */
        return end_at(&own, file, events, bytes);
    }
    if (!map_pages(&own, file->descriptor, chunk->offset, all))
        return false;
    if (replace_pages(chunk)) {
        chunk->header = NULL;
        return end_at(&own, file, events, bytes);
    }
    chunk_forget(&own);
    return false;
}
