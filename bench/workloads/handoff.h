/*
 * handoff: capture threads allocate frames, write their first word and pass them on in bursts of 31 through rings;
 * workers read the word and free them. Each producer serves the workers in turn, through a ring of its own for each.
 */
#ifndef BENCH_WORKLOADS_HANDOFF_H
#define BENCH_WORKLOADS_HANDOFF_H

#include "../clock.h"
#include "../ring.h"
#include "bulk.h"
#include "workload.h"

#include <atomic>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

namespace bench
{

/* A run with a number of bursts that is known before: its time is from the gate's opening to the last worker's end. */
template <Allocator A> class Handoff
{
    const size_t size;
    const size_t producers;
    const size_t workers;
    const size_t bursts; /* of each producer */
    std::unique_ptr<A> shared;
    std::deque<Ring> rings;
    std::vector<std::thread> producing;
    std::vector<std::thread> working;
    std::atomic<size_t> ready{0};
    std::atomic<bool> workers_gone{false};
    std::atomic<size_t> delivered{0}; /* bursts received */
    std::atomic<uint64_t> sum{0};
    std::atomic<bool> open{false};

    Ring &ring(size_t producer, size_t worker)
    {
        return rings[producer * workers + worker];
    }

    Need need() const
    {
        /* Full rings, and a burst in each hand. */
        size_t bursts_most = producers * workers * (Ring::slots_count + 2);
        return Need{.size = size, .live = bursts_most * burst_most, .threads = producers + workers};
    }

    void wait_for_gate(size_t thread)
    {
        place(thread);
        ready++;
        for (Patience patience; !open.load(std::memory_order_acquire);)
            patience.wait();
    }

    void produce_with(A &allocator, size_t producer)
    {
        uint64_t number = 0;
        Burst burst{.count = burst_most, .frames = {}};
        wait_for_gate(producer);
        for (size_t i = 0; i < bursts; i++) {
            allocate_burst(allocator, size, burst.frames, burst_most);
            for (void *frame : burst.frames)
                *static_cast<uint64_t *>(frame) = ++number;
            ring(producer, i % workers).send(burst);
        }
        /* What it owns stays until nobody can have any of it. */
        workers_gone.wait(false);
    }

    void produce(size_t producer)
    {
        [[maybe_unused]] Thread<A> announced;
        if constexpr (A::shared) {
            produce_with(*shared, producer);
        } else {
            A own(need());
            produce_with(own, producer);
        }
    }

    void free_burst(Burst &burst)
    {
        if constexpr (A::shared)
            release_burst(*shared, burst.frames, burst.count);
        else
            for (size_t i = 0; i < burst.count; i++)
                A::release_away(burst.frames[i]);
    }

    void work(size_t worker)
    {
        [[maybe_unused]] Thread<A> announced;
        uint64_t read = 0;
        Burst burst;
        Patience patience;
        wait_for_gate(producers + worker);
        while (delivered.load(std::memory_order_relaxed) < producers * bursts) {
            size_t received = 0;
            for (size_t producer = 0; producer < producers; producer++) {
                if (!ring(producer, worker).try_receive(burst))
                    continue;
                for (void *frame : burst.frames)
                    read += *static_cast<uint64_t *>(frame);
                free_burst(burst);
                received++;
            }
            if (received)
                delivered.fetch_add(received, std::memory_order_relaxed);
            else
                patience.wait();
        }
        if constexpr (A::shared)
            flush(*shared);
        sum += read;
    }

  public:
    Handoff(size_t block_size, size_t producers_count, size_t workers_count, size_t bursts_count)
        : size(block_size), producers(producers_count), workers(workers_count), bursts(bursts_count),
          rings(producers_count * workers_count)
    {
        if constexpr (A::shared)
            shared = std::make_unique<A>(need());
        for (size_t i = 0; i < producers; i++)
            producing.emplace_back([this, i] { produce(i); });
        for (size_t i = 0; i < workers; i++)
            working.emplace_back([this, i] { work(i); });
        for (Patience patience; ready < producers + workers;)
            patience.wait();
    }

    size_t frames() const
    {
        return producers * bursts * burst_most;
    }

    double run()
    {
        uint64_t start = nanoseconds();
        open.store(true, std::memory_order_release);
        for (std::thread &thread : working)
            thread.join();
        uint64_t end = nanoseconds();
        workers_gone = true;
        workers_gone.notify_all();
        for (std::thread &thread : producing)
            thread.join();
        uint64_t each = bursts * burst_most;
        require(sum == producers * (each * (each + 1) / 2), "handoff: a frame was lost or overwritten");
        return static_cast<double>(end - start) / 1e9;
    }
};

template <Allocator A> void handoff(benchmark::State &state, size_t size, size_t producers, size_t workers)
{
    size_t frames = 0;
    while (state.KeepRunningBatch(state.max_iterations)) {
        Handoff<A> run(size, producers, workers, static_cast<size_t>(state.max_iterations));
        frames += run.frames();
        state.SetIterationTime(run.run());
    }
    state.SetItemsProcessed(static_cast<int64_t>(frames));
}

template <Allocator A> void register_handoff(const Plan &plan)
{
    if constexpr (A::frees_away) {
        struct Shape {
            const char *name;
            size_t producers;
            size_t workers;
        };
        for (Shape shape : {Shape{"1to1", 1, 1}, Shape{"1to3", 1, 3}, Shape{"3to1", 3, 1}, Shape{"2to2", 2, 2}})
            for (size_t size : {64, 256, 576, 1500}) {
                bool straight = shape.producers * shape.workers == 1;
                if (!straight && (size == 256 || size == 576 || (plan.quick && size == 64)))
                    continue;
                row(std::string("handoff/") + shape.name + "/" + bytes(size), [=](auto &state) {
                    handoff<A>(state, size, shape.producers, shape.workers);
                })->UseManualTime();
            }
    }
}

} // namespace bench

#endif
