/* What all workloads share: how a row is registered, and what is done to blocks. */
#ifndef BENCH_WORKLOADS_WORKLOAD_H
#define BENCH_WORKLOADS_WORKLOAD_H

#include "../aging.h"
#include "../allocator.h"
#include "../place.h"
#include "../plan.h"
#include "../require.h"
#include "../steady.h"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>

namespace bench
{

/* A row: one thread, on one processor. Its name is WORKLOAD/SETTING/..., the same for every peer. */
template <class Function> benchmark::internal::Benchmark *row(const std::string &name, Function function)
{
    return benchmark::RegisterBenchmark(name.c_str(), [function](benchmark::State &state) {
        place(0);
        function(state);
    });
}

inline std::string bytes(size_t size)
{
    const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    size_t unit = 0;
    for (; unit < 3 && size >= 1024 && size % 1024 == 0; unit++)
        size /= 1024;
    return std::to_string(size) + units[unit];
}

/* Items are what the row's time is divided by. */
inline void count_items(benchmark::State &state, size_t an_iteration)
{
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(an_iteration));
}

/* Whether a row's blocks are used, as programs use them, or only allocated and freed. */
enum class Blocks { written, untouched };

/* A store that the compiler keeps, although the block is about to be freed. */
inline void write(void *block)
{
    *static_cast<volatile uint64_t *>(block) = 1;
}

/* Rows on an aged heap have a given number of iterations, so that the heap is aged once. */
inline Calls calls_of(Heap heap)
{
    return heap == Heap::aged ? Calls::once : Calls::several;
}

template <class A> void *allocate(A &allocator, size_t size)
{
    void *block = allocator.allocate(size);
    require(block, "an allocation failed");
    return block;
}

} // namespace bench

#endif
