/* A pcap filter over frames of any link types: one program for each that occurs. */
#ifndef CAPTURE_FILTER_H
#define CAPTURE_FILTER_H

#include "captured.h"

#include <stdbool.h>

struct filter;

/* NULL without memory. */
struct filter *filter_new(const char *text);

/*
 * Whether frames of the link type can pass. The last one for which they cannot says why not, which is libpcap's
 * to say: what is no filter at all is one that no link type can pass.
 */
bool filter_knows(struct filter *filter, uint16_t link);
const char *filter_error(const struct filter *filter);

bool filter_passes(struct filter *filter, const struct captured *frame);
void filter_free(struct filter *filter);

#endif
