#include "source.h"

#include "capture.h"
#include "command.h"
#include "input_path.h"
#include "lines.h"
#include "reader.h"

#include <ctype.h>
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
    struct trace_reader *reader = trace_open(source->path, options->salvage, &error);
    if (!reader) {
        complain("%s: %s%s", source->path, error.text, error.salvageable ? "; --salvage reads what is before" : "");
        return false;
    }
    enum trace_result result = read_events(reader, tally, source->path);
    if (*error.text)
        complain("%s: %s; salvaged %" PRIu64 " events", source->path, error.text,
                 trace_events(reader) - trace_lost(reader));
    if (*trace_problem(reader))
        complain("%s: %s%s", source->path, trace_problem(reader),
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

/* The lengths of all frames, or only their number. */
static bool read_frames(const struct source_options *options, struct tally *tally, const char *path, uint64_t *frames)
{
    struct capture *capture = capture_open(path, NULL);
    if (!capture)
        return false;
    struct captured frame;
    enum capture_result result;
    uint32_t key = tally ? tally_key(tally, options->frames) : 0;
    if (tally)
        tally_begin(tally, *frames, 0);
    for (*frames = 0; (result = capture_next(capture, &frame)) == CAPTURE_FRAME; ++*frames)
        if (tally)
            tally_block(tally, key, frame.length + options->headroom);
    if (tally)
        tally_end(tally, 0, false);
    capture_close(capture);
    return result == CAPTURE_END;
}

bool source_read_capture(const struct source_options *options, struct tally *tally, struct source *source)
{
    source->kind = "capture";
    source->unit = "frames";
    if (!read_frames(options, NULL, source->path, &source->events))
        return false;
    return read_frames(options, tally, source->path, &source->events);
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

static json_t *load_json(const char *path)
{
    FILE *file = text_open(path);
    if (!file)
        return NULL;
    json_error_t error;
    json_t *root = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    fclose(file);
    if (json_is_object(root))
        return root;
    complain("%s:%d: %s", path, root ? 1 : error.line, root ? "expected an object of sizes and counts" : error.text);
    json_decref(root);
    return NULL;
}

bool source_read_histogram(const struct source_options *options, struct tally *tally, struct source *source)
{
    json_t *root = load_json(source->path);
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
        good = read_size(source->path, name, value, &size);
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

bool source_read(const char *name, const struct source_options *options, struct tally *tally, struct source *source)
{
    char first[64] = "";
    *source = (struct source){.name = name, .path = input_path(name)};
    FILE *file = source->path ? text_open(source->path) : NULL;
    if (!file)
        return false;
    size_t size = fread(first, 1, sizeof first - 1, file);
    fclose(file);
    if (trace_recognise(first, size))
        return source_read_trace(options, tally, source);
    if (first[strspn(first, " \t\r\n")] == '{')
        return source_read_histogram(options, tally, source);
    if (is_heaptrack(first))
        return source_read_heaptrack(options, tally, source);
    if (is_replay(first))
        return source_read_replay(options, tally, source);
    return source_read_capture(options, tally, source);
}
