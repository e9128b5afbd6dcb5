/* Times of capture files: ticks of any resolution since an epoch, as microseconds since 1970. */
#ifndef CAPTURE_CLOCK_H
#define CAPTURE_CLOCK_H

#include <stdint.h>

struct clock {
    uint8_t resolution; /* n: ticks of 10^-n s; with the highest bit set, of 2^-n s */
    int64_t offset;     /* seconds, added to each time */
};

enum { CLOCK_BINARY = 0x80, CLOCK_MICROSECONDS = 6, CLOCK_NANOSECONDS = 9 };

/* Rounded down, and kept below 2^62 and above -2^62: 64 bits always hold the difference of two times. */
int64_t clock_time(const struct clock *clock, uint64_t ticks);

#endif
