#include "json.h"

#include "command.h"
#include "utf8.h"

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

json_t *json_number(double number)
{
    if (!isfinite(number))
        return json_null();
    bool whole = fabs(number) <= WHOLE_MOST && number == floor(number);
    return whole ? json_integer((json_int_t)number) : json_real(number);
}

void json_set(json_t *object, const char *name, json_t *value)
{
    char *utf8 = escaped(name);
    if (utf8)
        json_object_set_new(object, utf8, value);
    else
        json_decref(value);
    free(utf8);
}

bool json_print(json_t *json, size_t flags)
{
    bool printed = json && !json_dumpf(json, stdout, flags) && putchar('\n') != EOF;
    json_decref(json);
    if (!printed && !ferror(stdout))
        complain("out of memory for JSON");
    return printed;
}
