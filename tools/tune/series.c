#include "series.h"

#include <stdlib.h>
#include <string.h>

#define FASTER           0.01 /* least gain of time that counts */
#define LEANER           0.02 /* least gain of memory that counts */
#define RESIDENT_ALLOWED 1.02 /* what a faster config may take more */

static int compare_numbers(const void *left, const void *right)
{
    const double *a = left;
    const double *b = right;
    return (*a > *b) - (*a < *b);
}

static struct ratio ratio_of(const double *numbers, uint32_t count)
{
    double sorted[ROUNDS];
    uint32_t edge = count / 4;
    memcpy(sorted, numbers, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_numbers);
    return (struct ratio){sorted[count / 2], (sorted[count - 1 - edge] - sorted[edge]) / 2};
}

struct ratio series_time(const struct series *series)
{
    return ratio_of(series->time, series->rounds);
}

struct ratio series_resident(const struct series *series)
{
    return ratio_of(series->resident, series->rounds);
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static bool is_below(struct ratio ratio, double least)
{
    return ratio.median < 1 - larger(ratio.noise, least);
}

static bool is_above(struct ratio ratio, double least)
{
    return ratio.median > 1 + larger(ratio.noise, least);
}

bool series_is_better(const struct series *series)
{
    struct ratio time = series_time(series);
    struct ratio resident = series_resident(series);
    return (is_below(time, FASTER) && resident.median <= RESIDENT_ALLOWED) ||
           (is_below(resident, LEANER) && time.median <= 1);
}

bool series_is_hopeless(const struct series *series)
{
    return series->rounds == ROUNDS_FIRST && series_time(series).median > 1 - FASTER &&
           series_resident(series).median > 1 - LEANER;
}

const char *series_verdict(const struct series *series)
{
    struct ratio time = series_time(series);
    struct ratio resident = series_resident(series);
    /* What gained memory was not kept for its time, and the other way round. */
    if (is_above(time, FASTER) || is_below(resident, LEANER))
        return "slower";
    if (is_above(resident, LEANER) || is_below(time, FASTER))
        return "more memory";
    return "within noise";
}
