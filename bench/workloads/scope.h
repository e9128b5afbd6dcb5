/*
 * scope: many small objects that all go at once, as dissectors use them: a few dozen for each packet, a million for a
 * file. What has no call for it frees one after the other.
 */
#ifndef BENCH_WORKLOADS_SCOPE_H
#define BENCH_WORKLOADS_SCOPE_H

#include "../memory.h"
#include "../random.h"
#include "../table.h"
#include "workload.h"

namespace bench
{

/* Every block of the instance goes; the workload knows them all. */
template <Allocator A> void drop_all(A &allocator, Table<void *> &blocks, size_t count)
{
    if constexpr (Drops<A>)
        allocator.drop();
    else
        for (size_t i = 0; i < count; i++)
            allocator.release(blocks[i]);
}

/* Items of a tree, strings, and now and then a buffer of a whole payload. */
inline size_t object_size(Random &random)
{
    uint64_t draw = random.next();
    if (draw % 64 == 0)
        return 512 + draw % 1009;
    return 16 + (draw >> 32) % (draw % 4 == 0 ? 240 : 48);
}

template <Allocator A> void scope(benchmark::State &state, size_t objects, Calls calls, bool tell_memory)
{
    A allocator(Need{});
    Table<void *> blocks(objects);
    Table<uint32_t> sizes(objects);
    Random random;
    size_t live = 0;
    for (uint32_t &size : sizes) {
        size = static_cast<uint32_t>(object_size(random));
        live += size;
    }
    auto pass = [&] {
        for (size_t i = 0; i < objects; i++) {
            blocks[i] = allocate(allocator, sizes[i]);
            *static_cast<uint64_t *>(blocks[i]) = i;
        }
        require(*static_cast<uint64_t *>(blocks[objects / 2]) == objects / 2, "scope: an object was overwritten");
        drop_all(allocator, blocks, objects);
    };
    steady(state, calls, pass);
    for (auto _ : state)
        pass();
    count_items(state, objects);
    if (!tell_memory)
        return;
    for (size_t i = 0; i < objects; i++) {
        blocks[i] = allocate(allocator, sizes[i]);
        *static_cast<uint64_t *>(blocks[i]) = i;
    }
    memory_at_start().report(state, live, live);
    drop_all(allocator, blocks, objects);
}

template <Allocator A> void register_scope(const Plan &)
{
    if constexpr (A::any_size) {
        row("scope/packet", [](auto &state) { scope<A>(state, 40, Calls::several, false); });
        row("scope/file", [](auto &state) { scope<A>(state, 1000000, Calls::once, true); })->Iterations(2);
    }
}

} // namespace bench

#endif
