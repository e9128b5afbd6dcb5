#include "input.h"

#include "codec.h"
#include "command.h"
#include "raw.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUT_BUFFER = 1 << 17 };

/* Plain bytes are those of `raw`; others come out into `out`, of which begin to end has not been read. */
struct input {
    const char *name;
    const struct codec *codec; /* NULL for plain */
    void *state;
    uint64_t offset;
    struct read_error error;
    size_t begin;
    size_t end;
    uint8_t out[OUT_BUFFER];
    struct raw raw;
};

/* ------------------------------------------------------------------ what it is */

struct format {
    const char *name;
    const struct codec *codec; /* NULL: is not read */
    uint8_t length;
    const char *magic;
};

static const struct format formats[] = {
    {"gzip", &codec_gzip, 2, "\x1f\x8b"},
    {"zstd", &codec_zstd, 4, "\x28\xb5\x2f\xfd"},
    {"xz", NULL, 6,
     "\xfd"
     "7zXZ"},
    {"bzip2", NULL, 3, "BZh"},
    {"lz4", NULL, 4, "\x04\x22\x4d\x18"},
    {"lz4", NULL, 4, "\x02\x21\x4c\x18"},
    {"lzip", NULL, 4, "LZIP"},
    {"lzop", NULL, 4, "\x89LZO"},
    {"compress", NULL, 2, "\x1f\x9d"},
    {"zip", NULL, 4, "PK\x03\x04"},
    {"7-Zip", NULL, 4, "7z\xbc\xaf"},
};

enum { MAGIC_MOST = 6 };

/* A file that ends within a magic number of bytes that no text begins with is one that was cut there. */
static bool format_matches(const struct format *format, const uint8_t *first, size_t size)
{
    size_t length = format->length;
    if (size < length && size && (first[0] == 0x1f || (size > 1 && first[1] >= 0x80)))
        length = size;
    return size >= length && !memcmp(first, format->magic, length);
}

/* A zstd file may begin with a frame to be skipped: 0x184d2a50 to 0x184d2a5f. */
static bool is_skippable(const uint8_t *first, size_t size)
{
    return size >= 4 && first[0] >> 4 == 5 && !memcmp(first + 1, "\x2a\x4d\x18", 3);
}

static const struct format *format_of(struct raw *raw)
{
    raw_want(raw, MAGIC_MOST);
    const uint8_t *first = raw->bytes + raw->begin;
    size_t size = raw->end - raw->begin;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (format_matches(&formats[i], first, size) || (formats[i].codec == &codec_zstd && is_skippable(first, size)))
            return &formats[i];
    return NULL;
}

/* False after a complaint. */
static bool recognise(struct input *input)
{
    const struct format *format = format_of(&input->raw);
    if (!format)
        return true;
    if (!format->codec || !format->codec->open) {
        complain("%s: compressed with %s, which %s: decompress it first", input->name, format->name,
                 format->codec ? "this build does not read" : "is not read");
        return false;
    }
    input->codec = format->codec;
    input->state = input->codec->open();
    if (!input->state)
        complain("%s: out of memory", input->name);
    return input->state;
}

/* ------------------------------------------------------------------ opening */

static int open_file(const char *path)
{
    if (!strcmp(path, "-"))
        return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static bool is_folder(int descriptor)
{
    struct stat about;
    return !fstat(descriptor, &about) && S_ISDIR(about.st_mode);
}

struct input *input_open(const char *path, const char *name)
{
    int descriptor = open_file(path);
    if (descriptor < 0 || is_folder(descriptor)) {
        complain("%s: %s", name, strerror(descriptor < 0 ? errno : EISDIR));
        if (descriptor >= 0)
            close(descriptor);
        return NULL;
    }
    struct input *input = malloc(sizeof *input);
    if (!input) {
        complain("%s: out of memory", name);
        close(descriptor);
        return NULL;
    }
    input->name = name;
    input->codec = NULL;
    input->offset = input->begin = input->end = 0;
    *input->error.text = 0;
    raw_open(&input->raw, descriptor);
    if (recognise(input))
        return input;
    input_close(input);
    return NULL;
}

void input_close(struct input *input)
{
    if (input->codec && input->state)
        input->codec->close(input->state);
    raw_close(&input->raw);
    free(input);
}

const char *input_name(const struct input *input)
{
    return input->name;
}

bool input_is_compressed(const struct input *input)
{
    return input->codec;
}

/* ------------------------------------------------------------------ reading */

void codec_cut(const struct codec *codec, const struct raw *raw, struct read_error *error)
{
    if (!raw->error && !atomic_load(&raw->stopped))
        read_error_set(error, "the %s data is cut short at byte %" PRIu64 " of the file", codec->name, raw->offset);
}

/* How many bytes are there to be taken, after reading on where there were none. */
static size_t fill(struct input *input)
{
    struct raw *raw = &input->raw;
    if (input->codec && input->begin == input->end && !*input->error.text) {
        input->begin = 0;
        input->end = input->codec->read(input->state, raw, input->out, sizeof input->out, &input->error);
    }
    size_t size = input->codec ? input->end - input->begin : raw_want(raw, 1) ? raw->end - raw->begin : 0;
    if (!size && raw->error)
        read_error_set(&input->error, "cannot be read: %s", strerror(raw->error));
    return size;
}

static const uint8_t *filled(const struct input *input)
{
    return input->codec ? input->out + input->begin : input->raw.bytes + input->raw.begin;
}

static void take(struct input *input, size_t size)
{
    input->offset += size;
    if (input->codec)
        input->begin += size;
    else
        raw_take(&input->raw, size);
}

size_t input_read(struct input *input, void *to, size_t size)
{
    size_t done = 0;
    while (done < size) {
        size_t there = fill(input);
        if (!there)
            break;
        if (there > size - done)
            there = size - done;
        memcpy((uint8_t *)to + done, filled(input), there);
        take(input, there);
        done += there;
    }
    return done;
}

uint64_t input_skip(struct input *input, uint64_t size)
{
    uint64_t done = 0;
    while (done < size) {
        size_t there = fill(input);
        if (!there)
            break;
        if (there > size - done)
            there = (size_t)(size - done);
        take(input, there);
        done += there;
    }
    return done;
}

/* A codec may have given the peeked bytes in pieces: they are moved together at the buffer's beginning. */
static void fill_more(struct input *input)
{
    memmove(input->out, input->out + input->begin, input->end - input->begin);
    input->end -= input->begin;
    input->begin = 0;
    input->end += input->codec->read(input->state, &input->raw, input->out + input->end, sizeof input->out - input->end,
                                     &input->error);
}

size_t input_peek(struct input *input, void *to, size_t size)
{
    size_t there = fill(input);
    if (!input->codec) {
        raw_want(&input->raw, size);
        there = input->raw.end - input->raw.begin;
    }
    for (size_t before = 0; input->codec && there < size && there > before && !*input->error.text;) {
        before = there;
        fill_more(input);
        there = input->end - input->begin;
    }
    if (there > size)
        there = size;
    memcpy(to, filled(input), there);
    return there;
}

uint64_t input_offset(const struct input *input)
{
    return input->offset;
}

const char *input_error(const struct input *input)
{
    return input->begin == input->end && *input->error.text ? input->error.text : NULL;
}

bool input_ready(struct input *input, int milliseconds)
{
    return input->begin < input->end || raw_ready(&input->raw, milliseconds);
}

void input_stop(struct input *input)
{
    atomic_store(&input->raw.stopped, true);
}

/* ------------------------------------------------------------------ from the beginning again */

bool input_can_rewind(const struct input *input)
{
    return !input->raw.waits;
}

bool input_rewind(struct input *input)
{
    if (input->codec) {
        input->codec->close(input->state);
        input->state = input->codec->open();
    }
    input->offset = input->begin = input->end = 0;
    *input->error.text = 0;
    if ((!input->codec || input->state) && raw_rewind(&input->raw))
        return true;
    complain("%s: cannot be read again: %s", input->name, strerror(errno));
    return false;
}

/* ------------------------------------------------------------------ as a stream */

static ssize_t stream_read(void *cookie, char *to, size_t size)
{
    struct input *input = cookie;
    size_t got = input_read(input, to, size);
    if (got || !input_error(input))
        return (ssize_t)got;
    errno = EIO;
    return -1;
}

FILE *input_stream(struct input *input)
{
    return fopencookie(input, "rb", (cookie_io_functions_t){.read = stream_read});
}
