/*
 * Makes a trace of any length, for tests of those who read them: four threads, three keys, sizes of frames and of small things, some
 * blocks of the last key aligned to 128 bytes, a working set of a given number of blocks in each thread.
 *
 *     make_trace FILE EVENTS [LIVE [ROUNDS [NAME]]]
 *
 * Every so many rounds, one key is reset; 0: none is. NAME is the first key's, else it is frames.
 */
#include "trace/event.h"
#include "trace/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4, KEYS = 3, ROUND = 1000, LIVE_DEFAULT = 10000, ALIGNED = 7 };

struct slot {
    uint64_t address; /* 0: empty */
    uint64_t key;
};

struct maker {
    uint64_t random;
    struct trace_stream stream;
    struct slot *slots;
    uint64_t next; /* address */
    uint32_t used;
    uint32_t events;
    uint64_t began;
    uint8_t bytes[TRACE_CHUNK_BYTES];
};

static struct maker makers[THREADS];
static struct trace_file file;
static uint64_t made;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "make_trace: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t random_next(struct maker *maker)
{
    maker->random ^= maker->random << 13;
    maker->random ^= maker->random >> 7;
    maker->random ^= maker->random << 17;
    return maker->random;
}

static void flush(struct maker *maker)
{
    struct trace_chunk chunk = {
        .type = TRACE_EVENTS,
        .bytes = maker->used,
        .thread = (uint32_t)(maker - makers) + 1,
        .events = maker->events,
        .time = maker->began,
    };
    if (maker->used && !trace_file_chunk(&file, &chunk, maker->bytes))
        fail("chunk");
    maker->used = maker->events = 0;
}

static void put(struct maker *maker, struct trace_event *event)
{
    if (maker->used + TRACE_EVENT_MOST > TRACE_CHUNK_BYTES)
        flush(maker);
    if (!maker->used) {
        maker->began = event->time;
        maker->stream = (struct trace_stream){.time = event->time};
    }
    maker->used = (uint32_t)(trace_encode(maker->bytes + maker->used, &maker->stream, event) - maker->bytes);
    maker->events++;
    made++;
}

static uint64_t size_of(struct maker *maker, unsigned key)
{
    static const uint64_t common[] = {54, 66, 1514, 90, 590};
    uint64_t random = random_next(maker);
    if (key == 0)
        return random % 10 < 7 ? common[random / 16 % 5] : 60 + random / 16 % 1455;
    return key == 1 ? 40 + random % 64 : 200 + random % 3000;
}

/* One slot at random: what lies there goes, and something new comes. */
static void replace(struct maker *maker, uint64_t live, uint64_t time)
{
    uint64_t random = random_next(maker);
    uint64_t key = random % KEYS + 1;
    struct slot *slot = &maker->slots[random / 16 % live];
    uint64_t address = slot->address;
    if (address)
        put(maker, &(struct trace_event){.kind = TRACE_FREE, .time = time, .key = slot->key, .address = address});
    else
        address = maker->next += 4096;
    *slot = (struct slot){.address = address, .key = key};
    put(maker, &(struct trace_event){.kind = TRACE_ALLOC,
                                     .time = time + 20,
                                     .key = key,
                                     .address = address,
                                     .size = size_of(maker, (unsigned)key - 1),
                                     .alignment_shift = key == KEYS && random / 1024 % 8 == 0 ? ALIGNED : 0});
}

static void reset(uint64_t key, uint64_t live, uint64_t time)
{
    put(&makers[0], &(struct trace_event){.kind = TRACE_RESET, .time = time, .key = key});
    for (unsigned i = 0; i < THREADS; i++)
        for (uint64_t slot = 0; slot < live; slot++)
            if (makers[i].slots[slot].key == key)
                makers[i].slots[slot] = (struct slot){0};
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: make_trace FILE EVENTS [LIVE [ROUNDS [NAME]]]\n");
        return 2;
    }
    uint64_t events = strtoull(argv[2], NULL, 10);
    uint64_t live = argc > 3 ? strtoull(argv[3], NULL, 10) : LIVE_DEFAULT;
    uint64_t rounds = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
    struct trace_info info = {.sample = 1, .program = "make_trace"};
    int descriptor = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (descriptor < 0 || !trace_file_begin(&file, descriptor, &info))
        fail(argv[1]);
    for (unsigned i = 0; i < THREADS; i++) {
        makers[i] = (struct maker){.random = i + 1, .next = (uint64_t)(i + 1) << 40};
        makers[i].slots = calloc(live, sizeof *makers[i].slots);
        if (!makers[i].slots)
            fail("memory");
    }
    const char *const names[KEYS] = {argc > 5 ? argv[5] : "frames", "flows", "streams"};
    for (unsigned key = 0; key < KEYS; key++) {
        struct trace_event event = {.kind = TRACE_KEY, .key = key + 1};
        snprintf(event.name, sizeof event.name, "%s", names[key]);
        put(&makers[0], &event);
    }
    for (uint64_t round = 1; made < events; round++) {
        for (unsigned i = 0; i < THREADS; i++)
            replace(&makers[i], live, round * ROUND + i * 50);
        if (rounds && round % rounds == 0)
            reset(round / rounds % KEYS + 1, live, round * ROUND + ROUND / 2);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        flush(&makers[i]);
        free(makers[i].slots);
    }
    if (!trace_file_end(&file, &(struct trace_last){.events = made}) || close(descriptor))
        fail(argv[1]);
    return 0;
}
