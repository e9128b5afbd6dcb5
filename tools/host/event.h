/*
 * Events that experts have submitted, copied: kept until the report. What events of one kind have in common (their name, their
 * columns' names and types) is there once for each expert.
 */
#ifndef HOST_EVENT_H
#define HOST_EVENT_H

#include <keyslab/netmon.h>
#include <stdbool.h>
#include <stdint.h>

struct expert;

struct column {
    const char *title; /* differs from those of the kind's other columns */
    const char *given; /* as the expert calls it */
    NMCOLUMNTYPE type;
};

struct event_kind {
    struct event_kind *next;
    unsigned order; /* among those of the expert, once they are sorted */
    char *name;
    unsigned columns_count;
    struct column columns[];
};

/* Numbers have no text; a truth has both. */
struct value {
    const char *text;
    double number;
};

/* What is not in columns: of an event that says anything of it. Texts may be NULL. */
struct event_about {
    uint32_t id;
    uint32_t severity;
    const char *source; /* other than the expert */
    const char *machine;
    const char *time;
    const char *description;
};

struct event {
    const struct event_kind *kind;
    struct event_about *about; /* or NULL */
    double bytes;              /* the number of that title, once they are sorted */
    struct value *values;      /* one for each of the kind's columns; the block has their texts too */
};

bool column_is_truth(NMCOLUMNTYPE type);
bool column_is_text(NMCOLUMNTYPE type);

/* Whether the host can keep such an event; keeps a copy of one that it can. Any thread of the expert. */
bool event_is_known(const NMEVENTDATA *data);
void event_keep(struct expert *expert, const NMEVENTDATA *data);
void events_free(struct expert *expert);

#endif
