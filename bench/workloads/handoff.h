/*
 * handoff: capture threads allocate frames, write their first word and pass them on in bursts of 31 through rings;
 * workers read the word and free them. Each producer serves the workers in turn, through a ring of its own for each.
 * handoff-single: the same with a call for each frame, as most programs have it, where a peer has calls for bursts.
 * The same threads, with the same allocator, do short runs until these are steady, and then the one that is timed.
 */
#ifndef BENCH_WORKLOADS_HANDOFF_H
#define BENCH_WORKLOADS_HANDOFF_H

#include "../crew.h"
#include "../distance.h"
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

struct Shape {
    const char *name;
    size_t producers;
    size_t workers;
};

/* How a burst is allocated and freed. */
enum class Manner { bursts, single };

template <Allocator A> class Handoff
{
    const size_t size;
    const Manner manner;
    const size_t producers;
    const size_t workers;
    const Heap heap;
    std::unique_ptr<A> shared;
    std::deque<Ring> rings;
    Crew crew;
    std::vector<std::thread> producing;
    std::vector<std::thread> working;
    size_t bursts = 0; /* of each producer, in this run */
    size_t due = 0;    /* bursts of all producers, in all runs up to this one */
    std::atomic<bool> workers_gone{false};
    std::atomic<size_t> delivered{0}; /* bursts received, in all runs */
    std::atomic<uint64_t> sum{0};

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

    void allocate_frames(A &allocator, Burst &burst)
    {
        if (manner == Manner::bursts)
            allocate_burst(allocator, size, burst.frames, burst_most);
        else
            for (void *&frame : burst.frames)
                frame = allocate(allocator, size);
    }

    void produce_with(A &allocator, size_t producer)
    {
        uint64_t number = 0;
        size_t worker = 0;
        Burst burst{.count = burst_most, .frames = {}};
        prepare(allocator, heap, size);
        crew.work([&] {
            for (size_t i = 0; i < bursts; i++) {
                allocate_frames(allocator, burst);
                for (void *frame : burst.frames)
                    *static_cast<uint64_t *>(frame) = ++number;
                ring(producer, worker).send(burst);
                worker = worker + 1 == workers ? 0 : worker + 1;
            }
        });
        /* What it owns stays until nobody can have any of it. */
        workers_gone.wait(false);
    }

    void produce(size_t producer)
    {
        [[maybe_unused]] Thread<A> announced;
        place(producer);
        if constexpr (A::shared) {
            produce_with(*shared, producer);
        } else {
            A own(need());
            produce_with(own, producer);
        }
    }

    void free_burst(Burst &burst)
    {
        if constexpr (!A::shared)
            for (size_t i = 0; i < burst.count; i++)
                A::release_away(burst.frames[i]);
        else if (manner == Manner::bursts)
            release_burst(*shared, burst.frames, burst.count);
        else
            for (size_t i = 0; i < burst.count; i++)
                shared->release(burst.frames[i]);
    }

    /* From all producers, one burst of each at the most. */
    size_t receive(size_t worker, Burst &burst, uint64_t &read)
    {
        size_t received = 0;
        for (size_t producer = 0; producer < producers; producer++) {
            if (!ring(producer, worker).try_receive(burst))
                continue;
            for (void *frame : burst.frames)
                read += *static_cast<uint64_t *>(frame);
            free_burst(burst);
            received++;
        }
        return received;
    }

    void work(size_t worker)
    {
        [[maybe_unused]] Thread<A> announced;
        uint64_t read = 0;
        Burst burst;
        place(producers + worker);
        crew.work([&] {
            for (Patience patience; delivered.load(std::memory_order_relaxed) < due;) {
                if (size_t received = receive(worker, burst, read))
                    delivered.fetch_add(received, std::memory_order_relaxed);
                else
                    patience.wait();
            }
            if constexpr (A::shared)
                flush(*shared);
        });
        sum += read;
    }

  public:
    Handoff(size_t block_size, const Shape &shape, Heap heap_state, Manner calls)
        : size(block_size), manner(calls), producers(shape.producers), workers(shape.workers), heap(heap_state),
          rings(producers * workers), crew(producers + workers)
    {
        if constexpr (A::shared)
            shared = std::make_unique<A>(need());
        for (size_t i = 0; i < producers; i++)
            producing.emplace_back([this, i] { produce(i); });
        for (size_t i = 0; i < workers; i++)
            working.emplace_back([this, i] { work(i); });
        /* Until all have started, and aged their heaps. */
        run(0);
    }
    ~Handoff()
    {
        crew.dismiss();
        for (std::thread &thread : working)
            thread.join();
        workers_gone = true;
        workers_gone.notify_all();
        for (std::thread &thread : producing)
            thread.join();
        uint64_t each = due / producers * burst_most;
        require(sum == producers * (each * (each + 1) / 2), "handoff: a frame was lost or overwritten");
    }
    Handoff(const Handoff &) = delete;
    Handoff &operator=(const Handoff &) = delete;

    /* Each producer sends so many bursts; the seconds that it takes. */
    double run(size_t bursts_count)
    {
        bursts = bursts_count;
        due += producers * bursts;
        return crew.run();
    }
};

template <Allocator A> double timed_run(benchmark::State &state, Handoff<A> &threads, size_t bursts)
{
    report_distance_before(state);
    double seconds = threads.run(bursts);
    report_distance_after(state);
    return seconds;
}

/* What is timed is one run that takes about as long as a row has to. */
template <Allocator A> void handoff(benchmark::State &state, size_t size, const Shape &shape, Heap heap, Manner manner)
{
    Handoff<A> threads(size, shape, heap, manner);
    double burst_ns = steady_runs(state, Calls::once, [&](size_t bursts) { threads.run(bursts); });
    size_t bursts = static_cast<size_t>(seconds_reported * 1e9 / burst_ns) + 1;
    for (auto _ : state) {
        double seconds = timed_run(state, threads, bursts);
        /* Where the slices were interrupted, it was too short. */
        while (seconds < seconds_reported / 4)
            seconds = timed_run(state, threads, bursts *= 4);
        state.SetIterationTime(seconds);
    }
    count_items(state, bursts * shape.producers * burst_most);
}

inline const char *name_of(Manner manner)
{
    return manner == Manner::bursts ? "handoff/" : "handoff-single/";
}

/* One thread to one other. */
template <Allocator A> void register_straight(const std::string &prefix, size_t size, Heap heap)
{
    constexpr Shape shape{"1to1", 1, 1};
    for (Manner manner : {Manner::bursts, Manner::single})
        row(prefix + name_of(manner) + shape.name + "/" + bytes(size),
            [=](auto &state) { handoff<A>(state, size, shape, heap, manner); })
            ->UseManualTime()
            ->Iterations(1);
}

template <Allocator A> void register_handoff(const Plan &plan)
{
    if constexpr (A::frees_away) {
        for (size_t size : {64, 256, 576, 1500})
            register_straight<A>(oversubscribed(2) ? "oversubscribed/" : "", size, Heap::fresh);
        for (Shape shape : {Shape{"1to3", 1, 3}, Shape{"3to1", 3, 1}, Shape{"2to2", 2, 2}})
            for (size_t size : {64, 1500}) {
                if (plan.quick && size == 64)
                    continue;
                bool over = oversubscribed(shape.producers + shape.workers);
                row((over ? "oversubscribed/handoff/" : "handoff/") + std::string(shape.name) + "/" + bytes(size),
                    [=](auto &state) { handoff<A>(state, size, shape, Heap::fresh, Manner::bursts); })
                    ->UseManualTime()
                    ->Iterations(1);
            }
    }
}

} // namespace bench

#endif
