#include "trace/destination.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { DESCRIPTOR_LEAST = 500 /* out of the way of programs that close and count on low numbers */ };

static int raise_descriptor(int low)
{
    int high = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, DESCRIPTOR_LEAST);
    if (high < 0)
        return low; /* under a limit of few descriptors */
    close(low);
    return high;
}

static bool is_ours(const struct destination *destination, int descriptor)
{
    struct stat now;
    return !fstat(descriptor, &now) && now.st_ino == destination->identity.st_ino &&
           now.st_dev == destination->identity.st_dev;
}

/* A program may close every descriptor that it does not know, and open its own files under the number. */
bool destination_ready(struct destination *destination)
{
    if (is_ours(destination, destination->file.descriptor))
        return true;
    int again = raise_descriptor(open(destination->path, O_RDWR | O_CLOEXEC));
    destination->file.descriptor = again;
    if (again < 0 || is_ours(destination, again))
        return again >= 0;
    close(again);
    destination->file.descriptor = -1;
    errno = EBADF;
    return false;
}

void destination_close(struct destination *destination)
{
    int error = errno;
    if (is_ours(destination, destination->file.descriptor))
        close(destination->file.descriptor);
    if (destination->held)
        munmap(destination->held, 1);
    destination->file.descriptor = -1;
    destination->held = NULL;
    errno = error;
}

void destination_leave_to_parent(struct destination *destination)
{
    destination->held = NULL; /* no child has it: see hold */
    destination_close(destination);
}

static bool hold(struct destination *destination, int descriptor)
{
    destination->held = mmap(NULL, 1, PROT_READ, MAP_SHARED, descriptor, 0);
    if (destination->held == MAP_FAILED) {
        destination->held = NULL;
        return errno == ENODEV; /* see chunk.h */
    }
    madvise(destination->held, 1, MADV_DONTFORK);
    return true;
}

/* What this process has recorded before it replaced its program. */
static bool go_on(struct destination *destination, int descriptor, uint32_t process, uint64_t since,
                  struct trace_extent *before)
{
    bool own = trace_resume(&destination->file, descriptor, before) && !before->ended &&
               before->info.process == process && before->info.wall_time >= since;
    errno = EEXIST;
    return own;
}

static bool fill(struct destination *destination, int descriptor, const struct trace_info *info, uint64_t since,
                 struct trace_extent *before)
{
    if (fstat(descriptor, &destination->identity))
        return false;
    bool begun = since && destination->identity.st_size ? go_on(destination, descriptor, info->process, since, before)
                                                        : trace_file_begin(&destination->file, descriptor, info);
    return begun && hold(destination, descriptor);
}

bool destination_open(struct destination *destination, const struct trace_info *info, uint64_t since,
                      struct trace_extent *before)
{
    *before = (struct trace_extent){0};
    int descriptor = raise_descriptor(since ? trace_open_own(destination->path) : trace_open_new(destination->path));
    if (descriptor < 0)
        return false;
    if (fill(destination, descriptor, info, since, before))
        return true;
    int error = errno;
    close(descriptor);
    destination->file.descriptor = -1;
    errno = error;
    return false;
}

bool destination_end(struct destination *destination, const struct trace_last *last)
{
    bool cut = !S_ISREG(destination->identity.st_mode) ||
               !ftruncate(destination->file.descriptor, (off_t)destination->file.bytes);
    return cut && trace_file_end(&destination->file, last);
}
