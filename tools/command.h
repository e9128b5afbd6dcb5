/* What the subcommands of `keyslab` share: how they are found, how they fail, how they draw tables. */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Exit statuses: 0 all done, 1 the work failed, 2 the command line was wrong, 3 an expert failed and the rest was right; 128 and a signal's
 * number: interrupt.h.
 */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_EXPERT = 3 };

struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the program's name, for getopt's messages */
};

extern const struct command command_run;
extern const struct command command_record;
extern const struct command command_tune;
extern const struct command command_replay;
extern const struct command command_config;

/* The program's name as it was invoked, ": " and the message, on standard error. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A hint to --help of a command, or "" for the program's; returns EXIT_USAGE. */
int try_help(const char *command);

/* A complaint and the hint. */
int usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A whole number between least and most, else a complaint naming the option, and false. */
bool parse_number(const char *option, const char *text, uint64_t least, uint64_t most, uint64_t *number);

/* A number of seconds, 0 or more, such as 2.5; a size such as 64M, in bytes, 0 or more. Else as above. */
bool parse_seconds(const char *option, const char *text, double *seconds);
bool parse_size(const char *option, const char *text, uint64_t *bytes);

/* The part of a path behind its last slash. */
const char *base_name(const char *path);

/*
 * A file that comes with the program: in the folder `beside` that of the program, as built, or in `installed`, as installed. False
 * where there is none; then `searched` says where it was looked for, by absolute paths.
 */
enum { FOLDER_BYTES = PATH_MAX + NAME_MAX, FILE_SEARCHED = 2 * FOLDER_BYTES + 64 };
bool find_file(const char *beside, const char *installed, const char *name, char path[PATH_MAX],
               char searched[FILE_SEARCHED]);

/* 1536 as "1.5 KiB", in one of two static buffers in turn. */
const char *bytes_text(double bytes);

/* ------------------------------------------------------------------ tables */

enum { TABLE_COLUMNS = 20, TABLE_CELL = 64 };

struct table {
    size_t columns;
    const char *titles[TABLE_COLUMNS];
    bool left[TABLE_COLUMNS]; /* aligned left; numbers are not */
    size_t rows;
    char (*cells)[TABLE_COLUMNS][TABLE_CELL];
};

void table_row(struct table *table);
void table_cell(struct table *table, size_t column, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Prints the table on standard output, columns lined up, and frees it. */
void table_print(struct table *table);

/* ------------------------------------------------------------------ progress */

/* One line or several that are written over, where standard error is a terminal; what is longer than it is wide is cut. */
void progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool progress_is_shown(void);
void progress_end(void);

#endif
