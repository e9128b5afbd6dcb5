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
    double next_allocations()
    {
        uint64_t start = ticks();
        allocate_until(next_count);
        return nanoseconds_since(start) / next_count;
    }
    void free_next()
    {
        if constexpr (A::frees)
            for (size_t i = 0; i < next_count; i++)
                allocator.release(blocks[i]);
        else
            allocator.drop();
    }

  public:
    struct Times {
        double drop, steady, after; /* nanoseconds; the two others for each allocation */
    };

    explicit Resets(size_t blocks_count) : blocks(std::max(blocks_count, next_count)), live(blocks_count)
    {
    }
    Times once()
    {
        Times times{};
        allocate_until(next_count);
        free_next();
        times.steady = next_allocations();
        free_next();
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

inline double median(std::vector<double> values)
{
    std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
    return values[values.size() / 2];
}

/* Medians: the first of the repetitions is the first use of the memory, too. */
template <Allocator A> void reset(benchmark::State &state, size_t live, size_t repetitions)
{
    calibration();
    Resets<A> resets(live);
    std::vector<double> drops, steady, after;
    for (auto _ : state) {
        for (size_t i = 0; i < repetitions; i++) {
            auto times = resets.once();
            drops.push_back(times.drop);
            steady.push_back(times.steady);
            after.push_back(times.after);
        }
        state.SetIterationTime(median(drops) / 1e9);
    }
    count_items(state, 1);
    state.counters["steady_ns"] = median(steady);
    state.counters["after_ns"] = median(after);
    state.counters["after/steady"] = median(after) / median(steady);
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
