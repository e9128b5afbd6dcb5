/* Events with named columns, built in the expert's own memory. */
#ifndef EXPERTS_EVENT_H
#define EXPERTS_EVENT_H

#include <keyslab/netmon.h>

/*
 * An event with room for `columns`, or NULL. Texts are not copied: they must
 * live until the event has been submitted.
 */
PNMEVENTDATA event_new(HEXPERTKEY key, const char *source, const char *name, unsigned columns);

void event_add_text(PNMEVENTDATA event, const char *column, const char *text);
void event_add_number(PNMEVENTDATA event, const char *column, double number);

/* Submits the event, and frees it. */
DWORD event_submit(HEXPERTKEY key, PNMEVENTDATA event);

/* Fills in an expert's description, for its Register. */
void describe(PEXPERTENUMINFO info, const char *name, const char *description);

#endif
