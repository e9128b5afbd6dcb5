#include "malloc/misuse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTING "KEYSLAB_MALLOC_ON_ERROR"
#define PREFIX  "keyslab-malloc: "

static enum { ON_ERROR_ABORT, ON_ERROR_LOG, ON_ERROR_IGNORE } on_error;

THREAD_LOCAL const char *misuse_call;

/* ------------------------------------------------------------------ a line, without stdio, which would allocate */

struct line {
    char text[256];
    size_t length;
};

static void line_add(struct line *line, const char *text)
{
    /* One byte is kept for the end of the line. */
    size_t room = sizeof line->text - 1 - line->length;
    size_t length = strnlen(text, room);
    memcpy(line->text + line->length, text, length);
    line->length += length;
}

static void line_add_number(struct line *line, uint64_t number, unsigned base)
{
    char digits[24];
    char *first = digits + sizeof digits;
    *--first = '\0';
    do
        *--first = "0123456789abcdef"[number % base];
    while ((number /= base));
    line_add(line, first);
}

/* In one piece, so that lines of several threads do not mix; what cannot be written is nobody's loss. */
static void line_write(struct line *line)
{
    line->text[line->length++] = '\n';
    int before = errno;
    while (write(STDERR_FILENO, line->text, line->length) < 0 && errno == EINTR)
        ;
    errno = before;
}

/* ------------------------------------------------------------------ the setting */

static void setting_unknown(const char *value)
{
    struct line line = {0};
    line_add(&line, PREFIX SETTING "=");
    line_add(&line, value);
    line_add(&line, ": not one of ignore, log, abort: abort it is");
    line_write(&line);
}

void misuse_configure(void)
{
    const char *value = secure_getenv(SETTING);
    if (!value || !strcmp(value, "abort"))
        on_error = ON_ERROR_ABORT;
    else if (!strcmp(value, "log"))
        on_error = ON_ERROR_LOG;
    else if (!strcmp(value, "ignore"))
        on_error = ON_ERROR_IGNORE;
    else
        setting_unknown(value);
}

/* ------------------------------------------------------------------ misuses */

static void line_start(struct line *line, const char *call, const void *block)
{
    line_add(line, PREFIX);
    line_add(line, call);
    line_add(line, "(0x");
    line_add_number(line, (uintptr_t)block, 16);
    line_add(line, "): ");
}

static void line_finish(struct line *line)
{
    line_write(line);
    if (on_error == ON_ERROR_ABORT)
        abort();
}

void misuse_found(void *context, const struct ks_error *error)
{
    (void)context;
    if (on_error == ON_ERROR_IGNORE)
        return;
    struct line line = {0};
    line_start(&line, misuse_call && !error->at_home ? misuse_call : "free", error->block);
    if (error->status == KS_BAD_BLOCK) {
        line_add(&line, "not the address of a block");
    } else {
        line_add(&line, "double free of a block of ");
        line_add_number(&line, error->class_size, 10);
        line_add(&line, " bytes");
    }
    if (error->at_home)
        line_add(&line, ", found when it came home from another thread");
    line_finish(&line);
}

void misuse_of_pointer(const char *call, const void *block)
{
    if (on_error == ON_ERROR_IGNORE)
        return;
    struct line line = {0};
    line_start(&line, call, block);
    line_add(&line, "not the address of a live block");
    line_finish(&line);
}
