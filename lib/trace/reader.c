#include "reader.h"

#include "checksum.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NONE UINT32_MAX

struct piece {
    uint64_t offset; /* of the header */
    uint64_t time;
    uint32_t thread;
    uint32_t next; /* piece of the same thread, or NONE */
};

/*
 * One thread's stream. On the heap of those that have more, by the time of the next event, or, while no chunk is loaded, by the
 * time that the next chunk's header names, which no event of it is before.
 */
struct lane {
    uint32_t thread;
    uint32_t first; /* pieces */
    uint32_t last;
    uint32_t next;
    uint8_t *bytes; /* of the chunk that is read, or NULL */
    const uint8_t *at;
    const uint8_t *end;
    uint64_t offset;
    bool whole;  /* the stream is known: MORE may follow */
    bool loaded; /* `event` is the next one; else only `time` is known */
    uint64_t time;
    struct trace_stream stream;
    struct trace_event event;
};

struct trace_reader {
    int descriptor;
    bool salvage;
    uint64_t size;
    uint64_t used;
    uint64_t events;
    struct trace_info info;
    uint32_t pieces_count;
    uint32_t lanes_count;
    struct piece *pieces;
    struct lane *lanes; /* by thread number, rising */
    struct lane **heap;
    uint32_t heap_count;
    uint64_t lost;
    struct trace_error problem;
};

bool trace_recognise(const void *bytes, size_t size)
{
    return size >= 8 && !memcmp(bytes, TRACE_MAGIC, 8);
}

__attribute__((format(printf, 2, 3))) static bool problem(struct trace_error *error, const char *format, ...)
{
    if (*error->text)
        return false; /* the first is told */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return false;
}

static bool read_at(struct trace_reader *reader, void *to, size_t size, uint64_t offset)
{
    for (uint8_t *at = to; size;) {
        ssize_t got = pread(reader->descriptor, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return problem(&reader->problem, "at byte %" PRIu64 ": %s", offset, strerror(errno));
        if (!got)
            return problem(&reader->problem, "cut off at byte %" PRIu64, offset);
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return true;
}

/* ------------------------------------------------------------------ the index of chunks */

static bool read_preamble(struct trace_reader *reader)
{
    struct trace_preamble preamble;
    if (!read_at(reader, &preamble, sizeof preamble, 0))
        return false;
    if (!trace_recognise(preamble.magic, sizeof preamble.magic))
        return problem(&reader->problem, "not a trace: it does not begin as one");
    if (preamble.order != TRACE_ORDER)
        return problem(&reader->problem, "at byte 10: byte order %04x, expected %04x", preamble.order, TRACE_ORDER);
    if (preamble.version != TRACE_VERSION)
        return problem(&reader->problem, "at byte 8: format version %u; this program reads version %u",
                       preamble.version, TRACE_VERSION);
    if (preamble.reserved)
        return problem(&reader->problem, "at byte 12: damaged: %08x where zeros are expected", preamble.reserved);
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

static bool read_header(struct trace_reader *reader, uint64_t offset, uint64_t number, struct trace_chunk *chunk)
{
    if (reader->size - offset < sizeof *chunk)
        return problem(&reader->problem, "cut off at byte %" PRIu64 ", in the header of chunk %" PRIu64, reader->size,
                       number);
    if (!read_at(reader, chunk, sizeof *chunk, offset))
        return false;
    if (chunk->header_checksum != trace_checksum(chunk, offsetof(struct trace_chunk, header_checksum)))
        return problem(&reader->problem, "at byte %" PRIu64 ": damaged header of chunk %" PRIu64, offset, number);
    bool type = number ? chunk->type == TRACE_EVENTS || chunk->type == TRACE_MORE || chunk->type == TRACE_LAST
                       : chunk->type == TRACE_INFO;
    if (!type || chunk->number != number || !chunk->bytes || chunk->bytes > payload_most(chunk->type))
        return problem(&reader->problem, "at byte %" PRIu64 ": not what chunk %" PRIu64 " may be", offset, number);
    if (reader->size - offset - sizeof *chunk < chunk->bytes)
        return problem(&reader->problem, "cut off at byte %" PRIu64 ", in chunk %" PRIu64 " from byte %" PRIu64,
                       reader->size, number, offset);
    return true;
}

static bool read_payload(struct trace_reader *reader, uint64_t offset, const struct trace_chunk *chunk, void *to)
{
    if (!read_at(reader, to, chunk->bytes, offset + sizeof *chunk))
        return false;
    if (trace_checksum(to, chunk->bytes) != chunk->payload_checksum)
        return problem(&reader->problem, "at byte %" PRIu64 ": damaged chunk %" PRIu64 " of thread %" PRIu32, offset,
                       chunk->number, chunk->thread);
    return true;
}

static bool add_piece(struct trace_reader *reader, const struct trace_chunk *chunk, uint64_t offset)
{
    if (!(reader->pieces_count & (reader->pieces_count + 1)) || !reader->pieces) {
        size_t room = ((size_t)reader->pieces_count + 1) * 2;
        void *pieces = realloc(reader->pieces, room * sizeof *reader->pieces);
        if (!pieces)
            return problem(&reader->problem, "at byte %" PRIu64 ": out of memory for the index", offset);
        reader->pieces = pieces;
    }
    reader->pieces[reader->pieces_count++] =
        (struct piece){.offset = offset, .time = chunk->time, .thread = chunk->thread, .next = NONE};
    reader->events += chunk->events;
    return true;
}

static bool read_info(struct trace_reader *reader, uint64_t offset, const struct trace_chunk *chunk)
{
    struct trace_info info;
    if (chunk->bytes != sizeof info)
        return problem(&reader->problem, "at byte %" PRIu64 ": the first chunk has a wrong length", offset);
    if (!read_payload(reader, offset, chunk, &info))
        return false;
    if (info.program[sizeof info.program - 1] || !info.sample)
        return problem(&reader->problem, "at byte %" PRIu64 ": not what the first chunk may hold", offset);
    reader->info = info;
    return true;
}

static bool read_last(struct trace_reader *reader, uint64_t offset, const struct trace_chunk *chunk)
{
    struct trace_last last;
    if (chunk->bytes != sizeof last)
        return problem(&reader->problem, "at byte %" PRIu64 ": the last chunk has a wrong length", offset);
    if (!read_payload(reader, offset, chunk, &last))
        return false;
    reader->used = offset + sizeof *chunk + chunk->bytes;
    if (last.events != reader->events)
        return problem(&reader->problem, "the last chunk counts %" PRIu64 " events, the others %" PRIu64, last.events,
                       reader->events);
    if (reader->used != reader->size)
        return problem(&reader->problem, "at byte %" PRIu64 ": %" PRIu64 " bytes behind the last chunk", reader->used,
                       reader->size - reader->used);
    return true;
}

static bool read_chunks(struct trace_reader *reader)
{
    struct trace_chunk chunk = {0};
    uint64_t offset = sizeof(struct trace_preamble);
    for (uint64_t number = 0;; number++) {
        reader->used = offset;
        if (number && offset == reader->size)
            return problem(&reader->problem, "cut off at byte %" PRIu64 ": the last chunk is missing", offset);
        if (!read_header(reader, offset, number, &chunk))
            return false;
        if (chunk.type == TRACE_LAST)
            return read_last(reader, offset, &chunk);
        if (chunk.type == TRACE_INFO) {
            if (!read_info(reader, offset, &chunk))
                return false;
        } else if (!add_piece(reader, &chunk, offset)) {
            return false;
        }
        offset += sizeof chunk + chunk.bytes;
    }
}

/* ------------------------------------------------------------------ lanes */

static int compare_threads(const void *left, const void *right)
{
    const uint32_t *a = left;
    const uint32_t *b = right;
    return (*a > *b) - (*a < *b);
}

static struct lane *lane_of(struct trace_reader *reader, uint32_t thread)
{
    uint32_t low = 0;
    for (uint32_t high = reader->lanes_count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        if (reader->lanes[middle].thread < thread)
            low = middle + 1;
        else
            high = middle;
    }
    return &reader->lanes[low];
}

static bool make_lanes(struct trace_reader *reader)
{
    uint32_t *threads = calloc((size_t)reader->pieces_count + 1, sizeof *threads);
    if (!threads)
        return problem(&reader->problem, "out of memory for the index");
    for (uint32_t i = 0; i < reader->pieces_count; i++)
        threads[i] = reader->pieces[i].thread;
    qsort(threads, reader->pieces_count, sizeof *threads, compare_threads);
    uint32_t count = 0;
    for (uint32_t i = 0; i < reader->pieces_count; i++)
        if (!count || threads[i] != threads[count - 1])
            threads[count++] = threads[i];
    reader->lanes = calloc((size_t)count + 1, sizeof *reader->lanes);
    reader->heap = calloc((size_t)count + 1, sizeof(struct lane *));
    if (reader->lanes && reader->heap)
        for (reader->lanes_count = 0; reader->lanes_count < count; reader->lanes_count++)
            reader->lanes[reader->lanes_count] =
                (struct lane){.thread = threads[reader->lanes_count], .first = NONE, .last = NONE};
    free(threads);
    if (!reader->lanes || !reader->heap)
        return problem(&reader->problem, "out of memory for the index");
    for (uint32_t i = 0; i < reader->pieces_count; i++) {
        struct lane *lane = lane_of(reader, reader->pieces[i].thread);
        if (lane->last == NONE)
            lane->first = i;
        else
            reader->pieces[lane->last].next = i;
        lane->last = i;
    }
    return true;
}

/* At equal times a free comes first: whoever got the address got it after. */
static bool before(const struct lane *a, const struct lane *b)
{
    if (a->time != b->time)
        return a->time < b->time;
    if (a->loaded != b->loaded)
        return !a->loaded;
    bool frees[2] = {a->event.kind == TRACE_FREE || a->event.kind == TRACE_MOVED_FROM,
                     b->event.kind == TRACE_FREE || b->event.kind == TRACE_MOVED_FROM};
    if (a->loaded && frees[0] != frees[1])
        return frees[0];
    return a->thread < b->thread;
}

static void heap_down(struct trace_reader *reader, uint32_t at)
{
    struct lane *lane = reader->heap[at];
    for (uint32_t child; (child = 2 * at + 1) < reader->heap_count; at = child) {
        if (child + 1 < reader->heap_count && before(reader->heap[child + 1], reader->heap[child]))
            child++;
        if (!before(reader->heap[child], lane))
            break;
        reader->heap[at] = reader->heap[child];
    }
    reader->heap[at] = lane;
}

void trace_rewind(struct trace_reader *reader)
{
    reader->heap_count = 0;
    reader->lost = 0;
    for (uint32_t i = 0; i < reader->lanes_count; i++) {
        struct lane *lane = &reader->lanes[i];
        lane->next = lane->first;
        lane->at = lane->end = NULL;
        lane->whole = lane->loaded = false;
        lane->time = reader->pieces[lane->first].time;
        reader->heap[reader->heap_count++] = lane;
    }
    for (uint32_t at = reader->heap_count / 2; at-- > 0;)
        heap_down(reader, at);
}

/* ------------------------------------------------------------------ opening and closing */

static struct trace_reader *fail_open(struct trace_reader *reader, struct trace_error *error)
{
    *error = reader->problem;
    error->salvageable = reader->info.sample;
    trace_close(reader);
    return NULL;
}

struct trace_reader *trace_open(const char *path, bool salvage, struct trace_error *error)
{
    *error = (struct trace_error){0};
    struct trace_reader *reader = calloc(1, sizeof *reader);
    if (!reader) {
        problem(error, "out of memory");
        return NULL;
    }
    reader->salvage = salvage;
    reader->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    struct stat stat;
    if (reader->descriptor < 0 || fstat(reader->descriptor, &stat)) {
        problem(&reader->problem, "%s", strerror(errno));
        return fail_open(reader, error);
    }
    if (!S_ISREG(stat.st_mode)) {
        problem(&reader->problem, "not a regular file: a trace is read in more than one place at once");
        return fail_open(reader, error);
    }
    reader->size = (uint64_t)stat.st_size;
    if (!read_preamble(reader))
        return fail_open(reader, error);
    bool readable = read_chunks(reader) || (salvage && reader->info.sample);
    if (!readable)
        return fail_open(reader, error);
    *error = reader->problem;
    reader->problem = (struct trace_error){0};
    if (!make_lanes(reader))
        return fail_open(reader, error);
    trace_rewind(reader);
    return reader;
}

void trace_close(struct trace_reader *reader)
{
    if (reader->descriptor >= 0)
        close(reader->descriptor);
    for (uint32_t i = 0; i < reader->lanes_count; i++)
        free(reader->lanes[i].bytes);
    free(reader->lanes);
    free(reader->heap);
    free(reader->pieces);
    free(reader);
}

const struct trace_info *trace_info(const struct trace_reader *reader)
{
    return &reader->info;
}

uint64_t trace_events(const struct trace_reader *reader)
{
    return reader->events;
}

uint64_t trace_threads(const struct trace_reader *reader)
{
    return reader->lanes_count;
}

uint64_t trace_bytes(const struct trace_reader *reader)
{
    return reader->used;
}

const char *trace_problem(const struct trace_reader *reader)
{
    return reader->problem.text;
}

uint64_t trace_lost(const struct trace_reader *reader)
{
    return reader->lost;
}

/* ------------------------------------------------------------------ events */

/* The lane's next chunk into memory. False, with a problem, where it is damaged: its events are counted as lost. */
static bool load(struct trace_reader *reader, struct lane *lane)
{
    struct piece *piece = &reader->pieces[lane->next];
    struct trace_chunk chunk;
    lane->offset = piece->offset;
    lane->next = piece->next;
    if (!read_at(reader, &chunk, sizeof chunk, piece->offset))
        return false;
    if (!lane->bytes)
        lane->bytes = malloc(TRACE_CHUNK_BYTES);
    if (!lane->bytes)
        return problem(&reader->problem, "out of memory for the chunk at byte %" PRIu64, piece->offset);
    if (chunk.type == TRACE_EVENTS) {
        lane->whole = true;
        lane->stream = (struct trace_stream){.time = chunk.time};
    }
    if (chunk.bytes > TRACE_CHUNK_BYTES || !read_payload(reader, piece->offset, &chunk, lane->bytes) || !lane->whole) {
        lane->whole = false;
        reader->lost += chunk.events;
        return problem(&reader->problem, "at byte %" PRIu64 ": what chunk %" PRIu64 " goes on from is damaged",
                       piece->offset, chunk.number);
    }
    lane->at = lane->bytes;
    lane->end = lane->bytes + chunk.bytes;
    return true;
}

/* The lane's next event into lane->event. TRACE_END where it has no more. */
static enum trace_result step(struct trace_reader *reader, struct lane *lane)
{
    for (;;) {
        if (lane->at == lane->end) {
            if (lane->next == NONE)
                return TRACE_END;
            if (!load(reader, lane) && !reader->salvage)
                return TRACE_BROKEN;
            continue;
        }
        lane->event.thread = lane->thread;
        lane->at = trace_decode(lane->at, lane->end, &lane->stream, &lane->event);
        if (lane->at)
            break;
        lane->at = lane->end;
        lane->whole = false;
        problem(&reader->problem, "at byte %" PRIu64 ": a chunk of thread %" PRIu32 " holds what is no event",
                lane->offset, lane->thread);
        if (!reader->salvage)
            return TRACE_BROKEN;
    }
    lane->loaded = true;
    lane->time = lane->event.time;
    return TRACE_EVENT;
}

/* The top lane has stepped: it sinks to its place, or leaves. */
static void settle(struct trace_reader *reader, enum trace_result result)
{
    if (result == TRACE_END) {
        struct lane *ended = reader->heap[0];
        free(ended->bytes);
        ended->bytes = NULL;
        ended->at = ended->end = NULL;
        reader->heap[0] = reader->heap[--reader->heap_count];
    }
    if (reader->heap_count > 1)
        heap_down(reader, 0);
}

enum trace_result trace_next(struct trace_reader *reader, const struct trace_event **event)
{
    while (reader->heap_count) {
        struct lane *lane = reader->heap[0];
        if (lane->loaded) {
            lane->loaded = false; /* it steps when the next is wanted */
            *event = &lane->event;
            return TRACE_EVENT;
        }
        enum trace_result result = step(reader, lane);
        if (result == TRACE_BROKEN)
            return TRACE_BROKEN;
        settle(reader, result);
    }
    return TRACE_END;
}
