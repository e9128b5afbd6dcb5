/* Bursts of pointers from one thread to one other: what a frame travels through, in all workloads with a hand-over. */
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>

namespace bench
{

/* With its count a slot is four lines. */
constexpr size_t burst_most = 31;

struct Burst {
    size_t count = 0;
    void *frames[burst_most];
};

/* Waits on the processor for a moment, then lets another thread have it. */
class Patience
{
    unsigned spins = 0;

  public:
    void wait()
    {
        if (++spins % 64) {
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        } else {
            std::this_thread::yield();
        }
    }
};

class Ring
{
  public:
    static constexpr size_t slots_count = 32;

  private:
    struct alignas(64) Slot {
        std::atomic<size_t> count{0}; /* frames, 0 for an empty slot */
        void *frames[burst_most];
    };
    Slot slots[slots_count];
    alignas(64) size_t head = 0; /* the sender's */
    alignas(64) size_t tail = 0; /* the receiver's */

  public:
    void send(const Burst &burst)
    {
        Slot &slot = slots[head++ % slots_count];
        for (Patience patience; slot.count.load(std::memory_order_acquire);)
            patience.wait();
        std::copy(burst.frames, burst.frames + burst.count, slot.frames);
        slot.count.store(burst.count, std::memory_order_release);
    }

    /* False where nothing is there. */
    bool try_receive(Burst &burst)
    {
        Slot &slot = slots[tail % slots_count];
        burst.count = slot.count.load(std::memory_order_acquire);
        if (!burst.count)
            return false;
        std::copy(slot.frames, slot.frames + burst.count, burst.frames);
        slot.count.store(0, std::memory_order_release);
        tail++;
        return true;
    }
};

} // namespace bench

#endif
