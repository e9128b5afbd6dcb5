/* Input files by their names: "-" is standard input, and what can be read only once is copied first. */
#ifndef TOOLS_INPUT_PATH_H
#define TOOLS_INPUT_PATH_H

#include <stdbool.h>

/* True for "-". */
bool input_path_is_standard(const char *name);

/* For messages: "standard input" for "-", else the name. */
const char *input_path_shown(const char *name);

/*
 * A path under which the file can be opened and read from its beginning, as often as one likes, by child processes too. A pipe or a
 * terminal is read to its end first, into a file without a name in TMPDIR. NULL after a complaint.
 */
const char *input_path(const char *name);

/* A file of TMPDIR, else of /tmp, without a name: child processes have it too. -1 with errno; `where` is the folder. */
int temporary_file(const char **where);

#endif
