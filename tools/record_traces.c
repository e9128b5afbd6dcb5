#include "record_traces.h"

#include "command.h"
#include "trace/open.h"
#include "trace/reader.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* ------------------------------------------------------------------ the program */

/* How it ended, where that was by a signal, to go behind a message. */
static const char *ending(int status)
{
    static char text[64];
    if (!WIFSIGNALED(status))
        return "";
    const char *name = sigabbrev_np(WTERMSIG(status));
    if (name)
        snprintf(text, sizeof text, "; the program was ended by SIG%s", name);
    else
        snprintf(text, sizeof text, "; the program was ended by signal %d", WTERMSIG(status)); /* of real time */
    return text;
}

static void summarise(const struct recording_end *end, const struct trace_reader *reader)
{
    uint64_t events = trace_events(reader);
    uint64_t threads = trace_threads(reader);
    double bytes = (double)trace_bytes(reader);
    if (events <= 1) /* the program's name */
        complain("%s: no allocation was recorded%s", end->path, ending(end->status));
    else
        complain("%s: %" PRIu64 " events of %" PRIu64 " thread%s, %s, %.1f bytes an event%s", end->path, events,
                 threads, threads == 1 ? "" : "s", bytes_text(bytes), bytes / (double)events, ending(end->status));
}

static bool program_trace(const struct recording_end *end)
{
    struct trace_error error;
    trace_complete(end->path, true);
    struct trace_reader *reader = trace_open(end->path, true, &error);
    if (!reader) {
        complain("%s: %s%s", end->path,
                 strstr(error.text, "cut off at byte 0")
                     ? "nothing was recorded: the program is linked statically, or changes its user, or does not run"
                     : error.text,
                 ending(end->status));
        return false;
    }
    if (*error.text)
        complain("%s: %s; 'keyslab tune --salvage' reads %" PRIu64 " events before%s", end->path, error.text,
                 trace_events(reader), ending(end->status));
    else if (!end->quiet)
        summarise(end, reader);
    trace_close(reader);
    return true;
}

/* ------------------------------------------------------------------ its children */

struct children {
    uint64_t traces;
    uint64_t events;
    uint64_t unfinished;
};

static const char *skip_number(const char *text)
{
    if (*text != '.' || !isdigit((unsigned char)text[1]))
        return text;
    do
        text++;
    while (isdigit((unsigned char)*text));
    return text;
}

/* FILE.PID or FILE.PID.NUMBER. */
static bool is_child_name(const char *name, const char *base)
{
    size_t length = strlen(base);
    if (strncmp(name, base, length) != 0)
        return false;
    const char *behind = skip_number(name + length);
    return behind != name + length && !*skip_number(behind);
}

static void add_child(const struct recording_end *end, const char *path, struct children *children)
{
    struct trace_error error;
    struct trace_reader *reader = trace_open(path, true, &error);
    if (!reader)
        return;
    if (trace_info(reader)->wall_time >= end->since) {
        children->traces++;
        children->events += trace_events(reader);
        children->unfinished += *error.text && !trace_complete(path, false);
    }
    trace_close(reader);
}

static struct children children_of(const struct recording_end *end)
{
    char folder[PATH_MAX];
    char path[PATH_MAX + NAME_MAX + 2];
    struct children children = {0};
    snprintf(folder, sizeof folder, "%s", end->path);
    char *slash = strrchr(folder, '/');
    *slash = 0;
    DIR *directory = opendir(*folder ? folder : "/");
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (!is_child_name(entry->d_name, slash + 1))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        add_child(end, path, &children);
    }
    if (directory)
        closedir(directory);
    return children;
}

static bool child_traces(const struct recording_end *end)
{
    struct children children = children_of(end);
    if (!children.traces)
        return false;
    if (!end->quiet)
        complain("%s.PID: %" PRIu64 " trace%s of child processes, %" PRIu64 " events", end->path, children.traces,
                 children.traces == 1 ? "" : "s", children.events);
    if (children.unfinished && !end->quiet)
        complain("%s.PID: %" PRIu64 " of them %s still being written", end->path, children.unfinished,
                 children.unfinished == 1 ? "is" : "are");
    return true;
}

bool record_traces(const struct recording_end *end)
{
    bool own = program_trace(end);
    return child_traces(end) || own;
}
