#include "lines.h"

#include "command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool lines_open(struct lines *lines, struct input *input)
{
    *lines = (struct lines){.input = input, .file = input_stream(input)};
    if (!lines->file)
        complain("%s: %s", input_name(input), strerror(errno));
    return lines->file;
}

/* The last line of an input that breaks off may lack its end: it is none. */
bool lines_next(struct lines *lines)
{
    ssize_t length = getline(&lines->line, &lines->room, lines->file);
    if (length < 0)
        return false;
    bool ended = length && lines->line[length - 1] == '\n';
    if (!ended && input_error(lines->input))
        return false;
    lines->number++;
    if (ended)
        lines->line[length - 1] = 0;
    return true;
}

static void release(struct lines *lines)
{
    fclose(lines->file);
    free(lines->line);
}

bool lines_close(struct lines *lines)
{
    const char *error = input_error(lines->input);
    if (error)
        complain("%s: behind line %" PRIu64 ": %s", input_name(lines->input), lines->number, error);
    release(lines);
    return !error;
}

bool lines_count(struct input *input, uint64_t *count)
{
    struct lines lines;
    if (!lines_open(&lines, input))
        return false;
    while (lines_next(&lines))
        ;
    *count = lines.number;
    release(&lines);
    return input_rewind(input);
}

bool lines_bad(const struct lines *lines, const char *expected)
{
    complain("%s:%" PRIu64 ": expected %s, got '%.60s'", input_name(lines->input), lines->number, expected,
             lines->line);
    return false;
}
