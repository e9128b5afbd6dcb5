/* What experts have found, as `keyslab run` reports it: a table for each kind of event, or an object for each event. */
#ifndef TOOLS_RUN_EVENTS_H
#define TOOLS_RUN_EVENTS_H

#include "host/host.h"

/* Kinds by their names, of each the events with the most bytes first. */
void events_sort(struct expert *expert);

/* Of each kind the first `top`. */
void events_print(const struct expert *expert, size_t top);

/* The elements of an array, each in its line behind the indent. There may be millions of them: none is held as JSON. */
void events_print_json(const struct expert *expert, const char *indent);

#endif
