#include "readers.h"

#include "command.h"
#include "interrupt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct readers *readers;
    struct packet_socket *socket;
    pthread_t thread;
    /* the thread */
    struct burst *filling;
    struct stashes stashes;
    enum capture_result result;
    struct read_error error;
    /* between it and the capture thread */
    atomic_bool ended;
    atomic_uint_fast64_t refused; /* frames without memory, that the capture thread has not counted yet */
    ck_ring_t ring;
    ck_ring_buffer_t slots[RING];
    /* the capture thread */
    struct burst *reading;
    uint32_t position;
};

struct readers {
    struct host *host;
    atomic_bool stopped;
    unsigned count;
    struct reader all[];
};

/* ------------------------------------------------------------------ a reader's thread */

/* Waits for the capture thread where that is behind: the ring of the socket fills then, and what it has no room for counts as dropped. */
static void reader_send(struct reader *reader)
{
    unsigned spins = 0;
    if (!reader->filling)
        return;
    while (!ck_ring_enqueue_spsc(&reader->ring, reader->slots, reader->filling))
        wait_a_little(&spins);
    reader->filling = NULL;
}

static struct burst *reader_burst(struct reader *reader)
{
    if (!reader->filling) {
        reader->filling = ks_alloc(reader->readers->host->key, sizeof *reader->filling, NULL);
        if (reader->filling)
            reader->filling->count = 0;
    }
    return reader->filling;
}

static void reader_take(struct reader *reader, const struct captured *captured)
{
    struct burst *burst = reader_burst(reader);
    struct frame *frame = burst ? frame_make(reader->readers->host, &reader->stashes, captured) : NULL;
    if (!frame) {
        atomic_fetch_add_explicit(&reader->refused, 1, memory_order_relaxed);
        return;
    }
    burst->frames[burst->count++] = frame;
    if (burst->count == BURST)
        reader_send(reader);
}

static void *reader_main(void *argument)
{
    struct reader *reader = argument;
    struct readers *readers = reader->readers;
    struct captured captured;
    reader->result = CAPTURE_QUIET;
    while (!atomic_load_explicit(&readers->stopped, memory_order_relaxed) && reader->result <= CAPTURE_QUIET) {
        reader->result = packet_socket_next(reader->socket, &captured, &reader->error);
        if (reader->result == CAPTURE_FRAME)
            reader_take(reader, &captured);
        else
            reader_send(reader);
    }
    reader_send(reader);
    stashes_free(readers->host, &reader->stashes);
    ks_flush();
    atomic_store_explicit(&reader->ended, true, memory_order_release);
    return NULL;
}

struct readers *readers_start(struct host *host, struct packet_group *group)
{
    unsigned count = packet_group_sockets(group);
    struct readers *readers = calloc(1, sizeof *readers + count * sizeof *readers->all);
    sigset_t before;
    int error = readers ? 0 : ENOMEM;
    if (readers)
        readers->host = host;
    interrupt_block(&before);
    for (unsigned i = 0; !error && i < count; i++) {
        struct reader *reader = &readers->all[i];
        reader->readers = readers;
        reader->socket = packet_group_socket(group, i);
        ck_ring_init(&reader->ring, RING);
        error = pthread_create(&reader->thread, NULL, reader_main, reader);
        readers->count += !error;
    }
    interrupt_unblock(&before);
    if (!error)
        return readers;
    complain("a thread that reads the interface: %s", strerror(error));
    if (readers)
        readers_stop(readers, 0, &(struct read_error){0});
    return NULL;
}

/* ------------------------------------------------------------------ the capture thread */

/* The next frame of one of them; NULL where none is there. */
static struct frame *reader_next(struct reader *reader)
{
    if (!reader->reading && !ck_ring_dequeue_spsc(&reader->ring, reader->slots, &reader->reading))
        return NULL;
    struct burst *burst = reader->reading;
    struct frame *frame = burst->frames[reader->position++];
    if (reader->position == burst->count) {
        reader->reading = NULL;
        reader->position = 0;
        ks_free(reader->readers->host->key, burst);
    }
    return frame;
}

static void take(struct host *host, struct frame *frame)
{
    const struct captured captured = frame_captured(frame);
    frame_take(host, frame, &captured);
}

/* At most a burst of one reader before the next one's. */
static uint64_t reader_deliver(struct reader *reader, uint64_t most)
{
    uint64_t delivered = 0;
    struct frame *frame;
    reader->readers->host->refused += atomic_exchange_explicit(&reader->refused, 0, memory_order_relaxed);
    while (delivered < most && delivered < BURST && (frame = reader_next(reader))) {
        take(reader->readers->host, frame);
        delivered++;
    }
    return delivered;
}

uint64_t readers_deliver(struct readers *readers, uint64_t most)
{
    uint64_t delivered = 0;
    for (unsigned i = 0; i < readers->count; i++)
        delivered += reader_deliver(&readers->all[i], most - delivered);
    return delivered;
}

bool readers_ended(struct readers *readers)
{
    for (unsigned i = 0; i < readers->count; i++)
        if (atomic_load_explicit(&readers->all[i].ended, memory_order_acquire) && !readers->all[i].reading &&
            !ck_ring_size(&readers->all[i].ring))
            return true;
    return false;
}

static bool all_have_ended(const struct readers *readers)
{
    for (unsigned i = 0; i < readers->count; i++)
        if (!atomic_load_explicit(&readers->all[i].ended, memory_order_acquire))
            return false;
    return true;
}

static void drop_rest(struct readers *readers)
{
    struct frame *frame;
    for (unsigned i = 0; i < readers->count; i++)
        while ((frame = reader_next(&readers->all[i])))
            ks_free(readers->host->key, frame);
}

/* What is there; behind the `most` frames that are wanted for nobody, so that no reader waits. What is left of `most`. */
static uint64_t take_all(struct readers *readers, uint64_t most)
{
    uint64_t delivered;
    while (most && (delivered = readers_deliver(readers, most)))
        most -= delivered;
    if (!most)
        drop_rest(readers);
    return most;
}

bool readers_stop(struct readers *readers, uint64_t most, struct read_error *error)
{
    bool whole = true;
    unsigned spins = 0;
    atomic_store(&readers->stopped, true);
    while (!all_have_ended(readers)) {
        most = take_all(readers, most);
        wait_a_little(&spins);
    }
    take_all(readers, most);
    for (unsigned i = 0; i < readers->count; i++) {
        struct reader *reader = &readers->all[i];
        pthread_join(reader->thread, NULL);
        if (reader->result == CAPTURE_BROKEN)
            whole = read_error_set(error, "%s", reader->error.text);
    }
    free(readers);
    return whole;
}
