/*
 * No allocator: frames that are there all the time, in turn. What a handoff of them takes is the cost of the ring and of
 * the frames' lines. With `ahead`, each allocation prefetches the first line of the frame so many turns later.
 */
#ifndef BENCH_PEERS_TRANSPORT_FRAMES_H
#define BENCH_PEERS_TRANSPORT_FRAMES_H

#include "../allocator.h"
#include "../table.h"

#include <cstdint>

namespace bench
{

template <size_t ahead> class TransportFrames : public Traits
{
    struct alignas(64) Line {
        uint8_t bytes[64];
    };
    const size_t stride; /* lines */
    Table<Line> memory;
    size_t next = 0;
    size_t fetched;

    size_t after(size_t line) const
    {
        return line + stride == memory.size() ? 0 : line + stride;
    }

  public:
    static constexpr bool any_size = false;
    static constexpr bool frees = false;
    static constexpr bool frees_away = true;

    explicit TransportFrames(const Need &need)
        : stride((need.size + 63) / 64), memory(stride * need.live), fetched(ahead % need.live * stride)
    {
    }
    void *allocate(size_t)
    {
        void *block = &memory[next];
        next = after(next);
        if constexpr (ahead) {
            __builtin_prefetch(&memory[fetched], 1);
            fetched = after(fetched);
        }
        return block;
    }
    static void release_away(void *)
    {
    }
};

} // namespace bench

#endif
