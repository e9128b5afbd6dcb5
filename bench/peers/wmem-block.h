/* Wireshark's wmem, the allocator of its file scope. */
#ifndef BENCH_PEERS_WMEM_BLOCK_H
#define BENCH_PEERS_WMEM_BLOCK_H

#include "wmem.h"

namespace bench
{

class Peer : public Wmem
{
  public:
    /* A block of 8 MiB each. */
    static constexpr size_t most_heaps = 256;

    explicit Peer(const Need &) : Wmem(WMEM_ALLOCATOR_BLOCK)
    {
    }
    void release(void *block)
    {
        wmem_free(pool, block);
    }
    void *resize(void *block, size_t size)
    {
        return wmem_realloc(pool, block, size);
    }
};

} // namespace bench

#endif
