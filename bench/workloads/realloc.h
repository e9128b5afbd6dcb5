/* realloc: sixteen buffers that grow by half, in turn, as streams do that are put together; then they are freed. */
#ifndef BENCH_WORKLOADS_REALLOC_H
#define BENCH_WORKLOADS_REALLOC_H

#include "workload.h"

#include <cstdint>

namespace bench
{

template <Allocator A> void grow(benchmark::State &state, size_t most)
{
    constexpr size_t buffers_count = 16;
    A allocator(Need{});
    uint8_t *buffers[buffers_count];
    size_t resizes = 0;
    auto pass = [&] {
        for (size_t i = 0; i < buffers_count; i++) {
            buffers[i] = static_cast<uint8_t *>(allocate(allocator, 64));
            buffers[i][0] = static_cast<uint8_t>(i);
        }
        for (size_t size = 96; size <= most; size += size / 2)
            for (uint8_t *&buffer : buffers) {
                buffer = static_cast<uint8_t *>(allocator.resize(buffer, size));
                require(buffer, "realloc: it failed");
                buffer[size - 1] = 1;
                resizes++;
            }
        for (size_t i = 0; i < buffers_count; i++) {
            require(buffers[i][0] == i, "realloc: the contents were lost");
            allocator.release(buffers[i]);
        }
    };
    steady(state, Calls::several, pass);
    resizes = 0;
    for (auto _ : state)
        pass();
    state.SetItemsProcessed(static_cast<int64_t>(resizes));
}

template <Allocator A> void register_realloc(const Plan &plan)
{
    if constexpr (A::frees && Resizes<A>)
        for (size_t most : {size_t{1} << 16, size_t{1} << 20})
            if (!plan.quick || most == 1 << 16)
                row("realloc/" + bytes(most), [=](auto &state) { grow<A>(state, most); });
}

} // namespace bench

#endif
