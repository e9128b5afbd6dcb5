/* pair: allocate a block and free it at once. What a dissector's scratch buffer costs. */
#ifndef BENCH_WORKLOADS_PAIR_H
#define BENCH_WORKLOADS_PAIR_H

#include "workload.h"

namespace bench
{

template <Allocator A> void pair(benchmark::State &state, size_t size)
{
    A allocator(Need{.size = size, .live = 1});
    for (auto _ : state) {
        void *block = allocator.allocate(size);
        require(block, "pair: an allocation failed");
        benchmark::DoNotOptimize(block);
        allocator.release(block);
    }
    count_items(state, 1);
}

template <Allocator A> void register_pair(const Plan &)
{
    if constexpr (A::frees)
        for (size_t size : {64, 256, 576, 1500})
            row("pair/" + bytes(size), [size](auto &state) { pair<A>(state, size); });
}

} // namespace bench

#endif
