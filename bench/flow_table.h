/*
 * Flows by the hash of their ends, in an allocator's blocks, the longest idle first: as the expert `flows` keeps them.
 */
#ifndef BENCH_FLOW_TABLE_H
#define BENCH_FLOW_TABLE_H

#include "allocator.h"
#include "require.h"

#include <cstdint>
#include <cstring>

namespace bench
{

/* Record begins with a Link. */
struct Link {
    Link *chain; /* in its bucket */
    Link *older;
    Link *newer;
    uint64_t hash;
};

template <Allocator A, class Record> class FlowTable
{
    A &allocator;
    size_t mask = 255;
    Link **buckets;
    size_t count = 0;
    size_t bytes = 0;
    Link ends{}; /* newer is the oldest, older is the newest */

    static constexpr size_t largest_table = size_t{1} << 20;

    Link **make_buckets(size_t entries)
    {
        auto **made = static_cast<Link **>(allocator.allocate(entries * sizeof(Link *)));
        require(made, "flows: no memory for the table");
        memset(made, 0, entries * sizeof(Link *));
        bytes += entries * sizeof(Link *);
        return made;
    }
    void free_buckets(Link **old, size_t entries)
    {
        allocator.release(old);
        bytes -= entries * sizeof(Link *);
    }
    void grow()
    {
        Link **old = buckets;
        size_t entries = mask + 1;
        buckets = make_buckets(entries * 2);
        mask = entries * 2 - 1;
        for (size_t i = 0; i < entries; i++)
            for (Link *link = old[i], *next; link; link = next) {
                next = link->chain;
                link->chain = buckets[link->hash & mask];
                buckets[link->hash & mask] = link;
            }
        free_buckets(old, entries);
    }
    void link_newest(Link *link)
    {
        link->newer = &ends;
        link->older = ends.older;
        ends.older->newer = link;
        ends.older = link;
    }
    static void unlink(Link *link)
    {
        link->older->newer = link->newer;
        link->newer->older = link->older;
    }

  public:
    explicit FlowTable(A &from) : allocator(from), buckets(make_buckets(mask + 1))
    {
        ends.newer = ends.older = &ends;
    }
    ~FlowTable()
    {
        free_buckets(buckets, mask + 1);
    }
    FlowTable(const FlowTable &) = delete;
    FlowTable &operator=(const FlowTable &) = delete;

    Record *find(uint64_t hash)
    {
        Link *link = buckets[hash & mask];
        while (link && link->hash != hash)
            link = link->chain;
        return reinterpret_cast<Record *>(link);
    }
    Record *add(uint64_t hash)
    {
        auto *record = static_cast<Record *>(allocator.allocate(sizeof(Record)));
        require(record, "flows: no memory for a flow");
        memset(static_cast<void *>(record), 0, sizeof *record);
        if (count++ > mask && mask < largest_table)
            grow();
        Link *link = &record->link;
        link->hash = hash;
        link->chain = buckets[hash & mask];
        buckets[hash & mask] = link;
        link_newest(link);
        bytes += sizeof(Record);
        return record;
    }
    void touch(Record *record)
    {
        unlink(&record->link);
        link_newest(&record->link);
    }
    Record *oldest()
    {
        return ends.newer == &ends ? nullptr : reinterpret_cast<Record *>(ends.newer);
    }
    /* The next younger one. */
    Record *after(Record *record)
    {
        Link *link = record->link.newer;
        return link == &ends ? nullptr : reinterpret_cast<Record *>(link);
    }
    void remove(Record *record)
    {
        Link **at = &buckets[record->link.hash & mask];
        while (*at != &record->link)
            at = &(*at)->chain;
        *at = record->link.chain;
        unlink(&record->link);
        count--;
        bytes -= sizeof(Record);
        allocator.release(record);
    }
    size_t size() const
    {
        return count;
    }
    size_t live_bytes() const
    {
        return bytes;
    }
};

} // namespace bench

#endif
