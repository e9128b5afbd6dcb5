#include "writer.h"

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    SLOTS = 4,
    DESCRIPTOR_LEAST = 500, /* out of the way of programs that close and count on low numbers */
    ROUND_NS = 10000000,    /* between two looks of the writer, where nobody wakes it */
    WAIT_NS = 50000,        /* between two looks of a thread whose slots are full */
};

#define SECOND_NS 1000000000ull

/* Without a call, in a shared library too. */
#define THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))

/* ------------------------------------------------------------------ buffers
 *
 * One producer, the thread that has taken the buffer, and one consumer, the writer.
 *
 *     done <= head < done + SLOTS
 *     slots [done, head) are full, slots[head] is being filled, the others are empty
 *     carried <= slots[done].filled: so much of that slot is in the file
 */
enum buffer_state { BUFFER_IDLE, BUFFER_TAKEN, BUFFER_LEFT };

/* Bytes and events of a slot, or of a part of it. */
struct filled {
    uint32_t bytes;
    uint32_t events;
};

struct slot {
    _Atomic struct filled filled; /* one word: both are of the same moment */
    uint64_t time;                /* of the stream where the slot begins */
    uint8_t bytes[TRACE_CHUNK_BYTES];
};

struct buffer {
    struct buffer *next; /* constant once it is listed: buffers are never unmapped */
    _Atomic uint32_t state;
    _Atomic uint32_t epoch; /* of the recording that the rest is of: the writer leaves those of others alone */
    uint32_t thread;
    /* producer */
    struct trace_stream stream;
    _Atomic uint64_t head;
    /* writer */
    _Atomic uint64_t done;
    struct filled carried;
    struct slot slots[SLOTS];
};

/* What a child of a fork must not take for its own: a page that the kernel wipes in it. */
enum recording_state { RECORDING_WIPED, RECORDING_OFF, RECORDING_BEGINS, RECORDING_ON };

struct recording {
    _Atomic uint32_t state;
};

static struct recording never = {RECORDING_OFF}; /* what there is outside of start and finish */
static struct recording *_Atomic recording = &never;
static struct recording *wiped_page;

static struct {
    char children[PATH_MAX];
    char program[64];
    _Atomic uint32_t sample;
    void (*begun)(void);
    void (*failed)(int error);
    struct trace_file file;
    struct stat identity; /* of the file that the descriptor must still be */
    pid_t process;        /* whose recording it is: a child of vfork shares all this, and its end is not ours */
    pthread_t thread;
    pthread_key_t exit_key;
    _Atomic uint32_t epoch; /* counts recordings */
    uint64_t events;        /* in the file */
    _Atomic uint32_t wake;  /* a futex: counts reasons to look */
    _Atomic bool stopping;
    _Atomic int error; /* errno of the first write that failed */
} writer;

static const struct filled nothing;
static struct buffer *_Atomic buffers;
static _Atomic uint32_t threads;
static THREAD_LOCAL struct buffer *mine;
static THREAD_LOCAL bool inside;

uint64_t trace_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void writer_wake(void)
{
    atomic_fetch_add(&writer.wake, 1);
    syscall(SYS_futex, &writer.wake, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static _Atomic uint32_t *state_now(void)
{
    return &atomic_load_explicit(&recording, memory_order_acquire)->state;
}

/* The recording ends, wherever it was. */
static void fail(int error)
{
    int none = 0;
    uint32_t on = RECORDING_ON;
    bool first = atomic_compare_exchange_strong(&writer.error, &none, error);
    atomic_compare_exchange_strong(state_now(), &on, RECORDING_OFF);
    if (first && writer.failed)
        writer.failed(error);
}

/* ------------------------------------------------------------------ the writer */

/* A program may close every descriptor that it does not know, and open its own files under the number. */
static bool still_ours(void)
{
    struct stat now;
    if (!fstat(writer.file.descriptor, &now) && now.st_ino == writer.identity.st_ino &&
        now.st_dev == writer.identity.st_dev)
        return true;
    errno = EBADF;
    return false;
}

static void carry(struct buffer *buffer, struct slot *slot, struct filled filled)
{
    struct filled carried = buffer->carried;
    if (filled.bytes == carried.bytes || atomic_load(&writer.error))
        return;
    struct trace_chunk chunk = {
        .type = carried.bytes ? TRACE_MORE : TRACE_EVENTS,
        .bytes = filled.bytes - carried.bytes,
        .thread = buffer->thread,
        .events = filled.events - carried.events,
        .time = slot->time,
    };
    if (!still_ours() || !trace_file_chunk(&writer.file, &chunk, slot->bytes + carried.bytes)) {
        fail(errno);
        return;
    }
    writer.events += chunk.events;
    buffer->carried = filled;
}

static void drain(struct buffer *buffer, bool unfinished)
{
    uint32_t state = atomic_load_explicit(&buffer->state, memory_order_acquire);
    if (atomic_load_explicit(&buffer->epoch, memory_order_acquire) != atomic_load(&writer.epoch)) {
        atomic_compare_exchange_strong(&buffer->state, &(uint32_t){BUFFER_LEFT}, BUFFER_IDLE);
        return;
    }
    uint64_t head = atomic_load_explicit(&buffer->head, memory_order_acquire);
    uint64_t done = atomic_load_explicit(&buffer->done, memory_order_relaxed);
    for (; done < head; done++) {
        struct slot *slot = &buffer->slots[done % SLOTS];
        carry(buffer, slot, atomic_load_explicit(&slot->filled, memory_order_relaxed));
        buffer->carried = nothing;
        atomic_store_explicit(&buffer->done, done + 1, memory_order_release);
    }
    if (state == BUFFER_IDLE || (state == BUFFER_TAKEN && !unfinished))
        return;
    struct slot *slot = &buffer->slots[head % SLOTS];
    carry(buffer, slot, atomic_load_explicit(&slot->filled, memory_order_acquire));
    if (state != BUFFER_LEFT)
        return;
    buffer->carried = nothing;
    atomic_store_explicit(&buffer->state, BUFFER_IDLE, memory_order_release);
}

static void drain_all(bool unfinished)
{
    for (struct buffer *buffer = atomic_load(&buffers); buffer; buffer = buffer->next)
        drain(buffer, unfinished);
}

static void *writer_main(void *unused)
{
    (void)unused;
    inside = true;
    uint64_t swept = trace_now();
    for (;;) {
        uint32_t seen = atomic_load(&writer.wake);
        bool last = atomic_load(&writer.stopping);
        bool unfinished = last || trace_now() - swept > SECOND_NS;
        drain_all(unfinished);
        if (last)
            return NULL;
        if (unfinished)
            swept = trace_now();
        struct timespec round = {.tv_nsec = ROUND_NS};
        syscall(SYS_futex, &writer.wake, FUTEX_WAIT_PRIVATE, seen, &round, NULL, 0);
    }
}

/* ------------------------------------------------------------------ beginning */

static int open_file(const char *path)
{
    int low = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (low < 0)
        return -1;
    int high = fcntl(low, F_DUPFD_CLOEXEC, DESCRIPTOR_LEAST);
    if (high < 0)
        return low; /* under a limit of few descriptors */
    close(low);
    return high;
}

static bool begin_file(const char *path)
{
    int descriptor = open_file(path);
    if (descriptor < 0)
        return false;
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    struct trace_info info = {
        .wall_time = (uint64_t)wall.tv_sec * SECOND_NS + (uint64_t)wall.tv_nsec,
        .time = trace_now(),
        .sample = writer.sample,
        .process = (uint32_t)getpid(),
    };
    memcpy(info.program, writer.program, sizeof info.program);
    if (!fstat(descriptor, &writer.identity) && trace_file_begin(&writer.file, descriptor, &info))
        return true;
    int error = errno;
    close(descriptor);
    errno = error;
    return false;
}

/* The writer thread takes none of the program's signals. */
static bool begin_thread(void)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_store(&writer.stopping, false);
    int error = pthread_create(&writer.thread, NULL, writer_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return !error;
}

static bool begin(const char *path)
{
    bool outer = inside;
    inside = true;
    atomic_store(&writer.error, 0);
    writer.events = 0;
    writer.process = getpid();
    atomic_store(&threads, 0);
    atomic_fetch_add(&writer.epoch, 1);
    bool begun = begin_file(path);
    if (begun && !begin_thread()) {
        int error = errno;
        close(writer.file.descriptor);
        errno = error;
        begun = false;
    }
    inside = outer;
    atomic_store(state_now(), begun ? RECORDING_ON : RECORDING_OFF);
    if (begun && writer.begun)
        writer.begun();
    return begun;
}

/* In a child, what lies in the buffers is the parent's; its threads but this one are not there. */
static void leave_parent(void)
{
    for (struct buffer *buffer = atomic_load(&buffers); buffer; buffer = buffer->next)
        if (buffer != mine)
            atomic_store(&buffer->state, BUFFER_IDLE);
    if (still_ours())
        close(writer.file.descriptor);
}

static void begin_in_child(void)
{
    uint32_t wiped = RECORDING_WIPED;
    if (!atomic_compare_exchange_strong(state_now(), &wiped, RECORDING_BEGINS))
        return;
    leave_parent();
    if (!*writer.children) {
        atomic_store(state_now(), RECORDING_OFF);
        return;
    }
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s.%d", writer.children, (int)getpid());
    begin(path);
}

/* ------------------------------------------------------------------ the threads that record */

static void leave(void *buffer)
{
    mine = NULL;
    atomic_store_explicit(&((struct buffer *)buffer)->state, BUFFER_LEFT, memory_order_release);
    writer_wake();
}

static struct buffer *take_idle(void)
{
    for (struct buffer *buffer = atomic_load(&buffers); buffer; buffer = buffer->next) {
        uint32_t idle = BUFFER_IDLE;
        if (atomic_compare_exchange_strong(&buffer->state, &idle, BUFFER_TAKEN))
            return buffer;
    }
    return NULL;
}

static struct buffer *map_buffer(void)
{
    struct buffer *buffer = mmap(NULL, sizeof *buffer, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED)
        return NULL;
    atomic_store(&buffer->state, BUFFER_TAKEN);
    buffer->next = atomic_load(&buffers);
    while (!atomic_compare_exchange_weak(&buffers, &buffer->next, buffer))
        ;
    return buffer;
}

static void begin_slot(struct buffer *buffer, uint64_t index, uint64_t time)
{
    struct slot *slot = &buffer->slots[index % SLOTS];
    slot->time = time;
    buffer->stream = (struct trace_stream){.time = time};
    atomic_store_explicit(&slot->filled, nothing, memory_order_relaxed);
}

/*
 * A buffer for the calling thread in this recording; its own, where it has one from an earlier recording. Without memory for one
 * the recording ends, as it does where the file cannot be written.
 */
__attribute__((cold, noinline)) static struct buffer *attach(uint64_t time)
{
    struct buffer *buffer = mine ? mine : take_idle();
    if (!buffer)
        buffer = map_buffer();
    if (!buffer) {
        fail(ENOMEM);
        return NULL;
    }
    uint64_t head = atomic_load_explicit(&buffer->head, memory_order_relaxed);
    buffer->thread = atomic_fetch_add(&threads, 1) + 1;
    buffer->carried = nothing;
    begin_slot(buffer, head, time);
    atomic_store_explicit(&buffer->done, head, memory_order_relaxed);
    atomic_store_explicit(&buffer->epoch, atomic_load(&writer.epoch), memory_order_release);
    pthread_setspecific(writer.exit_key, buffer);
    mine = buffer;
    return buffer;
}

static bool is_of_now(const struct buffer *buffer)
{
    return atomic_load_explicit(&buffer->epoch, memory_order_relaxed) == atomic_load(&writer.epoch);
}

/* Hands the full slot over, and waits for an empty one. False where the recording ends meanwhile. */
__attribute__((cold, noinline)) static bool turn_slot(struct buffer *buffer)
{
    uint64_t next = atomic_load_explicit(&buffer->head, memory_order_relaxed) + 1;
    while (next - atomic_load_explicit(&buffer->done, memory_order_acquire) >= SLOTS) {
        if (atomic_load(state_now()) != RECORDING_ON || !is_of_now(buffer))
            return false;
        writer_wake();
        nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
    }
    begin_slot(buffer, next, buffer->stream.time);
    atomic_store_explicit(&buffer->head, next, memory_order_release);
    writer_wake();
    return true;
}

static struct slot *filling(struct buffer *buffer)
{
    return &buffer->slots[atomic_load_explicit(&buffer->head, memory_order_relaxed) % SLOTS];
}

static void record(struct buffer *buffer, const struct trace_event *event)
{
    struct slot *slot = filling(buffer);
    struct filled filled = atomic_load_explicit(&slot->filled, memory_order_relaxed);
    if (filled.bytes + TRACE_EVENT_MOST > TRACE_CHUNK_BYTES) {
        if (!turn_slot(buffer))
            return;
        slot = filling(buffer);
        filled = nothing;
    }
    uint8_t *end = trace_encode(slot->bytes + filled.bytes, &buffer->stream, event);
    filled.bytes = (uint32_t)(end - slot->bytes);
    filled.events++;
    atomic_store_explicit(&slot->filled, filled, memory_order_release);
}

/* The same answer for an address always, so that a block is in the trace with all its events or not at all. */
static bool sampled(const struct trace_event *event)
{
    uint32_t sample = atomic_load_explicit(&writer.sample, memory_order_relaxed);
    if (sample <= 1 || event->kind == TRACE_RESET || event->kind == TRACE_KEY)
        return true;
    uint64_t mixed = (event->address >> 4) * 0x9e3779b97f4a7c15ull;
    return (mixed >> 32) % sample == 0;
}

void trace_record(struct trace_event *event)
{
    uint32_t state = atomic_load_explicit(state_now(), memory_order_acquire);
    if (inside)
        return;
    if (__builtin_expect(state == RECORDING_WIPED, false)) {
        begin_in_child();
        state = atomic_load(state_now());
    }
    if (state != RECORDING_ON || !sampled(event))
        return;
    int error = errno;
    inside = true;
    struct buffer *buffer = mine;
    if (!buffer || !is_of_now(buffer))
        buffer = attach(event->time);
    if (buffer) {
        event->thread = buffer->thread;
        record(buffer, event);
    }
    inside = false;
    errno = error;
}

/* ------------------------------------------------------------------ start and finish */

static bool map_page(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    struct recording *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    int error = madvise(page, size, MADV_WIPEONFORK) ? errno : pthread_key_create(&writer.exit_key, leave);
    if (error) {
        munmap(page, size);
        errno = error;
        return false;
    }
    wiped_page = page;
    return true;
}

/* In the child of a fork, the parent's recording is none. */
static bool is_busy(void)
{
    if (atomic_load(&recording) == &never)
        return false;
    if (writer.process == getpid())
        return true;
    if (atomic_load(state_now()) == RECORDING_WIPED)
        leave_parent();
    return false;
}

bool trace_start(const struct trace_options *options)
{
    if (is_busy()) {
        errno = EBUSY;
        return false;
    }
    const char *children = options->children ? options->children : "";
    if (strlen(children) >= sizeof writer.children) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(writer.children, children, strlen(children) + 1);
    memset(writer.program, 0, sizeof writer.program);
    memcpy(writer.program, options->program, strnlen(options->program, sizeof writer.program - 1));
    writer.sample = options->sample ? options->sample : 1;
    writer.begun = options->begun;
    writer.failed = options->failed;
    if (!wiped_page && !map_page())
        return false;
    atomic_store(&wiped_page->state, RECORDING_OFF);
    atomic_store(&recording, wiped_page);
    if (begin(options->path))
        return true;
    atomic_store(&recording, &never);
    return false;
}

bool trace_finish(void)
{
    uint32_t state = atomic_load(state_now());
    if (state == RECORDING_WIPED || writer.process != getpid() ||
        (state == RECORDING_OFF && !atomic_load(&writer.error)))
        return true; /* none runs, or a child has recorded nothing */
    bool outer = inside;
    inside = true;
    atomic_store(state_now(), RECORDING_OFF);
    atomic_store(&writer.stopping, true);
    writer_wake();
    pthread_join(writer.thread, NULL);

    struct trace_last last = {.events = writer.events, .time = trace_now()};
    int error = atomic_exchange(&writer.error, 0);
    if (!error && (!still_ours() || !trace_file_end(&writer.file, &last)))
        error = errno;
    close(writer.file.descriptor);
    atomic_store(&recording, &never);
    inside = outer;
    errno = error;
    return !error;
}
