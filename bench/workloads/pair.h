/*
 * pair: allocate a block, write its first word, and free it at once. What a dissector's scratch buffer costs.
 * pair-untouched: the same without the write, the allocator's own time.
 */
#ifndef BENCH_WORKLOADS_PAIR_H
#define BENCH_WORKLOADS_PAIR_H

#include "workload.h"

namespace bench
{

template <Allocator A, Blocks blocks = Blocks::written>
void pair(benchmark::State &state, size_t size, Heap heap = Heap::fresh)
{
    A allocator(Need{.size = size, .live = 1});
    auto pass = [&] {
        void *block = allocator.allocate(size);
        require(block, "pair: an allocation failed");
        if constexpr (blocks == Blocks::written)
            write(block);
        benchmark::DoNotOptimize(block);
        allocator.release(block);
    };
    prepare(allocator, heap, size);
    steady(state, calls_of(heap), pass);
    for (auto _ : state)
        pass();
    count_items(state, 1);
}

template <Allocator A> void register_pair(const Plan &plan)
{
    if constexpr (A::frees) {
        for (size_t size : {64, 256, 576, 1500})
            row("pair/" + bytes(size), [=](auto &state) { pair<A>(state, size); });
        for (size_t size : {64, 256, 576, 1500})
            if (!plan.quick || size == 1500)
                row("pair-untouched/" + bytes(size), [=](auto &state) { pair<A, Blocks::untouched>(state, size); });
    }
}

} // namespace bench

#endif
