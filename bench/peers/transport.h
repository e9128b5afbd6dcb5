/* No allocator: blocks that are there all the time. What it takes is the cost of the ring and of the frames' lines. */
#ifndef BENCH_PEERS_TRANSPORT_H
#define BENCH_PEERS_TRANSPORT_H

#include "../allocator.h"
#include "../table.h"

#include <cstdint>

namespace bench
{

class Peer : public Traits
{
    struct alignas(64) Line {
        uint8_t bytes[64];
    };
    const size_t stride; /* lines */
    Table<Line> memory;
    size_t next = 0;

  public:
    static constexpr bool any_size = false;
    static constexpr bool frees = false;
    static constexpr bool frees_away = true;

    explicit Peer(const Need &need) : stride((need.size + 63) / 64), memory(stride * need.live)
    {
    }
    void *allocate(size_t)
    {
        void *block = &memory[next];
        next = next + stride == memory.size() ? 0 : next + stride;
        return block;
    }
    void release(void *)
    {
    }
    static void release_away(void *)
    {
    }
};

} // namespace bench

#endif
