// keyslab against the program's malloc, with Google Benchmark. Preload another allocator to compare with that one:
//
//     LD_PRELOAD=libtcmalloc_minimal.so.4 build/bench/keyslab-bench
//
// pair: allocate and free one block. batch: allocate 1,024, free 1,024. bulk: 32 at a time. handoff: one thread allocates
// and writes a frame's first word, the other reads it and frees it, in bursts of 31. transport: the same without
// allocation, so that nobody mistakes a ring for an allocator. reset: the call alone, with that many live blocks.
// reset_threads: with a thousand live blocks in each of that many threads.

#include <benchmark/benchmark.h>

#include <keyslab/keyslab.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

namespace
{

struct Keyslab {
    ks_key_t key = 0;

    Keyslab()
    {
        if (ks_key_create(nullptr, &key) != KS_OK)
            abort();
    }
    ~Keyslab()
    {
        ks_key_destroy(key);
    }
    void *allocate(size_t size)
    {
        return ks_alloc(key, size, nullptr);
    }
    void release(void *block)
    {
        if (ks_free(key, block) != KS_OK)
            abort();
    }
};

struct Malloc {
    void *allocate(size_t size)
    {
        return malloc(size);
    }
    void release(void *block)
    {
        free(block);
    }
};

template <class Allocator> void pair(benchmark::State &state)
{
    Allocator allocator;
    size_t size = static_cast<size_t>(state.range(0));
    for (auto _ : state) {
        void *block = allocator.allocate(size);
        benchmark::DoNotOptimize(block);
        allocator.release(block);
    }
    state.SetItemsProcessed(state.iterations());
}

template <class Allocator> void batch(benchmark::State &state)
{
    Allocator allocator;
    std::vector<void *> blocks(1024);
    for (auto _ : state) {
        for (void *&block : blocks)
            block = allocator.allocate(static_cast<size_t>(state.range(0)));
        for (void *block : blocks)
            allocator.release(block);
    }
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(blocks.size()));
}

void bulk(benchmark::State &state)
{
    Keyslab allocator;
    void *blocks[32];
    for (auto _ : state) {
        if (ks_alloc_bulk(allocator.key, static_cast<size_t>(state.range(0)), blocks, 32, nullptr) != 32 ||
            ks_free_bulk(allocator.key, blocks, 32, nullptr) != 32)
            abort();
    }
    state.SetItemsProcessed(state.iterations() * 32);
}

constexpr int burst = 31;

// A ring of bursts, one thread writing, one reading (ck's headers are C only).
class Ring
{
    struct alignas(64) Slot {
        std::atomic<bool> full{false};
        void *frames[burst];
    };
    Slot slots[32];
    unsigned head = 0;
    alignas(64) unsigned tail = 0;

  public:
    void send(void *const *frames)
    {
        Slot &slot = slots[head++ % 32];
        while (slot.full.load(std::memory_order_acquire))
            std::this_thread::yield();
        std::copy(frames, frames + burst, slot.frames);
        slot.full.store(true, std::memory_order_release);
    }
    void receive(void **frames)
    {
        Slot &slot = slots[tail++ % 32];
        while (!slot.full.load(std::memory_order_acquire))
            std::this_thread::yield();
        std::copy(slot.frames, slot.frames + burst, frames);
        slot.full.store(false, std::memory_order_release);
    }
};

// Blocks that are there all the time.
struct Transport {
    std::vector<uint64_t> memory = std::vector<uint64_t>(2048 * 256);
    size_t next = 0;

    void *allocate(size_t)
    {
        return &memory[next++ % 2048 * 256];
    }
    void release(void *)
    {
    }
};

// The other end of `handoff`. A burst that begins with NULL ends it.
template <class Allocator> void consume(Allocator &allocator, Ring &ring)
{
    uint64_t sum = 0;
    void *frames[burst];
    for (ring.receive(frames); frames[0]; ring.receive(frames))
        for (void *frame : frames) {
            sum += *static_cast<uint64_t *>(frame);
            allocator.release(frame);
        }
    benchmark::DoNotOptimize(sum);
}

template <class Allocator> void handoff(benchmark::State &state)
{
    Allocator allocator;
    Ring ring;
    std::thread consumer([&] { consume(allocator, ring); });
    uint64_t number = 0;
    void *frames[burst];
    for (auto _ : state) {
        for (void *&frame : frames) {
            frame = allocator.allocate(static_cast<size_t>(state.range(0)));
            *static_cast<uint64_t *>(frame) = ++number;
        }
        ring.send(frames);
    }
    std::fill(frames, frames + burst, nullptr);
    ring.send(frames);
    consumer.join();
    state.SetItemsProcessed(state.iterations() * burst);
}

void reset(benchmark::State &state)
{
    Keyslab allocator;
    for (auto _ : state) {
        for (int64_t i = 0; i < state.range(0); i++)
            if (!allocator.allocate(static_cast<size_t>(64 + i % 3 * 700)))
                abort();
        auto before = std::chrono::steady_clock::now();
        ks_status status = ks_key_reset(allocator.key);
        auto after = std::chrono::steady_clock::now();
        if (status != KS_OK)
            abort();
        state.SetIterationTime(std::chrono::duration<double>(after - before).count());
    }
}

// Threads that each have a thousand live blocks, and sleep.
class Sleepers
{
    std::vector<std::thread> threads;
    std::atomic<int64_t> ready{0};
    std::atomic<bool> over{false};

    void sleep(ks_key_t key)
    {
        for (int i = 0; i < 1000; i++)
            if (!ks_alloc(key, static_cast<size_t>(64 + i % 3 * 700), nullptr))
                abort();
        ready++;
        over.wait(false);
    }

  public:
    Sleepers(ks_key_t key, int64_t count)
    {
        for (int64_t i = 0; i < count; i++)
            threads.emplace_back([this, key] { sleep(key); });
        while (ready < count)
            std::this_thread::yield();
    }
    ~Sleepers()
    {
        over = true;
        over.notify_all();
        for (std::thread &thread : threads)
            thread.join();
    }
};

void reset_threads(benchmark::State &state)
{
    Keyslab allocator;
    Sleepers sleepers(allocator.key, state.range(0));
    for (auto _ : state)
        if (ks_key_reset(allocator.key) != KS_OK)
            abort();
}

BENCHMARK_TEMPLATE(pair, Keyslab)->Arg(64)->Arg(576)->Arg(1500);
BENCHMARK_TEMPLATE(pair, Malloc)->Arg(64)->Arg(576)->Arg(1500);
BENCHMARK_TEMPLATE(batch, Keyslab)->Arg(64)->Arg(576)->Arg(1500);
BENCHMARK_TEMPLATE(batch, Malloc)->Arg(64)->Arg(576)->Arg(1500);
BENCHMARK(bulk)->Arg(64)->Arg(1500);
BENCHMARK_TEMPLATE(handoff, Keyslab)->Arg(64)->Arg(1500)->UseRealTime();
BENCHMARK_TEMPLATE(handoff, Transport)->Arg(1500)->UseRealTime();
BENCHMARK_TEMPLATE(handoff, Malloc)->Arg(64)->Arg(1500)->UseRealTime();
BENCHMARK(reset)
    ->RangeMultiplier(10)
    ->Range(1000, 10000000)
    ->Unit(benchmark::kMicrosecond)
    ->UseManualTime()
    ->Iterations(10);
BENCHMARK(reset_threads)->RangeMultiplier(4)->Range(1, 64)->Unit(benchmark::kMicrosecond);

} // namespace

BENCHMARK_MAIN();
