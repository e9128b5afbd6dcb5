#include "writer.h"

#include "recording.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    DESCRIPTOR_LEAST = 500, /* out of the way of programs that close and count on low numbers */
    TICK_NS = 1000000,      /* between two ticks of the clock, and two looks of the writer where nobody wakes it */
};

#define SECOND_NS 1000000000ull

static struct recording never = {RECORDING_OFF}; /* what there is outside of start and finish */
struct recording *_Atomic recording = &never;
static struct recording *wiped_page;

static struct {
    char children[PATH_MAX];
    char program[64];
    uint32_t sample;
    void (*begun)(void);
    void (*failed)(int error);
    struct trace_file file;
    struct stat identity; /* of the file that the descriptor must still be */
    pid_t process;        /* whose recording it is: a child of vfork shares all this, and its end is not ours */
    pthread_t thread;
    pthread_key_t exit_key;
    uint32_t number;          /* counts recordings */
    _Atomic uint32_t word;    /* of this one, while it is on */
    _Atomic uint32_t threads; /* that have recorded */
    uint64_t events;          /* in the file */
    _Atomic uint32_t wake;    /* a futex: counts reasons to look */
    _Atomic bool stopping;
    _Atomic int error; /* errno of the first write that failed */
} writer;

static _Atomic uint32_t *word_now(void)
{
    return &atomic_load_explicit(&recording, memory_order_acquire)->word;
}

static uint32_t word_of(enum recording_phase phase)
{
    return writer.number << RECORDING_PHASE_BITS | (uint32_t)phase;
}

void recording_wake_writer(void)
{
    atomic_fetch_add(&writer.wake, 1);
    syscall(SYS_futex, &writer.wake, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void recording_fail(int error)
{
    int none = 0;
    uint32_t on = atomic_load(&writer.word);
    bool first = atomic_compare_exchange_strong(&writer.error, &none, error);
    atomic_compare_exchange_strong(word_now(), &on, RECORDING_OFF);
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

static void carry(struct trace_chunk *chunk, const void *payload)
{
    if (atomic_load(&writer.error))
        return;
    if (still_ours() && trace_file_chunk(&writer.file, chunk, payload))
        writer.events += chunk->events;
    else
        recording_fail(errno);
}

static void drain_all(bool unfinished)
{
    for (struct buffer *buffer = atomic_load(&buffers); buffer; buffer = buffer->next)
        buffer_drain(buffer, atomic_load(&writer.word), unfinished, carry);
}

static void *writer_main(void *unused)
{
    (void)unused;
    recording_inside = true;
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
        struct timespec tick = {.tv_nsec = TICK_NS};
        syscall(SYS_futex, &writer.wake, FUTEX_WAIT_PRIVATE, seen, &tick, NULL, 0);
        trace_tick();
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
    bool outer = recording_inside;
    recording_inside = true;
    atomic_store(&writer.error, 0);
    writer.events = 0;
    writer.process = getpid();
    writer.number++;
    atomic_store(&writer.threads, 0);
    atomic_store(&writer.word, word_of(RECORDING_ON));
    trace_tick();
    bool begun = begin_file(path);
    if (begun && !begin_thread()) {
        int error = errno;
        close(writer.file.descriptor);
        errno = error;
        begun = false;
    }
    recording_inside = outer;
    atomic_store(word_now(), word_of(begun ? RECORDING_ON : RECORDING_OFF));
    if (begun && writer.begun)
        writer.begun();
    return begun;
}

/* In a child, what lies in the buffers is the parent's; its threads but this one are not there. */
static void leave_parent(void)
{
    for (struct buffer *buffer = atomic_load(&buffers); buffer; buffer = buffer->next)
        if (buffer != recording_mine())
            atomic_store(&buffer->state, BUFFER_IDLE);
    if (still_ours())
        close(writer.file.descriptor);
}

void recording_begin_in_child(void)
{
    uint32_t wiped = RECORDING_WIPED;
    if (!atomic_compare_exchange_strong(word_now(), &wiped, RECORDING_BEGINS))
        return;
    leave_parent();
    if (!*writer.children) {
        atomic_store(word_now(), RECORDING_OFF);
        return;
    }
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s.%d", writer.children, (int)getpid());
    begin(path);
}

/* Without memory for a buffer the recording ends, as it does where the file cannot be written. */
struct buffer *recording_join(struct buffer *mine, uint32_t word, uint64_t time)
{
    struct buffer *buffer = mine ? mine : buffer_take();
    if (!buffer) {
        recording_fail(ENOMEM);
        return NULL;
    }
    buffer_begin(buffer, word, atomic_fetch_add(&writer.threads, 1) + 1, writer.sample, time);
    pthread_setspecific(writer.exit_key, buffer);
    return buffer;
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
    atomic_store(&wiped_page->word, RECORDING_OFF);
    atomic_store(&recording, wiped_page);
    if (begin(options->path))
        return true;
    atomic_store(&recording, &never);
    return false;
}

bool trace_finish(void)
{
    enum recording_phase phase = recording_phase(recording_word());
    if (phase == RECORDING_WIPED || writer.process != getpid() ||
        (phase == RECORDING_OFF && !atomic_load(&writer.error)))
        return true; /* none runs, or a child has recorded nothing */
    bool outer = recording_inside;
    recording_inside = true;
    atomic_store(word_now(), RECORDING_OFF);
    atomic_store(&writer.stopping, true);
    recording_wake_writer();
    pthread_join(writer.thread, NULL);

    struct trace_last last = {.events = writer.events, .time = trace_now()};
    int error = atomic_exchange(&writer.error, 0);
    if (!error && (!still_ours() || !trace_file_end(&writer.file, &last)))
        error = errno;
    close(writer.file.descriptor);
    atomic_store(&recording, &never);
    recording_inside = outer;
    errno = error;
    return !error;
}
