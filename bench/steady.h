/*
 * Every row runs until it is steady, and only then is it measured.
 *
 * The workload's body runs in slices of one to two milliseconds. It is steady when the median time of the last five
 * slices is at least 0.97 of the median of the five before them: running it longer no longer makes it faster. After
 * 0.2 s the measurement begins in any case. A body that takes longer than that is run once.
 *
 * Google Benchmark calls a row several times, with more iterations each time, until one call takes as long as was
 * asked for, and reports that one. A call that is much too short to be reported is not warmed up for longer than the
 * first slice.
 */
#ifndef BENCH_STEADY_H
#define BENCH_STEADY_H

#include "clock.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace bench
{

/* How often Google Benchmark calls a row: once where the number of iterations is given. */
enum class Calls { once, several };

/* That a call which is reported takes, at least; set from the plan. */
inline double seconds_reported;

/* The times of slices, all with the same number of passes; the last ten are kept. */
class Slices
{
    static constexpr size_t compared = 5;
    static constexpr double tolerance = 0.97;

    std::array<uint64_t, 2 * compared> times;
    size_t count = 0;

    /* Of at most five, those before the latest `skipped`. */
    uint64_t median(size_t skipped) const
    {
        std::array<uint64_t, compared> some;
        size_t there = std::min(compared, count - skipped);
        for (size_t i = 0; i < there; i++)
            some[i] = times[(count - skipped - 1 - i) % times.size()];
        std::nth_element(some.begin(), some.begin() + there / 2, some.begin() + there);
        return some[there / 2];
    }

  public:
    void add(uint64_t time)
    {
        times[count++ % times.size()] = time;
    }
    bool steady() const
    {
        return count >= times.size() &&
               static_cast<double>(latest()) >= tolerance * static_cast<double>(median(compared));
    }
    uint64_t latest() const
    {
        return median(0);
    }
};

template <class Run> uint64_t time_of(Run &run, size_t passes)
{
    uint64_t start = nanoseconds();
    run(passes);
    return nanoseconds() - start;
}

/* `run(passes)` does the body so many times. Returns the nanoseconds of a pass in the latest slices. */
template <class Run> double steady_runs(benchmark::State &state, Calls calls, Run run)
{
    constexpr uint64_t slice_least = 1000000;
    constexpr uint64_t longest = 200000000;
    uint64_t start = nanoseconds();
    size_t passes = 1;
    uint64_t time;
    while ((time = time_of(run, passes)) < longest) {
        /* A second one, as the first may have been interrupted. */
        if (time >= slice_least && (time = time_of(run, passes)) >= slice_least)
            break;
        passes *= 2;
    }
    Slices slices;
    slices.add(time);
    auto of_a_pass = [&] { return static_cast<double>(slices.latest()) / static_cast<double>(passes); };
    bool too_short = of_a_pass() * static_cast<double>(state.max_iterations) < seconds_reported * 1e9 / 4;
    if (calls == Calls::several && too_short)
        return of_a_pass();
    while (!slices.steady() && nanoseconds() - start < longest)
        slices.add(time_of(run, passes));
    return of_a_pass();
}

template <class Body> void steady(benchmark::State &state, Calls calls, Body body)
{
    steady_runs(state, calls, [&body](size_t passes) {
        for (; passes; passes--)
            body();
    });
}

} // namespace bench

#endif
