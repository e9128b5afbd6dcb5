#include "trace/index.h"

#include "trace/event.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool trace_problem_tell(struct trace_error *error, const char *format, ...)
{
    if (*error->text)
        return false; /* the first is told */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return false;
}

static bool read_at(struct trace_index *index, void *to, size_t size, uint64_t offset)
{
    for (uint8_t *at = to; size;) {
        ssize_t got = pread(index->descriptor, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return trace_problem_tell(&index->problem, "at byte %" PRIu64 ": %s", offset, strerror(errno));
        if (!got)
            return trace_problem_tell(&index->problem, "cut off at byte %" PRIu64, offset);
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return true;
}

static bool read_preamble(struct trace_index *index)
{
    struct trace_preamble preamble;
    if (!read_at(index, &preamble, sizeof preamble, 0))
        return false;
    if (!trace_recognise(preamble.magic, sizeof preamble.magic))
        return trace_problem_tell(&index->problem, "not a trace: it does not begin as one");
    if (preamble.order != TRACE_ORDER)
        return trace_problem_tell(&index->problem, "at byte 10: byte order %04x, expected %04x", preamble.order,
                                  TRACE_ORDER);
    if (preamble.version != TRACE_VERSION)
        return trace_problem_tell(&index->problem, "at byte 8: format version %u; this program reads version %u",
                                  preamble.version, TRACE_VERSION);
    if (preamble.reserved)
        return trace_problem_tell(&index->problem, "at byte 12: damaged: %08x where zeros are expected",
                                  preamble.reserved);
    return true;
}

static uint32_t payload_most(uint32_t type)
{
    switch (type) {
    case TRACE_INFO:
        return sizeof(struct trace_info);
    case TRACE_LAST:
        return sizeof(struct trace_last);
    default:
        return TRACE_CHUNK_BYTES;
    }
}

static bool read_header(struct trace_index *index, uint64_t offset, uint64_t number, struct trace_chunk *chunk)
{
    if (index->size - offset < sizeof *chunk)
        return trace_problem_tell(&index->problem, "cut off at byte %" PRIu64 ", in the header of chunk %" PRIu64,
                                  index->size, number);
    if (!read_at(index, chunk, sizeof *chunk, offset))
        return false;
    if (number && !chunk->type && !chunk->header_checksum) /* room that a killed program had made for a chunk */
        return trace_problem_tell(&index->problem, "cut off at byte %" PRIu64 ": the last chunk is missing", offset);
    if (chunk->header_checksum != trace_header_checksum(chunk))
        return trace_problem_tell(&index->problem, "at byte %" PRIu64 ": damaged header of chunk %" PRIu64, offset,
                                  number);
    bool type = number ? chunk->type == TRACE_EVENTS || chunk->type == TRACE_LAST : chunk->type == TRACE_INFO;
    bool counts = chunk->type == TRACE_EVENTS || !chunk->events;
    if (!type || !counts || chunk->number != number || !chunk->bytes || chunk->bytes > payload_most(chunk->type))
        return trace_problem_tell(&index->problem, "at byte %" PRIu64 ": not what chunk %" PRIu64 " may be", offset,
                                  number);
    if (index->size - offset - sizeof *chunk < chunk->bytes)
        return trace_problem_tell(&index->problem,
                                  "cut off at byte %" PRIu64 ", in chunk %" PRIu64 " from byte %" PRIu64, index->size,
                                  number, offset);
    return true;
}

static bool read_payload(struct trace_index *index, uint64_t offset, const struct trace_chunk *chunk, void *to)
{
    if (!read_at(index, to, chunk->bytes, offset + sizeof *chunk))
        return false;
    if (trace_payload_checksum(to, chunk->bytes) != chunk->payload_checksum)
        return trace_problem_tell(&index->problem, "at byte %" PRIu64 ": damaged chunk %" PRIu64 " of thread %" PRIu32,
                                  offset, chunk->number, chunk->thread);
    return true;
}

/* What the program had recorded in a chunk when it was killed, cut to whole events; `to` has room for the payload. */
static bool read_incomplete(struct trace_index *index, uint64_t offset, struct trace_chunk *chunk, uint8_t *to)
{
    const uint8_t *last;
    if (!read_at(index, to, chunk->bytes, offset + sizeof *chunk))
        return false;
    chunk->events = trace_count(to, to + chunk->bytes, chunk->time, &last);
    chunk->bytes = (uint32_t)(last - to);
    return true;
}

/* Its events are counted, and the walk goes on. */
static bool count_incomplete(struct trace_index *index, uint64_t offset, struct trace_chunk chunk, uint32_t *events)
{
    uint8_t *payload = malloc(TRACE_CHUNK_BYTES);
    if (!payload)
        return trace_problem_tell(&index->problem, "at byte %" PRIu64 ": out of memory for the chunk", offset);
    bool read = read_incomplete(index, offset, &chunk, payload);
    free(payload);
    *events = chunk.events;
    trace_problem_tell(&index->problem,
                       "at byte %" PRIu64 ": chunk %" PRIu64 " is not complete: the program was killed, or still runs",
                       offset, chunk.number);
    return read;
}

static bool add_piece(struct trace_index *index, const struct trace_chunk *chunk, uint64_t offset)
{
    if (!(index->pieces_count & (index->pieces_count + 1)) || !index->pieces) {
        size_t room = ((size_t)index->pieces_count + 1) * 2;
        void *pieces = realloc(index->pieces, room * sizeof *index->pieces);
        if (!pieces)
            return trace_problem_tell(&index->problem, "at byte %" PRIu64 ": out of memory for the index", offset);
        index->pieces = pieces;
    }
    index->pieces[index->pieces_count++] =
        (struct piece){.offset = offset, .time = chunk->time, .thread = chunk->thread, .next = NO_PIECE};
    index->events += chunk->events;
    return true;
}

static bool read_info(struct trace_index *index, uint64_t offset, const struct trace_chunk *chunk)
{
    struct trace_info info;
    if (chunk->bytes != sizeof info)
        return trace_problem_tell(&index->problem, "at byte %" PRIu64 ": the first chunk has a wrong length", offset);
    if (!read_payload(index, offset, chunk, &info))
        return false;
    if (info.program[sizeof info.program - 1] || !info.sample)
        return trace_problem_tell(&index->problem, "at byte %" PRIu64 ": not what the first chunk may hold", offset);
    index->info = info;
    return true;
}

static bool read_last(struct trace_index *index, uint64_t offset, const struct trace_chunk *chunk)
{
    struct trace_last last;
    if (chunk->bytes != sizeof last)
        return trace_problem_tell(&index->problem, "at byte %" PRIu64 ": the last chunk has a wrong length", offset);
    if (!read_payload(index, offset, chunk, &last))
        return false;
    index->used = offset + sizeof *chunk + chunk->bytes;
    if (last.events != index->events)
        return trace_problem_tell(&index->problem, "the last chunk counts %" PRIu64 " events, the others %" PRIu64,
                                  last.events, index->events);
    if (index->used != index->size)
        return trace_problem_tell(&index->problem, "at byte %" PRIu64 ": %" PRIu64 " bytes behind the last chunk",
                                  index->used, index->size - index->used);
    return true;
}

/* Every chunk's header, up to the last or to what is wrong. */
static bool read_chunks(struct trace_index *index)
{
    struct trace_chunk chunk = {0};
    uint64_t offset = sizeof(struct trace_preamble);
    for (uint64_t number = 0;; number++) {
        index->used = offset;
        if (number && offset == index->size)
            return trace_problem_tell(&index->problem, "cut off at byte %" PRIu64 ": the last chunk is missing",
                                      offset);
        if (!read_header(index, offset, number, &chunk))
            return false;
        if (chunk.type == TRACE_LAST)
            return read_last(index, offset, &chunk);
        if (chunk.type == TRACE_INFO) {
            if (!read_info(index, offset, &chunk))
                return false;
        } else if ((!trace_chunk_is_complete(&chunk) && !count_incomplete(index, offset, chunk, &chunk.events)) ||
                   !add_piece(index, &chunk, offset)) {
            return false;
        }
        offset += sizeof chunk + chunk.bytes;
    }
}

static bool open_file(struct trace_index *index, const char *path)
{
    struct stat stat;
    index->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (index->descriptor < 0 || fstat(index->descriptor, &stat))
        return trace_problem_tell(&index->problem, "%s", strerror(errno));
    if (!S_ISREG(stat.st_mode))
        return trace_problem_tell(&index->problem,
                                  "not a regular file: a trace is read in more than one place at once");
    index->size = (uint64_t)stat.st_size;
    return true;
}

bool index_open(struct trace_index *index, const char *path)
{
    *index = (struct trace_index){0};
    return open_file(index, path) && read_preamble(index) && read_chunks(index) && !*index->problem.text;
}

bool index_read(struct trace_index *index, const struct piece *piece, struct trace_chunk *chunk, void *payload)
{
    if (!read_at(index, chunk, sizeof *chunk, piece->offset))
        return false;
    if (chunk->bytes > TRACE_CHUNK_BYTES)
        return trace_problem_tell(&index->problem, "at byte %" PRIu64 ": the chunk has changed", piece->offset);
    return trace_chunk_is_complete(chunk) ? read_payload(index, piece->offset, chunk, payload)
                                          : read_incomplete(index, piece->offset, chunk, payload);
}

void index_close(struct trace_index *index)
{
    if (index->descriptor >= 0)
        close(index->descriptor);
    free(index->pieces);
}
