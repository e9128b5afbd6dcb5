#include "event.h"

#include "event_text.h"
#include "host.h"
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool column_is_truth(NMCOLUMNTYPE type)
{
    return type == NMCOLUMNTYPE_YESNO || type == NMCOLUMNTYPE_ONOFF || type == NMCOLUMNTYPE_TRUEFALSE;
}

bool column_is_text(NMCOLUMNTYPE type)
{
    return type >= NMCOLUMNTYPE_YESNO;
}

bool event_is_known(const NMEVENTDATA *data)
{
    if (data->Version)
        return false;
    for (unsigned i = 0; i < data->NumColumns; i++)
        if ((unsigned)data->Column[i].VariantData.Type > NMCOLUMNTYPE_STRING)
            return false;
    return true;
}

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory)
        host_fatal("keeping events", KS_NO_MEMORY);
    return memory;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static bool has(const char *text)
{
    return text && *text;
}

/* Copies a text to where the last one ended. */
static const char *put(char **end, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*end, text, size);
    *end += size;
    return copy;
}

/* ------------------------------------------------------------------ kinds */

enum { SUFFIX = 8 };

static const char *name_of(const NMEVENTDATA *data)
{
    return has(data->szEventName) && !(data->Flags & NMEVENTFLAG_DO_NOT_DISPLAY_EVENT_NAME) ? data->szEventName
                                                                                            : "event";
}

static bool is_kind(const struct event_kind *kind, const NMEVENTDATA *data)
{
    if (kind->columns_count != data->NumColumns || strcmp(kind->name, name_of(data)) != 0)
        return false;
    for (unsigned i = 0; i < kind->columns_count; i++)
        if (kind->columns[i].type != data->Column[i].VariantData.Type ||
            strcmp(kind->columns[i].given, or_empty(data->Column[i].szColumnName)) != 0)
            return false;
    return true;
}

static bool is_same(const struct event_kind *a, const struct event_kind *b)
{
    if (a->columns_count != b->columns_count || strcmp(a->name, b->name) != 0)
        return false;
    for (unsigned i = 0; i < a->columns_count; i++)
        if (a->columns[i].type != b->columns[i].type || strcmp(a->columns[i].given, b->columns[i].given) != 0)
            return false;
    return true;
}

/* "event" and "about" are what JSON has beside the columns. */
static bool is_taken(const struct event_kind *kind, unsigned columns, const char *title)
{
    for (unsigned i = 0; i < columns; i++)
        if (!strcmp(kind->columns[i].title, title))
            return true;
    return !strcmp(title, "event") || !strcmp(title, "about");
}

static struct event_kind *kind_new(const NMEVENTDATA *data)
{
    size_t columns = data->NumColumns * sizeof(struct column);
    size_t size = sizeof(struct event_kind) + columns + strlen(name_of(data)) + 1;
    for (unsigned i = 0; i < data->NumColumns; i++)
        size += 2 * strlen(or_empty(data->Column[i].szColumnName)) + SUFFIX + 1;
    struct event_kind *kind = allocate(size);
    char *end = (char *)kind + sizeof *kind + columns;
    kind->columns_count = data->NumColumns;
    kind->name = (char *)put(&end, name_of(data));
    for (unsigned i = 0; i < kind->columns_count; i++) {
        const char *title = put(&end, or_empty(data->Column[i].szColumnName));
        size_t room = strlen(title) + SUFFIX;
        snprintf(end, room, "%s", title);
        for (unsigned n = 2; is_taken(kind, i, end); n++)
            snprintf(end, room, "%s#%u", title, n);
        kind->columns[i] = (struct column){.title = end, .given = title, .type = data->Column[i].VariantData.Type};
        end += strlen(end) + 1;
    }
    return kind;
}

/* The list only grows, and so is read without the mutex: what the expert has written is not touched under it. */
static const struct event_kind *kind_of(struct expert *expert, const NMEVENTDATA *data)
{
    struct event_kind *kind = atomic_load_explicit(&expert->event_kinds, memory_order_acquire);
    while (kind && !is_kind(kind, data))
        kind = kind->next;
    return kind;
}

static const struct event_kind *kind_add(struct expert *expert, struct event_kind *added)
{
    pthread_mutex_lock(&expert->mutex);
    struct event_kind *kind = atomic_load(&expert->event_kinds);
    while (kind && !is_same(kind, added))
        kind = kind->next;
    if (kind) {
        free(added);
    } else {
        kind = added;
        kind->next = atomic_load(&expert->event_kinds);
        atomic_store_explicit(&expert->event_kinds, kind, memory_order_release);
    }
    pthread_mutex_unlock(&expert->mutex);
    return kind;
}

/* ------------------------------------------------------------------ events */

static struct value *copy_values(const NMEVENTDATA *data)
{
    char buffer[VALUE_TEXT];
    size_t values = data->NumColumns * sizeof(struct value);
    size_t size = values + 1;
    for (unsigned i = 0; i < data->NumColumns; i++)
        size += strlen(or_empty(value_text(&data->Column[i].VariantData, buffer))) + 1;
    struct value *copy = allocate(size);
    char *end = (char *)copy + values;
    for (unsigned i = 0; i < data->NumColumns; i++) {
        const char *text = value_text(&data->Column[i].VariantData, buffer);
        copy[i].text = text ? put(&end, text) : NULL;
        copy[i].number = value_number(&data->Column[i].VariantData);
    }
    return copy;
}

/* A member of the event that is to be seen, or an empty text. */
static const char *shown(const NMEVENTDATA *data, DWORD hides, const char *text)
{
    return data->Flags & hides ? "" : or_empty(text);
}

static struct event_about *copy_about(const struct expert *expert, const NMEVENTDATA *data)
{
    char buffer[VALUE_TEXT];
    bool has_date = !(data->Flags & NMEVENTFLAG_DO_NOT_DISPLAY_DATE);
    bool has_time = !(data->Flags & NMEVENTFLAG_DO_NOT_DISPLAY_TIME);
    const char *time = or_empty(system_time_text(&data->SysTime, has_date, has_time, buffer));
    const char *source = shown(data, NMEVENTFLAG_DO_NOT_DISPLAY_SOURCE, data->szSourceName);
    const char *machine = shown(data, NMEVENTFLAG_DO_NOT_DISPLAY_MACHINE, data->szMachine);
    const char *description = shown(data, NMEVENTFLAG_DO_NOT_DISPLAY_DESCRIPTION, data->szDescription);
    DWORD severity = data->Flags & NMEVENTFLAG_DO_NOT_DISPLAY_SEVERITY ? 0 : data->Severity;
    if (!strcmp(source, expert->info.szName) || !strcmp(source, expert->name))
        source = "";
    if (!severity && !data->EventIdent && !*time && !*source && !*machine && !*description)
        return NULL;
    struct event_about *about =
        allocate(sizeof *about + strlen(time) + strlen(source) + strlen(machine) + strlen(description) + 4);
    char *end = (char *)(about + 1);
    *about = (struct event_about){.id = data->EventIdent, .severity = severity};
    about->time = *time ? put(&end, time) : NULL;
    about->source = *source ? put(&end, source) : NULL;
    about->machine = *machine ? put(&end, machine) : NULL;
    about->description = *description ? put(&end, description) : NULL;
    return about;
}

void event_keep(struct expert *expert, const NMEVENTDATA *data)
{
    if (expert->is_apart) {
        process_send_event(data);
        return;
    }
    const struct event_kind *kind = kind_of(expert, data);
    if (!kind)
        kind = kind_add(expert, kind_new(data));
    struct event event = {.kind = kind, .values = copy_values(data), .about = copy_about(expert, data)};
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

void events_free(struct expert *expert)
{
    for (size_t e = 0; e < expert->events_count; e++) {
        free(expert->events[e].values);
        free(expert->events[e].about);
    }
    free(expert->events);
    struct event_kind *next = atomic_load(&expert->event_kinds);
    while (next) {
        struct event_kind *kind = next;
        next = kind->next;
        free(kind);
    }
}
