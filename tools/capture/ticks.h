/* Times of capture files: ticks of any resolution since an epoch, as microseconds since 1970. */
#ifndef CAPTURE_TICKS_H
#define CAPTURE_TICKS_H

#include <stdint.h>

struct tick_clock {
    uint8_t resolution; /* n: ticks of 10^-n s; with the highest bit set, of 2^-n s */
    int64_t offset;     /* seconds, added to each time */
};

enum { TICKS_BINARY = 0x80, TICKS_MICROSECONDS = 6, TICKS_NANOSECONDS = 9 };

/* Rounded down, and kept below 2^62 and above -2^62: 64 bits always hold the difference of two times. */
int64_t ticks_time(const struct tick_clock *clock, uint64_t ticks);

#endif
