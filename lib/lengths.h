/* The list that the setting `magazine` takes, "256: 60, 2048: 32, 8", as text. */
#ifndef LIB_LENGTHS_H
#define LIB_LENGTHS_H

#include "settings.h"

/* Adds what stands between two commas. NULL, or what was expected of it, for a message. */
const char *lengths_add(struct lengths *lengths, const char *text);

/* The same of the list's end. */
const char *lengths_end(const struct lengths *lengths);

/* Fills a buffer of SETTING_TEXT bytes, which it returns. */
char *lengths_format(const struct lengths *lengths, char *text);

#endif
