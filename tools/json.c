#include "json.h"

#include "base/utf8.h"
#include "command.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHOLE_MOST 9007199254740992.0 /* 2^53: every whole number up to it has its own double */

/* The text as UTF-8; to be freed. NULL without memory. */
static char *escaped(const char *text)
{
    if (utf8_is_plain(text))
        return strdup(text);
    char *result = malloc((UTF8_PIECE - 1) * strlen(text) + 1);
    char *end = result;
    for (size_t length; result && (length = utf8_escape(text, end)); text += length)
        end += strlen(end);
    return result;
}

json_t *json_text(const char *text)
{
    char *utf8 = escaped(text);
    json_t *json = utf8 ? json_string(utf8) : NULL;
    free(utf8);
    return json;
}

json_t *json_text_format(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    json_t *json = length < 0 ? NULL : json_text(text);
    if (length >= 0)
        free(text);
    return json;
}

json_t *json_text_or_null(const char *text)
{
    return text ? json_text(text) : json_null();
}

static bool is_whole(double number)
{
    return fabs(number) <= WHOLE_MOST && number == floor(number);
}

json_t *json_number(double number)
{
    if (!isfinite(number))
        return json_null();
    return is_whole(number) ? json_integer((json_int_t)number) : json_real(number);
}

void json_print_value(json_t *value)
{
    if (!value || (json_dumpf(value, stdout, JSON_ENCODE_ANY) && !ferror(stdout))) {
        complain("out of memory for JSON");
        exit(EXIT_FAILED);
    }
    json_decref(value);
}

/* A text that JSON has as it is. */
static bool is_printable(const char *text)
{
    while (*text >= ' ' && *text < 0x7f && *text != '"' && *text != '\\')
        text++;
    return !*text;
}

void json_print_text(const char *text)
{
    if (is_printable(text))
        printf("\"%s\"", text);
    else
        json_print_value(json_text(text));
}

void json_print_number(double number)
{
    if (is_whole(number))
        printf("%" PRId64, (int64_t)number);
    else
        json_print_value(json_number(number));
}

bool json_print(json_t *json, size_t flags)
{
    bool printed = json && !json_dumpf(json, stdout, flags) && putchar('\n') != EOF;
    json_decref(json);
    if (!printed && !ferror(stdout))
        complain("out of memory for JSON");
    return printed;
}
