#include "trace/open.h"

#include "trace/event.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PERMISSIONS = 0666 };

int trace_open_new(const char *path)
{
    struct stat there;
    if (!lstat(path, &there) && S_ISREG(there.st_mode))
        unlink(path);
    return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, PERMISSIONS);
}

static int close_with(int descriptor, int error)
{
    close(descriptor);
    errno = error;
    return -1;
}

/* A lock of flock(2) is the open file's: it stays while the process has the file mapped, though it may close every descriptor it has. */
int trace_open_own(const char *path)
{
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, PERMISSIONS);
    if (descriptor < 0)
        return -1;
    if (flock(descriptor, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return close_with(descriptor, EEXIST);
    return descriptor;
}

/* ------------------------------------------------------------------ going on */

static bool is_chunk(const struct trace_chunk *chunk, const struct trace_file *file, uint64_t size)
{
    return chunk->header_checksum == trace_header_checksum(chunk) && chunk->number == file->chunks && chunk->bytes &&
           chunk->bytes <= TRACE_CHUNK_BYTES && chunk->bytes <= size - file->bytes - sizeof *chunk;
}

/* Its events are counted, and what may be half of one is wiped. */
static void complete(struct trace_chunk *chunk, uint8_t *payload)
{
    const uint8_t *last;
    uint32_t events = trace_count(payload, payload + chunk->bytes, chunk->time, &last);
    memset(payload + (last - payload), 0, chunk->bytes - (size_t)(last - payload));
    trace_chunk_complete(chunk, events, payload);
}

static void resume_events(struct trace_chunk *chunk, uint8_t *at, struct trace_extent *extent)
{
    if (extent->time < chunk->time)
        extent->time = chunk->time;
    if (!trace_chunk_is_complete(chunk)) {
        complete(chunk, at + sizeof *chunk);
        memcpy(at, chunk, sizeof *chunk);
    }
    extent->events += chunk->events;
    if (extent->threads < chunk->thread)
        extent->threads = chunk->thread;
}

static void resume_chunks(struct trace_file *file, uint8_t *bytes, uint64_t size, struct trace_extent *extent)
{
    while (!extent->ended && size - file->bytes >= sizeof(struct trace_chunk)) {
        struct trace_chunk chunk;
        memcpy(&chunk, bytes + file->bytes, sizeof chunk);
        if (!is_chunk(&chunk, file, size))
            break;
        if (chunk.type == TRACE_INFO && chunk.bytes == sizeof extent->info)
            memcpy(&extent->info, bytes + file->bytes + sizeof chunk, sizeof extent->info);
        else if (chunk.type == TRACE_EVENTS)
            resume_events(&chunk, bytes + file->bytes, extent);
        extent->ended = chunk.type == TRACE_LAST;
        file->bytes += sizeof chunk + chunk.bytes;
        file->chunks++;
    }
}

static bool is_trace(const uint8_t *bytes, uint64_t size)
{
    struct trace_preamble preamble;
    if (size < sizeof preamble)
        return false;
    memcpy(&preamble, bytes, sizeof preamble);
    return trace_recognise(preamble.magic, sizeof preamble.magic) && preamble.version == TRACE_VERSION;
}

bool trace_resume(struct trace_file *file, int descriptor, struct trace_extent *extent)
{
    struct stat stat;
    *file = (struct trace_file){.descriptor = descriptor, .bytes = sizeof(struct trace_preamble)};
    *extent = (struct trace_extent){0};
    if (fstat(descriptor, &stat))
        return false;
    if (!S_ISREG(stat.st_mode) || !stat.st_size) {
        errno = EILSEQ;
        return false;
    }
    uint64_t size = (uint64_t)stat.st_size;
    uint8_t *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (bytes == MAP_FAILED)
        return false;
    if (is_trace(bytes, size))
        resume_chunks(file, bytes, size, extent);
    munmap(bytes, size);
    errno = EILSEQ;
    return extent->info.sample;
}

static bool complete_file(int descriptor)
{
    struct trace_file file;
    struct trace_extent extent;
    if (!trace_resume(&file, descriptor, &extent))
        return false;
    struct trace_last last = {.events = extent.events, .time = extent.time};
    return extent.ended || (!ftruncate(descriptor, (off_t)file.bytes) && trace_file_end(&file, &last));
}

bool trace_complete(const char *path, bool ended)
{
    int descriptor = ended ? open(path, O_RDWR | O_CLOEXEC) : trace_open_own(path);
    if (descriptor < 0)
        return false;
    bool complete = complete_file(descriptor);
    close_with(descriptor, errno);
    return complete;
}
