/*
 * libkeyslab-record.so: preloaded into a program by `keyslab record`, it writes every allocation, free and reallocation into a
 * trace, and hands each call on to the malloc that the program would have had.
 *
 * What runs before this library's constructor, in the loader and in other libraries' constructors, is handed on unrecorded.
 */
#include "recorder.h"

#include "trace/writer.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

enum { KEY = 1, EARLY_BYTES = 16384, ALIGNMENT = 16 };

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*memalign)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void (*free)(void *);
    void (*exit_now)(int) __attribute__((noreturn));
} next;

/* ------------------------------------------------------------------ the malloc behind
 *
 * dlsym itself may call calloc before we know what to call: those blocks come from here, and stay.
 */
static _Alignas(ALIGNMENT) char early[EARLY_BYTES];
static size_t early_used;

static void *early_alloc(size_t size)
{
    size_t rounded = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (rounded < size || rounded > sizeof early - early_used)
        return NULL;
    void *block = early + early_used;
    early_used += rounded;
    return block;
}

static bool is_early(const void *block)
{
    return (const char *)block >= early && (const char *)block < early + sizeof early;
}

static void find(void *function, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(function, &found, sizeof found);
}

__attribute__((cold, noinline)) static void find_next(void)
{
    static bool finding;
    if (finding)
        return;
    finding = true;
    find(&next.calloc, "calloc");
    find(&next.realloc, "realloc");
    find(&next.memalign, "memalign");
    find(&next.posix_memalign, "posix_memalign");
    find(&next.free, "free");
    find(&next.exit_now, "_exit");
    find(&next.malloc, "malloc"); /* last: it says that all are there */
    finding = false;
}

static bool ready(void)
{
    if (__builtin_expect(!next.malloc, false))
        find_next();
    return next.malloc;
}

/* ------------------------------------------------------------------ events */

static uint8_t shift_of(size_t alignment)
{
    return alignment <= ALIGNMENT ? 0 : (uint8_t)__builtin_ctzl(alignment);
}

static void *allocated(void *block, size_t size, size_t alignment, bool zeroed)
{
    if (block)
        trace_record(&(struct trace_event){.kind = TRACE_ALLOC,
                                           .time = trace_now(),
                                           .key = KEY,
                                           .address = (uintptr_t)block,
                                           .size = size,
                                           .alignment_shift = shift_of(alignment),
                                           .zeroed = zeroed});
    return block;
}

static void leaves(enum trace_kind kind, const void *block, uint64_t time)
{
    trace_record_block(kind, time, KEY, block, 0);
}

static void *reallocated(void *old, uintptr_t address, uint64_t before, void *block, size_t size)
{
    uint64_t after = trace_now();
    bool moved = (uintptr_t)block != address;
    if (moved)
        leaves(TRACE_MOVED_FROM, old, before);
    trace_record_block(moved ? TRACE_MOVED_TO : TRACE_RESIZE, after, KEY, block, size);
    return block;
}

/* ------------------------------------------------------------------ what the program calls */

EXPORTED void *malloc(size_t size)
{
    return ready() ? allocated(next.malloc(size), size, 0, false) : early_alloc(size);
}

EXPORTED void *calloc(size_t count, size_t size)
{
    if (ready())
        return allocated(next.calloc(count, size), count * size, 0, true);
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : early_alloc(bytes);
}

EXPORTED void free(void *block)
{
    if (!block || is_early(block))
        return;
    leaves(TRACE_FREE, block, trace_now());
    next.free(block);
}

static void *realloc_early(void *old, size_t size)
{
    void *block = malloc(size);
    size_t there = (size_t)(early + sizeof early - (char *)old);
    return block ? memcpy(block, old, size < there ? size : there) : NULL;
}

EXPORTED void *realloc(void *old, size_t size)
{
    if (!old)
        return malloc(size);
    if (is_early(old))
        return realloc_early(old, size);
    uintptr_t address = (uintptr_t)old;
    uint64_t before = trace_now();
    void *block = next.realloc(old, size);
    if (block)
        return reallocated(old, address, before, block, size);
    if (!size)
        leaves(TRACE_FREE, (void *)address, before); /* as glibc's: a size of zero frees */
    return NULL;
}

EXPORTED void *reallocarray(void *old, size_t count, size_t size)
{
    size_t bytes;
    if (!__builtin_mul_overflow(count, size, &bytes))
        return realloc(old, bytes);
    errno = ENOMEM;
    return NULL;
}

EXPORTED int posix_memalign(void **block, size_t alignment, size_t size)
{
    if (!ready())
        return ENOMEM;
    int error = next.posix_memalign(block, alignment, size);
    if (!error)
        allocated(*block, size, alignment, false);
    return error;
}

EXPORTED void *memalign(size_t alignment, size_t size)
{
    return ready() ? allocated(next.memalign(alignment, size), size, alignment, false) : NULL;
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

EXPORTED void *valloc(size_t size)
{
    return memalign((size_t)sysconf(_SC_PAGESIZE), size);
}

EXPORTED void *pvalloc(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return memalign(page, (size + page - 1) & ~(page - 1));
}

/* ------------------------------------------------------------------ beginning and end */

static char program[TRACE_NAME_BYTES]; /* its name, which it may write over */
static bool told;                      /* that the trace ends early */

/* What the process had allocated before it replaced its program is gone. */
static void name_key(bool goes_on)
{
    struct trace_event event = {.kind = TRACE_RESET, .time = trace_now(), .key = KEY};
    told = false;
    if (goes_on)
        trace_record(&event);
    event.kind = TRACE_KEY;
    memcpy(event.name, program, sizeof event.name);
    trace_record(&event);
}

static void tell(int error)
{
    told = true;
    dprintf(STDERR_FILENO, "keyslab record: %s: %s; the trace ends there\n", trace_path(), strerror(error));
}

static void finish(void)
{
    if (!trace_finish() && !told)
        tell(errno);
}

/* exit and quick_exit run handlers; these two do not. */
EXPORTED void _exit(int status)
{
    finish();
    ready();
    next.exit_now(status);
}

EXPORTED void _Exit(int status)
{
    _exit(status);
}

static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : 0;
}

/* The first process has a trace in any case, others where they allocate something; so has one with the first one's number elsewhere. */
static bool start_trace(struct trace_options *options)
{
    bool first = number_of(RECORD_PROCESS) == (uint64_t)getpid();
    options->path = first ? options->children : NULL;
    if (trace_start(options))
        return true;
    options->path = NULL;
    return errno == EEXIST && trace_start(options);
}

__attribute__((constructor(101))) static void start(void)
{
    const char *path = getenv(RECORD_FILE);
    uint64_t since = number_of(RECORD_SINCE);
    if (!path || !since || !ready())
        return;
    snprintf(program, sizeof program, "%s", program_invocation_short_name);
    struct trace_options options = {
        .children = path,
        .since = since,
        .program = program,
        .sample = (uint32_t)number_of(RECORD_SAMPLE),
        .begun = name_key,
        .failed = tell,
    };
    if (!start_trace(&options))
        dprintf(STDERR_FILENO, "keyslab record: %s: %s; nothing is recorded\n", path, strerror(errno));
    at_quick_exit(finish);
}

__attribute__((destructor(101))) static void stop(void)
{
    finish();
}
