/*
 * Which processor a thread runs on: a thread that moves takes its caches' contents along slowly, and runs differ by
 * that.
 */
#ifndef BENCH_PLACE_H
#define BENCH_PLACE_H

#include <sched.h>
#include <vector>

namespace bench
{

/* Those that the process was given, in order; asked once, before any thread is placed. */
inline const std::vector<int> &processors()
{
    static const std::vector<int> given = [] {
        std::vector<int> numbers;
        cpu_set_t set;
        if (sched_getaffinity(0, sizeof set, &set) == 0)
            for (int i = 0; i < CPU_SETSIZE; i++)
                if (CPU_ISSET(i, &set))
                    numbers.push_back(i);
        return numbers;
    }();
    return given;
}

/* Rows with more threads than processors measure the scheduler, too, and are named after that. */
inline bool oversubscribed(size_t threads)
{
    return threads > processors().size();
}

/* The calling thread stays on one of them: thread 0 on the first, thread 1 on the second, and round again. */
inline void place(size_t thread)
{
    if (processors().empty())
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processors()[thread % processors().size()], &set);
    sched_setaffinity(0, sizeof set, &set);
}

} // namespace bench

#endif
