/* libFuzzer over the reader of traces: any bytes as events, and any file whose checksums are right. */
#include "trace/checksum.h"
#include "trace/event.h"
#include "trace/file.h"
#include "trace/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct trace_event *a, const struct trace_event *b)
{
    return a->kind == b->kind && a->time == b->time && a->key == b->key && a->address == b->address &&
           a->size == b->size && a->alignment_shift == b->alignment_shift && a->zeroed == b->zeroed &&
           (a->kind != TRACE_KEY || !strcmp(a->name, b->name));
}

/* What is decoded is encoded to something that decodes to the same. */
static void round_trip(const uint8_t *data, size_t size)
{
    struct trace_stream from = {0};
    struct trace_stream to = {0};
    struct trace_stream again = {0};
    struct trace_event event = {0};
    struct trace_event copy = {0};
    for (const uint8_t *at = data; (at = trace_decode(at, data + size, &from, &event));) {
        uint8_t bytes[TRACE_EVENT_MOST];
        uint8_t *end = trace_encode(bytes, &to, &event);
        if (trace_decode(bytes, end, &again, &copy) != end || !same(&copy, &event))
            abort();
    }
}

/* A file of the fuzzer's chunks, each of up to 255 bytes, for one of four threads. */
static int make_file(const uint8_t *data, size_t size)
{
    int descriptor = memfd_create("trace", 0);
    struct trace_file file;
    struct trace_info info = {.sample = 1};
    struct trace_last last = {0};
    if (descriptor < 0 || !trace_file_begin(&file, descriptor, &info))
        abort();
    while (size > 2) {
        size_t bytes = data[0] % 32 + 1;
        if (bytes > size - 2)
            bytes = size - 2;
        struct trace_chunk chunk = {
            .type = TRACE_EVENTS, .bytes = (uint32_t)bytes, .thread = data[1] >> 1 & 3, .time = data[1] >> 3};
        const uint8_t *end;
        chunk.events = trace_count(data + 2, data + 2 + bytes, chunk.time, &end) + (data[1] & 1);
        last.events += chunk.events;
        trace_file_chunk(&file, &chunk, data + 2);
        data += bytes + 2;
        size -= bytes + 2;
    }
    trace_file_end(&file, &last);
    return descriptor;
}

static void read_all(const char *path, bool salvage)
{
    struct trace_error error;
    struct trace_reader *reader = trace_open(path, salvage, &error);
    if (!reader)
        return;
    const struct trace_event *event;
    enum trace_result result;
    while ((result = trace_next(reader, &event)) == TRACE_EVENT)
        if (!event->kind || event->kind > TRACE_KEY)
            abort();
    if (salvage && result == TRACE_BROKEN)
        abort();
    if (!*trace_problem(reader) != (result == TRACE_END) && !salvage)
        abort();
    trace_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    round_trip(data, size);
    int descriptor = make_file(data, size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    read_all(path, false);
    read_all(path, true);
    /* The same with bytes written over: size may be 0. */
    if (size >= 4) {
        off_t where = (data[0] << 8 | data[1]) % (lseek(descriptor, 0, SEEK_END) + 1);
        if (pwrite(descriptor, data + 2, 2, where) < 0 ||
            ftruncate(descriptor, lseek(descriptor, 0, SEEK_END) - data[3] % 64))
            abort();
        read_all(path, false);
        read_all(path, true);
    }
    close(descriptor);
    return 0;
}
