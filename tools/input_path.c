#include "input_path.h"

#include "command.h"
#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 16, PATH_BYTES = 4096, DESCRIPTOR_PATH = 32 };

bool input_path_is_standard(const char *name)
{
    return !strcmp(name, "-");
}

const char *input_path_shown(const char *name)
{
    return input_path_is_standard(name) ? "standard input" : name;
}

/* ------------------------------------------------------------------ copies */

/* Those of files with a name, for as long as the program runs. */
struct copied {
    struct copied *next;
    char path[DESCRIPTOR_PATH];
};

static struct copied *copies;

int temporary_file(const char **where)
{
    const char *folder = getenv("TMPDIR");
    folder = folder && *folder ? folder : "/tmp";
    *where = folder;
    char path[PATH_BYTES];
    sigset_t before;
    int file = open(folder, O_TMPFILE | O_RDWR, S_IRUSR | S_IWUSR);
    if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
        return file;
    /* The folder's file system does not have such files. */
    snprintf(path, sizeof path, "%s/keyslab-XXXXXX", folder);
    interrupt_block(&before);
    file = mkstemp(path);
    int error = errno;
    if (file >= 0)
        unlink(path);
    interrupt_unblock(&before);
    errno = error;
    return file;
}

static bool write_all(int file, const char *bytes, size_t length)
{
    while (length) {
        ssize_t written = write(file, bytes, length);
        if (written < 0)
            return false;
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

/* All that is left to read, in a new descriptor; -1 after a complaint. */
static int copy(int from, const char *name)
{
    static char buffer[BUFFER];
    const char *folder;
    int to = temporary_file(&folder);
    if (to < 0) {
        complain("%s: %s, for a copy of %s", folder, strerror(errno), input_path_shown(name));
        return -1;
    }
    ssize_t got;
    while ((got = read(from, buffer, sizeof buffer)) > 0)
        if (!write_all(to, buffer, (size_t)got)) {
            complain("%s: %s, for a copy of %s", folder, strerror(errno), input_path_shown(name));
            close(to);
            return -1;
        }
    if (!got && !lseek(to, 0, SEEK_SET))
        return to;
    complain("%s: %s", input_path_shown(name), strerror(errno));
    close(to);
    return -1;
}

/* ------------------------------------------------------------------ names */

/* The descriptor that the path stands for, as those of a shell's <(COMMAND); -1 for any other file. */
static int descriptor_of(const char *name)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    if (input_path_is_standard(name) || !strcmp(name, "/dev/stdin"))
        return STDIN_FILENO;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        size_t length = strlen(folders[i]);
        uint64_t number;
        if (!strncmp(name, folders[i], length) && name[length] &&
            strspn(name + length, "0123456789") == strlen(name + length) &&
            parse_number(name, name + length, 0, INT32_MAX, &number))
            return (int)number;
    }
    return -1;
}

static bool is_stream(const struct stat *stat, int descriptor)
{
    return S_ISFIFO(stat->st_mode) || S_ISSOCK(stat->st_mode) || (S_ISCHR(stat->st_mode) && isatty(descriptor));
}

/* Standard input begins where whoever had it before has left it. */
static bool is_begun(const struct stat *stat, const char *name)
{
    return S_ISREG(stat->st_mode) && input_path_is_standard(name) && lseek(STDIN_FILENO, 0, SEEK_CUR) > 0;
}

/* The copy takes the place of the descriptor. */
static const char *copy_descriptor(int descriptor, const char *name, const char *path)
{
    int to = copy(descriptor, name);
    if (to < 0)
        return NULL;
    dup2(to, descriptor);
    close(to);
    return path;
}

static const char *copy_file(const char *name)
{
    struct copied *copied = malloc(sizeof *copied);
    int from = copied ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (from < 0) {
        complain("%s: %s", name, strerror(errno));
        free(copied);
        return NULL;
    }
    int to = copy(from, name);
    close(from);
    if (to < 0) {
        free(copied);
        return NULL;
    }
    snprintf(copied->path, sizeof copied->path, "/proc/self/fd/%d", to);
    copied->next = copies;
    copies = copied;
    return copied->path;
}

static bool is_readable(int descriptor)
{
    int flags = fcntl(descriptor, F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) == O_WRONLY)
        errno = EBADF;
    return flags >= 0 && (flags & O_ACCMODE) != O_WRONLY;
}

const char *input_path(const char *name)
{
    int descriptor = descriptor_of(name);
    const char *path = input_path_is_standard(name) ? "/dev/stdin" : name;
    struct stat status;
    if (descriptor < 0)
        return !stat(name, &status) && is_stream(&status, -1) ? copy_file(name) : path;
    if (!is_readable(descriptor) || fstat(descriptor, &status)) {
        complain("%s: %s", input_path_shown(name), strerror(errno));
        return NULL;
    }
    if (is_stream(&status, descriptor) || is_begun(&status, name))
        return copy_descriptor(descriptor, name, path);
    return path;
}
