/*
 * capture: the whole way of a real capture's frames. One thread copies each into a block and passes them on in bursts;
 * another decodes it, keeps its flow, holds the payload of TCP segments until the next three of the flow have come, as
 * reassembly of an untidy stream does, and frees the frame.
 */
#ifndef BENCH_WORKLOADS_CAPTURE_H
#define BENCH_WORKLOADS_CAPTURE_H

#include "../clock.h"
#include "../flow_table.h"
#include "../memory.h"
#include "../recording.h"
#include "../ring.h"
#include "bulk.h"
#include "workload.h"

extern "C" {
#include "../tools/experts/decode.h"
}

#include <algorithm>
#include <cstring>
#include <thread>

namespace bench
{

struct Frame {
    uint32_t captured;
    uint32_t length;
    uint32_t number;
    uint16_t link;
    uint8_t bytes[];
};

/* Flows and what they hold, of one thread. */
template <Allocator A> class Analyst
{
    static constexpr size_t waiting_most = 3;
    static constexpr size_t flows_most = 4096;

    struct Flow {
        Link link;
        endpoint ends[2];
        uint64_t packets;
        uint64_t bytes;
        uint8_t *waiting[waiting_most]; /* payloads, the oldest at packets % waiting_most */
        uint32_t waiting_sizes[waiting_most];
    };
    A allocator{Need{}};
    FlowTable<A, Flow> table{allocator};
    uint64_t delivered = 0;
    uint64_t held = 0; /* bytes now */

    void deliver(Flow *flow, size_t at)
    {
        uint8_t *payload = flow->waiting[at];
        if (!payload)
            return;
        for (size_t i = 0; i < flow->waiting_sizes[at]; i += 64)
            checksum = (checksum ^ payload[i]) * 16777619u;
        delivered += flow->waiting_sizes[at];
        held -= flow->waiting_sizes[at];
        allocator.release(payload);
        flow->waiting[at] = nullptr;
    }
    void hold(Flow *flow, const Frame *frame, const packet &decoded)
    {
        size_t at = flow->packets % waiting_most;
        deliver(flow, at);
        flow->waiting[at] = static_cast<uint8_t *>(allocate(allocator, decoded.payload_captured));
        memcpy(flow->waiting[at], frame->bytes + decoded.payload, decoded.payload_captured);
        flow->waiting_sizes[at] = decoded.payload_captured;
        held += decoded.payload_captured;
    }
    void expire(Flow *flow)
    {
        for (size_t i = 0; i < waiting_most; i++)
            deliver(flow, i);
        table.remove(flow);
    }

  public:
    uint64_t frames = 0;
    uint64_t numbers = 0;
    uint32_t checksum = 0;

    ~Analyst()
    {
        while (Flow *flow = table.oldest())
            expire(flow);
    }
    void take(const Frame *frame)
    {
        packet decoded;
        frames++;
        numbers += frame->number;
        if (decode(frame->link, frame->bytes, frame->captured, frame->length, &decoded))
            return;
        uint64_t hash = decode_hash(&decoded);
        Flow *flow = table.find(hash);
        if (!flow) {
            if (table.size() == flows_most)
                expire(table.oldest());
            flow = table.add(hash);
            flow->ends[0] = decoded.source;
            flow->ends[1] = decoded.destination;
        }
        table.touch(flow);
        flow->packets++;
        flow->bytes += frame->length;
        if (decoded.protocol == PROTOCOL_TCP && decoded.payload_captured)
            hold(flow, frame, decoded);
    }
    size_t live_bytes() const
    {
        return table.live_bytes() + held;
    }
};

template <Allocator A> class Pipeline
{
    const Recording &recording;
    const size_t passes;
    A frames{Need{}}; /* of both threads, or the reader's own */
    Ring ring;

    void read()
    {
        Burst burst;
        uint32_t number = 0;
        for (size_t pass = 0; pass < passes; pass++)
            for (const auto &source : recording) {
                auto *frame = static_cast<Frame *>(allocate(frames, sizeof(Frame) + source.captured));
                frame->captured = source.captured;
                frame->length = source.length;
                frame->number = ++number;
                frame->link = source.link;
                memcpy(frame->bytes, source.bytes, source.captured);
                burst.frames[burst.count++] = frame;
                if (burst.count == burst_most) {
                    ring.send(burst);
                    burst.count = 0;
                }
            }
        if (burst.count)
            ring.send(burst);
    }
    void free_burst(Burst &burst)
    {
        if constexpr (A::shared)
            release_burst(frames, burst.frames, burst.count);
        else
            for (size_t i = 0; i < burst.count; i++)
                A::release_away(burst.frames[i]);
    }
    size_t take_burst(Analyst<A> &analyst, Burst &burst)
    {
        size_t bytes = 0;
        for (size_t i = 0; i < burst.count; i++) {
            const auto *frame = static_cast<const Frame *>(burst.frames[i]);
            analyst.take(frame);
            bytes += frame->captured;
        }
        return bytes;
    }
    void work(benchmark::State &state, const Memory &before)
    {
        place(1);
        Analyst<A> analyst;
        Burst burst;
        size_t live_most = 0;
        for (Patience patience; analyst.frames < count();) {
            if (!ring.try_receive(burst)) {
                patience.wait();
                continue;
            }
            size_t bytes = take_burst(analyst, burst);
            live_most = std::max(live_most, analyst.live_bytes() + bytes);
            free_burst(burst);
        }
        if constexpr (A::shared)
            flush(frames);
        require(analyst.numbers == count() * (count() + 1) / 2, "capture: a frame was lost or overwritten");
        benchmark::DoNotOptimize(analyst.checksum);
        before.report(state, analyst.live_bytes(), live_most);
    }

  public:
    Pipeline(const Recording &source, size_t passes_count) : recording(source), passes(passes_count)
    {
    }
    size_t count() const
    {
        return passes * recording.size();
    }
    double run(benchmark::State &state, const Memory &before)
    {
        uint64_t start = nanoseconds();
        std::thread worker([&] { work(state, before); });
        read();
        worker.join();
        return static_cast<double>(nanoseconds() - start) / 1e9;
    }
};

template <Allocator A> void run_capture(benchmark::State &state, const std::string &path, size_t frames_least)
{
    Recording recording(path);
    Memory before;
    Pipeline<A> pipeline(recording, frames_least / recording.size() + 1);
    for (auto _ : state)
        state.SetIterationTime(pipeline.run(state, before));
    count_items(state, pipeline.count());
}

template <Allocator A> void register_capture(const Plan &plan)
{
    if constexpr (A::frees && A::frees_away && A::any_size) {
        /* A frame takes some 250 ns. */
        if (!plan.capture.empty())
            row("capture/frames",
                [path = plan.capture, least = plan.steps() / 5](auto &state) { run_capture<A>(state, path, least); })
                ->UseManualTime()
                ->Iterations(1);
    }
}

} // namespace bench

#endif
