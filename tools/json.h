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

/*
 * Values one after another on standard output, each in its line, where there are too many of them to be held as one: the punctuation
 * between them is the caller's. The value is freed. Without memory these end the program, after a complaint.
 */
void json_print_value(json_t *value);
void json_print_text(const char *text);
void json_print_number(double number);

/*
 * Prints the object on standard output with jansson's flags, and frees it. False where that failed: after a complaint, but for an
 * error of the output, which is reported when the program ends.
 */
bool json_print(json_t *json, size_t flags);

#endif
