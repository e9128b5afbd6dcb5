#include "base/platform.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/random.h>
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

void platform_pause(void)
{
    int before = errno;
    nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    errno = before;
}

void platform_log(const char *line, size_t length)
{
    int before = errno;
    if (write(STDERR_FILENO, line, length) < 0)
        errno = before; /* closed: there is nobody to tell */
}

/* ------------------------------------------------------------------ the system's memory */

/* Fits between a program and its libraries with 47-bit addresses, however they are randomised. */
#define GAP_WANTED ((size_t)8 << 40)

/*
 * What lies in one such stretch of addresses is one leaf of jemalloc's radix tree, 2 MiB (its rtree.h): a window that began just before the end
 * of one would cost two from the start.
 */
#define WINDOW_ALIGNS ((size_t)1 << 30)

static void *reserve(void *start, size_t bytes, int flags)
{
    return mmap(start, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

static char *align_up(const char *start, size_t alignment)
{
    return (char *)(((uintptr_t)start + alignment - 1) & ~(uintptr_t)(alignment - 1));
}

/* The middle of the widest gap. The gap is known to be one because it can be mapped. */
static char *window_in_gap(size_t bytes)
{
    for (size_t gap = GAP_WANTED; gap >= bytes + WINDOW_ALIGNS; gap /= 2) {
        char *start = reserve(NULL, gap, 0);
        if (start == MAP_FAILED)
            continue;
        munmap(start, gap);
        return align_up(start + (gap - bytes - WINDOW_ALIGNS) / 2, WINDOW_ALIGNS);
    }
    return NULL;
}

/* A kernel before 4.17 takes the address for a hint, and maps another one. */
static enum platform_mapped map_exactly(void *start, size_t bytes, int access)
{
    int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    void *mapped = mmap(start, bytes, access, how, -1, 0);
    if (mapped == start)
        return MAPPED;
    if (mapped == MAP_FAILED)
        return errno == EEXIST ? MAPPED_TAKEN : MAPPED_REFUSED;
    munmap(mapped, bytes);
    return MAPPED_TAKEN;
}

static bool is_free(char *start, size_t bytes)
{
    if (map_exactly(start, bytes, PROT_NONE) != MAPPED)
        return false;
    munmap(start, bytes);
    return true;
}

/* Under a limit the window cannot be mapped as a whole. If both of its ends can, the limit was the reason. */
static bool window_is_free(char *start, size_t bytes)
{
    enum platform_mapped mapped = map_exactly(start, bytes, PROT_NONE);
    if (mapped == MAPPED)
        munmap(start, bytes);
    if (mapped == MAPPED_REFUSED)
        return is_free(start, PAGE) && is_free(start + bytes - PAGE, PAGE);
    return mapped == MAPPED;
}

/* As far from the system's mappings as the middle of a gap would be, below them or above. */
static char *window_in_distance(size_t bytes)
{
    char *mapped = reserve(NULL, PAGE, 0);
    if (mapped == MAP_FAILED)
        return NULL;
    munmap(mapped, PAGE);
    for (size_t gap = GAP_WANTED; gap >= bytes; gap /= 2) {
        size_t distance = gap / 2 + bytes / 2;
        if ((uintptr_t)mapped > distance) {
            char *below = align_up(mapped - distance, WINDOW_ALIGNS);
            if (window_is_free(below, bytes))
                return below;
        }
        char *above = align_up(mapped + distance - bytes, WINDOW_ALIGNS);
        if (window_is_free(above, bytes))
            return above;
    }
    return NULL;
}

void *platform_window(size_t bytes)
{
    if (FAULT())
        return NULL;
    int before = errno;
    char *start = window_in_gap(bytes);
    if (!start)
        start = window_in_distance(bytes);
    errno = before;
    return start;
}

enum platform_mapped platform_map_at(void *start, size_t bytes)
{
    if (FAULT())
        return MAPPED_REFUSED;
    int before = errno;
    enum platform_mapped mapped = map_exactly(start, bytes, PROT_READ | PROT_WRITE);
    errno = before;
    return mapped;
}

/* Of whole pages. */
static bool access_change(void *start, size_t bytes, int access)
{
    int before = errno;
    bool changed = mprotect(start, bytes, access) == 0;
    errno = before;
    return changed;
}

bool platform_protect(void *start, size_t bytes)
{
    return !FAULT() && access_change(start, bytes, PROT_NONE);
}

bool platform_unprotect(void *start, size_t bytes)
{
    return !FAULT() && access_change(start, bytes, PROT_READ | PROT_WRITE);
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

bool platform_unmap(void *start, size_t bytes)
{
    if (FAULT())
        return false;
    int before = errno;
    bool unmapped = munmap(start, bytes) == 0;
    errno = before;
    return unmapped;
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

/* Stands for the fence that the operation flag's store does without (C5.1); where it is refused see C5.4. */
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
