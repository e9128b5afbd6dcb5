/*
 * reset: all live blocks of an instance dropped by one call, or one after the other where there is none. The row's time is the
 * drop's. Its counters: the next 100,000 allocations against steady ones, and what a purge leaves resident.
 */
#ifndef BENCH_WORKLOADS_RESET_H
#define BENCH_WORKLOADS_RESET_H

#include "../clock.h"
#include "../memory.h"
#include "scope.h"
#include "workload.h"

namespace bench
{

template <Allocator A> class Resets
{
    static constexpr size_t next_count = 100000;

    A allocator{Need{}};
    Table<void *> blocks;
    const size_t live;

    void allocate_until(size_t count)
    {
        for (size_t i = 0; i < count; i++) {
            blocks[i] = allocate(allocator, 48 + i % 3 * 64);
            *static_cast<uint64_t *>(blocks[i]) = i;
        }
    }
    double next_allocations()
    {
        uint64_t start = nanoseconds();
        allocate_until(next_count);
        return static_cast<double>(nanoseconds() - start) / next_count;
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
    double steady = 0;
    double after = 0;

    explicit Resets(size_t blocks_count) : blocks(std::max(blocks_count, next_count)), live(blocks_count)
    {
    }
    /* Seconds of the drop. */
    double once()
    {
        allocate_until(next_count);
        free_next();
        steady += next_allocations();
        free_next();
        allocate_until(live);
        uint64_t start = nanoseconds();
        drop_all(allocator, blocks, live);
        uint64_t end = nanoseconds();
        after += next_allocations();
        drop_all(allocator, blocks, next_count);
        return static_cast<double>(end - start) / 1e9;
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

template <Allocator A> void reset(benchmark::State &state, size_t live)
{
    Resets<A> resets(live);
    for (auto _ : state)
        state.SetIterationTime(resets.once());
    count_items(state, 1);
    double iterations = static_cast<double>(state.iterations());
    state.counters["steady_ns"] = resets.steady / iterations;
    state.counters["after_ns"] = resets.after / iterations;
    state.counters["after_ratio"] = resets.after / resets.steady;
    if (live >= 1000000)
        resets.report_purge(state);
}

template <Allocator A> void register_reset(const Plan &plan)
{
    if constexpr (A::any_size)
        for (size_t live : {1000, 10000, 100000, 1000000, 10000000}) {
            if (plan.quick && live != 1000 && live != 1000000)
                continue;
            /* By the number of blocks alone: ten million take a gigabyte, and one after the other a second. */
            if (live == 10000000 && !Drops<A>)
                continue;
            row("reset/" + std::to_string(live), [=](auto &state) { reset<A>(state, live); })
                ->UseManualTime()
                ->Iterations(live < 1000000 ? 10 : 2);
        }
}

} // namespace bench

#endif
