#include "ticks.h"

typedef __int128 wide;

static const wide second = 1000000;
static const wide most = ((wide)1 << 62) - 1;

/* Ticks are below 2^64, so that a multiplication by 10^6 leaves room in 127 bits. */
static wide microseconds(uint8_t resolution, uint64_t ticks)
{
    wide time = (wide)ticks * second;
    unsigned exponent = resolution & ~TICKS_BINARY;
    if (resolution & TICKS_BINARY)
        return time >> exponent;
    for (; exponent && time; exponent--)
        time /= 10;
    return time;
}

int64_t ticks_time(const struct tick_clock *clock, uint64_t ticks)
{
    wide time = microseconds(clock->resolution, ticks) + (wide)clock->offset * second;
    if (time > most)
        time = most;
    if (time < -most)
        time = -most;
    return (int64_t)time;
}
