/* The filters that experts make: HFILTER is one of these. Each thread of the expert compiles it for itself. */
#ifndef HOST_FILTERS_H
#define HOST_FILTERS_H

#include <keyslab/netmon.h>
#include <stdbool.h>

struct expert;
struct expert_filter;
struct frame;

/* NMERR_SUCCESS, NMERR_FILTER_INVALID_EXPRESSION, NMERR_OUT_OF_MEMORY. */
DWORD filter_create(struct expert *expert, const char *text, struct expert_filter **filter);

/* The expert's filter of that handle, NULL where it has none. */
struct expert_filter *filter_of(struct expert *expert, HFILTER handle);

bool filter_accepts(struct expert_filter *filter, uint32_t lane, const struct frame *frame);

void filter_destroy(struct expert *expert, struct expert_filter *filter);
void filters_free(struct expert *expert);

#endif
