#include "read_error.h"

#include <stdarg.h>
#include <stdio.h>

bool read_error_set(struct read_error *error, const char *format, ...)
{
    va_list arguments;
    if (*error->text)
        return false;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return false;
}
