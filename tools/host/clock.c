#include "clock.h"

enum { ASTRAY_MOST = 32 };

static const int64_t step_most = (int64_t)60 * 1000000;

int64_t clock_advance(struct clock *clock, int64_t time)
{
    int64_t step;
    bool is_far = __builtin_sub_overflow(time, clock->reference, &step) || step > step_most || step < -step_most;
    bool is_astray = clock->started && is_far;
    if (is_astray && ++clock->astray <= ASTRAY_MOST)
        return clock->passed;
    if (is_astray || !clock->started) {
        clock->started = true;
        clock->reference = time;
        clock->astray = 0;
    } else if (step > 0) {
        clock->passed += step;
        clock->reference = time;
        clock->astray = 0;
    }
    return clock->passed;
}
