#include "rotation.h"

#include "command.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MICROSECONDS = 1000000 };

bool rotation_parse(const char *option, const char *text, int64_t *every)
{
    static const double least = 0.1;
    static const double most = 365 * 86400.0;
    static const struct {
        const char *suffix;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}};
    char *end;
    double number = strtod(text, &end);
    bool is_decimal = strspn(text, "0123456789.") == (size_t)(end - text) && end > text;
    for (size_t i = 0; is_decimal && i < sizeof units / sizeof *units; i++) {
        double seconds = number * units[i].seconds;
        if (strcmp(end, units[i].suffix) != 0 || seconds < least || seconds > most)
            continue;
        *every = (int64_t)(seconds * MICROSECONDS);
        return true;
    }
    complain("%s %s: expected a time from 0.1s to a year, such as 60s, 5m or 1h", option, text);
    return false;
}

static int64_t microseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * MICROSECONDS + now.tv_nsec / 1000;
}

static int64_t now_of(const struct rotation *rotation)
{
    return rotation->is_live ? microseconds(CLOCK_MONOTONIC) : rotation->clock.passed;
}

/* Where reports take longer than a period, those that have gone by meanwhile are left out. */
void rotation_begin(struct rotation *rotation)
{
    if (!rotation->every)
        return;
    int64_t now = now_of(rotation);
    rotation->is_over = rotation->has_frame = false;
    rotation->number++;
    if (rotation->is_live)
        rotation->from = microseconds(CLOCK_REALTIME);
    if (rotation->number == 1)
        rotation->end = now;
    rotation->end += ((now - rotation->end) / rotation->every + 1) * rotation->every;
}

static bool file_ends(struct rotation *rotation, const struct captured *frame)
{
    if (!frame)
        return false;
    if (clock_advance(&rotation->clock, frame->time) >= rotation->end) {
        rotation->kept = *frame;
        rotation->keeps = true;
        return true;
    }
    if (!rotation->has_frame)
        rotation->from = rotation->to = frame->time;
    if (frame->time > rotation->to)
        rotation->to = frame->time;
    rotation->has_frame = true;
    return false;
}

bool rotation_ends(struct rotation *rotation, const struct captured *frame)
{
    if (!rotation->every)
        return false;
    if (!rotation->is_live) {
        rotation->is_over = file_ends(rotation, frame);
        return rotation->is_over;
    }
    /* A period has a frame, where there is one, however late it is: or a slow machine would only begin periods. */
    rotation->is_over = now_of(rotation) >= rotation->end && (rotation->has_frame || !frame);
    rotation->has_frame |= frame != NULL;
    rotation->keeps = rotation->is_over && frame;
    if (rotation->keeps)
        rotation->kept = *frame;
    return rotation->is_over;
}

bool rotation_take(struct rotation *rotation, struct captured *frame)
{
    if (!rotation->keeps)
        return false;
    *frame = rotation->kept;
    rotation->keeps = false;
    return true;
}

void rotation_end(struct rotation *rotation)
{
    if (rotation->every && rotation->is_live)
        rotation->to = microseconds(CLOCK_REALTIME);
}
