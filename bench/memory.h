/*
 * What the process has resident, beyond what it had when it started and beyond the workload's own tables: what the
 * allocator took for the blocks that are live.
 */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include "table.h"

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstring>

namespace bench
{

/* A field of one of the process's files in /proc, in bytes; 0 where there is none. */
inline size_t process_bytes(const char *path, const char *field)
{
    FILE *file = fopen(path, "r");
    char line[256];
    size_t kilobytes = 0;
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, field, strlen(field)))
            sscanf(line + strlen(field), "%zu", &kilobytes);
    if (file)
        fclose(file);
    return kilobytes * 1024;
}

class Memory
{
    size_t before;

    static size_t resident()
    {
        /* statm is kept in parts for each processor, and may be off by megabytes. */
        return process_bytes("/proc/self/smaps_rollup", "Rss:");
    }

    double over(size_t bytes, double live) const
    {
        size_t own = before + table_bytes;
        return bytes > own ? static_cast<double>(bytes - own) / live : 0;
    }

  public:
    /* Before the first allocation; after what is read once and stays. */
    Memory() : before(resident() - table_bytes)
    {
    }

    /* For one that has its counters in a process of its own: so many bytes are live, and so many were at most. */
    void report(benchmark::State &state, size_t live, size_t live_most) const
    {
        state.counters["resident/live"] = over(resident(), static_cast<double>(live));
        state.counters["peak/live"] =
            over(process_bytes("/proc/self/status", "VmHWM:"), static_cast<double>(live_most));
    }
    /* After everything was dropped and given back. */
    void report_kept(benchmark::State &state, size_t dropped) const
    {
        state.counters["kept/dropped"] = over(resident(), static_cast<double>(dropped));
    }
};

/* At the start of the program. */
inline const Memory &memory_at_start()
{
    static const Memory memory;
    return memory;
}

} // namespace bench

#endif
