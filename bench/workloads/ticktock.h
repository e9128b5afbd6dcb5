/*
 * ticktock: allocations and frees that alternate. At an edge, where an allocator fetches or gives back blocks by the
 * lot, a bad one does so at each step; so the number of live blocks walks over all places where an edge may be, and the
 * dearest of them is shown too. With holes: short-lived blocks between others that stay, ever larger, as stream
 * reassembly makes them. That load broke the second of wmem's block allocators (wmem_allocator_block.c tells).
 */
#ifndef BENCH_WORKLOADS_TICKTOCK_H
#define BENCH_WORKLOADS_TICKTOCK_H

#include "../clock.h"
#include "../table.h"
#include "workload.h"

#include <algorithm>

namespace bench
{

template <Allocator A> class Edges
{
    static constexpr size_t depths = 2048;
    static constexpr size_t alternations = 8;
    static constexpr size_t size = 1500;

    const size_t stride;
    A allocator;
    Table<void *> blocks{depths + 64};
    Table<uint64_t> least{depths};

    void allocate_to(size_t from, size_t to)
    {
        for (size_t i = from; i < to; i++)
            blocks[i] = bench::allocate(allocator, size);
    }
    void release_to(size_t from, size_t to)
    {
        for (size_t i = from; i > to; i--)
            allocator.release(blocks[i - 1]);
    }
    /* The best of all passes is what the depth itself costs. */
    void alternate(size_t depth)
    {
        uint64_t start = ticks();
        for (size_t i = 0; i < alternations; i++) {
            allocate_to(depth, depth + stride);
            release_to(depth + stride, depth);
        }
        uint64_t taken = ticks() - start;
        if (!least[depth] || taken < least[depth])
            least[depth] = taken;
    }

  public:
    explicit Edges(size_t step) : stride(step), allocator(Need{.size = size, .live = depths + 64})
    {
    }
    void pass()
    {
        for (size_t depth = 0; depth < depths; depth += stride) {
            alternate(depth);
            allocate_to(depth, depth + stride);
        }
        release_to(depths, 0);
    }
    size_t pairs() const
    {
        return depths / stride * (alternations + 1) * stride;
    }
    double worst() const
    {
        uint64_t most = *std::max_element(least.begin(), least.end());
        return static_cast<double>(most) * calibration().nanoseconds / static_cast<double>(alternations * stride);
    }
};

template <Allocator A> void ticktock(benchmark::State &state, size_t stride)
{
    Edges<A> edges(stride);
    calibration();
    steady(state, Calls::several, [&] { edges.pass(); });
    for (auto _ : state)
        edges.pass();
    count_items(state, edges.pairs());
    state.counters["worst_ns"] = edges.worst();
}

template <Allocator A> void ticktock_holes(benchmark::State &state)
{
    constexpr size_t stay = 16384;
    A allocator(Need{});
    Table<void *> staying(stay);
    auto pass = [&] {
        void *passing = bench::allocate(allocator, 200);
        for (size_t i = 0; i < stay; i++) {
            staying[i] = bench::allocate(allocator, 32 + i % 5 * 16);
            void *larger = bench::allocate(allocator, 200 + i / 8);
            allocator.release(passing);
            passing = larger;
        }
        allocator.release(passing);
        for (void *block : staying)
            allocator.release(block);
    };
    steady(state, Calls::several, pass);
    for (auto _ : state)
        pass();
    count_items(state, 2 * stay);
}

template <Allocator A> void register_ticktock(const Plan &plan)
{
    if constexpr (A::frees) {
        for (size_t stride : {1, 32})
            if (!plan.quick || stride == 1)
                row("ticktock/edges/" + std::to_string(stride), [=](auto &state) { ticktock<A>(state, stride); });
        if constexpr (A::any_size)
            row("ticktock/holes", [](auto &state) { ticktock_holes<A>(state); });
    }
}

} // namespace bench

#endif
