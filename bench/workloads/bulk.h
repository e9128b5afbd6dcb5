/*
 * bulk: allocate a burst of blocks of one size in one call, free it in one call, as frames come from a capture. Peers
 * without such calls do what their users would: a loop. bulk-apart: the two halves timed apart, with eight bursts on
 * their way.
 */
#ifndef BENCH_WORKLOADS_BULK_H
#define BENCH_WORKLOADS_BULK_H

#include "../clock.h"
#include "workload.h"

namespace bench
{

constexpr size_t bulk_most = 128;

template <Allocator A> void allocate_burst(A &allocator, size_t size, void **blocks, size_t count)
{
    if constexpr (Bulk<A>)
        allocator.allocate_bulk(size, blocks, count);
    else
        for (size_t i = 0; i < count; i++) {
            blocks[i] = allocator.allocate(size);
            require(blocks[i], "bulk: an allocation failed");
        }
}

template <Allocator A> void release_burst(A &allocator, void **blocks, size_t count)
{
    if constexpr (Bulk<A>)
        allocator.release_bulk(blocks, count);
    else
        for (size_t i = 0; i < count; i++)
            allocator.release(blocks[i]);
}

template <Allocator A> void bulk(benchmark::State &state, size_t size, size_t count, Heap heap = Heap::fresh)
{
    A allocator(Need{.size = size, .live = count});
    void *blocks[bulk_most];
    auto pass = [&] {
        allocate_burst(allocator, size, blocks, count);
        benchmark::ClobberMemory();
        release_burst(allocator, blocks, count);
    };
    prepare(allocator, heap, size);
    steady(state, calls_of(heap), pass);
    for (auto _ : state)
        pass();
    count_items(state, count);
}

/* Eight bursts in a row are long enough for a reading of the processor's counter not to matter. */
constexpr size_t bursts_apart = 8;

template <Allocator A> void bulk_apart(benchmark::State &state, size_t size, size_t count)
{
    A allocator(Need{.size = size, .live = bursts_apart * count});
    void *blocks[bursts_apart][bulk_most];
    Pieces allocation;
    Pieces release;
    calibration();
    auto pass = [&](Pieces &allocations, Pieces &releases) {
        uint64_t start = ticks();
        for (auto &burst : blocks)
            allocate_burst(allocator, size, burst, count);
        benchmark::ClobberMemory();
        uint64_t middle = ticks();
        for (auto &burst : blocks)
            release_burst(allocator, burst, count);
        uint64_t end = ticks();
        allocations.add(start, middle);
        releases.add(middle, end);
    };
    Pieces not_counted;
    steady(state, Calls::several, [&] { pass(not_counted, not_counted); });
    for (auto _ : state)
        pass(allocation, release);
    count_items(state, bursts_apart * count);
    double blocks_count = static_cast<double>(bursts_apart * count);
    state.counters["allocation_ns"] = allocation.median_nanoseconds() / blocks_count;
    state.counters["free_ns"] = release.median_nanoseconds() / blocks_count;
}

template <Allocator A> void register_bulk(const Plan &plan)
{
    if constexpr (A::frees)
        for (size_t size : {64, 1500})
            for (size_t count : {8, 32, 128}) {
                if (plan.quick && count != 32)
                    continue;
                std::string setting = bytes(size) + "/" + std::to_string(count);
                row("bulk/" + setting, [=](auto &state) { bulk<A>(state, size, count); });
                row("bulk-apart/" + setting, [=](auto &state) { bulk_apart<A>(state, size, count); });
            }
}

} // namespace bench

#endif
