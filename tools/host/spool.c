#include "spool.h"

#include "command.h"
#include "input_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER = 1 << 20 };

bool spool_open(struct spool *spool, const char *what)
{
    const char *folder;
    *spool = (struct spool){.buffer = malloc(BUFFER)};
    spool->descriptor = spool->buffer ? temporary_file(&folder) : -1;
    if (spool->descriptor >= 0)
        return true;
    if (spool->buffer)
        complain("%s: %s, for %s", folder, strerror(errno), what);
    else
        complain("out of memory for %s", what);
    free(spool->buffer);
    spool->buffer = NULL;
    return false;
}

static bool write_at_end(struct spool *spool, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t written = pwrite(spool->descriptor, bytes, size, (off_t)spool->written);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        bytes += written;
        size -= (size_t)written;
        spool->written += (uint64_t)written;
    }
    return true;
}

bool spool_flush(struct spool *spool)
{
    size_t size = spool->used;
    spool->used = 0;
    return write_at_end(spool, spool->buffer, size);
}

bool spool_append(struct spool *spool, const void *bytes, size_t size)
{
    if (size > BUFFER - spool->used && !spool_flush(spool))
        return false;
    if (size > BUFFER)
        return write_at_end(spool, bytes, size);
    if (size)
        memcpy(spool->buffer + spool->used, bytes, size);
    spool->used += size;
    return true;
}

bool read_at(int descriptor, void *to, size_t size, uint64_t offset)
{
    uint8_t *at = to;
    while (size) {
        ssize_t got = pread(descriptor, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got < 0 ? errno : 0;
            return false;
        }
        at += got;
        size -= (size_t)got;
        offset += (uint64_t)got;
    }
    return true;
}

void spool_close(struct spool *spool)
{
    if (!spool->buffer)
        return;
    close(spool->descriptor);
    free(spool->buffer);
    spool->buffer = NULL;
}
