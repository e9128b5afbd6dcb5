#include "lines.h"

#include "command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#if HAVE_ZSTD
#include <zstd.h>
#endif

enum { BUFFER = 1 << 17 };

static ssize_t gzip_read(void *cookie, char *to, size_t size)
{
    int got = gzread(cookie, to, (unsigned)size);
    if (got < 0)
        errno = EILSEQ;
    return got;
}

static int gzip_close(void *cookie)
{
    return gzclose_r(cookie) == Z_OK ? 0 : EOF;
}

/* zlib reads what is not compressed as it is. */
static FILE *open_gzip(const char *path)
{
    gzFile gzip = gzopen(path, "rb");
    if (!gzip)
        return NULL;
    gzbuffer(gzip, BUFFER);
    FILE *file = fopencookie(gzip, "rb", (cookie_io_functions_t){.read = gzip_read, .close = gzip_close});
    if (!file)
        gzclose_r(gzip);
    return file;
}

#if HAVE_ZSTD
struct zstd {
    FILE *file;
    ZSTD_DStream *stream;
    ZSTD_inBuffer in;
    size_t left; /* 0 at the end of a frame */
    char bytes[BUFFER];
};

static ssize_t zstd_read(void *cookie, char *to, size_t size)
{
    struct zstd *zstd = cookie;
    ZSTD_outBuffer out = {to, size, 0};
    while (!out.pos) {
        if (zstd->in.pos == zstd->in.size) {
            zstd->in = (ZSTD_inBuffer){zstd->bytes, fread(zstd->bytes, 1, sizeof zstd->bytes, zstd->file), 0};
            if (!zstd->in.size && !ferror(zstd->file) && !zstd->left)
                return 0;
        }
        size_t before = zstd->in.pos;
        zstd->left = ZSTD_decompressStream(zstd->stream, &out, &zstd->in);
        if (ZSTD_isError(zstd->left) ||
            (!out.pos && zstd->in.pos == before && zstd->in.pos == zstd->in.size && !zstd->in.size)) {
            errno = EILSEQ;
            return -1;
        }
    }
    return (ssize_t)out.pos;
}

static int zstd_close(void *cookie)
{
    struct zstd *zstd = cookie;
    ZSTD_freeDStream(zstd->stream);
    int status = fclose(zstd->file);
    free(zstd);
    return status;
}

static FILE *open_zstd(const char *path)
{
    struct zstd *zstd = calloc(1, sizeof *zstd);
    if (!zstd)
        return NULL;
    zstd->file = fopen(path, "rb");
    zstd->stream = ZSTD_createDStream();
    FILE *file = NULL;
    if (zstd->file && zstd->stream)
        file = fopencookie(zstd, "rb", (cookie_io_functions_t){.read = zstd_read, .close = zstd_close});
    if (file)
        return file;
    if (zstd->file)
        fclose(zstd->file);
    ZSTD_freeDStream(zstd->stream);
    free(zstd);
    return NULL;
}
#else
static FILE *open_zstd(const char *path)
{
    (void)path;
    errno = ENOTSUP;
    return NULL;
}
#endif

static bool is_zstd(const char *path)
{
    static const char magic[4] = "\x28\xb5\x2f\xfd";
    char first[4] = "";
    FILE *file = fopen(path, "rb");
    bool read = file && fread(first, 1, sizeof first, file) == sizeof first;
    if (file)
        fclose(file);
    return read && !memcmp(first, magic, sizeof magic);
}

FILE *text_open(const char *path)
{
    FILE *file = is_zstd(path) ? open_zstd(path) : open_gzip(path);
    if (!file)
        complain("%s: %s", path,
                 errno == ENOTSUP ? "compressed with zstd, which this build does not read" : strerror(errno));
    return file;
}

bool lines_open(struct lines *lines, const char *path)
{
    *lines = (struct lines){.path = path, .file = text_open(path)};
    return lines->file;
}

bool lines_next(struct lines *lines)
{
    ssize_t length = getline(&lines->line, &lines->room, lines->file);
    if (length < 0)
        return false;
    lines->number++;
    if (length && lines->line[length - 1] == '\n')
        lines->line[length - 1] = 0;
    return true;
}

bool lines_close(struct lines *lines)
{
    bool whole = !ferror(lines->file);
    if (!whole)
        complain("%s: cannot be read behind line %" PRIu64 ": %s", lines->path, lines->number, strerror(errno));
    fclose(lines->file);
    free(lines->line);
    return whole;
}

bool lines_bad(const struct lines *lines, const char *expected)
{
    complain("%s:%" PRIu64 ": expected %s, got '%.60s'", lines->path, lines->number, expected, lines->line);
    return false;
}
