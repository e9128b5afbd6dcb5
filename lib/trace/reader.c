#include "trace/reader.h"

#include "trace/index.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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
    uint32_t left; /* events in the chunk, by its header */
    bool loaded;   /* `event` is the next one; else only `time` is known */
    uint64_t time;
    struct trace_stream stream;
    struct trace_event event;
};

struct trace_reader {
    struct trace_index index;
    bool salvage;
    uint32_t lanes_count;
    struct lane *lanes; /* by thread number, rising */
    struct lane **heap;
    uint32_t heap_count;
    uint64_t lost;
};

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
    uint32_t *threads = calloc((size_t)reader->index.pieces_count + 1, sizeof *threads);
    if (!threads)
        return trace_problem_tell(&reader->index.problem, "out of memory for the index");
    for (uint32_t i = 0; i < reader->index.pieces_count; i++)
        threads[i] = reader->index.pieces[i].thread;
    qsort(threads, reader->index.pieces_count, sizeof *threads, compare_threads);
    uint32_t count = 0;
    for (uint32_t i = 0; i < reader->index.pieces_count; i++)
        if (!count || threads[i] != threads[count - 1])
            threads[count++] = threads[i];
    reader->lanes = calloc((size_t)count + 1, sizeof *reader->lanes);
    reader->heap = calloc((size_t)count + 1, sizeof(struct lane *));
    if (reader->lanes && reader->heap)
        for (reader->lanes_count = 0; reader->lanes_count < count; reader->lanes_count++)
            reader->lanes[reader->lanes_count] =
                (struct lane){.thread = threads[reader->lanes_count], .first = NO_PIECE, .last = NO_PIECE};
    free(threads);
    if (!reader->lanes || !reader->heap)
        return trace_problem_tell(&reader->index.problem, "out of memory for the index");
    for (uint32_t i = 0; i < reader->index.pieces_count; i++) {
        struct lane *lane = lane_of(reader, reader->index.pieces[i].thread);
        if (lane->last == NO_PIECE)
            lane->first = i;
        else
            reader->index.pieces[lane->last].next = i;
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
        lane->left = 0;
        lane->loaded = false;
        lane->time = reader->index.pieces[lane->first].time;
        reader->heap[reader->heap_count++] = lane;
    }
    for (uint32_t at = reader->heap_count / 2; at-- > 0;)
        heap_down(reader, at);
}

/* ------------------------------------------------------------------ opening and closing */

static struct trace_reader *fail_open(struct trace_reader *reader, struct trace_error *error)
{
    *error = reader->index.problem;
    error->salvageable = reader->index.info.sample;
    trace_close(reader);
    return NULL;
}

struct trace_reader *trace_open(const char *path, bool salvage, struct trace_error *error)
{
    *error = (struct trace_error){0};
    struct trace_reader *reader = calloc(1, sizeof *reader);
    if (!reader) {
        trace_problem_tell(error, "out of memory");
        return NULL;
    }
    reader->salvage = salvage;
    bool whole = index_open(&reader->index, path);
    if (!whole && !(salvage && reader->index.info.sample))
        return fail_open(reader, error);
    *error = reader->index.problem;
    reader->index.problem = (struct trace_error){0};
    if (!make_lanes(reader))
        return fail_open(reader, error);
    trace_rewind(reader);
    return reader;
}

void trace_close(struct trace_reader *reader)
{
    for (uint32_t i = 0; i < reader->lanes_count; i++)
        free(reader->lanes[i].bytes);
    free(reader->lanes);
    free(reader->heap);
    index_close(&reader->index);
    free(reader);
}

const struct trace_info *trace_info(const struct trace_reader *reader)
{
    return &reader->index.info;
}

uint64_t trace_events(const struct trace_reader *reader)
{
    return reader->index.events;
}

uint64_t trace_threads(const struct trace_reader *reader)
{
    return reader->lanes_count;
}

uint64_t trace_bytes(const struct trace_reader *reader)
{
    return reader->index.used;
}

const char *trace_problem(const struct trace_reader *reader)
{
    return reader->index.problem.text;
}

uint64_t trace_lost(const struct trace_reader *reader)
{
    return reader->lost;
}

/* ------------------------------------------------------------------ events */

/* The lane's next chunk into memory. False, with a problem, where it is damaged: its events are counted as lost. */
static bool load(struct trace_reader *reader, struct lane *lane)
{
    const struct piece *piece = &reader->index.pieces[lane->next];
    struct trace_chunk chunk = {0};
    lane->offset = piece->offset;
    lane->next = piece->next;
    if (!lane->bytes)
        lane->bytes = malloc(TRACE_CHUNK_BYTES);
    if (!lane->bytes)
        return trace_problem_tell(&reader->index.problem, "out of memory for the chunk at byte %" PRIu64,
                                  piece->offset);
    if (!index_read(&reader->index, piece, &chunk, lane->bytes)) {
        reader->lost += chunk.events;
        return false;
    }
    lane->stream = (struct trace_stream){.time = chunk.time};
    lane->left = chunk.events;
    lane->at = lane->bytes;
    lane->end = lane->bytes + chunk.bytes;
    return true;
}

/* The rest of the chunk is no events. */
static void leave_chunk(struct trace_reader *reader, struct lane *lane)
{
    trace_problem_tell(&reader->index.problem,
                       "at byte %" PRIu64 ": a chunk of thread %" PRIu32 " holds what is no event", lane->offset,
                       lane->thread);
    reader->lost += lane->left;
    lane->left = 0;
    lane->at = lane->end;
}

/* The lane's next event into lane->event. TRACE_END where it has no more. */
static enum trace_result step(struct trace_reader *reader, struct lane *lane)
{
    for (;;) {
        if (!lane->left && trace_is_padding(lane->at, lane->end)) {
            if (lane->next == NO_PIECE)
                return TRACE_END;
            if (!load(reader, lane) && !reader->salvage)
                return TRACE_BROKEN;
            continue;
        }
        lane->event.thread = lane->thread;
        const uint8_t *next = lane->left ? trace_decode(lane->at, lane->end, &lane->stream, &lane->event) : NULL;
        if (next) {
            lane->at = next;
            break;
        }
        leave_chunk(reader, lane);
        if (!reader->salvage)
            return TRACE_BROKEN;
    }
    lane->left--;
    lane->loaded = true;
    lane->time = lane->event.time;
    return TRACE_EVENT;
}

/* The top lane has stepped: it sinks to its place, or leaves. */
static void conclude(struct trace_reader *reader, enum trace_result result)
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
        conclude(reader, result);
    }
    return TRACE_END;
}
