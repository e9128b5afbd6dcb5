/*
 * threads: pair and batch in many threads at once, of one instance where a peer's can be shared. The time is processor
 * time for each operation. With more threads than processors the rows are called oversubscribed/pair and /batch: there
 * a thread may be preempted at any place, and the scheduler is measured, too.
 */
#ifndef BENCH_WORKLOADS_THREADS_H
#define BENCH_WORKLOADS_THREADS_H

#include "../distance.h"
#include "workload.h"

#include <barrier>
#include <memory>
#include <mutex>

namespace bench
{

template <Allocator A> void operate(A &allocator, size_t live)
{
    void *blocks[256];
    for (size_t i = 0; i < live; i++)
        blocks[i] = allocate(allocator, 256);
    benchmark::ClobberMemory();
    for (size_t i = 0; i < live; i++)
        allocator.release(blocks[i]);
}

/* What the threads of one call of a row share. The first one makes it; the last one deletes it. */
template <Allocator A> class Company
{
    struct Shared {
        std::unique_ptr<A> allocator;
        std::barrier<> warm;

        explicit Shared(const Need &need) : warm(static_cast<ptrdiff_t>(need.threads))
        {
            if constexpr (A::shared)
                allocator = std::make_unique<A>(need);
        }
    };
    static inline std::mutex lock;
    static inline size_t members;
    static inline std::unique_ptr<Shared> shared;

  public:
    explicit Company(const Need &need)
    {
        std::lock_guard held(lock);
        if (members++ == 0)
            shared = std::make_unique<Shared>(need);
    }
    ~Company()
    {
        std::lock_guard held(lock);
        if (--members == 0)
            shared.reset();
    }
    Company(const Company &) = delete;
    Company &operator=(const Company &) = delete;

    A &allocator()
    {
        return *shared->allocator;
    }
    /* Until all are warm. */
    void wait()
    {
        shared->warm.arrive_and_wait();
    }
};

/* The other threads sleep at the loop's beginning until the first one, which measures the distance, begins it too. */
template <Allocator A> void operate_in_step(benchmark::State &state, Company<A> &company, A &allocator, size_t live)
{
    bool reports = state.thread_index() == 0 && state.threads() > 1;
    steady(state, Calls::several, [&] { operate(allocator, live); });
    company.wait();
    if (reports)
        report_distance_before(state);
    for (auto _ : state)
        operate(allocator, live);
    if (reports)
        report_distance_after(state);
}

template <Allocator A> void threads(benchmark::State &state, size_t live)
{
    [[maybe_unused]] Thread<A> announced;
    size_t count = static_cast<size_t>(state.threads());
    Need need{.size = 256, .live = live * count, .threads = count};
    place(static_cast<size_t>(state.thread_index()));
    Company<A> company(need);
    if constexpr (A::shared) {
        operate_in_step(state, company, company.allocator(), live);
    } else {
        A own(need);
        operate_in_step(state, company, own, live);
    }
    count_items(state, live);
}

template <Allocator A> void register_threads(const Plan &plan)
{
    if constexpr (A::frees)
        for (size_t live : {1, 256})
            for (int count : {1, 2, 4, 16, 64}) {
                if (plan.quick && (count == 4 || count == 16))
                    continue;
                std::string group = oversubscribed(static_cast<size_t>(count)) ? "oversubscribed/" : "threads/";
                std::string name = group + (live == 1 ? "pair/" : "batch/") + std::to_string(count);
                benchmark::RegisterBenchmark(name.c_str(), [=](auto &state) {
                    threads<A>(state, live);
                })->Threads(count);
            }
}

} // namespace bench

#endif
