/*
 * capture: the whole way of a real capture's frames. One thread copies each into a block and passes them on in bursts;
 * another decodes it, keeps its flow, holds the payload of TCP segments until the next three of the flow have come, as
 * reassembly of an untidy stream does, and frees the frame.
 */
#ifndef BENCH_WORKLOADS_CAPTURE_H
#define BENCH_WORKLOADS_CAPTURE_H

#include "../crew.h"
#include "../distance.h"
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
#include <atomic>
#include <cstring>
#include <optional>
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

/* Bytes that a thread has counted: only it writes them, on a cache line of their own. */
class alignas(64) Count
{
    std::atomic<uint64_t> bytes{0};

  public:
    void add(uint64_t more)
    {
        bytes.store(bytes.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
    }
    uint64_t now() const
    {
        return bytes.load(std::memory_order_relaxed);
    }
};

/* The same two threads do short runs until these are steady, and then the one that is timed. */
template <Allocator A> class Pipeline
{
    const Recording &recording;
    std::optional<A> frames; /* of both threads, or the reader's own; made and destroyed by the reader */
    Ring ring;
    Crew crew{2};
    uint64_t due = 0; /* frames, in all runs up to this one */
    Count sent;       /* the reader's */
    Count freed;      /* the worker's */
    std::atomic<bool> worker_gone{false};
    std::thread reader;
    std::thread worker;

    template <class Source> Frame *copy(const Source &source, uint64_t number)
    {
        auto *frame = static_cast<Frame *>(allocate(*frames, sizeof(Frame) + source.captured));
        frame->captured = source.captured;
        frame->length = source.length;
        frame->number = static_cast<uint32_t>(number);
        frame->link = source.link;
        memcpy(frame->bytes, source.bytes, source.captured);
        return frame;
    }
    static uint64_t bytes_of(const Burst &burst)
    {
        uint64_t bytes = 0;
        for (size_t i = 0; i < burst.count; i++)
            bytes += sizeof(Frame) + static_cast<const Frame *>(burst.frames[i])->captured;
        return bytes;
    }
    /* Counted before the worker can see it, so that no more is freed than was sent. */
    void send(Burst &burst)
    {
        sent.add(bytes_of(burst));
        ring.send(burst);
        burst.count = 0;
    }
    void read()
    {
        place(0);
        frames.emplace(Need{});
        const auto *source = recording.begin();
        uint64_t number = 0;
        crew.work([&] {
            Burst burst;
            while (number < due) {
                burst.frames[burst.count++] = copy(*source, ++number);
                if (++source == recording.end())
                    source = recording.begin();
                if (burst.count == burst_most)
                    send(burst);
            }
            if (burst.count)
                send(burst);
        });
        /* What it owns stays until nobody can have any of it. */
        worker_gone.wait(false);
        frames.reset();
    }
    void free_burst(Burst &burst)
    {
        if constexpr (A::shared)
            release_burst(*frames, burst.frames, burst.count);
        else
            for (size_t i = 0; i < burst.count; i++)
                A::release_away(burst.frames[i]);
    }
    /* Live are the flows, what they hold, and the frames from the reader's sending to here. */
    void take_burst(Analyst<A> &analyst, Burst &burst, size_t &live_most)
    {
        for (size_t i = 0; i < burst.count; i++)
            analyst.take(static_cast<const Frame *>(burst.frames[i]));
        live_most = std::max(live_most, analyst.live_bytes() + static_cast<size_t>(sent.now() - freed.now()));
        freed.add(bytes_of(burst));
        free_burst(burst);
    }
    void work(benchmark::State &state, const Memory &before)
    {
        place(1);
        Analyst<A> analyst;
        Burst burst;
        size_t live_most = 0;
        crew.work([&] {
            for (Patience patience; analyst.frames < due;) {
                if (ring.try_receive(burst))
                    take_burst(analyst, burst, live_most);
                else
                    patience.wait();
            }
            if constexpr (A::shared)
                flush(*frames);
        });
        require(analyst.numbers == due * (due + 1) / 2, "capture: a frame was lost or overwritten");
        benchmark::DoNotOptimize(analyst.checksum);
        before.report(state, analyst.live_bytes(), live_most);
    }

  public:
    Pipeline(benchmark::State &state, const Recording &source, const Memory &before)
        : recording(source), reader([this] { read(); }), worker([this, &state, &before] { work(state, before); })
    {
    }
    ~Pipeline()
    {
        crew.dismiss();
        worker.join();
        worker_gone = true;
        worker_gone.notify_all();
        reader.join();
    }
    Pipeline(const Pipeline &) = delete;
    Pipeline &operator=(const Pipeline &) = delete;

    /* So many frames; the seconds that they take. */
    double run(size_t count)
    {
        due += count;
        return crew.run();
    }
};

template <Allocator A> void run_capture(benchmark::State &state, const std::string &path, size_t frames_least)
{
    Recording recording(path);
    Memory before;
    size_t frames = (frames_least / recording.size() + 1) * recording.size();
    Pipeline<A> pipeline(state, recording, before);
    steady_runs(state, Calls::once, [&](size_t bursts) { pipeline.run(bursts * burst_most); });
    for (auto _ : state) {
        report_distance_before(state);
        state.SetIterationTime(pipeline.run(frames));
        report_distance_after(state);
    }
    count_items(state, frames);
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
