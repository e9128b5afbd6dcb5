#include "output.h"

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

static bool is_ours(const struct output *output, int descriptor)
{
    struct stat now;
    return !fstat(descriptor, &now) && now.st_ino == output->identity.st_ino && now.st_dev == output->identity.st_dev;
}

/* A program may close every descriptor that it does not know, and open its own files under the number. */
bool output_ready(struct output *output)
{
    if (is_ours(output, output->file.descriptor))
        return true;
    int again = raise_descriptor(open(output->path, O_RDWR | O_CLOEXEC));
    output->file.descriptor = again;
    if (again < 0 || is_ours(output, again))
        return again >= 0;
    close(again);
    output->file.descriptor = -1;
    errno = EBADF;
    return false;
}

void output_close(struct output *output)
{
    int error = errno;
    if (is_ours(output, output->file.descriptor))
        close(output->file.descriptor);
    if (output->held)
        munmap(output->held, 1);
    output->file.descriptor = -1;
    output->held = NULL;
    errno = error;
}

void output_leave_to_parent(struct output *output)
{
    output->held = NULL; /* no child has it: see hold */
    output_close(output);
}

static bool hold(struct output *output, int descriptor)
{
    output->held = mmap(NULL, 1, PROT_READ, MAP_SHARED, descriptor, 0);
    if (output->held == MAP_FAILED) {
        output->held = NULL;
        return errno == ENODEV; /* see chunk.h */
    }
    madvise(output->held, 1, MADV_DONTFORK);
    return true;
}

/* What this process has recorded before it replaced its program. */
static bool go_on(struct output *output, int descriptor, uint32_t process, uint64_t since, struct trace_extent *before)
{
    bool own = trace_resume(&output->file, descriptor, before) && !before->ended && before->info.process == process &&
               before->info.wall_time >= since;
    errno = EEXIST;
    return own;
}

static bool fill(struct output *output, int descriptor, const struct trace_info *info, uint64_t since,
                 struct trace_extent *before)
{
    if (fstat(descriptor, &output->identity))
        return false;
    bool begun = since && output->identity.st_size ? go_on(output, descriptor, info->process, since, before)
                                                   : trace_file_begin(&output->file, descriptor, info);
    return begun && hold(output, descriptor);
}

bool output_open(struct output *output, const struct trace_info *info, uint64_t since, struct trace_extent *before)
{
    *before = (struct trace_extent){0};
    int descriptor = raise_descriptor(since ? trace_open_own(output->path) : trace_open_new(output->path));
    if (descriptor < 0)
        return false;
    if (fill(output, descriptor, info, since, before))
        return true;
    int error = errno;
    close(descriptor);
    output->file.descriptor = -1;
    errno = error;
    return false;
}

bool output_end(struct output *output, const struct trace_last *last)
{
    bool cut = !S_ISREG(output->identity.st_mode) || !ftruncate(output->file.descriptor, (off_t)output->file.bytes);
    return cut && trace_file_end(&output->file, last);
}
