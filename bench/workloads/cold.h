/*
 * cold: what it costs to begin, which the other rows leave out.
 *
 * cold/key: a heap is made, has one block of each of eight frame sizes, and is destroyed with them.
 * cold/thread: a thread starts, allocates and frees a block of each size, and ends; where a heap belongs to a thread, it
 * makes one. Its counter `bare` is a thread that does nothing.
 * cold/touch: the first blocks of a fresh heap, and the first write to each: memory that was never used before. All
 * blocks stay until the row ends, so that none of it is used twice.
 */
#ifndef BENCH_WORKLOADS_COLD_H
#define BENCH_WORKLOADS_COLD_H

#include "../clock.h"
#include "../table.h"
#include "workload.h"

#include <deque>
#include <iterator>
#include <optional>
#include <thread>

namespace bench
{

/* RFC 2544's sizes for Ethernet, and the middle one of the simple IMIX. */
constexpr size_t frame_sizes[] = {64, 128, 256, 512, 594, 1024, 1280, 1518};

template <Allocator A> void cold_key(benchmark::State &state)
{
    auto pass = [] {
        A allocator(Need{.live = std::size(frame_sizes)});
        for (size_t size : frame_sizes)
            write(allocate(allocator, size));
    };
    steady(state, Calls::several, pass);
    for (auto _ : state)
        pass();
    count_items(state, 1);
}

template <Allocator A> void allocate_each_size(A &allocator)
{
    void *blocks[std::size(frame_sizes)];
    for (size_t i = 0; i < std::size(frame_sizes); i++) {
        blocks[i] = allocate(allocator, frame_sizes[i]);
        write(blocks[i]);
    }
    for (void *block : blocks)
        allocator.release(block);
}

template <class Work> uint64_t ticks_of_thread(Work work)
{
    uint64_t start = ticks();
    std::thread(work).join();
    return ticks() - start;
}

/* Both kinds of thread in turn. Medians: now and then a thread waits for a processor. */
template <Allocator A> void cold_thread(benchmark::State &state, size_t threads_count)
{
    Need need{.live = std::size(frame_sizes)};
    std::optional<A> shared;
    if constexpr (A::shared)
        shared.emplace(need);
    Pieces bare, working;
    calibration();
    auto pass = [&] {
        bare.add(0, ticks_of_thread([] {}));
        working.add(0, ticks_of_thread([&] {
                        [[maybe_unused]] Thread<A> announced;
                        if constexpr (A::shared) {
                            allocate_each_size(*shared);
                        } else {
                            A own(need);
                            allocate_each_size(own);
                        }
                    }));
    };
    steady(state, Calls::once, pass);
    bare.clear();
    working.clear();
    for (auto _ : state) {
        for (size_t i = 0; i < threads_count; i++)
            pass();
        state.SetIterationTime(working.median_nanoseconds() / 1e9);
    }
    count_items(state, 1);
    state.counters["bare_ns"] = bare.median_nanoseconds();
}

template <Allocator A> void cold_touch(benchmark::State &state, size_t size)
{
    constexpr size_t blocks_of_each = 4096;
    size_t count = static_cast<size_t>(state.max_iterations);
    std::deque<A> heaps;
    for (size_t i = 0; i < count; i++)
        heaps.emplace_back(Need{.size = size, .live = blocks_of_each});
    Table<void *> blocks(blocks_of_each * count);
    void **block = blocks.begin();
    auto heap = heaps.begin();
    for (auto _ : state) {
        for (size_t i = 0; i < blocks_of_each; i++) {
            *block = allocate(*heap, size);
            write(*block++);
        }
        ++heap;
    }
    if constexpr (!Drops<A>)
        for (void *each : blocks)
            heaps.front().release(each);
    count_items(state, blocks_of_each);
}

template <Allocator A> void register_cold(const Plan &plan)
{
    if constexpr (A::any_size)
        row("cold/touch/1500B", [](auto &state) { cold_touch<A>(state, 1500); })->Iterations(plan.quick ? 4 : 16);
    /* What has no call that drops a heap has none but the process's. */
    if constexpr (A::any_size && Drops<A>)
        row("cold/key", [](auto &state) { cold_key<A>(state); });
    if constexpr (A::any_size && A::frees)
        row("cold/thread", [count = plan.steps() / 2000](auto &state) { cold_thread<A>(state, count + 1); })
            ->UseManualTime()
            ->Iterations(1);
}

} // namespace bench

#endif
