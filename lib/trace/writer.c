#include "trace/writer.h"

#include "trace/destination.h"
#include "trace/recording.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { NAMES_MOST = 10000 /* tried for a child's file */ };

#define SECOND_NS 1000000000ull

static struct recording never = {RECORDING_OFF}; /* what there is outside of start and finish */
struct recording *_Atomic recording = &never;
static struct recording *wiped_page;

static struct {
    char children[PATH_MAX];
    char program[64];
    uint64_t since;
    uint32_t sample;
    bool ticks;
    void (*begun)(bool goes_on);
    void (*failed)(int error);
    pid_t process; /* whose recording it is: a child of vfork shares all this, and its end is not ours */
    pthread_key_t exit_key;
    uint32_t number;       /* counts recordings */
    uint64_t time;         /* when this one began */
    _Atomic uint32_t word; /* of this one, while it is on */
    _Atomic int error;     /* errno of the first failure */
    pthread_mutex_t lock;  /* of what follows, and of all buffers' chunks */
    struct destination destination;
    uint64_t events;  /* in complete chunks */
    uint32_t threads; /* that have recorded */
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER, .destination.file.descriptor = -1};

static _Atomic uint32_t *word_now(void)
{
    return &atomic_load_explicit(&recording, memory_order_acquire)->word;
}

static uint32_t word_of(enum recording_phase phase)
{
    return writer.number << RECORDING_PHASE_BITS | (uint32_t)phase;
}

const char *trace_path(void)
{
    return writer.destination.path;
}

/* The recording ends, wherever it was: it cannot go on. */
static void fail(int error)
{
    int none = 0;
    uint32_t on = atomic_load(&writer.word);
    bool first = atomic_compare_exchange_strong(&writer.error, &none, error);
    atomic_compare_exchange_strong(word_now(), &on, RECORDING_OFF);
    if (first && writer.failed)
        writer.failed(error);
}

/* ------------------------------------------------------------------ the lock
 *
 * No signal's handler runs under it, which might end the program. A file that is at its limit makes a signal of its own, beside the error:
 * that is not for the program.
 */
static void lock(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
    pthread_mutex_lock(&writer.lock);
}

static void unlock(const sigset_t *before)
{
    int error = errno;
    sigset_t limit;
    pthread_mutex_unlock(&writer.lock);
    sigemptyset(&limit);
    sigaddset(&limit, SIGXFSZ);
    if (!sigismember(before, SIGXFSZ))
        sigtimedwait(&limit, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, before, NULL);
    errno = error;
}

/* ------------------------------------------------------------------ beginning */

static struct trace_info info_of_now(void)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    struct trace_info info = {
        .wall_time = (uint64_t)wall.tv_sec * SECOND_NS + (uint64_t)wall.tv_nsec,
        .time = trace_now(),
        .sample = writer.sample,
        .process = (uint32_t)getpid(),
    };
    memcpy(info.program, writer.program, sizeof info.program);
    return info;
}

static bool begin_locked(bool *goes_on)
{
    struct trace_extent before;
    atomic_store(&writer.error, 0);
    writer.process = getpid();
    writer.number++;
    atomic_store(&writer.word, word_of(RECORDING_ON));
    trace_tick();
    struct trace_info info = info_of_now();
    writer.time = info.time;
    if (!destination_open(&writer.destination, &info, writer.since, &before))
        return false;
    writer.events = before.events;
    writer.threads = before.threads;
    *goes_on = before.events;
    if (!writer.ticks || trace_clock_start())
        return true;
    destination_close(&writer.destination);
    return false;
}

/* Where it cannot, the phase stays as it was. */
static bool begin(void)
{
    sigset_t before;
    bool goes_on;
    bool outer = recording_inside;
    recording_inside = true;
    lock(&before);
    bool begun = begin_locked(&goes_on);
    if (begun)
        atomic_store(word_now(), word_of(RECORDING_ON));
    unlock(&before);
    recording_inside = false;
    if (begun && writer.begun)
        writer.begun(goes_on);
    recording_inside = outer;
    return begun;
}

/*
 * In a child all chunks are the parent's, and its threads but one are not there. Which buffer is that one's only itself knows, and it may not be the
 * calling thread: so none of them is given to another.
 */
static void leave_parent(void)
{
    writer.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    for (struct buffer *buffer = atomic_load(&buffers); buffer; buffer = buffer->next)
        chunk_forget(&buffer->chunk);
    destination_leave_to_parent(&writer.destination);
}

/* The first name that no other process has. */
static bool begin_as_child(void)
{
    int length =
        snprintf(writer.destination.path, sizeof writer.destination.path, "%s.%d", writer.children, (int)getpid());
    for (unsigned number = 2; number <= NAMES_MOST; number++) {
        if (begin())
            return true;
        if (errno != EEXIST)
            return false;
        snprintf(writer.destination.path + length, sizeof writer.destination.path - (size_t)length, ".%u", number);
    }
    return false;
}

/* A block of the parent's that goes begins no trace: it is in none of the child's. */
static bool is_wanted(enum trace_kind kind, uint64_t address)
{
    bool comes = kind == TRACE_ALLOC || kind == TRACE_MOVED_TO || kind == TRACE_RESIZE;
    return !*writer.children || (comes && recording_samples(writer.sample, address));
}

static void begin_or_not(void)
{
    leave_parent();
    if (*writer.children && begin_as_child())
        return;
    int error = errno;
    atomic_store(word_now(), RECORDING_OFF);
    if (*writer.children && writer.failed)
        writer.failed(error);
}

void recording_begin_in_child(enum trace_kind kind, uint64_t address)
{
    uint32_t wiped = RECORDING_WIPED;
    if (!is_wanted(kind, address))
        return;
    recording_inside = true; /* a signal's handler must not wait for the beginning: see join */
    if (atomic_compare_exchange_strong(word_now(), &wiped, RECORDING_BEGINS))
        begin_or_not();
    recording_inside = false;
}

/* ------------------------------------------------------------------ threads */

static bool begin_chunk(struct buffer *buffer, uint64_t time)
{
    if (destination_ready(&writer.destination) && buffer_begin_chunk(buffer, &writer.destination.file, time))
        return true;
    fail(errno);
    return false;
}

static bool end_chunk(struct buffer *buffer)
{
    uint32_t events = filled_events(atomic_load_explicit(&buffer->filled, memory_order_relaxed));
    if (!buffer->chunk.header)
        return true;
    writer.events += events;
    bool ready = !buffer->chunk.apart || destination_ready(&writer.destination);
    if (ready && chunk_end(&buffer->chunk, &writer.destination.file, events))
        return true;
    fail(errno);
    return false;
}

static bool join_locked(struct buffer *buffer, uint32_t word, uint64_t time)
{
    if (recording_word() != word)
        return false;
    chunk_forget(&buffer->chunk);
    buffer->thread = writer.threads + 1;
    buffer->sample = writer.sample;
    buffer->ends = 0;
    buffer->room = 0;
    if (!begin_chunk(buffer, time > writer.time ? time : writer.time))
        return false;
    writer.threads++;
    atomic_store_explicit(&buffer->recording, word, memory_order_release);
    return true;
}

struct buffer *recording_join(struct buffer *mine, uint32_t word, uint64_t time)
{
    sigset_t before;
    struct buffer *buffer = mine ? mine : buffer_take();
    if (!buffer) {
        fail(ENOMEM);
        return NULL;
    }
    lock(&before);
    bool joined = join_locked(buffer, word, time);
    unlock(&before);
    if (joined)
        pthread_setspecific(writer.exit_key, buffer);
    else if (!mine)
        buffer_leave(buffer);
    return joined ? buffer : NULL;
}

bool recording_turn(struct buffer *buffer)
{
    sigset_t before;
    lock(&before);
    bool runs = recording_word() == atomic_load_explicit(&buffer->recording, memory_order_relaxed);
    if (runs)
        runs = end_chunk(buffer) && begin_chunk(buffer, buffer->stream.time);
    unlock(&before);
    return runs;
}

/*
 * Other destructors may free what their threads have left: the thread keeps its buffer until it is asked for the last time but one. The last is
 * a sanitizer's own.
 */
void recording_leave(void *argument)
{
    struct buffer *buffer = argument;
    sigset_t before;
    if (++buffer->ends < PTHREAD_DESTRUCTOR_ITERATIONS - 1) {
        pthread_setspecific(writer.exit_key, buffer);
        return;
    }
    recording_forget_mine();
    if (writer.process != getpid())
        return; /* a child, which has recorded nothing */
    lock(&before);
    /* Also of a recording that has failed: until it is finished, the file counts what is in its chunks. */
    if (atomic_load(&buffer->recording) == atomic_load(&writer.word) && writer.destination.file.descriptor >= 0)
        end_chunk(buffer);
    chunk_forget(&buffer->chunk);
    unlock(&before);
    buffer_leave(buffer);
}

/* ------------------------------------------------------------------ start and finish */

static bool map_page(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    struct recording *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    int error = madvise(page, size, MADV_WIPEONFORK) ? errno : pthread_key_create(&writer.exit_key, recording_leave);
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
    if (recording_word() == RECORDING_WIPED)
        leave_parent();
    return false;
}

static void take_options(const struct trace_options *options)
{
    const char *path = options->path ? options->path : "";
    const char *children = options->children ? options->children : "";
    memcpy(writer.destination.path, path, strlen(path) + 1);
    memcpy(writer.children, children, strlen(children) + 1);
    memset(writer.program, 0, sizeof writer.program);
    memcpy(writer.program, options->program, strnlen(options->program, sizeof writer.program - 1));
    writer.since = options->since;
    writer.sample = options->sample ? options->sample : 1;
    writer.ticks = options->ticks;
    writer.begun = options->begun;
    writer.failed = options->failed;
}

bool trace_start(const struct trace_options *options)
{
    if (is_busy()) {
        errno = EBUSY;
        return false;
    }
    if ((options->path && strlen(options->path) >= PATH_MAX) ||
        (options->children && strlen(options->children) >= PATH_MAX)) {
        errno = ENAMETOOLONG;
        return false;
    }
    take_options(options);
    if (!wiped_page && !map_page())
        return false;
    atomic_store(&wiped_page->word, options->path ? RECORDING_OFF : RECORDING_WIPED);
    atomic_store(&recording, wiped_page);
    if (!options->path || begin())
        return true;
    atomic_store(&recording, &never);
    return false;
}

/* What the threads have recorded up to now. Those that still run may be writing. */
static bool end_chunks(void)
{
    for (struct buffer *buffer = atomic_load(&buffers); buffer; buffer = buffer->next) {
        uint64_t filled = atomic_load_explicit(&buffer->filled, memory_order_acquire);
        if (!buffer->chunk.header || atomic_load(&buffer->recording) != atomic_load(&writer.word))
            continue;
        if (!chunk_take_away(&buffer->chunk, &writer.destination.file, filled_events(filled), filled_bytes(filled)))
            return false;
        writer.events += filled_events(filled);
    }
    return true;
}

static bool end_file(void)
{
    bool whole = destination_ready(&writer.destination) && end_chunks();
    struct trace_last last = {.events = writer.events, .time = trace_now()};
    return whole && destination_end(&writer.destination, &last);
}

static void finish_locked(void)
{
    atomic_store(word_now(), RECORDING_OFF);
    int error = atomic_load(&writer.error);
    bool whole = end_file();
    if (!whole && !error)
        atomic_store(&writer.error, errno);
    destination_close(&writer.destination);
}

bool trace_finish(void)
{
    sigset_t before;
    enum recording_phase phase = recording_phase(recording_word());
    if (phase == RECORDING_WIPED || writer.process != getpid() ||
        (phase == RECORDING_OFF && !atomic_load(&writer.error)))
        return true; /* none runs, or a child has recorded nothing */
    bool outer = recording_inside;
    recording_inside = true;
    lock(&before);
    finish_locked();
    unlock(&before);
    if (writer.ticks)
        trace_clock_stop();
    atomic_store(&recording, &never);
    recording_inside = outer;
    errno = atomic_exchange(&writer.error, 0);
    return !errno;
}
