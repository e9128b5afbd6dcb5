/* Events that experts submit: copies, kept until the report. */
#include "host.h"
#include "process.h"

#include <stdlib.h>
#include <string.h>

static char *copy_text(const char *text)
{
    char *copy = strdup(text ? text : "");
    if (!copy)
        host_fatal("copying an event", KS_NO_MEMORY);
    return copy;
}

static void event_copy(struct event *event, const NMEVENTDATA *data)
{
    *event = (struct event){.name = copy_text(data->szEventName), .columns = data->NumColumns};
    for (unsigned i = 0; i < event->columns; i++) {
        const NMCOLUMNVARIANT *value = &data->Column[i].VariantData;
        event->titles[i] = copy_text(data->Column[i].szColumnName);
        if (value->Type == NMCOLUMNTYPE_STRING)
            event->texts[i] = copy_text(value->Value.pStringVal);
        else if (value->Type == NMCOLUMNTYPE_FLOAT64)
            event->numbers[i] = value->Value.Float64Val;
        else
            event->numbers[i] = value->Value.Uint32Val;
    }
}

bool event_is_known(const NMEVENTDATA *data)
{
    if (data->Version || data->NumColumns > EVENT_COLUMNS)
        return false;
    for (unsigned i = 0; i < data->NumColumns; i++) {
        NMCOLUMNTYPE type = data->Column[i].VariantData.Type;
        if (type != NMCOLUMNTYPE_STRING && type != NMCOLUMNTYPE_FLOAT64 && type != NMCOLUMNTYPE_UINT32)
            return false;
    }
    return true;
}

void event_keep(struct expert *expert, const NMEVENTDATA *data)
{
    struct event event;
    if (expert->is_apart) {
        process_send_event(data);
        return;
    }
    event_copy(&event, data);
    pthread_mutex_lock(&expert->mutex);
    /* Powers of two: room is made when the count reaches one. */
    if (!(expert->events_count & (expert->events_count - 1))) {
        size_t room = expert->events_count ? expert->events_count * 2 : 1;
        expert->events = realloc(expert->events, room * sizeof event);
        if (!expert->events)
            host_fatal("keeping events", KS_NO_MEMORY);
    }
    expert->events[expert->events_count++] = event;
    pthread_mutex_unlock(&expert->mutex);
}

static void event_free(struct event *event)
{
    free(event->name);
    for (unsigned i = 0; i < event->columns; i++) {
        free(event->titles[i]);
        free(event->texts[i]);
    }
}

void events_free(struct expert *expert)
{
    for (size_t e = 0; e < expert->events_count; e++)
        event_free(&expert->events[e]);
    free(expert->events);
}
