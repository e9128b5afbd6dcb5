/* What is to be run, as the command line says. */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include <string>

namespace bench
{

struct Plan {
    bool quick = false;                      /* the settings that tell most, and small live sets */
    double seconds = 0.02;                   /* how long a row runs, at least */
    std::string sizes = "64:7,594:4,1518:1"; /* what `churn` draws from: SIZE:WEIGHT,... */
    std::string capture = "";                /* a capture file for `capture`, none: left out */
    std::string print_sizes = "";            /* only print a capture's sizes, as `sizes` takes them */

    /* Operations that fill the time where one takes about 50 ns, for workloads that cannot be repeated cheaply. */
    size_t steps() const
    {
        return static_cast<size_t>(seconds * 2e7) + 1000;
    }
};

} // namespace bench

#endif
