/*
 * The workloads' own arrays. They come from the system, not from the allocator that is measured, are touched when they
 * are made, and are counted, so that they can be left out of what is resident.
 */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include "require.h"

#include <cstddef>
#include <new>
#include <sys/mman.h>
#include <type_traits>

namespace bench
{

inline size_t table_bytes; /* of all tables that there are */

template <class T> class Table
{
    static_assert(std::is_trivially_destructible_v<T>);

    T *entries;
    size_t count;
    size_t bytes;

  public:
    explicit Table(size_t entries_count) : count(entries_count), bytes((entries_count * sizeof(T) + 4095) / 4096 * 4096)
    {
        if (!bytes)
            bytes = 4096;
        void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        require(memory != MAP_FAILED, "no memory for a workload's own table");
        entries = static_cast<T *>(memory);
        for (size_t i = 0; i < count; i++)
            new (entries + i) T();
        table_bytes += bytes;
    }
    ~Table()
    {
        munmap(entries, bytes);
        table_bytes -= bytes;
    }
    Table(const Table &) = delete;
    Table &operator=(const Table &) = delete;

    T &operator[](size_t i)
    {
        return entries[i];
    }
    T *begin()
    {
        return entries;
    }
    T *end()
    {
        return entries + count;
    }
    const T *begin() const
    {
        return entries;
    }
    const T *end() const
    {
        return entries + count;
    }
    size_t size() const
    {
        return count;
    }
};

} // namespace bench

#endif
