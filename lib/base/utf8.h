/*
 * Texts that need not be UTF-8, such as names of files and keys, as UTF-8 that nothing is missing from.
 *
 * A text is plain if it is UTF-8 and has no \xHH in it; it stands for itself. In any other text \xHH stands for a byte that belongs to
 * no character, and \\ for a backslash. So no two texts have the same form.
 */
#ifndef LIB_UTF8_H
#define LIB_UTF8_H

#include <stdbool.h>
#include <stddef.h>

enum { UTF8_PIECE = 5 /* most bytes of a piece, with the zero at its end */ };

/* Bytes of the character that the text begins with, 1 to 4; 0 where it begins with none, and at its end. */
size_t utf8_length(const char *text);

bool utf8_is_plain(const char *text);

/* The form of what a text that is not plain begins with. Returns how many of its bytes that is; 0 at its end. */
size_t utf8_escape(const char *text, char piece[UTF8_PIECE]);

#endif
