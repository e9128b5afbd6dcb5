/*
 * threads: pair and batch in many threads at once, of one instance where a peer's can be shared. The time is processor
 * time for each operation: more threads than processors then cost what they cost the allocator.
 */
#ifndef BENCH_WORKLOADS_THREADS_H
#define BENCH_WORKLOADS_THREADS_H

#include "workload.h"

#include <memory>

namespace bench
{

template <Allocator A> void operate(A &allocator, size_t live)
{
    void *blocks[256];
    for (size_t i = 0; i < live; i++)
        blocks[i] = allocate(allocator, 256);
    benchmark::ClobberMemory();
    for (size_t i = 0; i < live; i++)
        allocator.release(blocks[i]);
}

template <Allocator A> void threads(benchmark::State &state, size_t live)
{
    [[maybe_unused]] Thread<A> announced;
    size_t count = static_cast<size_t>(state.threads());
    Need need{.size = 256, .live = live * count, .threads = count};
    place(static_cast<size_t>(state.thread_index()));
    if constexpr (A::shared) {
        /* Made before the first iteration, which all threads begin together, and unmade after the last. */
        static std::unique_ptr<A> shared;
        if (state.thread_index() == 0)
            shared = std::make_unique<A>(need);
        for (auto _ : state)
            operate(*shared, live);
        if (state.thread_index() == 0)
            shared.reset();
    } else {
        A own(need);
        for (auto _ : state)
            operate(own, live);
    }
    count_items(state, live);
}

template <Allocator A> void register_threads(const Plan &plan)
{
    if constexpr (A::frees)
        for (size_t live : {1, 256})
            for (int count : {1, 2, 4, 16, 64})
                if (!plan.quick || count == 1 || count == 64)
                    benchmark::RegisterBenchmark(
                        ("threads/" + std::string(live == 1 ? "pair/" : "batch/") + std::to_string(count)).c_str(),
                        [=](auto &state) { threads<A>(state, live); })
                        ->Threads(count);
}

} // namespace bench

#endif
