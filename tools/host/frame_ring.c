#include "frame_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

struct ring_record {
    uint32_t bytes; /* of the whole record, a multiple of RING_RECORD_ALIGN */
    uint32_t label;
    uint64_t hash;
    uint8_t content[];
};

_Static_assert(sizeof(struct ring_record) % RING_RECORD_ALIGN == 0, "contents are aligned as records are");

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static struct ring_record *record_at(const struct frame_ring *ring, uint64_t position)
{
    return (struct ring_record *)(ring->bytes + position % ring->size);
}

/* ------------------------------------------------------------------ memory */

/* The first page, the ring, and the ring again, in a stretch of addresses that is the caller's. */
static bool map_at(const struct frame_ring *ring, uint8_t *start, int protection)
{
    size_t page = page_bytes();
    uint8_t *again = start + page + ring->size;
    return mmap(start, page + ring->size, protection, MAP_SHARED | MAP_FIXED, ring->descriptor, 0) != MAP_FAILED &&
           mmap(again, ring->size, protection, MAP_SHARED | MAP_FIXED, ring->descriptor, (off_t)page) != MAP_FAILED;
}

static bool ring_map(struct frame_ring *ring)
{
    size_t page = page_bytes();
    size_t all = page + 2 * ring->size;
    ring->descriptor = memfd_create("keyslab-frames", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (ring->descriptor < 0 || ftruncate(ring->descriptor, (off_t)(page + ring->size)))
        return false;
    uint8_t *start = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return false;
    ring->shared = (struct ring_head *)start;
    ring->bytes = start + page;
    /* Mappings that are there stay writable; nobody makes another. */
    return map_at(ring, start, PROT_READ | PROT_WRITE) &&
           !fcntl(ring->descriptor, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

bool ring_open(struct frame_ring *ring, uint64_t size)
{
    size_t page = page_bytes();
    *ring = (struct frame_ring){.size = (size + page - 1) / page * page, .descriptor = -1};
    ring->limit = ring->size;
    LIST_INIT(&ring->readers);
    if (ring_map(ring))
        return true;
    int error = errno;
    ring_close(ring);
    errno = error;
    return false;
}

void ring_close(struct frame_ring *ring)
{
    if (ring->shared)
        munmap(ring->shared, page_bytes() + 2 * ring->size);
    if (ring->descriptor >= 0)
        close(ring->descriptor);
    *ring = (struct frame_ring){.descriptor = -1};
}

bool ring_protect(struct frame_ring *ring)
{
    if (!map_at(ring, (uint8_t *)ring->shared, PROT_READ))
        return false;
    close(ring->descriptor);
    ring->descriptor = -1;
    return true;
}

/* ------------------------------------------------------------------ the writer */

static uint64_t record_bytes(size_t bytes)
{
    return (sizeof(struct ring_record) + bytes + RING_RECORD_ALIGN - 1) / RING_RECORD_ALIGN * RING_RECORD_ALIGN;
}

bool ring_can_hold(const struct frame_ring *ring, size_t bytes)
{
    return bytes < UINT32_MAX / 2 && record_bytes(bytes) <= ring->size;
}

/*
 * The least tail, from which on nothing is overwritten. Acquire: the lane's reads of the records before its tail were done
 * when it stored it (release, in cursor_next), so that what is written over them is written after.
 */
static uint64_t least_tail(struct frame_ring *ring)
{
    uint64_t least = ring->head;
    struct ring_reader *reader;
    LIST_FOREACH (reader, &ring->readers, others) {
        for (unsigned i = 0; i < reader->count; i++) {
            uint64_t tail = atomic_load_explicit(&reader->places[i].tail, memory_order_acquire);
            if (ring->head - tail > ring->size)
                reader->is_broken = true;
            else if (tail < least)
                least = tail;
        }
    }
    return least;
}

void *ring_reserve(struct frame_ring *ring, size_t bytes)
{
    uint64_t total = record_bytes(bytes);
    if (ring->head + total > ring->limit)
        ring->limit = least_tail(ring) + ring->size;
    if (ring->head + total > ring->limit) {
        /* The readers that are waited for may wait for what they have not been shown. */
        ring_publish(ring);
        return NULL;
    }
    ring->reserved = record_at(ring, ring->head);
    ring->reserved->bytes = (uint32_t)total;
    return ring->reserved->content;
}

bool ring_is_reserved(const struct frame_ring *ring, const void *room)
{
    return ring->reserved && ring->reserved->content == room;
}

void ring_commit(struct frame_ring *ring, uint64_t hash, uint32_t label)
{
    ring->reserved->hash = hash;
    ring->reserved->label = label;
    ring->head += ring->reserved->bytes;
    ring->reserved = NULL;
    if (++ring->unpublished == RING_UNPUBLISHED)
        ring_publish(ring);
}

/* Release: whoever sees this head (acquire, in cursor_next) sees the records before it whole. */
void ring_publish(struct frame_ring *ring)
{
    if (!ring->unpublished)
        return;
    ring->unpublished = 0;
    atomic_store_explicit(&ring->shared->head, ring->head, memory_order_release);
}

/* Release: whoever sees the end (acquire, in cursor_next) sees the last head. */
void ring_end(struct frame_ring *ring)
{
    ring_publish(ring);
    atomic_store_explicit(&ring->shared->ended, true, memory_order_release);
}

void ring_go_on(struct frame_ring *ring)
{
    atomic_store_explicit(&ring->shared->ended, false, memory_order_relaxed);
}

/* Relaxed: nothing is read by it. */
void ring_cut_short(struct frame_ring *ring)
{
    atomic_store_explicit(&ring->shared->cut_short, true, memory_order_relaxed);
}

void ring_add_reader(struct frame_ring *ring, struct ring_reader *reader)
{
    reader->is_broken = false;
    LIST_INSERT_HEAD(&ring->readers, reader, others);
}

void ring_remove_reader(struct ring_reader *reader)
{
    LIST_REMOVE(reader, others);
}

static void place_begin(struct ring_place *place, uint64_t at)
{
    atomic_store_explicit(&place->tail, at, memory_order_relaxed);
    atomic_store_explicit(&place->next, at, memory_order_relaxed);
    atomic_store_explicit(&place->label, 0, memory_order_relaxed);
    atomic_store_explicit(&place->state, PLACE_BEGINNING, memory_order_relaxed);
}

void ring_place_reader(const struct frame_ring *ring, struct ring_reader *reader)
{
    for (unsigned i = 0; i < reader->count; i++)
        place_begin(&reader->places[i], ring->head);
}

/* Relaxed: the process has ended, nobody else writes the places, and the next one is forked after this. */
void ring_skip_held(struct frame_ring *ring, struct ring_reader *reader)
{
    for (unsigned i = 0; i < reader->count; i++) {
        struct ring_place *place = &reader->places[i];
        uint64_t next = atomic_load_explicit(&place->next, memory_order_relaxed);
        /* The ring has been kept from the tail on, as far as the tail was good. */
        if (reader->is_broken || ring->head - next > ring->size)
            next = ring->head;
        place_begin(place, next);
    }
}

/* ------------------------------------------------------------------ the readers */

bool ring_is_cut_short(const struct frame_ring *ring)
{
    return atomic_load_explicit(&ring->shared->cut_short, memory_order_relaxed);
}

void cursor_open(struct ring_cursor *cursor, const struct frame_ring *ring, struct ring_place *place, uint32_t lane,
                 uint32_t lanes)
{
    uint64_t next = atomic_load_explicit(&place->next, memory_order_relaxed);
    *cursor =
        (struct ring_cursor){.ring = ring, .place = place, .lane = lane, .lanes = lanes, .next = next, .head = next};
}

/* Release: what the lane has read of the records before `tail` was read before the writer may overwrite them. */
static void place_move(struct ring_place *place, uint64_t tail, uint64_t next, enum place_state state)
{
    atomic_store_explicit(&place->state, state, memory_order_relaxed);
    atomic_store_explicit(&place->next, next, memory_order_relaxed);
    atomic_store_explicit(&place->tail, tail, memory_order_release);
}

/* The first record of the lane's own before the head that was seen last; the others' are skipped. */
static struct ring_record *cursor_find(struct ring_cursor *cursor)
{
    while (cursor->next != cursor->head) {
        struct ring_record *record = record_at(cursor->ring, cursor->next);
        if (record->hash % cursor->lanes == cursor->lane)
            return record;
        cursor->next += record->bytes;
    }
    return NULL;
}

/* Looks for the end before it looks for records: none comes between the last look and the end. */
static struct ring_record *cursor_look(struct ring_cursor *cursor, bool *ended)
{
    const struct ring_head *shared = cursor->ring->shared;
    if (ring_is_cut_short(cursor->ring)) {
        *ended = true;
        return NULL;
    }
    struct ring_record *record = cursor_find(cursor);
    if (record)
        return record;
    bool is_last = atomic_load_explicit(&shared->ended, memory_order_acquire);
    cursor->head = atomic_load_explicit(&shared->head, memory_order_acquire);
    record = cursor_find(cursor);
    *ended = !record && is_last;
    return record;
}

void *cursor_next(struct ring_cursor *cursor, bool *ended)
{
    *ended = false;
    struct ring_record *record = cursor_look(cursor, ended);
    uint64_t start = cursor->next;
    if (!record) {
        place_move(cursor->place, start, start, *ended ? PLACE_AFTER : PLACE_WAITING);
        return NULL;
    }
    cursor->next += record->bytes;
    /* First the label: it is right wherever the lane's process ends. */
    atomic_store_explicit(&cursor->place->label, record->label, memory_order_relaxed);
    place_move(cursor->place, start, cursor->next, PLACE_HOLDING);
    return record->content;
}

void cursor_close(struct ring_cursor *cursor)
{
    place_move(cursor->place, cursor->next, cursor->next, PLACE_DONE);
}
