/*
 * keys: so many heaps are alive, each with a block, and are used in turn: as a host does that has a heap for each
 * expert, protocol or file.
 */
#ifndef BENCH_WORKLOADS_KEYS_H
#define BENCH_WORKLOADS_KEYS_H

#include "workload.h"

#include <deque>

namespace bench
{

template <Allocator A> void keys(benchmark::State &state, size_t count)
{
    struct Used {
        A allocator{Need{.size = 64, .live = 2}};
        void *block = allocate(allocator, 64);
    };
    std::deque<Used> heaps(count);
    size_t at = 0;
    auto pass = [&] {
        Used &heap = heaps[at];
        at = at + 1 == count ? 0 : at + 1;
        void *block = heap.allocator.allocate(64);
        require(block, "keys: an allocation failed");
        heap.allocator.release(heap.block);
        heap.block = block;
    };
    steady(state, Calls::several, pass);
    for (auto _ : state)
        pass();
    for (Used &heap : heaps)
        heap.allocator.release(heap.block);
    count_items(state, 1);
}

template <Allocator A> void register_keys(const Plan &plan)
{
    if constexpr (A::frees)
        for (size_t count : {1, 16, 256, 4096})
            if (count <= A::most_heaps && (!plan.quick || count == 1 || count == 4096))
                row("keys/" + std::to_string(count), [=](auto &state) { keys<A>(state, count); });
}

} // namespace bench

#endif
