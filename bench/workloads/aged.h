/*
 * aged: rows of other workloads on a heap that was used before (aging.h): their names follow `aged/`. Not for peers with
 * blocks of one size. Each has a given number of iterations, as the heap is aged for each call.
 */
#ifndef BENCH_WORKLOADS_AGED_H
#define BENCH_WORKLOADS_AGED_H

#include "batch.h"
#include "bulk.h"
#include "churn.h"
#include "handoff.h"
#include "pair.h"

namespace bench
{

template <Allocator A> void register_aged_single(size_t size, const Plan &plan)
{
    /* An operation takes 5 to 20 ns in most of these. */
    auto times = [steps = 4 * plan.steps()](size_t items) {
        return static_cast<benchmark::IterationCount>(steps / items + 1);
    };
    row("aged/pair/" + bytes(size), [=](auto &state) { pair<A>(state, size, Heap::aged); })->Iterations(times(1));
    row("aged/batch/random/" + bytes(size) + "/1024", [=](auto &state) {
        batch<A>(state, Order::random, size, 1024, Heap::aged);
    })->Iterations(times(1024));
    row("aged/bulk/" + bytes(size) + "/32", [=](auto &state) {
        bulk<A>(state, size, 32, Heap::aged);
    })->Iterations(times(32));
}

template <Allocator A> void register_aged(const Plan &plan)
{
    constexpr size_t churned = size_t{1} << 20;
    if constexpr (A::any_size && A::frees) {
        for (size_t size : {64, 1500})
            if (!plan.quick || size == 1500)
                register_aged_single<A>(size, plan);
        row("aged/churn/" + bytes(churned), [=, sizes = plan.sizes, steps = plan.steps()](auto &state) {
            churn<A>(state, sizes, churned, steps, Heap::aged);
        })->Iterations(1);
    }
    if constexpr (A::any_size && A::frees && A::frees_away)
        for (size_t size : {64, 256, 576, 1500})
            if (!oversubscribed(2) && (!plan.quick || size == 1500))
                register_straight<A>("aged/", size, Heap::aged);
}

} // namespace bench

#endif
