#include "filter.h"

#include "link.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>

enum { SNAP = 262144 };

struct program {
    uint16_t link;
    bool usable;
    struct bpf_program code;
};

struct filter {
    const char *text;
    size_t count;
    size_t last; /* of the frame before */
    struct program *programs;
    char error[PCAP_ERRBUF_SIZE];
};

struct filter *filter_new(const char *text)
{
    struct filter *filter = calloc(1, sizeof *filter);
    if (filter)
        filter->text = text;
    return filter;
}

static bool compile(struct filter *filter, struct program *program)
{
    pcap_t *pcap = pcap_open_dead(link_to_dlt(program->link), SNAP);
    if (!pcap) {
        snprintf(filter->error, sizeof filter->error, "out of memory");
        return false;
    }
    bool usable = !pcap_compile(pcap, &program->code, filter->text, 1, PCAP_NETMASK_UNKNOWN);
    if (!usable)
        snprintf(filter->error, sizeof filter->error, "%s", pcap_geterr(pcap));
    pcap_close(pcap);
    return usable;
}

/* NULL without memory. */
static struct program *program_of(struct filter *filter, uint16_t link)
{
    if (filter->last < filter->count && filter->programs[filter->last].link == link)
        return &filter->programs[filter->last];
    for (filter->last = 0; filter->last < filter->count; filter->last++)
        if (filter->programs[filter->last].link == link)
            return &filter->programs[filter->last];
    void *programs = realloc(filter->programs, (filter->count + 1) * sizeof *filter->programs);
    if (!programs) {
        snprintf(filter->error, sizeof filter->error, "out of memory");
        return NULL;
    }
    filter->programs = programs;
    struct program *program = &filter->programs[filter->count++];
    program->link = link;
    program->usable = compile(filter, program);
    return program;
}

bool filter_knows(struct filter *filter, uint16_t link)
{
    const struct program *program = program_of(filter, link);
    return program && program->usable;
}

const char *filter_error(const struct filter *filter)
{
    return filter->error;
}

bool filter_passes(struct filter *filter, const struct captured *frame)
{
    const struct program *program = program_of(filter, frame->link);
    struct pcap_pkthdr header = {.caplen = frame->captured, .len = frame->length};
    return program && program->usable && pcap_offline_filter(&program->code, &header, frame->bytes);
}

void filter_free(struct filter *filter)
{
    for (size_t i = 0; i < filter->count; i++)
        if (filter->programs[i].usable)
            pcap_freecode(&filter->programs[i].code);
    free(filter->programs);
    free(filter);
}
