/* What `keyslab config` prints, as text and as JSON. */
#ifndef TOOLS_CONFIG_REPORT_H
#define TOOLS_CONFIG_REPORT_H

#include "config/config.h"

#include <jansson.h>

/* A file that has been read, with its errors, which as text have gone to standard error already. Warnings always have. */
struct checked {
    const char *path; /* as it was named */
    struct config *config;
    json_t *errors; /* an array of texts */
    bool json;
};

/* Each of these is false where JSON could not be printed. */
bool report_list(bool json);

/* As text, the good ones. */
bool report_check(const struct checked *files, size_t count, bool json);

/* `path` is NULL where no file is in effect; `source` says how it was found. */
bool report_show(const struct settings *settings, const char *key, const char *path, const char *source, bool json);

#endif
