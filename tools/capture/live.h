/* Frames from an interface, by libpcap. */
#ifndef CAPTURE_LIVE_H
#define CAPTURE_LIVE_H

#include "captured.h"
#include "read_error.h"

#include <stdbool.h>

struct live;

/* `filter` may be NULL. NULL after a complaint. */
struct live *live_open(const char *name, const char *filter);
enum capture_result live_next(struct live *live, struct captured *frame, struct read_error *error);
void live_stop(struct live *live);
uint64_t live_dropped(struct live *live);
void live_close(struct live *live);

#endif
