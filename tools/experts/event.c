#include "event.h"

#include <stdio.h>
#include <string.h>

PNMEVENTDATA event_new(HEXPERTKEY key, const char *source, const char *name, unsigned columns)
{
    size_t bytes = sizeof(NMEVENTDATA) + columns * sizeof(NMCOLUMNINFO);
    PNMEVENTDATA event = ExpertAllocMemory(key, bytes, NULL);
    if (!event)
        return NULL;
    memset(event, 0, bytes);
    event->Flags = NMEVENTFLAG_EXPERT;
    event->Severity = NMEVENT_SEVERITY_INFORMATIONAL;
    event->szSourceName = (LPSTR)source;
    event->szEventName = (LPSTR)name;
    return event;
}

static NMCOLUMNINFO *event_add(PNMEVENTDATA event, const char *column, NMCOLUMNTYPE type)
{
    NMCOLUMNINFO *info = &event->Column[event->NumColumns++];
    info->szColumnName = (LPSTR)column;
    info->VariantData.Type = type;
    return info;
}

void event_add_text(PNMEVENTDATA event, const char *column, const char *text)
{
    event_add(event, column, NMCOLUMNTYPE_STRING)->VariantData.Value.pStringVal = text;
}

void event_add_number(PNMEVENTDATA event, const char *column, double number)
{
    event_add(event, column, NMCOLUMNTYPE_FLOAT64)->VariantData.Value.Float64Val = number;
}

DWORD event_submit(HEXPERTKEY key, PNMEVENTDATA event)
{
    DWORD error = ExpertSubmitEvent(key, event);
    DWORD freed = (DWORD)ExpertFreeMemory(key, event);
    return error ? error : freed;
}

void describe(PEXPERTENUMINFO info, const char *name, const char *description)
{
    snprintf(info->szName, sizeof info->szName, "%s", name);
    snprintf(info->szVendor, sizeof info->szVendor, "keyslab");
    snprintf(info->szDescription, sizeof info->szDescription, "%s", description);
    info->Version = 0;
}
