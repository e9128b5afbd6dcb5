#include "output.h"

#include "command.h"
#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MODE_NEW = 0666, MODE_BITS = 07777 };

/* ------------------------------------------------------------------ standard output */

/* At exit: as gnulib's close_stdout. Closed from the beginning, and nothing printed: that is no error. */
static void close_standard(void)
{
    bool failed = ferror(stdout);
    bool pending = __fpending(stdout);
    errno = 0;
    bool closed = !fclose(stdout);
    if (!failed && (closed || (!pending && errno == EBADF)))
        return;
    complain("standard output could not be written%s%s", closed ? "" : ": ", closed ? "" : strerror(errno));
    _exit(EXIT_FAILED);
}

static void (*size_signal)(int); /* what SIGXFSZ did */

void output_begin(void)
{
    /* Open the wrong way: reading from the first fails, and writing to the others. A program that is run finds them closed. */
    static const int modes[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++)
        if (fcntl(stream, F_GETFD) < 0 && open("/dev/null", modes[stream] | O_CLOEXEC) != stream)
            _exit(EXIT_FAILED);
    size_signal = signal(SIGXFSZ, SIG_IGN);
    atexit(close_standard);
}

void output_recover(void)
{
    if (!ftrylockfile(stdout)) {
        funlockfile(stdout);
        return;
    }
    FILE *fresh = fdopen(STDOUT_FILENO, "w");
    if (fresh)
        stdout = fresh;
}

void output_exit(int status)
{
    close_standard();
    _exit(status);
}

void output_release(void)
{
    signal(SIGXFSZ, size_signal);
}

bool output_is_standard(const char *path)
{
    return !strcmp(path, "-");
}

/* ------------------------------------------------------------------ files */

bool output_open(struct output *output, const char *path)
{
    *output = (struct output){.path = path};
    output->file = output_is_standard(path) ? stdout : open_memstream(&output->text, &output->length);
    if (!output->file)
        complain("%s: %s", path, strerror(errno));
    return output->file;
}

/* False with errno. */
static bool write_all(int file, const char *text, size_t length)
{
    while (length) {
        ssize_t written = write(file, text, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        text += written;
        length -= (size_t)written;
    }
    return true;
}

/* Closes the file whatever came before, and keeps the errno of that. */
static bool close_after(int file, bool good)
{
    int error = errno;
    bool closed = !close(file);
    if (!good)
        errno = error;
    return good && closed;
}

static mode_t mode_of_new(void)
{
    mode_t mask = umask(0);
    umask(mask);
    return MODE_NEW & ~mask;
}

/* Owner and mode of what is replaced stay, as far as that is allowed. */
static bool inherit(int file, const struct stat *old)
{
    if (!old)
        return !fchmod(file, mode_of_new());
    return (!fchown(file, old->st_uid, old->st_gid) || errno == EPERM) && !fchmod(file, old->st_mode & MODE_BITS);
}

/* A device has nothing to be synchronised, and some file systems do not know it. */
static bool synchronise(int file)
{
    return !fsync(file) || errno == EINVAL || errno == ENOTSUP;
}

/* Beside the target, under a name that nobody else has, and then in its place. False with errno. */
static bool replace(const struct output *output, const char *target, const struct stat *old)
{
    char path[PATH_MAX + sizeof ".XXXXXX"];
    snprintf(path, sizeof path, "%s.XXXXXX", target);
    int file = mkostemp(path, O_CLOEXEC);
    if (file < 0)
        return false;
    bool good = write_all(file, output->text, output->length) && inherit(file, old) && synchronise(file);
    good = close_after(file, good) && !rename(path, target);
    int error = errno;
    if (!good)
        unlink(path);
    errno = error;
    return good;
}

/* What is no file of its own, and what only has a name through another process's or this one's descriptors. False with errno. */
static bool write_through(const struct output *output)
{
    int file = open(output->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, MODE_NEW);
    return file >= 0 && close_after(file, write_all(file, output->text, output->length));
}

/* Not a file of its own: a device, a pipe, a link to nowhere, or another name of an open descriptor. */
static bool is_through(const char *path, const char *target, const struct stat *old)
{
    static const char *const folders[] = {"/dev/fd/", "/dev/std", "/proc/"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (!strncmp(path, folders[i], strlen(folders[i])))
            return true;
    return old ? !S_ISREG(old->st_mode) : readlink(target, (char[1]){0}, 1) >= 0;
}

/* False with errno. */
static bool put(const struct output *output)
{
    char target[PATH_MAX];
    struct stat status;
    sigset_t before;
    if (strlen(output->path) >= sizeof target) {
        errno = ENAMETOOLONG;
        return false;
    }
    const struct stat *old = realpath(output->path, target) && !stat(target, &status) ? &status : NULL;
    if (!old)
        snprintf(target, sizeof target, "%s", output->path);
    if (is_through(output->path, target, old))
        return write_through(output);
    interrupt_block(&before);
    bool good = replace(output, target, old);
    int error = errno;
    interrupt_unblock(&before);
    errno = error;
    return good;
}

bool output_close(struct output *output)
{
    if (output->file == stdout)
        return true;
    bool good = !ferror(output->file);
    good = !fclose(output->file) && good;
    if (!good)
        errno = ENOMEM;
    good = good && put(output);
    if (!good)
        complain("%s: %s", output->path, strerror(errno));
    free(output->text);
    return good;
}
