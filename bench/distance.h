/*
 * How long a cache line takes from one processor's cache to another's. Rows with several threads depend on it, and it
 * is no constant: a hypervisor that moves its virtual processors changes it from one second to the next. Such a row
 * reports it right before and right after its timed part, so that runs which met different distances can be told apart.
 */
#ifndef BENCH_DISTANCE_H
#define BENCH_DISTANCE_H

#include "clock.h"
#include "place.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>

namespace bench
{

class Distance
{
    static constexpr uint64_t round_trips = 2000;
    static constexpr uint64_t repetitions = 3;

    alignas(128) std::atomic<uint64_t> line{0};

    /* Without a pause instruction, which takes as long as the line does. */
    void await(uint64_t number) const
    {
        for (unsigned spins = 1; line.load(std::memory_order_acquire) != number; spins++)
            if (spins % 8192 == 0)
                std::this_thread::yield();
    }
    void answer()
    {
        place(1);
        for (uint64_t trip = 0; trip < repetitions * round_trips; trip++) {
            await(2 * trip + 1);
            line.store(2 * trip + 2, std::memory_order_release);
        }
    }

  public:
    /* One way, in nanoseconds. The calling thread is placed on the first processor. */
    double measure()
    {
        place(0);
        std::thread partner([this] { answer(); });
        uint64_t least = UINT64_MAX;
        uint64_t number = 0;
        for (uint64_t repetition = 0; repetition < repetitions; repetition++) {
            uint64_t start = nanoseconds();
            for (uint64_t trip = 0; trip < round_trips; trip++, number += 2) {
                line.store(number + 1, std::memory_order_release);
                await(number + 2);
            }
            least = std::min(least, nanoseconds() - start);
        }
        partner.join();
        return static_cast<double>(least) / (2 * round_trips);
    }
};

/* No counter where there is one processor. */
inline void report_distance(benchmark::State &state, const char *counter)
{
    if (processors().size() > 1)
        state.counters[counter] = Distance().measure();
}
inline void report_distance_before(benchmark::State &state)
{
    report_distance(state, "line_before_ns");
}
inline void report_distance_after(benchmark::State &state)
{
    report_distance(state, "line_after_ns");
}

} // namespace bench

#endif
