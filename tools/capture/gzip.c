/* gzip: members one behind another, each with a checksum and a length at its end. */
#include "codec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { WINDOW_GZIP = 15 + 16 }; /* the largest window, and a header of gzip */

struct gzip {
    z_stream stream;
    bool inside; /* a member */
};

static void *gzip_open(void)
{
    struct gzip *gzip = calloc(1, sizeof *gzip);
    if (gzip && inflateInit2(&gzip->stream, WINDOW_GZIP) == Z_OK) {
        gzip->inside = true;
        return gzip;
    }
    free(gzip);
    return NULL;
}

/* zlib's words for the two that everybody meets say which of the sums, but not that it is one. */
static void set_damaged(const struct gzip *gzip, const struct raw *raw, struct read_error *error)
{
    const char *what = gzip->stream.msg ? gzip->stream.msg : "no memory";
    if (!strcmp(what, "incorrect data check"))
        what = "its checksum is wrong";
    else if (!strcmp(what, "incorrect length check"))
        what = "its length is wrong";
    read_error_set(error, "the gzip data is damaged before byte %" PRIu64 " of the file: %s", raw->offset, what);
}

/* Tapes and block devices are filled up with zeros, which gzip ignores, too. */
static void skip_zeros(struct raw *raw)
{
    while (raw_want(raw, 1) && !raw->bytes[raw->begin])
        raw_take(raw, 1);
}

/* Behind a member: whether another one follows. What else is there may be one that is damaged. */
static bool next_member(struct gzip *gzip, struct raw *raw, struct read_error *error)
{
    bool zeros = raw_want(raw, 1) && !raw->bytes[raw->begin];
    skip_zeros(raw);
    if (!raw_want(raw, 1))
        return false;
    bool two = raw_want(raw, 2);
    const uint8_t *first = raw->bytes + raw->begin;
    if (zeros || first[0] != 0x1f || (two && first[1] != 0x8b))
        return read_error_set(error, "behind the gzip data, from byte %" PRIu64 " of the file, is something else",
                              raw->offset);
    gzip->inside = inflateReset(&gzip->stream) == Z_OK;
    return gzip->inside;
}

static size_t gzip_read(void *state, struct raw *raw, uint8_t *to, size_t size, struct read_error *error)
{
    struct gzip *gzip = state;
    z_stream *stream = &gzip->stream;
    stream->next_out = to;
    stream->avail_out = (uInt)size;
    while (stream->avail_out == size) {
        if (!gzip->inside && !next_member(gzip, raw, error))
            break;
        if (!raw_want(raw, 1)) {
            codec_cut(&codec_gzip, raw, error);
            break;
        }
        stream->next_in = raw->bytes + raw->begin;
        stream->avail_in = (uInt)(raw->end - raw->begin);
        int status = inflate(stream, Z_NO_FLUSH);
        raw_take(raw, raw->end - raw->begin - stream->avail_in);
        gzip->inside = status != Z_STREAM_END;
        if (status != Z_OK && status != Z_STREAM_END) {
            set_damaged(gzip, raw, error);
            break;
        }
    }
    return size - stream->avail_out;
}

static void gzip_close(void *state)
{
    struct gzip *gzip = state;
    inflateEnd(&gzip->stream);
    free(gzip);
}

const struct codec codec_gzip = {"gzip", gzip_open, gzip_read, gzip_close};
