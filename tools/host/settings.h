/* An expert's configuration in a file: what Configure is given, and what it has made of it. */
#ifndef HOST_SETTINGS_H
#define HOST_SETTINGS_H

#include <keyslab/netmon.h>
#include <stdbool.h>
#include <stddef.h>

struct expert;

struct settings {
    const char *path; /* NULL for none */
    void *bytes;      /* of the file; NULL where there is none yet */
    size_t size;
};

/* The file that has the expert's configuration, or will have it. False after a complaint. */
bool settings_read(struct expert *expert, const char *path);

/* The configuration in a block of the expert's key, or NULL. */
EXPERTCONFIG *settings_copy(const struct expert *expert);

/* Writes it where it is not what the file has. False after a complaint. */
bool settings_write(const struct expert *expert, const EXPERTCONFIG *config);

/* Writes bytes that are a configuration. False after a complaint. */
bool settings_save(const struct expert *expert, const void *bytes, size_t size);

void settings_free(struct expert *expert);

#endif
