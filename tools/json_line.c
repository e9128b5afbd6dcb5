#include "json_line.h"

#include "command.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static FILE *output;
static bool is_indented; /* within the blanks behind a line feed */

static ssize_t write_joined(void *cookie, const char *bytes, size_t size)
{
    (void)cookie;
    for (size_t i = 0; i < size; i++) {
        is_indented = bytes[i] == '\n' || (is_indented && bytes[i] == ' ');
        if (!is_indented)
            putc(bytes[i], output);
    }
    return ferror(output) ? 0 : (ssize_t)size;
}

/* glibc's own names for the streams are variables. */
void json_line_begin(void)
{
    FILE *joined = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_joined});
    if (!joined) {
        complain("out of memory for the report");
        exit(EXIT_FAILED);
    }
    output = stdout;
    is_indented = false;
    stdout = joined;
}

void json_line_end(void)
{
    fclose(stdout);
    stdout = output;
    putchar('\n');
}
