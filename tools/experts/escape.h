/* Bytes from the wire as text: what cannot be printed, a backslash, and what the caller names become \DDD. */
#ifndef EXPERTS_ESCAPE_H
#define EXPERTS_ESCAPE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The longest that so many bytes become, without the 0 at the end. */
#define ESCAPED(length) (4 * (length))

/* Ends `text` with a 0; returns its length. */
static inline size_t escape(char *text, const uint8_t *bytes, size_t length, char also)
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] > ' ' && bytes[i] <= '~' && bytes[i] != '\\' && bytes[i] != (uint8_t)also)
            text[used++] = (char)bytes[i];
        else
            used += (size_t)sprintf(text + used, "\\%03u", bytes[i]);
    }
    text[used] = 0;
    return used;
}

#endif
