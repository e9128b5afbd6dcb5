/*
 * flows: a flow tracker under steady load. Each packet finds its flow or makes one, and touches it; the flow that has
 * been idle longest goes when there are too many. A tenth of the packets has bytes that wait a while for those before
 * them.
 */
#ifndef BENCH_WORKLOADS_FLOWS_H
#define BENCH_WORKLOADS_FLOWS_H

#include "../flow_table.h"
#include "../memory.h"
#include "../random.h"
#include "workload.h"

#include <algorithm>
#include <bit>

namespace bench
{

template <Allocator A> class Tracker
{
    struct Flow {
        Link link;
        uint64_t packets;
        uint8_t *waiting;
        uint32_t waiting_size;
        uint8_t state[108]; /* addresses, ports, times, counters */
    };
    const size_t flows_most;
    A allocator{Need{}};
    FlowTable<A, Flow> table{allocator};
    Random random;
    uint64_t packets = 0;
    uint64_t counted = 0; /* in flows that are gone */
    size_t waiting = 0;
    size_t live_most = 0;

    void deliver(Flow *flow)
    {
        if (!flow->waiting)
            return;
        require(flow->waiting[0] == static_cast<uint8_t>(flow->link.hash), "flows: a segment was overwritten");
        waiting -= flow->waiting_size;
        allocator.release(flow->waiting);
        flow->waiting = nullptr;
    }
    void expire(Flow *flow)
    {
        deliver(flow);
        counted += flow->packets;
        table.remove(flow);
    }
    void hold(Flow *flow, uint32_t size)
    {
        flow->waiting = static_cast<uint8_t *>(allocate(allocator, size));
        flow->waiting[0] = static_cast<uint8_t>(flow->link.hash);
        flow->waiting[size - 1] = 0;
        flow->waiting_size = size;
        waiting += size;
    }
    /* New flows come all the time; most packets are of the youngest and busiest. */
    uint64_t hash_of_next()
    {
        uint64_t draw = random.next();
        unsigned level = std::min(static_cast<unsigned>(std::countr_zero(draw | 1u << 12)), 12u);
        uint64_t age = random.below(std::max(flows_most >> level, size_t{1}));
        return Random(packets / 8 - age).next();
    }

  public:
    explicit Tracker(size_t most) : flows_most(most), packets(most * 16)
    {
    }
    ~Tracker()
    {
        while (Flow *flow = table.oldest())
            expire(flow);
    }
    Tracker(const Tracker &) = delete;
    Tracker &operator=(const Tracker &) = delete;

    void packet()
    {
        uint64_t hash = hash_of_next();
        Flow *flow = table.find(hash);
        if (!flow) {
            if (table.size() == flows_most)
                expire(table.oldest());
            flow = table.add(hash);
        }
        packets++;
        flow->packets++;
        table.touch(flow);
        if (flow->waiting)
            deliver(flow);
        else if (packets % 10 == 0)
            hold(flow, static_cast<uint32_t>(64 + hash % 1397));
        live_most = std::max(live_most, table.live_bytes() + waiting);
    }
    bool full() const
    {
        return table.size() == flows_most;
    }
    void check()
    {
        uint64_t sum = counted;
        for (Flow *flow = table.oldest(); flow; flow = table.after(flow))
            sum += flow->packets;
        require(sum + flows_most * 16 == packets, "flows: packets were lost");
    }
    void report(benchmark::State &state) const
    {
        memory_at_start().report(state, table.live_bytes() + waiting, live_most);
    }
};

template <Allocator A> void flows(benchmark::State &state, size_t flows_most, size_t packets)
{
    Tracker<A> tracker(flows_most);
    while (!tracker.full())
        tracker.packet();
    steady(state, Calls::once, [&] { tracker.packet(); });
    for (auto _ : state)
        for (size_t i = 0; i < packets; i++)
            tracker.packet();
    tracker.check();
    count_items(state, packets);
    tracker.report(state);
}

template <Allocator A> void register_flows(const Plan &plan)
{
    if constexpr (A::frees && A::any_size)
        for (size_t most : {10000, 200000})
            if (!plan.quick || most == 10000)
                row("flows/" + std::to_string(most), [=, steps = plan.steps() / 2](auto &state) {
                    flows<A>(state, most, steps);
                })->Iterations(1);
}

} // namespace bench

#endif
