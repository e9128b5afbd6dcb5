#include "filters.h"

#include "capture/filter.h"
#include "host.h"

#include <stdlib.h>
#include <string.h>

struct expert_filter {
    struct expert_filter *next;
    char *text;
    struct filter *lanes[]; /* NULL before a lane's first use */
};

/* Link types of which one has to know what is a filter at all: Ethernet, raw IP, 802.11 with radiotap, Linux cooked, PPP. */
static const uint16_t usual[] = {1, 101, 127, 113, 9};

static bool is_filter(const char *text)
{
    struct filter *filter = filter_new(text);
    bool known = false;
    for (size_t i = 0; filter && !known && i < sizeof usual / sizeof *usual; i++)
        known = filter_knows(filter, usual[i]);
    if (filter)
        filter_free(filter);
    return known;
}

static void free_filter(struct expert_filter *filter, unsigned lanes)
{
    for (unsigned i = 0; i < lanes; i++)
        if (filter->lanes[i])
            filter_free(filter->lanes[i]);
    free(filter->text);
    free(filter);
}

DWORD filter_create(struct expert *expert, const char *text, struct expert_filter **to)
{
    if (!is_filter(text))
        return NMERR_FILTER_INVALID_EXPRESSION;
    struct expert_filter *filter = calloc(1, sizeof *filter + expert->lanes_count * sizeof *filter->lanes);
    if (!filter)
        return NMERR_OUT_OF_MEMORY;
    filter->text = strdup(text);
    if (!filter->text) {
        free(filter);
        return NMERR_OUT_OF_MEMORY;
    }
    pthread_mutex_lock(&expert->mutex);
    filter->next = expert->filters;
    expert->filters = filter;
    pthread_mutex_unlock(&expert->mutex);
    *to = filter;
    return NMERR_SUCCESS;
}

struct expert_filter *filter_of(struct expert *expert, HFILTER handle)
{
    pthread_mutex_lock(&expert->mutex);
    struct expert_filter *filter = expert->filters;
    while (filter && (HFILTER)filter != handle)
        filter = filter->next;
    pthread_mutex_unlock(&expert->mutex);
    return filter;
}

bool filter_accepts(struct expert_filter *filter, uint32_t lane, const struct frame *frame)
{
    if (!filter->lanes[lane])
        filter->lanes[lane] = filter_new(filter->text);
    const struct captured captured = frame_captured(frame);
    return filter->lanes[lane] && filter_passes(filter->lanes[lane], &captured);
}

void filter_destroy(struct expert *expert, struct expert_filter *filter)
{
    pthread_mutex_lock(&expert->mutex);
    struct expert_filter **at = &expert->filters;
    while (*at != filter)
        at = &(*at)->next;
    *at = filter->next;
    pthread_mutex_unlock(&expert->mutex);
    free_filter(filter, expert->lanes_count);
}

void filters_free(struct expert *expert)
{
    while (expert->filters)
        filter_destroy(expert, expert->filters);
}
