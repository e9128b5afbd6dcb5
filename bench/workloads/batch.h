/*
 * batch: allocate many blocks, free them all, in the order of allocation (FIFO, a queue of frames), in the opposite
 * order (LIFO, a stack), or at random. Each block's first word is written; in batch-untouched it is not.
 */
#ifndef BENCH_WORKLOADS_BATCH_H
#define BENCH_WORKLOADS_BATCH_H

#include "../random.h"
#include "../table.h"
#include "workload.h"

#include <algorithm>
#include <cstdint>

namespace bench
{

enum class Order { fifo, lifo, random };

inline void arrange(Table<uint32_t> &places, Order order)
{
    for (size_t i = 0; i < places.size(); i++)
        places[i] = static_cast<uint32_t>(i);
    Random random;
    if (order == Order::lifo)
        std::reverse(places.begin(), places.end());
    if (order == Order::random)
        shuffle(places, random);
}

template <Allocator A, Blocks use = Blocks::written>
void batch(benchmark::State &state, Order order, size_t size, size_t live, Heap heap = Heap::fresh)
{
    A allocator(Need{.size = size, .live = live});
    Table<void *> blocks(live);
    Table<uint32_t> places(live);
    arrange(places, order);
    auto pass = [&] {
        for (void *&block : blocks) {
            block = allocator.allocate(size);
            require(block, "batch: an allocation failed");
            if constexpr (use == Blocks::written)
                write(block);
        }
        for (uint32_t place : places)
            allocator.release(blocks[place]);
    };
    prepare(allocator, heap, size);
    steady(state, calls_of(heap), pass);
    for (auto _ : state)
        pass();
    count_items(state, live);
}

template <Allocator A> void register_batch(const Plan &plan)
{
    if constexpr (A::frees) {
        struct Named {
            const char *name;
            Order order;
        };
        constexpr Named lifo{"lifo", Order::lifo}, fifo{"fifo", Order::fifo}, random{"random", Order::random};
        for (Named named : {lifo, fifo, random})
            for (size_t size : {64, 1500})
                for (size_t live : {16, 1024, 65536}) {
                    if (plan.quick && live == 16)
                        continue;
                    row(std::string("batch/") + named.name + "/" + bytes(size) + "/" + std::to_string(live),
                        [=](auto &state) { batch<A>(state, named.order, size, live); });
                }
        for (Named named : {fifo, random})
            for (size_t size : {64, 1500})
                if (!plan.quick || (named.order == Order::random && size == 1500))
                    row(std::string("batch-untouched/") + named.name + "/" + bytes(size) + "/1024",
                        [=](auto &state) { batch<A, Blocks::untouched>(state, named.order, size, 1024); });
    }
}

} // namespace bench

#endif
