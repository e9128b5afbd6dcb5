#include "base/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* First bytes from `first` on begin characters of `length` bytes, up to the next row; the second byte is between the last two. */
static const struct lead {
    uint8_t first, length, least, most;
} leads[] = {
    {0x01, 1, 0, 0},       {0x80, 0, 0, 0},       {0xc2, 2, 0x80, 0xbf}, {0xe0, 3, 0xa0, 0xbf},
    {0xe1, 3, 0x80, 0xbf}, {0xed, 3, 0x80, 0x9f}, {0xee, 3, 0x80, 0xbf}, {0xf0, 4, 0x90, 0xbf},
    {0xf1, 4, 0x80, 0xbf}, {0xf4, 4, 0x80, 0x8f}, {0xf5, 0, 0, 0},
};

static const struct lead *lead_of(uint8_t byte)
{
    size_t row = sizeof leads / sizeof *leads - 1;
    while (row && byte < leads[row].first)
        row--;
    return &leads[row];
}

size_t utf8_length(const char *text)
{
    const uint8_t *bytes = (const uint8_t *)text;
    if (!*bytes)
        return 0;
    const struct lead *lead = lead_of(*bytes);
    if (lead->length > 1 && (bytes[1] < lead->least || bytes[1] > lead->most))
        return 0;
    for (size_t i = 2; i < lead->length; i++)
        if (bytes[i] < 0x80 || bytes[i] > 0xbf)
            return 0;
    return lead->length;
}

static bool is_hex(char c)
{
    return c && strchr("0123456789abcdefABCDEF", c);
}

bool utf8_is_plain(const char *text)
{
    size_t length;
    for (; (length = utf8_length(text)); text += length)
        if (text[0] == '\\' && text[1] == 'x' && is_hex(text[2]) && is_hex(text[3]))
            return false;
    return !*text;
}

size_t utf8_escape(const char *text, char piece[UTF8_PIECE])
{
    size_t length = utf8_length(text);
    if (*text == '\\')
        snprintf(piece, UTF8_PIECE, "\\\\");
    else if (length || !*text)
        snprintf(piece, UTF8_PIECE, "%.*s", (int)length, text);
    else
        snprintf(piece, UTF8_PIECE, "\\x%02x", (unsigned char)*text);
    return length || !*text ? length : 1;
}
