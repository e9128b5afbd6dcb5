#include "command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void print_message(const char *format, va_list arguments)
{
    /* Not through the stream, whose lock a thread may have that has failed. */
    progress_end();
    dprintf(STDERR_FILENO, "%s: ", program_invocation_short_name);
    vdprintf(STDERR_FILENO, format, arguments);
    dprintf(STDERR_FILENO, "\n");
}

void complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
}

int try_help(const char *command)
{
    complain("try '%s%s%s --help'", program_invocation_short_name, *command ? " " : "", command);
    return EXIT_USAGE;
}

int usage_error(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    return try_help(command);
}

bool parse_number(const char *option, const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && !errno && *number >= least && *number <= most)
        return true;
    complain("%s %s: expected a whole number from %" PRIu64 " to %" PRIu64, option, text, least, most);
    return false;
}

bool parse_seconds(const char *option, const char *text, double *seconds)
{
    const double most = 1e9;
    char *end;
    *seconds = strtod(text, &end);
    bool is_decimal = strspn(text, "0123456789.") == strlen(text) && *text;
    if (is_decimal && !*end && *seconds <= most)
        return true;
    complain("%s %s: expected a number of seconds, such as 10 or 0.5", option, text);
    return false;
}

bool parse_size(const char *option, const char *text, uint64_t *bytes)
{
    static const char suffixes[] = "kMGT";
    char *end;
    errno = 0;
    *bytes = strtoull(text, &end, 10);
    const char *suffix = *end ? strchr(suffixes, *end) : NULL;
    unsigned shift = suffix ? 10 * (unsigned)(suffix - suffixes + 1) : 0;
    bool is_number = *text >= '0' && *text <= '9' && !errno && (!*end || (suffix && !end[1]));
    if (is_number && *bytes <= UINT64_MAX >> shift) {
        *bytes <<= shift;
        return true;
    }
    complain("%s %s: expected a size, such as 64M", option, text);
    return false;
}

const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Cuts the last part off a path. */
static void cut_last(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
}

bool find_file(const char *beside, const char *installed, const char *name, char path[PATH_MAX],
               char searched[FILE_SEARCHED])
{
    char program[PATH_MAX];
    char folders[2][FOLDER_BYTES];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length < 0 ? 0 : length] = '\0';
    cut_last(program);
    snprintf(folders[0], FOLDER_BYTES, "%s/%s", program, beside);
    cut_last(program);
    snprintf(folders[1], FOLDER_BYTES, "%s%s%s", *installed == '/' ? "" : program, *installed == '/' ? "" : "/",
             installed);
    for (size_t i = 0; i < 2; i++)
        if ((size_t)snprintf(path, PATH_MAX, "%s/%s", folders[i], name) < PATH_MAX && !access(path, F_OK))
            return true;
    snprintf(searched, FILE_SEARCHED, "neither in %s nor in %s", folders[0], folders[1]);
    return false;
}

const char *bytes_text(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    static char texts[2][32];
    static unsigned turn;
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1024;
        unit++;
    }
    char *text = texts[turn++ % 2];
    snprintf(text, sizeof texts[0], unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

void table_row(struct table *table)
{
    void *cells = realloc(table->cells, (table->rows + 1) * sizeof *table->cells);
    if (!cells) {
        complain("out of memory for a table");
        exit(EXIT_FAILED);
    }
    table->cells = cells;
    memset(table->cells[table->rows++], 0, sizeof *table->cells);
}

void table_cell(struct table *table, size_t column, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(table->cells[table->rows - 1][column], TABLE_CELL, format, arguments);
    va_end(arguments);
}

static void print_cell(const struct table *table, size_t column, const char *text, size_t width)
{
    bool last = column + 1 == table->columns;
    if (table->left[column])
        printf("  %-*s", last ? 0 : (int)width, text);
    else
        printf("  %*s", (int)width, text);
}

void table_print(struct table *table)
{
    size_t widths[TABLE_COLUMNS];
    for (size_t c = 0; c < table->columns; c++) {
        widths[c] = strlen(table->titles[c]);
        for (size_t r = 0; r < table->rows; r++)
            if (strlen(table->cells[r][c]) > widths[c])
                widths[c] = strlen(table->cells[r][c]);
    }
    for (size_t c = 0; c < table->columns; c++)
        print_cell(table, c, table->titles[c], widths[c]);
    putchar('\n');
    for (size_t r = 0; r < table->rows; r++) {
        for (size_t c = 0; c < table->columns; c++)
            print_cell(table, c, table->cells[r][c], widths[c]);
        putchar('\n');
    }
    free(table->cells);
    table->cells = NULL;
    table->rows = 0;
}

static bool progress_shown;

bool progress_is_shown(void)
{
    return isatty(STDERR_FILENO);
}

/* Prints one line, cut to the terminal's: one that is broken would count as two. The next one, or NULL. */
static const char *print_line(const char *line, int columns)
{
    size_t length = strcspn(line, "\n");
    dprintf(STDERR_FILENO, "%.*s", length < (size_t)columns ? (int)length : columns, line);
    return line[length] ? line + length + 1 : NULL;
}

static void print_lines(const char *lines)
{
    struct winsize size;
    bool known = !ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col > 1 && size.ws_row > 1;
    int rows = known ? size.ws_row - 1 : 23;
    int up = 0;
    const char *next = print_line(lines, known ? size.ws_col - 1 : 79);
    for (; next && up + 1 < rows; up++) {
        dprintf(STDERR_FILENO, "\r\n");
        next = print_line(next, known ? size.ws_col - 1 : 79);
    }
    if (up)
        dprintf(STDERR_FILENO, "\033[%dA", up);
}

void progress(const char *format, ...)
{
    if (!progress_is_shown())
        return;
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    dprintf(STDERR_FILENO, "\r\033[J");
    print_lines(text);
    progress_shown = true;
    free(text);
}

void progress_end(void)
{
    if (progress_shown)
        dprintf(STDERR_FILENO, "\r\033[J");
    progress_shown = false;
}
