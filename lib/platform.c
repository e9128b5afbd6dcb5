#include "platform.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------ thread-local storage */

static pthread_key_t exit_key;
static pthread_once_t onces[ONCES] = {
    [ONCE_LIBRARY] = PTHREAD_ONCE_INIT, [ONCE_CONFIG] = PTHREAD_ONCE_INIT, [ONCE_TRACE] = PTHREAD_ONCE_INIT};

bool platform_exit_hook(void (*at_exit)(void *))
{
    return !FAULT() && pthread_key_create(&exit_key, at_exit) == 0;
}

bool platform_at_exit(void *value)
{
    return !FAULT() && pthread_setspecific(exit_key, value) == 0;
}

bool platform_fork_hook(void (*child)(void))
{
    return !FAULT() && pthread_atfork(NULL, NULL, child) == 0;
}

void platform_once(enum platform_once which, void (*start)(void))
{
    pthread_once(&onces[which], start);
}

void platform_yield(void)
{
    sched_yield();
}

void platform_log(const char *line, size_t length)
{
    int before = errno;
    if (write(STDERR_FILENO, line, length) < 0)
        errno = before; /* closed: there is nobody to tell */
}

/* ------------------------------------------------------------------ the system's memory */

/* Where the process's address space is limited, no reservation takes more than an eighth of it. */
static size_t fair_share(size_t wanted, size_t least)
{
    struct rlimit limit;
    while (wanted / 2 >= least && !getrlimit(RLIMIT_AS, &limit) && wanted > limit.rlim_cur / 8)
        wanted /= 2;
    return wanted;
}

void *platform_reserve(size_t wanted, size_t least, size_t alignment, size_t *got)
{
    if (FAULT())
        return NULL;
    int before = errno;
    void *start = MAP_FAILED;
    for (size_t bytes = fair_share(wanted, least); start == MAP_FAILED && bytes >= least; bytes /= 2) {
        start = mmap(NULL, bytes + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        *got = bytes;
    }
    errno = before;
    if (start == MAP_FAILED)
        return NULL;
    return (void *)(((uintptr_t)start + alignment - 1) & ~(uintptr_t)(alignment - 1));
}

/* Of whole pages. */
static bool access_change(uintptr_t first, uintptr_t last, int access)
{
    int before = errno;
    bool changed = mprotect((void *)first, last - first, access) == 0;
    errno = before;
    return changed;
}

bool platform_commit(void *start, size_t bytes)
{
    uintptr_t first = (uintptr_t)start & ~(uintptr_t)(PAGE - 1);
    uintptr_t last = ((uintptr_t)start + bytes + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
    return !FAULT() && access_change(first, last, PROT_READ | PROT_WRITE);
}

bool platform_protect(void *start, size_t bytes)
{
    return !FAULT() && access_change((uintptr_t)start, (uintptr_t)start + bytes, PROT_NONE);
}

void *platform_map(size_t bytes)
{
    if (FAULT())
        return NULL;
    int before = errno;
    void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    /* Sparse tables: a huge page under each touched byte would be paid for in full. */
    if (start != MAP_FAILED)
        madvise(start, bytes, MADV_NOHUGEPAGE);
    errno = before;
    return start == MAP_FAILED ? NULL : start;
}

void platform_unmap(void *start, size_t bytes)
{
    munmap(start, bytes);
}

/* Pages that the program has locked are not discarded: a new mapping takes their place. */
bool platform_discard(void *start, size_t bytes)
{
    int before = errno;
    bool discarded = madvise(start, bytes, MADV_DONTNEED) == 0 ||
                     mmap(start, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
                          -1, 0) == start;
    errno = before;
    return discarded;
}

void platform_advise_huge(void *start, size_t bytes)
{
    if (FAULT())
        return;
    int before = errno;
    madvise(start, bytes, MADV_HUGEPAGE);
    errno = before;
}

/* C5.1, C5.4. */
bool platform_barrier_everywhere(void)
{
    if (FAULT())
        return false;
    int before = errno;
    /* Refused until the process has registered, which it may do more than once. */
    bool passed = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0 ||
                  (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
                   syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0);
    errno = before;
    return passed;
}

uint64_t platform_random(void)
{
    uint64_t word = 0;
    int before = errno;
    bool drawn = !FAULT() && getrandom(&word, sizeof word, GRND_NONBLOCK) == sizeof word;
    errno = before;
    return drawn ? word : 0;
}

unsigned platform_processors(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors > 0 ? (unsigned)processors : 1;
}

int64_t platform_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint32_t platform_process(void)
{
    return (uint32_t)getpid();
}

unsigned platform_node(void)
{
    unsigned node;
    if (FAULT())
        return 0;
    CHECKED(if (node_is_set(&node)) return node);
    return getcpu(NULL, &node) ? 0 : node;
}
