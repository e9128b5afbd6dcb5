/*
 * Threads that do the same run several times: short runs until they are steady, then the one that is timed. Between
 * runs they sleep. A run's time begins when all of them are awake, and ends when the last one has done its part.
 */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include "clock.h"
#include "ring.h"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace bench
{

class Crew
{
    const size_t threads;
    uint64_t end = 0;              /* of the last run; written by the thread that ends it */
    std::atomic<int> announced{0}; /* number of the run to get ready for */
    std::atomic<int> opened{0};    /* number of the run that may begin */
    std::atomic<int> done{0};      /* number of the run that has ended */
    std::atomic<size_t> ready{0};  /* threads */
    std::atomic<size_t> finished{0};
    std::atomic<bool> dismissed{false};

    void announce()
    {
        announced.fetch_add(1, std::memory_order_release);
        announced.notify_all();
    }

  public:
    explicit Crew(size_t threads_count) : threads(threads_count)
    {
    }

    /* In each thread: does `part` in every run, until the crew is dismissed. */
    template <class Part> void work(Part part)
    {
        for (int run = 1;; run++) {
            announced.wait(run - 1, std::memory_order_acquire);
            if (dismissed)
                return;
            ready++;
            for (Patience patience; opened.load(std::memory_order_acquire) != run;)
                patience.wait();
            part();
            if (finished.fetch_add(1, std::memory_order_acq_rel) + 1 != threads)
                continue;
            end = nanoseconds();
            done.store(run, std::memory_order_release);
            done.notify_all();
        }
    }

    /* The seconds that a run takes. */
    double run()
    {
        ready = 0;
        finished = 0;
        announce();
        for (Patience patience; ready < threads;)
            patience.wait();
        int number = announced;
        uint64_t start = nanoseconds();
        opened.store(number, std::memory_order_release);
        done.wait(number - 1, std::memory_order_acquire);
        return static_cast<double>(end - start) / 1e9;
    }

    void dismiss()
    {
        dismissed = true;
        announce();
    }
};

} // namespace bench

#endif
