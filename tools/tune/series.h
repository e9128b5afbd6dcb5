/* Rounds of one config beside another: ratios, their medians, and how far they scatter. */
#ifndef TUNE_SERIES_H
#define TUNE_SERIES_H

#include <stdbool.h>
#include <stdint.h>

enum { ROUNDS = 7, ROUNDS_FIRST = 3 /* after which a hopeless trial ends */ };

/* Of a config to another one, round by round. */
struct series {
    uint32_t rounds;
    double time[ROUNDS];     /* nanoseconds an operation */
    double resident[ROUNDS]; /* at the peak */
};

/* A middle, and half of the width of the middle half. */
struct ratio {
    double median;
    double noise;
};

struct ratio series_time(const struct series *series);
struct ratio series_resident(const struct series *series);

/* Faster without more memory, or less memory without being slower; each by more than its noise. */
bool series_is_better(const struct series *series);

/* After the first rounds it is neither faster nor leaner by what would count. */
bool series_is_hopeless(const struct series *series);

/* What a series that is not better is, in a word or two: "slower", "more memory" or "within noise". */
const char *series_verdict(const struct series *series);

#endif
