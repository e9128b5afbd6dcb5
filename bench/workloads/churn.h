/*
 * churn: a full set of live blocks of mixed sizes, of which one after the other is freed and replaced. Lifetimes have a
 * long tail: half of the replacements fall anywhere, a quarter in the first eighth of the places, an eighth in the
 * first 64th, and so on, so that most blocks die young and some never.
 */
#ifndef BENCH_WORKLOADS_CHURN_H
#define BENCH_WORKLOADS_CHURN_H

#include "../memory.h"
#include "../mix.h"
#include "../random.h"
#include "../table.h"
#include "workload.h"

#include <algorithm>
#include <bit>

namespace bench
{

template <Allocator A> class Churn
{
    struct Place {
        uint8_t *block;
        uint32_t size;
        uint8_t mark;
    };
    A allocator{Need{}};
    Mix mix;
    Random random;
    Table<Place> places;
    size_t live = 0;
    size_t live_most = 0;

    /* The first byte and the last: every page of the block is there. */
    void fill(Place &place)
    {
        uint32_t size = mix.draw(random);
        uint8_t mark = static_cast<uint8_t>(random.next());
        auto *block = static_cast<uint8_t *>(bench::allocate(allocator, size));
        block[0] = mark;
        block[size - 1] = mark;
        place = {block, size, mark};
        live += size;
    }

    void empty(Place &place)
    {
        require(place.block[0] == place.mark && place.block[place.size - 1] == place.mark,
                "churn: a block was overwritten");
        live -= place.size;
        allocator.release(place.block);
    }

    size_t place_to_replace()
    {
        unsigned level = std::min(static_cast<unsigned>(std::countr_zero(random.next() | 1u << 5)), 5u);
        return random.below(std::max(places.size() >> 3 * level, size_t{1}));
    }

  public:
    Churn(const std::string &sizes, size_t live_bytes, Heap heap)
        : mix(sizes), places(std::max(static_cast<size_t>(static_cast<double>(live_bytes) / mix.mean()), size_t{16}))
    {
        if (heap == Heap::aged)
            age_with(allocator, [this, draws = Random()]() mutable { return mix.draw(draws); });
        for (Place &place : places)
            fill(place);
        live_most = live;
    }
    ~Churn()
    {
        for (Place &place : places)
            empty(place);
    }
    Churn(const Churn &) = delete;
    Churn &operator=(const Churn &) = delete;

    void step()
    {
        Place &place = places[place_to_replace()];
        empty(place);
        fill(place);
        live_most = std::max(live_most, live);
    }
    void report(benchmark::State &state) const
    {
        memory_at_start().report(state, live, live_most);
    }
};

template <Allocator A>
void churn(benchmark::State &state, const std::string &sizes, size_t live_bytes, size_t steps, Heap heap = Heap::fresh)
{
    Churn<A> blocks(sizes, live_bytes, heap);
    steady(state, Calls::once, [&] { blocks.step(); });
    for (auto _ : state)
        for (size_t i = 0; i < steps; i++)
            blocks.step();
    count_items(state, steps);
    /* Below that, the libraries' own pages are what is seen; after aging, what the other blocks left. */
    if (live_bytes >= 1 << 20 && heap == Heap::fresh)
        blocks.report(state);
}

template <Allocator A> void register_churn(const Plan &plan)
{
    if constexpr (A::frees && A::any_size)
        for (size_t live : {size_t{64} << 10, size_t{1} << 20, size_t{32} << 20, size_t{256} << 20, size_t{1} << 30}) {
            if (plan.quick && live != 1 << 20 && live != 32 << 20)
                continue;
            row("churn/" + bytes(live), [=, sizes = plan.sizes, steps = plan.steps()](auto &state) {
                churn<A>(state, sizes, live, steps);
            })->Iterations(1);
        }
}

} // namespace bench

#endif
