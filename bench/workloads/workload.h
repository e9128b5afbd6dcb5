/* What all workloads share: how a row is registered. */
#ifndef BENCH_WORKLOADS_WORKLOAD_H
#define BENCH_WORKLOADS_WORKLOAD_H

#include "../allocator.h"
#include "../place.h"
#include "../plan.h"
#include "../require.h"
#include "../steady.h"

#include <benchmark/benchmark.h>

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

template <class A> void *allocate(A &allocator, size_t size)
{
    void *block = allocator.allocate(size);
    require(block, "an allocation failed");
    return block;
}

} // namespace bench

#endif
