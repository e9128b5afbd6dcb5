/*
 * Frames in memory that processes share: one process writes them, the others can only read them.
 *
 * A record is a number of bytes for one lane of each process, by its hash, and lies in one piece, since the ring's pages are mapped twice, one behind the
 * other. Positions only rise; a record at position p is at p modulo the ring's size. Each lane of each reading process has a
 * place, in memory that its process may write:
 *
 *     tail <= next <= head <= tail + size          of every place that the writer waits for
 *
 * What lies from `tail` on is not overwritten; `next` is where the lane goes on. Both differ while the lane holds a record.
 * The writer takes nothing from a place on trust: a value that breaks the line above is the end of its process.
 */
#ifndef HOST_FRAME_RING_H
#define HOST_FRAME_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum { RING_RECORD_ALIGN = 16, RING_LINE = 64, RING_UNPUBLISHED = 32 };

enum place_state {
    PLACE_BEGINNING, /* the lane has not asked for a record yet */
    PLACE_WAITING,
    PLACE_HOLDING,
    PLACE_AFTER, /* there are no more, and the lane knows */
    PLACE_DONE,  /* and has returned */
};

/* Written by the lane alone, before it starts by the writer. */
struct ring_place {
    _Alignas(RING_LINE) _Atomic uint64_t tail;
    _Atomic uint64_t next;
    _Atomic uint32_t label; /* of the record that it holds or held last; 0 before the first */
    _Atomic uint32_t state; /* enum place_state */
};

/* The lanes of one reading process. */
struct ring_reader {
    LIST_ENTRY(ring_reader) others;
    struct ring_place *places;
    unsigned count;
    bool is_broken; /* a place was found that holds nonsense */
};

/* The first page of what is shared: written by the writer alone. */
struct ring_head {
    _Alignas(RING_LINE) _Atomic uint64_t head; /* records before it are whole */
    _Atomic uint32_t ended;                    /* no more will come */
    _Atomic uint32_t cut_short;                /* what is left is not to be read */
};

/* As the writer has it; a child of a fork inherits it, and gives it to its lanes. */
struct frame_ring {
    struct ring_head *shared;
    uint8_t *bytes;
    uint64_t size;
    int descriptor;
    /* writer */
    uint64_t head;  /* end of the last record, published or not */
    uint64_t limit; /* records may reach it */
    struct ring_record *reserved;
    unsigned unpublished;
    LIST_HEAD(, ring_reader) readers;
};

/* A ring of `size` bytes, rounded up to whole pages. False with errno. */
bool ring_open(struct frame_ring *ring, uint64_t size);
void ring_close(struct frame_ring *ring);

/* ------------------------------------------------------------------ the writer */

/* Whether a record of so many bytes has room in the empty ring. */
bool ring_can_hold(const struct frame_ring *ring, size_t bytes);

/* Room for the next record, or NULL as long as readers are in its way. */
void *ring_reserve(struct frame_ring *ring, size_t bytes);

/* Whether it is the room that was reserved last, and has not been committed. */
bool ring_is_reserved(const struct frame_ring *ring, const void *room);

/* The record that was reserved last is whole. It is published with others, or by ring_publish. */
void ring_commit(struct frame_ring *ring, uint64_t hash, uint32_t label);
void ring_publish(struct frame_ring *ring);

/* All has been written. */
void ring_end(struct frame_ring *ring);

/* Behind the end there is more, for readers that begin. */
void ring_go_on(struct frame_ring *ring);

/* Readers are not to read on. */
void ring_cut_short(struct frame_ring *ring);

/* A reader whose places are where it begins; it is not waited for any more once it has been removed. */
void ring_add_reader(struct frame_ring *ring, struct ring_reader *reader);
void ring_remove_reader(struct ring_reader *reader);

/* The places of a reader that begins with the record that is written next. */
void ring_place_reader(const struct frame_ring *ring, struct ring_reader *reader);

/* Of a reader that has ended: its places go on behind the records that its lanes held, for the next reader with them. */
void ring_skip_held(struct frame_ring *ring, struct ring_reader *reader);

/* ------------------------------------------------------------------ the readers' processes */

/* In the child of a fork: the ring's pages become those of a file that nobody can map for writing. False with errno. */
bool ring_protect(struct frame_ring *ring);

bool ring_is_cut_short(const struct frame_ring *ring);

/* What a lane reads by: records whose hash, divided by the number of lanes, leaves its own. */
struct ring_cursor {
    const struct frame_ring *ring;
    struct ring_place *place;
    uint32_t lane;
    uint32_t lanes;
    uint64_t next;
    uint64_t head; /* as it was seen last */
};

void cursor_open(struct ring_cursor *cursor, const struct frame_ring *ring, struct ring_place *place, uint32_t lane,
                 uint32_t lanes);

/* The lane's next record, good until the next call; NULL while there is none. Sets `*ended` where there will be none. */
void *cursor_next(struct ring_cursor *cursor, bool *ended);

/* The lane has returned. */
void cursor_close(struct ring_cursor *cursor);

#endif
