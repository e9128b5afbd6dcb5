/*
 * A run that reports again and again: when a period of it is over, and from when to when it was.
 *
 * Periods of an interface go by the system's clock, from the beginning of the run on. Those of a file go by the time that
 * has passed in the capture: a frame that is too late for a period begins the one that it is in, and periods without frames
 * have no report.
 */
#ifndef TOOLS_ROTATION_H
#define TOOLS_ROTATION_H

#include "capture/captured.h"
#include "host/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct rotation {
    int64_t every; /* microseconds; 0 where the run is one period, of which nothing is said */
    bool is_live;
    bool is_over; /* the period, and the run goes on */
    uint64_t number;
    int64_t from; /* microseconds since 1970, as `to` */
    int64_t to;
    struct clock clock; /* of a file */
    int64_t end;        /* by that clock, or by one of the system that is never set */
    bool has_frame;     /* of this period, of a file */
    bool keeps;         /* a frame that was too late for the period before */
    struct captured kept;
};

/* "60s", "5m", "1h", "0.5": false after a complaint. */
bool rotation_parse(const char *option, const char *text, int64_t *every);

/* The next period begins. */
void rotation_begin(struct rotation *rotation);

/*
 * Whether the period is over; asked before each frame, which is then kept, and with NULL where none has come for a while.
 * The frame's bytes have to be good until it is taken.
 */
bool rotation_ends(struct rotation *rotation, const struct captured *frame);

/* The frame that was kept, once. */
bool rotation_take(struct rotation *rotation, struct captured *frame);

/* No more of this period comes. */
void rotation_end(struct rotation *rotation);

#endif
