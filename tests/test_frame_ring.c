/* The ring of frames that processes share: every record arrives whole at every reader, and no reader can harm it. */
#include "frame_ring.h"
#include "test.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { READERS = 3, LANES = 3, RECORDS = 100000, PAGE = 4096, SIZE_MOST = 700, RECORD_HEADER = 16 };

struct record {
    uint32_t number; /* from 1 */
    uint32_t size;
    uint8_t bytes[];
};

struct shared {
    struct ring_place places[LANES];
};

struct lane {
    struct ring_cursor cursor;
    pthread_t thread;
    uint32_t number;
    bool is_right;
};

static struct shared *shared_new(void)
{
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    return shared;
}

static uint32_t size_of(uint32_t number)
{
    return number * 2654435761u % SIZE_MOST;
}

static uint32_t lane_of(uint32_t number)
{
    return (number >> 3) % LANES;
}

static bool record_write(struct frame_ring *ring, uint32_t number)
{
    uint32_t size = size_of(number);
    struct record *record = ring_reserve(ring, sizeof *record + size);
    if (!record)
        return false;
    *record = (struct record){number, size};
    memset(record->bytes, (int)(number % 251), size);
    ring_commit(ring, lane_of(number), number);
    return true;
}

static bool record_is_whole(const struct record *record)
{
    if (record->size != size_of(record->number))
        return false;
    for (uint32_t i = 0; i < record->size; i++)
        if (record->bytes[i] != record->number % 251)
            return false;
    return true;
}

/* Every record of the lane in turn, looked at again after a while: it stays as it is as long as it is held. */
static void *read_lane(void *argument)
{
    struct lane *lane = argument;
    bool ended = false;
    uint32_t expected = 0;
    lane->is_right = true;
    for (;;) {
        const struct record *record = cursor_next(&lane->cursor, &ended);
        if (ended)
            break;
        if (!record) {
            sched_yield();
            continue;
        }
        do
            expected++;
        while (lane_of(expected) != lane->number);
        lane->is_right = lane->is_right && record->number == expected && record_is_whole(record);
        if (expected % 1024 == 0)
            sched_yield();
        lane->is_right = lane->is_right && record_is_whole(record);
    }
    do
        expected++;
    while (lane_of(expected) != lane->number);
    lane->is_right = lane->is_right && expected > RECORDS;
    cursor_close(&lane->cursor);
    return NULL;
}

static _Noreturn void read_all(struct frame_ring *ring, struct shared *shared)
{
    static struct lane lanes[LANES];
    bool are_right = ring_protect(ring);
    for (uint32_t i = 0; i < LANES; i++) {
        cursor_open(&lanes[i].cursor, ring, &shared->places[i], i, LANES);
        lanes[i].number = i;
        are_right = are_right && !pthread_create(&lanes[i].thread, NULL, read_lane, &lanes[i]);
    }
    for (uint32_t i = 0; are_right && i < LANES; i++) {
        pthread_join(lanes[i].thread, NULL);
        are_right = lanes[i].is_right && atomic_load(&shared->places[i].state) == PLACE_DONE;
    }
    _exit(!are_right);
}

/* How a child ends that does this. */
static int status_of(void (*act)(struct frame_ring *ring), struct frame_ring *ring)
{
    int status;
    pid_t child = fork();
    if (!child) {
        signal(SIGSEGV, SIG_DFL);
        act(ring);
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_readers_see_every_record(void **state)
{
    struct frame_ring ring;
    struct ring_reader readers[READERS] = {0};
    pid_t children[READERS];
    (void)state;
    assert_true(ring_open(&ring, PAGE));
    for (int i = 0; i < READERS; i++) {
        struct shared *shared = shared_new();
        readers[i] = (struct ring_reader){.places = shared->places, .count = LANES};
        ring_add_reader(&ring, &readers[i]);
        children[i] = fork();
        if (!children[i])
            read_all(&ring, shared);
    }
    for (uint32_t number = 1; number <= RECORDS; number++)
        while (!record_write(&ring, number))
            sched_yield();
    ring_end(&ring);
    for (int i = 0; i < READERS; i++) {
        int status = -1;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
        assert_false(readers[i].is_broken);
        munmap(readers[i].places, sizeof(struct shared));
    }
    ring_close(&ring);
}

static void write_to_ring(struct frame_ring *ring)
{
    if (!ring_protect(ring))
        _exit(1);
    *(volatile uint8_t *)ring->bytes = 1;
}

static void write_to_head(struct frame_ring *ring)
{
    if (!ring_protect(ring))
        _exit(1);
    atomic_store(&ring->shared->head, 1);
}

static void make_writable(struct frame_ring *ring)
{
    bool is_refused = ring_protect(ring) && mprotect(ring->bytes, PAGE, PROT_READ | PROT_WRITE) && errno == EACCES;
    _exit(!is_refused);
}

static void map_again(struct frame_ring *ring)
{
    void *again = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ring->descriptor, 0);
    _exit(again != MAP_FAILED || errno != EPERM);
}

static void test_readers_cannot_write(void **state)
{
    struct frame_ring ring;
    (void)state;
    assert_true(ring_open(&ring, PAGE));
    assert_int_equal(WTERMSIG(status_of(write_to_ring, &ring)), SIGSEGV);
    assert_int_equal(WTERMSIG(status_of(write_to_head, &ring)), SIGSEGV);
    assert_int_equal(status_of(make_writable, &ring), 0);
    assert_int_equal(status_of(map_again, &ring), 0);
    ring_close(&ring);
}

/* Fills the ring; the number of the record that has no room. */
static uint32_t fill(struct frame_ring *ring, uint32_t number)
{
    while (record_write(ring, number))
        number++;
    return number;
}

static void test_a_reader_that_ends_holds_nothing_up(void **state)
{
    struct frame_ring ring;
    struct shared *shared = shared_new();
    struct ring_reader reader = {.places = shared->places, .count = LANES};
    struct ring_cursor cursor;
    bool ended;
    (void)state;
    assert_true(ring_open(&ring, PAGE));
    ring_add_reader(&ring, &reader);
    uint32_t number = fill(&ring, 1);
    cursor_open(&cursor, &ring, &shared->places[0], 0, LANES);
    const struct record *held = cursor_next(&cursor, &ended);
    assert_int_equal(held->number, 1);
    /* It holds its record, and the other lanes have not begun. */
    assert_false(record_write(&ring, number));
    ring_remove_reader(&reader);
    assert_int_equal(atomic_load(&shared->places[0].label), 1);
    /* The next one with its places has what it did not see. */
    ring_skip_held(&ring, &reader);
    ring_add_reader(&ring, &reader);
    cursor_open(&cursor, &ring, &shared->places[0], 0, LANES);
    held = cursor_next(&cursor, &ended);
    assert_int_equal(held->number, 2);
    assert_true(record_is_whole(held));
    ring_remove_reader(&reader);
    for (; number < 1000; number++)
        assert_true(record_write(&ring, number));
    ring_close(&ring);
    munmap(shared, sizeof *shared);
}

static void test_nonsense_is_noticed(void **state)
{
    const uint64_t tails[] = {1, UINT64_MAX, (uint64_t)1 << 40};
    (void)state;
    for (size_t i = 0; i < COUNT(tails); i++) {
        struct frame_ring ring;
        struct shared *shared = shared_new();
        struct ring_reader reader = {.places = shared->places, .count = LANES};
        assert_true(ring_open(&ring, PAGE));
        uint32_t number = 1;
        while (number < 100)
            assert_true(record_write(&ring, number++));
        /* The others begin here. */
        ring_skip_held(&ring, &reader);
        ring_add_reader(&ring, &reader);
        atomic_store(&shared->places[1].tail, tails[i]);
        fill(&ring, number);
        assert_true(reader.is_broken);
        ring_remove_reader(&reader);
        ring_skip_held(&ring, &reader);
        for (unsigned t = 0; t < LANES; t++)
            assert_int_equal(atomic_load(&shared->places[t].next), ring.head);
        ring_close(&ring);
        munmap(shared, sizeof *shared);
    }
}

static void test_the_largest_record(void **state)
{
    struct frame_ring ring;
    struct shared *shared = shared_new();
    struct ring_reader reader = {.places = shared->places, .count = 1};
    struct ring_cursor cursor;
    bool ended;
    (void)state;
    assert_true(ring_open(&ring, PAGE));
    ring_add_reader(&ring, &reader);
    cursor_open(&cursor, &ring, &shared->places[0], 0, 1);
    assert_false(ring_can_hold(&ring, PAGE));
    assert_true(ring_can_hold(&ring, PAGE - RECORD_HEADER));
    /* From every place in the ring, over its end. */
    for (int i = 0; i < 300; i++) {
        size_t size = i % 2 ? 100 : PAGE - RECORD_HEADER;
        uint8_t *room = ring_reserve(&ring, size);
        assert_non_null(room);
        assert_true(ring_is_reserved(&ring, room));
        memset(room, i, size);
        ring_commit(&ring, (uint64_t)i, 1);
        ring_publish(&ring);
        const uint8_t *read = cursor_next(&cursor, &ended);
        for (size_t at = 0; at < size; at++)
            assert_int_equal(read[at], i % 256);
        assert_null(cursor_next(&cursor, &ended));
        assert_false(ended);
    }
    ring_cut_short(&ring);
    assert_null(cursor_next(&cursor, &ended));
    assert_true(ended);
    ring_close(&ring);
    munmap(shared, sizeof *shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers_see_every_record),
        cmocka_unit_test(test_readers_cannot_write),
        cmocka_unit_test(test_a_reader_that_ends_holds_nothing_up),
        cmocka_unit_test(test_nonsense_is_noticed),
        cmocka_unit_test(test_the_largest_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
