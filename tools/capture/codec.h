/* What decompresses a file's bytes. */
#ifndef CAPTURE_CODEC_H
#define CAPTURE_CODEC_H

#include "raw.h"
#include "read_error.h"

struct codec {
    const char *name;
    /* NULL without memory. */
    void *(*open)(void);
    /*
     * Decompresses up to `size` bytes. None at the end, and where the data is cut or damaged: then there is an
     * error, which may come with the last bytes that are good.
     */
    size_t (*read)(void *state, struct raw *raw, uint8_t *to, size_t size, struct read_error *error);
    void (*close)(void *state);
};

extern const struct codec codec_gzip;
/* Without zstd in the build it has no functions. */
extern const struct codec codec_zstd;

/* The raw bytes have ended within compressed data. */
void codec_cut(const struct codec *codec, const struct raw *raw, struct read_error *error);

#endif
