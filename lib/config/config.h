/*
 * The config file: from its text to settings by key. docs/config.md describes the form, and why it is this one.
 *
 * Nothing here allocates: a program's malloc may be this library.
 */
#ifndef LIB_CONFIG_H
#define LIB_CONFIG_H

#include "config/settings.h"

#define SECTIONS_MOST 4096

struct section {
    char name[KEY_NAME_BYTES]; /* of keys: exact, or a pattern; "" for [defaults] */
    uint32_t line;
    struct settings settings; /* those that stand in the section */
};

struct config {
    uint32_t count;
    struct section sections[SECTIONS_MOST]; /* in the file's order */
};

/*
 * Where errors and warnings go, one line of text each: "file:line: [section] setting: what is wrong: expected what". A warning is about
 * a line that is passed over, and does not make the file bad.
 */
struct config_errors {
    const char *path;
    void (*tell)(void *context, const char *text); /* an error */
    void (*warn)(void *context, const char *text); /* a warning; may be the same function */
    void *context;
    uint32_t count; /* of errors */
};

/* Reads the whole file into `config`, which is zeroed. False with errors, not with warnings: then `config` is not to be used. */
bool config_read(const char *path, struct config *config, struct config_errors *errors);

/* The section for keys of this name: the one that names it, else the first whose pattern fits; NULL where there is none. */
const struct section *config_section(const struct config *config, const char *key_name);

/* The built-in settings under those of [defaults] under those of the key's section. `config` may be NULL: built-in ones. */
void config_settings(const struct config *config, const char *key_name, struct settings *settings);

/* ------------------------------------------------------------------ which file */

enum config_source { SOURCE_NONE, SOURCE_ENVIRONMENT, SOURCE_SYSTEM };

/*
 * The file that is read where the program has loaded none: the one that KEYSLAB_CONF names, else the system's, where it exists.
 * NULL for none, which an empty KEYSLAB_CONF means too. A program with capabilities or set-user-ID has no KEYSLAB_CONF.
 */
const char *config_path(enum config_source *source);

#endif
