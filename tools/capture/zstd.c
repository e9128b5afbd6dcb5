/* zstd: frames one behind another, some of which may be skippable. */
#include "codec.h"

#if HAVE_ZSTD

#include <inttypes.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { STEP_FIRST = 5 }; /* the shortest header */

struct zstd {
    ZSTD_DStream *stream;
    bool inside; /* a frame */
    bool begun;  /* a frame has come to its end */
    /* What zstd takes at once, a block or less: what comes out together with an error is lost. */
    size_t step;
};

static void *zstd_open(void)
{
    struct zstd *zstd = calloc(1, sizeof *zstd);
    if (!zstd)
        return NULL;
    zstd->step = STEP_FIRST;
    zstd->stream = ZSTD_createDStream();
    if (zstd->stream)
        return zstd;
    free(zstd);
    return NULL;
}

static void set_damaged(const struct zstd *zstd, const struct raw *raw, size_t code, struct read_error *error)
{
    ZSTD_ErrorCode which = ZSTD_getErrorCode(code);
    if (which == ZSTD_error_prefix_unknown && zstd->begun)
        read_error_set(error, "behind the zstd data, from byte %" PRIu64 " of the file, is something else",
                       raw->offset);
    else
        read_error_set(error, "the zstd data is damaged at byte %" PRIu64 " of the file or later: %s", raw->offset,
                       which == ZSTD_error_checksum_wrong ? "its checksum is wrong" : ZSTD_getErrorName(code));
}

static size_t zstd_read(void *state, struct raw *raw, uint8_t *to, size_t size, struct read_error *error)
{
    struct zstd *zstd = state;
    ZSTD_outBuffer out = {to, size, 0};
    while (!out.pos) {
        bool more = raw_want(raw, 1);
        if (!more && !zstd->inside)
            break;
        size_t there = raw->end - raw->begin;
        ZSTD_inBuffer in = {raw->bytes + raw->begin, there < zstd->step ? there : zstd->step, 0};
        size_t left = ZSTD_decompressStream(zstd->stream, &out, &in);
        if (ZSTD_isError(left)) {
            set_damaged(zstd, raw, left, error);
            break;
        }
        raw_take(raw, in.pos);
        zstd->inside = left;
        zstd->begun |= !left;
        zstd->step = left ? left : STEP_FIRST;
        if (!more && !out.pos) {
            codec_cut(&codec_zstd, raw, error);
            break;
        }
    }
    return out.pos;
}

static void zstd_close(void *state)
{
    struct zstd *zstd = state;
    ZSTD_freeDStream(zstd->stream);
    free(zstd);
}

const struct codec codec_zstd = {"zstd", zstd_open, zstd_read, zstd_close};

#else

const struct codec codec_zstd = {.name = "zstd"};

#endif
