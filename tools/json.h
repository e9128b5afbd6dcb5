/* JSON as the subcommands print it: UTF-8, whatever bytes the names in it have. */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include <jansson.h>
#include <stdbool.h>

/* A text of any bytes as a JSON string: see lib/utf8.h for those that are not UTF-8. */
json_t *json_text(const char *text);

/* The same of a text made by printf. */
json_t *json_text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* null for NULL. */
json_t *json_text_or_null(const char *text);

/* null for what is no number. */
json_t *json_number(double number);

/* Sets a member whose name may have any bytes. The value is the object's from then on. */
void json_set(json_t *object, const char *name, json_t *value);

/*
 * Prints the object on standard output with jansson's flags, and frees it. False where that failed: after a complaint, but for an
 * error of the output, which is reported when the program ends.
 */
bool json_print(json_t *json, size_t flags);

#endif
