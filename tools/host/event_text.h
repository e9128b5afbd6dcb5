/* Values of an event's columns as text. */
#ifndef HOST_EVENT_TEXT_H
#define HOST_EVENT_TEXT_H

#include <keyslab/netmon.h>
#include <stdbool.h>

enum { VALUE_TEXT = 32 };

/* NULL for what is a number; else a text, perhaps in the buffer. */
const char *value_text(const NMCOLUMNVARIANT *value, char buffer[VALUE_TEXT]);
double value_number(const NMCOLUMNVARIANT *value);

/* The date, the time, or both; NULL where the time is all zero. */
const char *system_time_text(const SYSTEMTIME *time, bool has_date, bool has_time, char buffer[VALUE_TEXT]);

#endif
