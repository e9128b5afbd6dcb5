/*
 * What the subcommands write: standard output, which is checked when the program ends, and files, which are put in their place whole
 * or not at all.
 */
#ifndef TOOLS_OUTPUT_H
#define TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * The program begins. A standard stream that is closed is replaced by one that cannot be used, so that no file is taken for it. A file
 * that would be larger than is allowed is an error, and no signal. When the program exits and standard output was not written to its
 * end, it complains, and its status is EXIT_FAILED.
 */
void output_begin(void);

/* Standard output can be written to, whoever has its lock: a thread may have failed with it. Only when no other thread writes. */
void output_recover(void);

/* Ends the program as exit does, but nothing else runs: no destructor of an expert that has failed. */
_Noreturn void output_exit(int status);

/* For a program that is run: what output_begin has changed for it is as it was. */
void output_release(void);

/* True for "-", which stands for standard output. */
bool output_is_standard(const char *path);

/* A file that is collected in memory. */
struct output {
    FILE *file;
    const char *path;
    char *text;
    size_t length;
};

/* Each of these is false after a complaint. */
bool output_open(struct output *output, const char *path);

/* Puts the file in its place: what was there before is replaced, and kept where that fails. Devices and pipes are written to. */
bool output_close(struct output *output);

#endif
