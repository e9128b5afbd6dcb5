/*
 * reset: all live blocks of an instance dropped by one call, or one after the other where there is none. The row's time
 * is the drop's. Its counters: the next 100,000 allocations against steady ones, and what a purge leaves resident.
 */
#ifndef BENCH_WORKLOADS_RESET_H
#define BENCH_WORKLOADS_RESET_H

#include "../clock.h"
#include "../memory.h"
#include "scope.h"
#include "workload.h"

#include <algorithm>
#include <vector>

namespace bench
{

inline double median(std::vector<double> values)
{
    std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
    return values[values.size() / 2];
}

template <Allocator A> class Resets
{
    static constexpr size_t next_count = 100000;

    A allocator{Need{}};
    Table<void *> blocks;
    Table<uint64_t> other{size_t{1} << 19};
    const size_t live;

    /* After much other work: with few live blocks, the allocator's own lines would still be in the first caches. */
    void cool_caches()
    {
        for (size_t i = 0; i < other.size(); i += 8)
            other[i]++;
    }

    void allocate_until(size_t count)
    {
        for (size_t i = 0; i < count; i++) {
            blocks[i] = allocate(allocator, 48 + i % 3 * 64);
            *static_cast<uint64_t *>(blocks[i]) = i;
        }
    }
    void free_next()
    {
        if constexpr (A::frees)
            for (size_t i = 0; i < next_count; i++)
                allocator.release(blocks[i]);
        else
            allocator.drop();
    }
    double next_allocations()
    {
        uint64_t start = ticks();
        allocate_until(next_count);
        return nanoseconds_since(start) / next_count;
    }

  public:
    struct Times {
        double drop, after; /* nanoseconds; the second for each allocation */
    };

    explicit Resets(size_t blocks_count) : blocks(std::max(blocks_count, next_count)), live(blocks_count)
    {
    }
    /* Nanoseconds for each allocation, before anything was dropped: a drop's late costs would be in the figure. */
    double steady_allocations(benchmark::State &state)
    {
        std::vector<double> times;
        steady(state, Calls::once, [this] {
            allocate_until(next_count);
            free_next();
        });
        for (size_t i = 0; i < 11; i++) {
            times.push_back(next_allocations());
            free_next();
        }
        return median(times);
    }
    Times once()
    {
        Times times{};
        allocate_until(live);
        cool_caches();
        uint64_t start = ticks();
        drop_all(allocator, blocks, live);
        times.drop = nanoseconds_since(start);
        times.after = next_allocations();
        drop_all(allocator, blocks, next_count);
        return times;
    }
    /* Of the bytes that the blocks were. */
    void report_purge(benchmark::State &state)
    {
        if constexpr (Purges<A>) {
            allocate_until(live);
            drop_all(allocator, blocks, live);
            allocator.purge();
            memory_at_start().report_kept(state, live * 112);
        }
    }
};

template <Allocator A> void reset(benchmark::State &state, size_t live, size_t repetitions)
{
    calibration();
    Resets<A> resets(live);
    double steady_ns = resets.steady_allocations(state);
    steady(state, Calls::once, [&] { resets.once(); });
    std::vector<double> drops, after;
    for (auto _ : state) {
        for (size_t i = 0; i < repetitions; i++) {
            auto times = resets.once();
            drops.push_back(times.drop);
            after.push_back(times.after);
        }
        state.SetIterationTime(median(drops) / 1e9);
    }
    count_items(state, 1);
    state.counters["steady_ns"] = steady_ns;
    state.counters["after_ns"] = median(after);
    state.counters["after/steady"] = median(after) / steady_ns;
    if (live >= 1000000)
        resets.report_purge(state);
}

template <Allocator A> void register_reset(const Plan &plan)
{
    if constexpr (A::any_size)
        for (size_t live : {1000, 10000, 100000, 1000000, 10000000}) {
            if (plan.quick && live != 1000 && live != 1000000)
                continue;
            /* Ten million take a gigabyte, and seconds where they go one after the other. */
            if (live == 10000000 && !(Drops<A> && A::drops_at_once))
                continue;
            size_t repetitions = live < 1000000 ? 11 : live == 1000000 ? 3 : 1;
            row("reset/" + std::to_string(live), [=](auto &state) { reset<A>(state, live, repetitions); })
                ->UseManualTime()
                ->Iterations(1);
        }
}

} // namespace bench

#endif
