#include "source.h"

#include "capture/capture.h"
#include "command.h"
#include "input_path.h"
#include "lines.h"
#include "trace/reader.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ traces */

enum { PROGRESS_EVENTS = 1 << 20, NAMES_MOST = 4096 };

/* Keys of the trace, by their numbers there; the last that was asked for comes first. */
struct names {
    uint32_t count;
    uint32_t last;
    uint64_t numbers[NAMES_MOST];
    uint32_t keys[NAMES_MOST];
};

static uint32_t name_key(struct names *names, struct tally *tally, uint64_t number, const char *name)
{
    char made_up[KEY_NAME];
    bool unnamed = !name || !*name;
    if (unnamed)
        snprintf(made_up, sizeof made_up, "key-%" PRIx64, number);
    uint32_t key = tally_key(tally, unnamed ? made_up : name);
    if (key != UINT32_MAX)
        tally->keys[key].unnamed = unnamed;
    for (uint32_t i = 0; i < names->count; i++)
        if (names->numbers[i] == number)
            return names->keys[i] = key;
    if (names->count < NAMES_MOST) {
        names->numbers[names->count] = number;
        names->keys[names->count++] = key;
    }
    return key;
}

static uint32_t key_of(struct names *names, struct tally *tally, uint64_t number)
{
    if (names->count && names->numbers[names->last] == number)
        return names->keys[names->last];
    for (names->last = 0; names->last < names->count; names->last++)
        if (names->numbers[names->last] == number)
            return names->keys[names->last];
    names->last = 0;
    return name_key(names, tally, number, NULL);
}

static void tally_event(struct tally *tally, struct names *names, const struct trace_event *event)
{
    switch (event->kind) {
    case TRACE_ALLOC:
    case TRACE_RESIZE:
    case TRACE_MOVED_TO:
        tally_alloc_aligned(tally, key_of(names, tally, event->key), event->address, event->size,
                            event->alignment_shift, event->time);
        break;
    case TRACE_FREE:
    case TRACE_MOVED_FROM:
        tally_free(tally, event->address, event->time);
        break;
    case TRACE_RESET:
        tally_reset(tally, key_of(names, tally, event->key), event->time);
        break;
    default:
        name_key(names, tally, event->key, event->name);
        break;
    }
}

static enum trace_result read_events(struct trace_reader *reader, struct tally *tally, const char *path)
{
    static struct names names;
    names.count = names.last = 0;
    const struct trace_event *event;
    uint64_t time = trace_info(reader)->time;
    uint64_t events = trace_events(reader);
    enum trace_result result;
    tally_begin(tally, events, time);
    while ((result = trace_next(reader, &event)) == TRACE_EVENT) {
        tally_event(tally, &names, event);
        time = event->time;
        if (tally->events % PROGRESS_EVENTS == 0)
            progress("%s: %.0f %%", path, 100 * (double)tally->events / (double)events);
    }
    tally_end(tally, time, true);
    progress_end();
    return result;
}

bool source_read_trace(const struct source_options *options, struct tally *tally, struct source *source)
{
    struct trace_error error;
    const char *shown = input_path_shown(source->name);
    struct trace_reader *reader = trace_open(source->path, options->salvage, &error);
    if (!reader) {
        complain("%s: %s%s", shown, error.text, error.salvageable ? "; --salvage reads what is before" : "");
        return false;
    }
    enum trace_result result = read_events(reader, tally, shown);
    if (*error.text)
        complain("%s: %s; salvaged %" PRIu64 " events", shown, error.text, trace_events(reader) - trace_lost(reader));
    if (*trace_problem(reader))
        complain("%s: %s%s", shown, trace_problem(reader),
                 result == TRACE_BROKEN ? "; --salvage passes over it" : "; passed over");
    source->kind = "trace";
    source->trace = true;
    source->unit = "events";
    source->program = true;
    source->events = trace_events(reader);
    source->threads = trace_threads(reader);
    trace_close(reader);
    return result == TRACE_END;
}

/* ------------------------------------------------------------------ captures */

/* The frames' lengths: which of them are the first half is known at the end. */
struct frame_lengths {
    size_t count;
    size_t room;
    uint32_t *bytes;
};

enum { LENGTHS_FIRST = 1 << 16 };

static bool lengths_add(struct frame_lengths *lengths, uint32_t length)
{
    if (lengths->count == lengths->room) {
        size_t room = lengths->room ? lengths->room * 2 : LENGTHS_FIRST;
        void *grown = realloc(lengths->bytes, room * sizeof *lengths->bytes);
        if (!grown)
            return false;
        lengths->bytes = grown;
        lengths->room = room;
    }
    lengths->bytes[lengths->count++] = length;
    return true;
}

/* Whether the capture is whole; else a complaint. */
static bool read_lengths(struct capture *capture, struct frame_lengths *lengths)
{
    struct captured frame;
    enum capture_result result;
    while ((result = capture_next(capture, &frame)) <= CAPTURE_QUIET)
        if (result == CAPTURE_FRAME && !lengths_add(lengths, frame.length)) {
            complain("%s: out of memory at frame %zu", capture_name(capture), lengths->count + 1);
            return false;
        }
    return result == CAPTURE_END;
}

bool source_read_capture(struct input *input, const struct source_options *options, struct tally *tally,
                         struct source *source)
{
    struct frame_lengths lengths = {0};
    source->kind = "capture";
    source->unit = "frames";
    struct capture *capture = capture_open_input(input, NULL);
    if (!capture)
        return false;
    source->broken = !read_lengths(capture, &lengths);
    capture_close(capture);
    source->events = lengths.count;
    uint32_t key = tally_key(tally, options->frames);
    tally_begin(tally, lengths.count, 0);
    for (size_t i = 0; i < lengths.count; i++)
        tally_block(tally, key, lengths.bytes[i] + options->headroom);
    tally_end(tally, 0, false);
    free(lengths.bytes);
    return true;
}

/* ------------------------------------------------------------------ histograms: {"SIZE": COUNT, ...} */

static bool read_size(const char *path, const char *name, const json_t *value, uint64_t *size)
{
    char *end;
    *size = strtoull(name, &end, 10);
    if (!isdigit((unsigned char)*name) || *end || *size > UINT32_MAX) {
        complain("%s: key '%.40s': expected a size in bytes", path, name);
        return false;
    }
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        return true;
    complain("%s: key '%.40s': expected a count of blocks of that size", path, name);
    return false;
}

/* An object that is whole is good even if the file breaks off behind it. */
static json_t *load_json(struct input *input, struct source *source)
{
    FILE *file = input_stream(input);
    if (!file) {
        complain("%s: %s", input_name(input), strerror(errno));
        return NULL;
    }
    json_error_t error;
    json_t *root = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    fclose(file);
    const char *broken = input_error(input);
    source->broken = broken;
    if (broken)
        complain("%s: %s", input_name(input), broken);
    if (json_is_object(root))
        return root;
    if (!broken)
        complain("%s:%d: %s", input_name(input), root ? 1 : error.line,
                 root ? "expected an object of sizes and counts" : error.text);
    json_decref(root);
    return NULL;
}

bool source_read_histogram(struct input *input, const struct source_options *options, struct tally *tally,
                           struct source *source)
{
    json_t *root = load_json(input, source);
    if (!root)
        return false;
    source->kind = "histogram";
    source->unit = "blocks";
    uint32_t key = tally_key(tally, options->frames);
    const char *name;
    json_t *value;
    bool good = true;
    tally_begin(tally, 0, 0);
    json_object_foreach(root, name, value)
    {
        uint64_t size;
        good = read_size(input_name(input), name, value, &size);
        if (!good)
            break;
        source->events += (uint64_t)json_integer_value(value);
        tally_blocks(tally, key, size + options->headroom, (uint64_t)json_integer_value(value));
    }
    tally_end(tally, 0, false);
    json_decref(root);
    return good;
}

/* ------------------------------------------------------------------ any */

static bool is_replay(const char *first)
{
    size_t digits = strspn(first, "0123456789");
    return digits && first[digits] == ':';
}

static bool is_heaptrack(const char *first)
{
    return first[0] == 'v' && first[1] == ' ' && isxdigit((unsigned char)first[2]);
}

/* A trace is read where it lies, in any order. */
static bool read_trace(struct input *input, const struct source_options *options, struct tally *tally,
                       struct source *source)
{
    if (input_is_compressed(input)) {
        complain("%s: a compressed trace is not read: decompress it first", input_name(input));
        return false;
    }
    return source_read_trace(options, tally, source);
}

static bool is_histogram(const char *first)
{
    return first[strspn(first, " \t\r\n")] == '{';
}

static bool read_text(struct input *input, const char *first, const struct source_options *options, struct tally *tally,
                      struct source *source)
{
    if (is_histogram(first))
        return source_read_histogram(input, options, tally, source);
    if (is_heaptrack(first))
        return source_read_heaptrack(input, tally, source);
    return source_read_replay(input, tally, source);
}

bool source_read(const char *name, const struct source_options *options, struct tally *tally, struct source *source)
{
    char first[64] = "";
    *source = (struct source){.name = name, .path = input_path(name)};
    struct input *input = source->path ? input_open(source->path, input_path_shown(name)) : NULL;
    if (!input)
        return false;
    size_t size = input_peek(input, first, sizeof first - 1);
    bool trace = trace_recognise(first, size);
    bool good;
    if (!trace && !is_histogram(first) && !is_heaptrack(first) && !is_replay(first)) {
        good = source_read_capture(input, options, tally, source);
    } else {
        good = trace ? read_trace(input, options, tally, source) : read_text(input, first, options, tally, source);
        input_close(input);
    }
    return good && (source->events || !source->broken);
}
