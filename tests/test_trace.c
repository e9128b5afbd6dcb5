/* Traces: what is recorded is read back, in order; what is damaged is named, and what lies before it is good. */
#include "trace/checksum.h"
#include "trace/event.h"
#include "trace/file.h"
#include "trace/open.h"
#include "trace/reader.h"
#include "trace/writer.h"

#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static char folder[] = "/tmp/keyslab-trace-XXXXXX";
static char path[64];
static char other[128];

static uint64_t random_state = 1;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Numbers of every length alike. */
static uint64_t random_wide(void)
{
    return random_next() >> random_next() % 64;
}

static void assert_same(const struct trace_event *a, const struct trace_event *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->time, b->time);
    assert_int_equal(a->key, b->key);
    if (a->kind != TRACE_RESET && a->kind != TRACE_KEY)
        assert_int_equal(a->address, b->address);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->alignment_shift, b->alignment_shift);
    assert_int_equal(a->zeroed, b->zeroed);
    if (a->kind == TRACE_KEY)
        assert_string_equal(a->name, b->name);
}

/* ------------------------------------------------------------------ the code of one event */

static struct trace_event random_event(uint64_t time)
{
    struct trace_event event = {.time = time, .kind = (uint8_t)(1 + random_next() % TRACE_KEY)};
    event.key = random_next() % 4 ? 7 : random_wide();
    event.address = random_wide();
    bool sized = event.kind == TRACE_ALLOC || event.kind == TRACE_RESIZE || event.kind == TRACE_MOVED_TO;
    event.size = sized ? random_wide() : 0;
    event.zeroed = event.kind == TRACE_ALLOC && random_next() % 2;
    event.alignment_shift = (uint8_t)(!sized || random_next() % 3 ? 0 : random_next() % 64);
    if (event.kind == TRACE_KEY)
        snprintf(event.name, sizeof event.name, "%.*s", (int)(random_next() % 64),
                 "a name that is as long as names may be, which is sixty-three bytes and no more");
    return event;
}

static void events_are_read_as_they_were_written(void **state)
{
    (void)state;
    enum { EVENTS = 20000 };
    static struct trace_event events[EVENTS];
    uint8_t *bytes = malloc((size_t)EVENTS * TRACE_EVENT_MOST);
    assert_non_null(bytes);
    uint8_t *end = bytes;
    struct trace_stream stream = {.time = 5};
    uint64_t time = 5;
    for (size_t i = 0; i < EVENTS; i++) {
        events[i] = random_event(time += random_wide() >> 20);
        uint8_t *from = end;
        end = trace_encode(end, &stream, &events[i]);
        assert_in_range(end - from, 4, TRACE_EVENT_MOST);
    }
    stream = (struct trace_stream){.time = 5};
    const uint8_t *at = bytes;
    for (size_t i = 0; i < EVENTS; i++) {
        struct trace_event event = {0};
        at = trace_decode(at, end, &stream, &event);
        assert_non_null(at);
        assert_same(&event, &events[i]);
    }
    assert_ptr_equal(at, end);
    free(bytes);
}

static void an_event_that_is_cut_is_none(void **state)
{
    (void)state;
    uint8_t bytes[TRACE_EVENT_MOST];
    for (unsigned round = 0; round < 2000; round++) {
        struct trace_stream stream = {0};
        struct trace_event event = random_event(random_wide());
        uint8_t *end = trace_encode(bytes, &stream, &event);
        for (const uint8_t *cut = bytes; cut < end; cut++) {
            stream = (struct trace_stream){0};
            assert_null(trace_decode(bytes, cut, &stream, &event));
        }
    }
}

/* A size's upper bits said before an event that has no size. */
static void what_is_wide_is_a_block(void **state)
{
    (void)state;
    uint8_t bytes[TRACE_EVENT_MOST];
    struct trace_stream stream = {0};
    struct trace_event block = {.kind = TRACE_ALLOC, .size = (uint64_t)1 << 20};
    struct trace_event event;
    uint8_t *end = trace_encode(bytes, &stream, &block);
    const uint8_t *last = end - sizeof(uint64_t); /* the block's own item */
    assert_ptr_equal(trace_decode(bytes, end, &stream, &event), end);
    for (unsigned kind = TRACE_RESET; kind <= TRACE_KEY; kind++) {
        struct trace_event of_key = {.kind = (uint8_t)kind, .key = 1};
        uint8_t said[TRACE_EVENT_MOST];
        struct trace_stream of_other = {0};
        const uint8_t *said_end = trace_encode(said, &of_other, &of_key);
        memcpy(bytes + (last - bytes), said_end - sizeof(uint32_t), sizeof(uint32_t));
        assert_null(trace_decode(bytes, last + sizeof(uint32_t), &stream, &event));
        assert_non_null(trace_decode(last, last + sizeof(uint32_t), &stream, &event));
    }
}

static void an_event_of_daily_life_takes_few_bytes(void **state)
{
    (void)state;
    uint8_t bytes[TRACE_EVENT_MOST];
    struct trace_stream stream = {.time = 1000, .key = 1, .granule = 0x7f0012345600 >> 4};
    struct trace_event event = {
        .kind = TRACE_ALLOC, .time = 1150, .key = 1, .address = 0x7f0012345600 + 4096, .size = 1514};
    assert_int_equal(trace_encode(bytes, &stream, &event) - bytes, 8);
    event.time += 10000;
    assert_int_equal(trace_encode(bytes, &stream, &event) - bytes, 12);
}

/* ------------------------------------------------------------------ checksums */

/* RFC 3720, B.4, and that the two ways to a checksum agree. */
static void checksums_are_those_of_the_standard(void **state)
{
    (void)state;
    uint8_t bytes[300] = {0};
    assert_int_equal(trace_checksum(bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(trace_checksum(bytes, 32), 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(trace_checksum(bytes, 32), 0x46dd794e);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)random_next();
    for (size_t size = 0; size < sizeof bytes; size++)
        assert_int_equal(trace_checksum(bytes + size % 8, size - size % 8),
                         trace_checksum_by_tables(bytes + size % 8, size - size % 8));
}

/* ------------------------------------------------------------------ a file of several threads */

enum { THREADS = 4, BLOCKS = 30000 };

static void record(uint8_t kind, uint64_t address, uint64_t size, uint64_t key)
{
    trace_record(
        &(struct trace_event){.kind = kind, .time = trace_now(), .address = address, .size = size, .key = key});
}

/* Addresses of its own: address / 2^32 is the thread, so that the reader knows whose an event was. */
static void *record_blocks(void *argument)
{
    uint64_t base = (uint64_t)(uintptr_t)argument << 32;
    for (uint64_t i = 1; i <= BLOCKS; i++) {
        record(TRACE_ALLOC, base + i * 16, i, 1);
        if (i % 2)
            record(TRACE_FREE, base + i * 16, 0, 1);
    }
    return NULL;
}

static void name_the_key(bool goes_on)
{
    assert_false(goes_on);
    struct trace_event event = {.kind = TRACE_KEY, .time = trace_now(), .key = 1, .name = "dns"};
    trace_record(&event);
}

static void start_trace(uint32_t sample)
{
    struct trace_options options = {
        .path = path, .children = path, .program = "test", .sample = sample, .begun = name_the_key};
    assert_true(trace_start(&options));
}

static void record_with_threads(uint32_t sample)
{
    pthread_t recorders[THREADS];
    start_trace(sample);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&recorders[i], NULL, record_blocks, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(recorders[i], NULL);
    assert_true(trace_finish());
}

static struct trace_reader *open_whole(const char *name)
{
    struct trace_error error;
    struct trace_reader *reader = trace_open(name, false, &error);
    if (!reader)
        fail_msg("%s: %s", name, error.text);
    return reader;
}

static uint64_t count_events(struct trace_reader *reader)
{
    uint64_t events = 0;
    uint64_t time = 0;
    const struct trace_event *event;
    enum trace_result result;
    for (; (result = trace_next(reader, &event)) == TRACE_EVENT; events++) {
        assert_true(event->time >= time);
        time = event->time;
    }
    assert_int_equal(result, TRACE_END);
    return events;
}

static void threads_lose_nothing_and_are_merged_by_time(void **state)
{
    (void)state;
    record_with_threads(1);
    struct trace_reader *reader = open_whole(path);
    assert_int_equal(trace_events(reader), 1 + THREADS * (BLOCKS + BLOCKS / 2));
    assert_int_equal(trace_threads(reader), 1 + THREADS);
    assert_string_equal(trace_info(reader)->program, "test");
    assert_int_equal(trace_info(reader)->process, getpid());
    for (unsigned round = 0; round < 2; round++) {
        uint64_t next[THREADS + 1] = {0};
        uint64_t time = 0;
        uint64_t events = 0;
        const struct trace_event *event;
        while (trace_next(reader, &event) == TRACE_EVENT) {
            events++;
            assert_true(event->time >= time);
            time = event->time;
            if (event->kind == TRACE_KEY) {
                assert_string_equal(event->name, "dns");
                continue;
            }
            uint64_t thread = event->address >> 32;
            uint64_t block = (event->address & UINT32_MAX) / 16;
            assert_in_range(thread, 1, THREADS);
            assert_int_equal(event->key, 1);
            if (event->kind == TRACE_ALLOC) {
                assert_int_equal(block, next[thread] + 1);
                assert_int_equal(event->size, block);
                next[thread] = block;
            } else {
                assert_int_equal(event->kind, TRACE_FREE);
                assert_int_equal(block, next[thread]);
            }
        }
        assert_int_equal(events, trace_events(reader));
        assert_string_equal(trace_problem(reader), "");
        trace_rewind(reader);
    }
    trace_close(reader);
}

static void sampling_keeps_a_block_whole_or_leaves_it(void **state)
{
    (void)state;
    record_with_threads(8);
    struct trace_reader *reader = open_whole(path);
    const struct trace_event *event;
    uint64_t allocated = 0;
    uint64_t alone = 0;
    uint64_t last[THREADS + 1] = {0};
    while (trace_next(reader, &event) == TRACE_EVENT) {
        if (event->kind == TRACE_ALLOC) {
            last[event->address >> 32] = event->address;
            allocated++;
        } else if (event->kind == TRACE_FREE) {
            alone += last[event->address >> 32] != event->address;
        }
    }
    assert_string_equal(trace_problem(reader), "");
    assert_int_equal(trace_info(reader)->sample, 8);
    assert_int_equal(alone, 0);
    assert_in_range(allocated, THREADS * BLOCKS / 10, THREADS * BLOCKS / 6);
    trace_close(reader);
}

static void a_child_writes_a_file_of_its_own(void **state)
{
    (void)state;
    start_trace(1);
    record(TRACE_ALLOC, 16, 1, 1);
    pid_t child = fork();
    if (!child) {
        record(TRACE_ALLOC, 32, 2, 1);
        _exit(!trace_finish());
    }
    record(TRACE_FREE, 16, 0, 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(trace_finish());
    struct trace_reader *reader = open_whole(path);
    assert_int_equal(trace_events(reader), 3);
    trace_close(reader);

    snprintf(other, sizeof other, "%s.%d", path, (int)child);
    reader = open_whole(other);
    assert_int_equal(trace_events(reader), 2); /* the key's name, and its own block */
    assert_int_equal(trace_info(reader)->process, child);
    trace_close(reader);
    unlink(other);
}

/* Process numbers come again, and an older recording may have left something under the name. */
static void a_child_takes_a_name_that_nobody_has(void **state)
{
    (void)state;
    unlink(path);
    struct trace_options options = {
        .path = path, .children = path, .since = 1, .program = "test", .begun = name_the_key};
    assert_true(trace_start(&options));
    pid_t child = fork();
    if (!child) {
        snprintf(other, sizeof other, "%s.%d", path, (int)getpid());
        FILE *file = fopen(other, "w");
        if (!file || fputs("somebody's", file) < 0 || fclose(file))
            _exit(1);
        record(TRACE_FREE, 16, 0, 1); /* of the parent's: no trace for that */
        if (*trace_path() && strcmp(trace_path(), path) != 0)
            _exit(2);
        record(TRACE_ALLOC, 32, 2, 1);
        _exit(trace_finish() ? 0 : 3);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(trace_finish());
    snprintf(other, sizeof other, "%s.%d.2", path, (int)child);
    struct trace_reader *reader = open_whole(other);
    assert_int_equal(count_events(reader), 2);
    trace_close(reader);
    unlink(other);
    char text[16];
    snprintf(other, sizeof other, "%s.%d", path, (int)child);
    FILE *file = fopen(other, "r");
    assert_non_null(file);
    assert_string_equal(fgets(text, sizeof text, file), "somebody's");
    fclose(file);
    unlink(other);
}

/* More than there are buffers of threads that have ended. */
enum { TOGETHER = 4 * THREADS, TOGETHER_BLOCKS = 5000 };

static _Atomic unsigned ready;

static void *record_together(void *argument)
{
    uint64_t base = (uint64_t)(uintptr_t)argument << 32;
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) <= TOGETHER)
        sched_yield();
    for (uint64_t i = 1; i <= TOGETHER_BLOCKS; i++)
        record(TRACE_ALLOC, base + i * 16, i, 1);
    return NULL;
}

static void record_in_threads_of_a_child(void)
{
    pthread_t recorders[TOGETHER];
    for (uintptr_t i = 0; i < TOGETHER; i++)
        if (pthread_create(&recorders[i], NULL, record_together, (void *)(i + 2)))
            _exit(1);
    record_together((void *)1);
    for (unsigned i = 0; i < TOGETHER; i++)
        pthread_join(recorders[i], NULL);
    _exit(trace_finish() ? 0 : 2);
}

/* Whichever comes first opens the file, and not the one that was forked, which brings a buffer with it. */
static void threads_of_a_child_may_begin_together(void **state)
{
    (void)state;
#if defined(__SANITIZE_THREAD__)
    skip(); /* no threads after a fork */
#endif
    start_trace(1);
    for (unsigned round = 0; round < 10; round++) {
        atomic_store(&ready, 0);
        pid_t child = fork();
        if (!child)
            record_in_threads_of_a_child();
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        snprintf(other, sizeof other, "%s.%d", path, (int)child);
        struct trace_reader *reader = open_whole(other);
        assert_int_equal(trace_threads(reader), TOGETHER + 1);
        assert_int_equal(count_events(reader), 1 + (TOGETHER + 1) * TOGETHER_BLOCKS);
        trace_close(reader);
        unlink(other);
    }
    assert_true(trace_finish());
}

/* A child that records, and is killed at once. */
static void record_and_be_killed(void)
{
    pid_t child = fork();
    if (!child) {
        start_trace(1);
        record_blocks((void *)1);
        raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void what_a_killed_program_recorded_can_be_salvaged(void **state)
{
    (void)state;
    struct trace_error error;
    record_and_be_killed();
    assert_null(trace_open(path, false, &error));
    assert_non_null(strstr(error.text, "is not complete: the program was killed, or still runs"));
    assert_true(error.salvageable);
    struct trace_reader *reader = trace_open(path, true, &error);
    assert_non_null(reader);
    assert_int_equal(trace_events(reader), 1 + BLOCKS + BLOCKS / 2);
    assert_int_equal(count_events(reader), 1 + BLOCKS + BLOCKS / 2);
    trace_close(reader);
}

static void the_trace_of_a_killed_program_can_be_completed(void **state)
{
    (void)state;
    record_and_be_killed();
    for (unsigned round = 0; round < 2; round++) {
        assert_true(trace_complete(path, false));
        struct trace_reader *reader = open_whole(path);
        assert_int_equal(count_events(reader), 1 + BLOCKS + BLOCKS / 2);
        trace_close(reader);
    }
}

/* A program may be killed in the middle of an event: what there is of it is no event, and does not spoil the others. */
static void half_an_event_is_wiped(void **state)
{
    (void)state;
    record_and_be_killed();
    struct trace_error error;
    struct trace_reader *reader = trace_open(path, true, &error);
    uint64_t whole = count_events(reader);
    trace_close(reader);
    /* The last event's last word is the last that is not zero. */
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    uint32_t word = 0;
    for (long at = -4; !word; at -= 4) {
        assert_int_equal(fseek(file, at, SEEK_END), 0);
        assert_int_equal(fread(&word, sizeof word, 1, file), 1);
    }
    assert_int_equal(fseek(file, -4, SEEK_CUR), 0);
    assert_int_equal(fwrite(&(uint32_t){0xb}, sizeof word, 1, file), 1); /* the key, without the key */
    assert_int_equal(fclose(file), 0);
    reader = trace_open(path, true, &error);
    uint64_t salvaged = count_events(reader);
    assert_in_range(salvaged, whole - 1, whole);
    trace_close(reader);
    assert_true(trace_complete(path, false));
    reader = open_whole(path);
    assert_int_equal(count_events(reader), salvaged);
    trace_close(reader);
}

/* It had made room for another chunk, and was killed. */
static void room_without_a_chunk_is_no_damage(void **state)
{
    (void)state;
    struct trace_error error;
    record_and_be_killed();
    struct stat stat;
    assert_int_equal(lstat(path, &stat), 0);
    assert_int_equal(truncate(path, stat.st_size + TRACE_CHUNK_BYTES), 0);
    struct trace_reader *reader = trace_open(path, true, &error);
    assert_int_equal(count_events(reader), 1 + BLOCKS + BLOCKS / 2);
    trace_close(reader);
    assert_true(trace_complete(path, false));
    reader = open_whole(path);
    assert_int_equal(count_events(reader), 1 + BLOCKS + BLOCKS / 2);
    trace_close(reader);
}

static void a_running_program_s_trace_is_left_alone(void **state)
{
    (void)state;
    struct trace_options options = {.path = path, .since = 1, .program = "test", .begun = name_the_key};
    unlink(path);
    assert_true(trace_start(&options));
    record(TRACE_ALLOC, 16, 1, 1);
    assert_false(trace_complete(path, false));
    assert_int_equal(errno, EEXIST);
    for (int descriptor = 3; descriptor < 1024; descriptor++)
        close(descriptor); /* as daemons do */
    assert_false(trace_complete(path, false));
    assert_int_equal(errno, EEXIST);
    record_blocks((void *)1);
    assert_true(trace_finish());
    struct trace_reader *reader = open_whole(path);
    assert_int_equal(count_events(reader), 2 + BLOCKS + BLOCKS / 2);
    trace_close(reader);
}

/* ------------------------------------------------------------------ files that cannot be mapped */

static bool no_mappings;
static _Atomic unsigned refused_mappings;

void *__real_mmap64(void *where, size_t size, int protection, int flags, int descriptor, off_t offset);
void *__wrap_mmap64(void *where, size_t size, int protection, int flags, int descriptor, off_t offset);

void *__wrap_mmap64(void *where, size_t size, int protection, int flags, int descriptor, off_t offset)
{
    if (!no_mappings || !(flags & MAP_SHARED))
        return __real_mmap64(where, size, protection, flags, descriptor, offset);
    atomic_fetch_add(&refused_mappings, 1);
    errno = ENODEV;
    return MAP_FAILED;
}

static void threads_may_record_while_it_ends(void **state);

static void a_file_need_not_be_mapped(void **state)
{
    no_mappings = true;
    threads_lose_nothing_and_are_merged_by_time(state);
    a_child_writes_a_file_of_its_own(state);
    threads_may_record_while_it_ends(state);
    no_mappings = false;
    assert_true(atomic_load(&refused_mappings) > THREADS * BLOCKS / 10000);
}

static void a_device_takes_a_trace(void **state)
{
    (void)state;
    assert_true(trace_start(&(struct trace_options){.path = "/dev/null", .program = "test"}));
    record_blocks((void *)1);
    assert_true(trace_finish());
}

/* ------------------------------------------------------------------ the end, while threads go on */

static _Atomic bool ended;

static void *record_until_the_end(void *argument)
{
    uint64_t base = (uint64_t)(uintptr_t)argument << 32;
    for (uint64_t i = 1; !atomic_load(&ended); i++)
        record(TRACE_ALLOC, base + i * 16, i, i % 2);
    return NULL;
}

static void threads_may_record_while_it_ends(void **state)
{
    (void)state;
    enum { ENDS = 50 };
    pthread_t recorders[THREADS];
    atomic_store(&ended, false);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&recorders[i], NULL, record_until_the_end, (void *)(i + 1)), 0);
    for (unsigned round = 0; round < ENDS; round++) {
        start_trace(1);
        usleep(1000);
        assert_true(trace_finish());
        struct trace_reader *reader = open_whole(path);
        assert_int_equal(count_events(reader), trace_events(reader));
        trace_close(reader);
    }
    atomic_store(&ended, true);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(recorders[i], NULL);
}

/* A signal's handler may record between the moment of an event and its being recorded; so does what names a child's keys. */
static void times_do_not_go_back(void **state)
{
    (void)state;
    start_trace(1);
    uint64_t now = trace_now();
    for (uint64_t i = 0; i < 100; i++) {
        struct trace_event event = {
            .kind = TRACE_ALLOC, .time = now - i * 1000, .address = 16 + i, .size = i, .key = i % 2};
        trace_record(&event);
        event = (struct trace_event){.kind = TRACE_RESET, .time = now - i * 2000, .key = i % 2};
        trace_record(&event);
        trace_record_block(TRACE_FREE, now - i * 1000, i % 2, (void *)(uintptr_t)16, 0);
    }
    assert_true(trace_finish());
    struct trace_reader *reader = open_whole(path);
    assert_int_equal(count_events(reader), 301);
    assert_string_equal(trace_problem(reader), "");
    trace_close(reader);
}

static void a_full_disk_is_told(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK))
        skip();
    struct trace_options options = {.path = "/dev/full", .program = "test"};
    assert_false(trace_start(&options));
    assert_int_equal(errno, ENOSPC);
    options.path = "/nonexistent/trace";
    assert_false(trace_start(&options));
    assert_int_equal(errno, ENOENT);
}

/* ------------------------------------------------------------------ damage */

static uint8_t small[65536];
static size_t small_size;
static struct trace_event small_events[256];
static size_t small_count;

static size_t read_events(const char *name, bool salvage, struct trace_error *error, bool *broken)
{
    size_t count = 0;
    *broken = false;
    struct trace_reader *reader = trace_open(name, salvage, error);
    if (!reader)
        return 0;
    const struct trace_event *event;
    enum trace_result result;
    while ((result = trace_next(reader, &event)) == TRACE_EVENT) {
        assert_true(count < small_count);
        if (!salvage)
            assert_same(event, &small_events[count]);
        count++;
    }
    *broken = result == TRACE_BROKEN;
    if (*broken)
        assert_true(*trace_problem(reader));
    trace_close(reader);
    return count;
}

/* Chunks of two threads, some with zeros behind their events. */
static void make_small(void)
{
    struct trace_file file;
    struct trace_info info = {.time = 1, .sample = 1, .program = "small"};
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(trace_file_begin(&file, descriptor, &info));
    struct trace_stream streams[2] = {{.time = 100}, {.time = 100}};
    for (unsigned i = 0; i < 6; i++) {
        uint8_t bytes[40 * TRACE_EVENT_MOST] = {0};
        uint8_t *end = bytes;
        struct trace_stream *stream = &streams[i % 2];
        *stream = (struct trace_stream){.time = stream->time};
        struct trace_chunk chunk = {.type = TRACE_EVENTS, .thread = i % 2 + 1, .time = stream->time};
        for (unsigned k = 0; k < 5; k++) {
            struct trace_event event = random_event(stream->time + random_next() % 1000);
            end = trace_encode(end, stream, &event);
            chunk.events++;
        }
        chunk.bytes = (uint32_t)(end - bytes) + i / 2 * 4;
        assert_true(trace_file_chunk(&file, &chunk, bytes));
    }
    assert_true(trace_file_end(&file, &(struct trace_last){.events = 30, .time = 9}));
    close(descriptor);
    struct trace_reader *reader = open_whole(path);
    const struct trace_event *event;
    for (small_count = 0; trace_next(reader, &event) == TRACE_EVENT; small_count++)
        small_events[small_count] = *event;
    trace_close(reader);
    assert_int_equal(small_count, 30);
    descriptor = open(path, O_RDONLY);
    small_size = (size_t)read(descriptor, small, sizeof small);
    assert_in_range(small_size, 500, sizeof small - 1);
    close(descriptor);
}

/* In memory: thousands of files are written. */
static int make_other(void)
{
    int descriptor = memfd_create("trace", 0);
    assert_true(descriptor >= 0);
    snprintf(other, sizeof other, "/proc/self/fd/%d", descriptor);
    return descriptor;
}

static void write_other(int descriptor, const void *bytes, size_t size)
{
    assert_int_equal(ftruncate(descriptor, (off_t)size), 0);
    assert_int_equal(pwrite(descriptor, bytes, size, 0), size);
}

static void every_cut_is_named_and_salvaged(void **state)
{
    (void)state;
    make_small();
    int file = make_other();
    size_t salvaged_before = 0;
    for (size_t size = 0; size < small_size; size++) {
        struct trace_error error;
        bool broken;
        write_other(file, small, size);
        assert_int_equal(read_events(other, false, &error, &broken), 0);
        char where[64];
        snprintf(where, sizeof where, "cut off at byte %zu", size);
        if (size >= sizeof(struct trace_preamble) && !strstr(error.text, where))
            fail_msg("cut at %zu: %s", size, error.text);
        size_t salvaged = read_events(other, true, &error, &broken);
        assert_false(broken);
        assert_true(*error.text);
        assert_true(salvaged >= salvaged_before);
        salvaged_before = salvaged;
    }
    assert_int_equal(salvaged_before, small_count);
    close(file);
}

static void every_flipped_bit_is_found(void **state)
{
    (void)state;
    make_small();
    int file = make_other();
    size_t salvaged_least = small_count;
    for (size_t bit = 0; bit < small_size * 8; bit++) {
        struct trace_error error;
        bool broken;
        small[bit / 8] ^= (uint8_t)(1u << bit % 8);
        write_other(file, small, small_size);
        size_t count = read_events(other, false, &error, &broken);
        if (!*error.text && !broken)
            fail_msg("bit %zu changes, and %zu events are read without a word", bit, count);
        size_t salvaged = read_events(other, true, &error, &broken);
        assert_false(broken);
        if (bit / 8 > small_size / 2 && salvaged < salvaged_least)
            salvaged_least = salvaged;
        small[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_in_range(salvaged_least, small_count / 3, small_count);
    close(file);
}

static void what_is_no_trace_is_refused(void **state)
{
    (void)state;
    struct trace_error error;
    assert_null(trace_open("/nonexistent", true, &error));
    assert_string_equal(error.text, "No such file or directory");
    assert_null(trace_open("/tmp", true, &error));
    assert_string_equal(error.text, "not a regular file: a trace is read in more than one place at once");
    int file = make_other();
    write_other(file, "123: malloc 0x7000 24\n", 22);
    assert_null(trace_open(other, true, &error));
    assert_string_equal(error.text, "not a trace: it does not begin as one");
    close(file);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/trace", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_read_as_they_were_written),
        cmocka_unit_test(an_event_that_is_cut_is_none),
        cmocka_unit_test(checksums_are_those_of_the_standard),
        cmocka_unit_test(what_is_wide_is_a_block),
        cmocka_unit_test(an_event_of_daily_life_takes_few_bytes),
        cmocka_unit_test(threads_lose_nothing_and_are_merged_by_time),
        cmocka_unit_test(sampling_keeps_a_block_whole_or_leaves_it),
        cmocka_unit_test(a_child_writes_a_file_of_its_own),
        cmocka_unit_test(a_child_takes_a_name_that_nobody_has),
        cmocka_unit_test(threads_of_a_child_may_begin_together),
        cmocka_unit_test(what_a_killed_program_recorded_can_be_salvaged),
        cmocka_unit_test(the_trace_of_a_killed_program_can_be_completed),
        cmocka_unit_test(half_an_event_is_wiped),
        cmocka_unit_test(room_without_a_chunk_is_no_damage),
        cmocka_unit_test(a_running_program_s_trace_is_left_alone),
        cmocka_unit_test(threads_may_record_while_it_ends),
        cmocka_unit_test(a_file_need_not_be_mapped),
        cmocka_unit_test(a_device_takes_a_trace),
        cmocka_unit_test(times_do_not_go_back),
        cmocka_unit_test(a_full_disk_is_told),
        cmocka_unit_test(every_cut_is_named_and_salvaged),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(what_is_no_trace_is_refused),
    };
    return cmocka_run_group_tests_name("trace", tests, make_folder, remove_folder);
}
