/*
 * How much time has passed in a capture, by the times of all its frames. It never steps back, and no frame whose time is
 * wrong stops it or sets it forward: a step of more than a minute, either way, is no time that has passed. Where many
 * frames in a row are as far from where the clock was, it goes on from theirs.
 */
#ifndef TOOLS_CLOCK_H
#define TOOLS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct clock {
    bool started;
    unsigned astray;   /* frames with other times, since the clock last went on */
    int64_t reference; /* time of the frame that set it last, microseconds */
    int64_t passed;    /* microseconds */
};

/* The next frame's time; the time that has passed up to it. */
int64_t clock_advance(struct clock *clock, int64_t time);

#endif
