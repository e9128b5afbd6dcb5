#include "run_events.h"

#include "command.h"
#include "json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const severities[] = {"informational", "warning",      "strong warning",
                                         "error",         "severe error", "critical error"};

static const char *severity_text(uint32_t severity)
{
    static char other[32];
    if (severity < sizeof severities / sizeof *severities)
        return severities[severity];
    snprintf(other, sizeof other, "severity %" PRIu32, severity);
    return other;
}

/* ------------------------------------------------------------------ order */

static int compare_kinds(const void *left, const void *right)
{
    const struct event_kind *a = *(const struct event_kind *const *)left;
    const struct event_kind *b = *(const struct event_kind *const *)right;
    int order = strcmp(a->name, b->name);
    if (!order)
        order = (a->columns_count > b->columns_count) - (a->columns_count < b->columns_count);
    for (unsigned i = 0; !order && i < a->columns_count; i++) {
        order = strcmp(a->columns[i].title, b->columns[i].title);
        if (!order)
            order = (int)a->columns[i].type - (int)b->columns[i].type;
    }
    return order;
}

/* Threads submit in any order. */
static void sort_kinds(struct expert *expert)
{
    size_t count = 0;
    for (struct event_kind *kind = expert->event_kinds; kind; kind = kind->next)
        count++;
    if (!count)
        return;
    struct event_kind **kinds = malloc(count * sizeof *kinds);
    if (!kinds)
        host_fatal("sorting events", KS_NO_MEMORY);
    count = 0;
    for (struct event_kind *kind = expert->event_kinds; kind; kind = kind->next)
        kinds[count++] = kind;
    qsort(kinds, count, sizeof *kinds, compare_kinds);
    for (size_t i = 0; i < count; i++)
        kinds[i]->order = (unsigned)i;
    free(kinds);
}

static int compare_texts(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) : (a != NULL) - (b != NULL);
}

static int compare_abouts(const struct event_about *a, const struct event_about *b)
{
    if (!a || !b)
        return (a != NULL) - (b != NULL);
    int order = (a->severity < b->severity) - (a->severity > b->severity);
    order = order ? order : compare_texts(a->time, b->time);
    order = order ? order : compare_texts(a->description, b->description);
    order = order ? order : compare_texts(a->source, b->source);
    return order ? order : compare_texts(a->machine, b->machine);
}

static int compare_events(const void *left, const void *right)
{
    const struct event *a = left;
    const struct event *b = right;
    if (a->kind != b->kind)
        return a->kind->order < b->kind->order ? -1 : 1;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    for (unsigned i = 0; i < a->kind->columns_count; i++) {
        const struct value *x = &a->values[i];
        const struct value *y = &b->values[i];
        int order = x->text ? strcmp(x->text, y->text) : (x->number > y->number) - (x->number < y->number);
        if (order)
            return order;
    }
    return compare_abouts(a->about, b->about);
}

static double bytes_of(const struct event *event)
{
    for (unsigned i = 0; i < event->kind->columns_count; i++)
        if (!event->values[i].text && !strcmp(event->kind->columns[i].title, "bytes"))
            return event->values[i].number;
    return 0;
}

void events_sort(struct expert *expert)
{
    if (!expert->events_count)
        return;
    sort_kinds(expert);
    for (size_t e = 0; e < expert->events_count; e++)
        expert->events[e].bytes = bytes_of(&expert->events[e]);
    qsort(expert->events, expert->events_count, sizeof *expert->events, compare_events);
}

/* ------------------------------------------------------------------ text */

static const char *number_text(double number)
{
    static char text[32];
    bool whole = number < 1e15 && number > -1e15 && number == (double)(int64_t)number;
    snprintf(text, sizeof text, whole ? "%.0f" : "%.3f", number);
    return text;
}

enum { ABOUT_SEVERITY, ABOUT_TIME, ABOUT_SOURCE, ABOUT_MACHINE, ABOUT_DESCRIPTION, ABOUTS };

static const char *const about_titles[ABOUTS] = {"severity", "time", "source", "machine", "description"};

/* NULL where the event does not say. */
static const char *about_text(const struct event *event, unsigned which)
{
    const struct event_about *about = event->about;
    if (!about)
        return NULL;
    switch (which) {
    case ABOUT_SEVERITY:
        return about->severity ? severity_text(about->severity) : NULL;
    case ABOUT_TIME:
        return about->time;
    case ABOUT_SOURCE:
        return about->source;
    case ABOUT_MACHINE:
        return about->machine;
    default:
        return about->description;
    }
}

static void add_column(struct table *table, const char *title, bool left)
{
    table->titles[table->columns] = title;
    table->left[table->columns++] = left;
}

/* The kind's columns, then what its events say beside them; as many as fit. */
static void make_table(struct table *table, const struct event *events, size_t count, bool says[ABOUTS])
{
    const struct event_kind *kind = events->kind;
    for (unsigned c = 0; c < kind->columns_count && table->columns < TABLE_COLUMNS; c++)
        add_column(table, kind->columns[c].title, column_is_text(kind->columns[c].type));
    for (unsigned which = 0; which < ABOUTS; which++) {
        says[which] = false;
        for (size_t e = 0; e < count && !says[which] && table->columns < TABLE_COLUMNS; e++)
            says[which] = about_text(&events[e], which);
        if (says[which])
            add_column(table, about_titles[which], true);
    }
}

static void add_row(struct table *table, const struct event *event, const bool says[ABOUTS])
{
    size_t cell = 0;
    table_row(table);
    for (; cell < event->kind->columns_count && cell < table->columns; cell++) {
        const struct value *value = &event->values[cell];
        table_cell(table, cell, "%s", value->text ? value->text : number_text(value->number));
    }
    for (unsigned which = 0; which < ABOUTS; which++) {
        const char *text = says[which] ? about_text(event, which) : NULL;
        if (text)
            table_cell(table, cell, "%s", text);
        cell += says[which];
    }
}

/* Sums of times and of names that are numbers say nothing. */
static bool can_be_summed(const struct column *column)
{
    static const char *const others[] = {"checksum", "vlan", "seconds", "ms"};
    const char *space = strrchr(column->title, ' ');
    const char *last_word = space ? space + 1 : column->title;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strcmp(last_word, others[i]))
            return false;
    return column->type <= NMCOLUMNTYPE_FLOAT64;
}

static void add_sums(struct table *table, const struct event *events, size_t count)
{
    const struct event_kind *kind = events->kind;
    table_row(table);
    for (unsigned c = 0; c < kind->columns_count && c < table->columns; c++) {
        double sum = 0;
        if (!can_be_summed(&kind->columns[c]))
            continue;
        for (size_t e = 0; e < count; e++)
            sum += events[e].values[c].number;
        table_cell(table, c, "%s", number_text(sum));
    }
    if (table->columns)
        table_cell(table, 0, "all %zu", count);
}

static void print_kind(const struct expert *expert, const struct event *events, size_t count, size_t top)
{
    struct table table = {0};
    bool says[ABOUTS];
    make_table(&table, events, count, says);
    for (size_t e = 0; e < count && e < top; e++)
        add_row(&table, &events[e], says);
    add_sums(&table, events, count);
    printf("\n%s: %s, the largest %zu of %zu\n", expert->name, events->kind->name, top < count ? top : count, count);
    table_print(&table);
}

void events_print(const struct expert *expert, size_t top)
{
    const struct event *end = expert->events + expert->events_count;
    for (const struct event *first = expert->events; first < end;) {
        const struct event *next = first;
        while (next < end && next->kind == first->kind)
            next++;
        print_kind(expert, first, (size_t)(next - first), top);
        first = next;
    }
}

/* ------------------------------------------------------------------ JSON */

static void print_value(const struct column *column, const struct value *value)
{
    if (column_is_truth(column->type))
        fputs(value->number != 0 ? "true" : "false", stdout);
    else if (value->text)
        json_print_text(value->text);
    else
        json_print_number(value->number);
}

static void print_about(const struct event *event)
{
    json_t *object = json_object();
    for (unsigned which = 0; which < ABOUTS; which++) {
        const char *text = about_text(event, which);
        if (text)
            json_object_set_new(object, about_titles[which], json_text(text));
    }
    if (event->about->id)
        json_object_set_new(object, "id", json_integer(event->about->id));
    fputs(", \"about\": ", stdout);
    json_print_value(object);
}

static void print_event(const struct event *event)
{
    fputs("{\"event\": ", stdout);
    json_print_text(event->kind->name);
    for (unsigned c = 0; c < event->kind->columns_count; c++) {
        fputs(", ", stdout);
        json_print_text(event->kind->columns[c].title);
        fputs(": ", stdout);
        print_value(&event->kind->columns[c], &event->values[c]);
    }
    if (event->about)
        print_about(event);
    putchar('}');
}

void events_print_json(const struct expert *expert, const char *indent)
{
    for (size_t e = 0; e < expert->events_count; e++) {
        printf("%s\n%s", e ? "," : "", indent);
        print_event(&expert->events[e]);
    }
}
