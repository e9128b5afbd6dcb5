/*
 * libFuzzer over the readers of captures: any bytes as a file, plain or compressed, with a filter and without. What
 * is read once is read again in the same way, and what is broken is said.
 */
#include "capture/recording.h"
#include "command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned complaints;

/* Stands for the program's, and says nothing. */
void complain(const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length <= 0)
        abort();
    complaints++;
}

/* Frames that are read, and what they end with; all of each frame is looked at. */
static enum capture_result read_all(const char *path, const char *filter, uint64_t *frames, uint64_t *sum)
{
    struct captured frame;
    enum capture_result result;
    *frames = *sum = complaints = 0;
    struct capture *capture = capture_open(path, filter);
    if (!capture) {
        if (!complaints)
            abort();
        return CAPTURE_BROKEN;
    }
    while ((result = capture_next(capture, &frame)) == CAPTURE_FRAME) {
        if (frame.captured > frame.length || frame.time >= (int64_t)1 << 62 || frame.time <= -((int64_t)1 << 62))
            abort();
        ++*frames;
        *sum += frame.length + frame.link;
        for (uint32_t i = 0; i < frame.captured; i++)
            *sum += frame.bytes[i];
    }
    if ((result == CAPTURE_BROKEN) != (complaints > 0))
        abort();
    capture_name_unknown_links(capture);
    capture_close(capture);
    return result;
}

static void record(const char *path, uint64_t frames, enum capture_result result)
{
    struct recording recording;
    struct capture *capture = capture_open(path, NULL);
    if (!capture)
        return;
    if (recording_read(&recording, capture) != result || recording.count != frames)
        abort();
    recording_free(&recording);
    capture_close(capture);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    uint64_t frames[2];
    uint64_t sums[2];
    int descriptor = memfd_create("capture", MFD_CLOEXEC);
    if (descriptor < 0 || write(descriptor, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    enum capture_result result = read_all(path, NULL, &frames[0], &sums[0]);
    record(path, frames[0], result);
    read_all(path, "len >= 0", &frames[1], &sums[1]);
    if (frames[1] > frames[0])
        abort();
    close(descriptor);
    return 0;
}
