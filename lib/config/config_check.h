/* What no line of a config file tells by itself: settings that do not go together. And how errors and warnings are told. */
#ifndef LIB_CONFIG_CHECK_H
#define LIB_CONFIG_CHECK_H

#include "config/config.h"

/* Counts an error and tells it, after the file's name and, unless it is 0, the line. */
void config_error_at(struct config_errors *errors, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Tells a warning in the same way, and counts nothing. */
void config_warning_at(struct config_errors *errors, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Of the whole file, when all its lines have been read. */
void config_check(const struct config *config, struct config_errors *errors);

#endif
