#include "raw.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A signal that arrives just before poll is seen this much later. */
enum { STOP_MS = 100 };

void raw_open(struct raw *raw, int descriptor)
{
    struct stat about;
    raw->descriptor = descriptor;
    raw->waits = fstat(descriptor, &about) || !S_ISREG(about.st_mode);
    raw->start = raw->waits ? 0 : lseek(descriptor, 0, SEEK_CUR);
    atomic_init(&raw->stopped, false);
    raw->ended = false;
    raw->error = 0;
    raw->offset = raw->begin = raw->end = 0;
}

void raw_close(struct raw *raw)
{
    close(raw->descriptor);
}

bool raw_ready(struct raw *raw, int milliseconds)
{
    if (!raw->waits || raw->ended || raw->begin < raw->end)
        return true;
    return poll(&(struct pollfd){.fd = raw->descriptor, .events = POLLIN}, 1, milliseconds) > 0;
}

bool raw_more(struct raw *raw)
{
    if (raw->begin) {
        memmove(raw->bytes, raw->bytes + raw->begin, raw->end - raw->begin);
        raw->end -= raw->begin;
        raw->begin = 0;
    }
    while (!raw->ended && raw->end < RAW_BUFFER && !atomic_load(&raw->stopped)) {
        if (raw->waits && poll(&(struct pollfd){.fd = raw->descriptor, .events = POLLIN}, 1, STOP_MS) <= 0)
            continue;
        ssize_t got = read(raw->descriptor, raw->bytes + raw->end, RAW_BUFFER - raw->end);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got > 0) {
            raw->end += (size_t)got;
            return true;
        }
        raw->ended = true;
        raw->error = got < 0 ? errno : 0;
    }
    return false;
}

bool raw_want(struct raw *raw, size_t size)
{
    while (raw->end - raw->begin < size)
        if (!raw_more(raw))
            return false;
    return true;
}

void raw_take(struct raw *raw, size_t size)
{
    raw->begin += size;
    raw->offset += size;
}

bool raw_rewind(struct raw *raw)
{
    if (lseek(raw->descriptor, raw->start, SEEK_SET) != raw->start)
        return false;
    raw->ended = false;
    raw->error = 0;
    raw->offset = raw->begin = raw->end = 0;
    return true;
}
