#include "origin.h"

#include "command.h"
#include "host.h"
#include "input_path.h"
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { READ_AHEAD = 1 << 17, DESCRIPTOR_PATH = 32 };

/* As a frame stands in what the capture thread spools, before its bytes. */
struct record {
    int64_t time;
    uint32_t length;
    uint32_t captured;
    uint32_t link;
    uint32_t padding;
};

/* Between the capture thread and the readers; in memory that child processes share. */
struct spooled {
    atomic_uint_fast64_t bytes; /* can be read */
    atomic_bool wanted;         /* somebody waits for more */
    atomic_bool ended;
    atomic_bool failed;
};

/* It has one of: a file, a recording, `spooled`. */
struct origin {
    struct history_options options;
    int file; /* of the capture, opened before anybody could replace it; -1 for none */
    struct capture *capture;
    struct spool spool; /* the bytes of a compressed file, or the capture thread's records */
    bool compressed;
    bool is_protected; /* `spooled` is only read here */
    size_t index;      /* in the recording */
    uint64_t loop;
    struct spooled *spooled;
    /* the reader's side of the records */
    uint64_t position;
    uint64_t ahead_from;
    size_t ahead_size;
    uint8_t *ahead;
};

/* ------------------------------------------------------------------ opening */

static struct spooled *spooled_new(void)
{
    void *memory = mmap(NULL, sizeof(struct spooled), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        host_fatal("the frames by number", KS_NO_MEMORY);
    return memory;
}

static bool open_records(struct origin *origin)
{
    if (!spool_open(&origin->spool, "the frames that experts may ask for again"))
        return false;
    origin->spooled = spooled_new();
    return true;
}

static bool open_origin(struct origin *origin, const struct capture *capture)
{
    const struct history_options *options = &origin->options;
    if (options->recording)
        return true;
    if (!capture_can_reopen(capture) || input_path_is_standard(options->source))
        return options->spool && open_records(origin);
    origin->compressed = capture_is_compressed(capture);
    origin->file = open(options->source, O_RDONLY | O_CLOEXEC);
    return origin->file >= 0;
}

struct origin *origin_open(const struct history_options *options, const struct capture *capture)
{
    struct origin *origin = malloc(sizeof *origin);
    if (!origin)
        host_fatal("the frames by number", KS_NO_MEMORY);
    *origin = (struct origin){.options = *options, .file = -1};
    if (open_origin(origin, capture))
        return origin;
    origin_close(origin);
    return NULL;
}

void origin_close(struct origin *origin)
{
    if (origin->capture)
        capture_close(origin->capture);
    if (origin->file >= 0)
        close(origin->file);
    if (origin->spooled)
        munmap(origin->spooled, sizeof *origin->spooled);
    spool_close(&origin->spool);
    free(origin->ahead);
    free(origin);
}

uint64_t origin_most(const struct origin *origin)
{
    return origin->options.most;
}

bool origin_protect(struct origin *origin)
{
    origin->is_protected = true;
    return !origin->spooled || !mprotect(origin->spooled, sizeof *origin->spooled, PROT_READ);
}

/* ------------------------------------------------------------------ a file that is opened again */

static bool open_again(struct origin *origin)
{
    char path[DESCRIPTOR_PATH];
    snprintf(path, sizeof path, "/proc/self/fd/%d", origin->file);
    struct input *input = input_open(path, origin->options.source);
    origin->capture = input ? capture_open_input(input, origin->options.filter) : NULL;
    if (!origin->capture)
        return false;
    capture_be_quiet(origin->capture);
    return !origin->compressed || spool_open(&origin->spool, "the decompressed frames that experts ask for");
}

static enum origin_result next_of_file(struct origin *origin, struct captured *captured)
{
    if (!origin->capture && !open_again(origin))
        return ORIGIN_FAILED;
    if (capture_next(origin->capture, captured) != CAPTURE_FRAME)
        return ORIGIN_END;
    if (!origin->compressed)
        return ORIGIN_FRAME;
    captured->offset = spool_end(&origin->spool);
    return spool_append(&origin->spool, captured->bytes, captured->captured) ? ORIGIN_FRAME : ORIGIN_FAILED;
}

/* ------------------------------------------------------------------ a recording */

static enum origin_result next_of_recording(struct origin *origin, struct captured *captured)
{
    const struct recording *recording = origin->options.recording;
    if (origin->index == recording->count) {
        origin->index = 0;
        return recording->count && ++origin->loop < origin->options.loops ? ORIGIN_AGAIN : ORIGIN_END;
    }
    *captured = recording->frames[origin->index++];
    captured->offset = (uint64_t)(captured->bytes - recording->bytes);
    return ORIGIN_FRAME;
}

/* ------------------------------------------------------------------ what the capture thread spools */

static void send(struct origin *origin)
{
    struct spooled *spooled = origin->spooled;
    if (!spool_flush(&origin->spool) && !atomic_exchange(&spooled->failed, true))
        complain("the frames that experts may ask for again: %s", strerror(errno));
    if (!atomic_load(&spooled->failed))
        atomic_store_explicit(&spooled->bytes, origin->spool.written, memory_order_release);
    atomic_store_explicit(&spooled->wanted, false, memory_order_relaxed);
}

void origin_note(struct origin *origin, const struct captured *captured)
{
    struct spooled *spooled = origin ? origin->spooled : NULL;
    if (!spooled || atomic_load_explicit(&spooled->failed, memory_order_relaxed))
        return;
    const struct record record = {captured->time, captured->length, captured->captured, captured->link, 0};
    if (!spool_append(&origin->spool, &record, sizeof record) ||
        !spool_append(&origin->spool, captured->bytes, captured->captured)) {
        complain("the frames that experts may ask for again: %s", strerror(errno));
        atomic_store(&spooled->failed, true);
        return;
    }
    if (atomic_load_explicit(&spooled->wanted, memory_order_relaxed))
        send(origin);
}

void origin_send(struct origin *origin)
{
    if (origin && origin->spooled)
        send(origin);
}

void origin_end(struct origin *origin)
{
    if (!origin || !origin->spooled)
        return;
    send(origin);
    atomic_store_explicit(&origin->spooled->ended, true, memory_order_release);
}

/* So many bytes of the records at the position, or NULL where they cannot be read. */
static const uint8_t *peek(struct origin *origin, size_t size, uint64_t there)
{
    uint64_t begin = origin->position;
    if (begin >= origin->ahead_from && begin + size <= origin->ahead_from + origin->ahead_size)
        return origin->ahead + (begin - origin->ahead_from);
    size_t want = there - begin < READ_AHEAD ? (size_t)(there - begin) : READ_AHEAD;
    if (want < size)
        want = size;
    uint8_t *ahead = realloc(origin->ahead, want);
    if (!ahead)
        return NULL;
    origin->ahead = ahead;
    origin->ahead_from = begin;
    origin->ahead_size = read_at(origin->spool.descriptor, ahead, want, begin) ? want : 0;
    return origin->ahead_size ? ahead : NULL;
}

static enum origin_result next_of_records(struct origin *origin, struct captured *captured)
{
    struct spooled *spooled = origin->spooled;
    struct record record;
    bool ended = atomic_load_explicit(&spooled->ended, memory_order_acquire);
    uint64_t there = atomic_load_explicit(&spooled->bytes, memory_order_acquire);
    if (there == origin->position && atomic_load(&spooled->failed))
        return ORIGIN_FAILED;
    if (there == origin->position) {
        if (!origin->is_protected)
            atomic_store_explicit(&spooled->wanted, !ended, memory_order_relaxed);
        return ended ? ORIGIN_END : ORIGIN_WAIT;
    }
    const uint8_t *bytes = peek(origin, sizeof record, there);
    if (!bytes)
        return ORIGIN_FAILED;
    memcpy(&record, bytes, sizeof record);
    origin->position += sizeof record;
    *captured = (struct captured){.time = record.time,
                                  .length = record.length,
                                  .captured = record.captured,
                                  .link = (uint16_t)record.link,
                                  .offset = origin->position,
                                  .bytes = peek(origin, record.captured, there)};
    origin->position += record.captured;
    return captured->bytes ? ORIGIN_FRAME : ORIGIN_FAILED;
}

/* ------------------------------------------------------------------ all of them */

enum origin_result origin_next(struct origin *origin, struct captured *captured)
{
    if (origin->options.recording)
        return next_of_recording(origin, captured);
    return origin->spooled ? next_of_records(origin, captured) : next_of_file(origin, captured);
}

bool origin_flush(struct origin *origin)
{
    return !origin->compressed || !origin->spool.buffer || spool_flush(&origin->spool);
}

bool origin_read(const struct origin *origin, uint64_t offset, uint8_t *to, size_t size)
{
    if (!size)
        return true;
    if (origin->options.recording) {
        memcpy(to, origin->options.recording->bytes + offset, size);
        return true;
    }
    bool spooled = origin->spooled || origin->compressed;
    return read_at(spooled ? origin->spool.descriptor : origin->file, to, size, offset);
}
