/* Wireshark's wmem, the allocator of its packet scope: a free does nothing, all goes at once. */
#ifndef BENCH_PEERS_WMEM_BLOCK_FAST_H
#define BENCH_PEERS_WMEM_BLOCK_FAST_H

#include "wmem.h"

namespace bench
{

class Peer : public Wmem
{
  public:
    static constexpr bool frees = false;

    explicit Peer(const Need &) : Wmem(WMEM_ALLOCATOR_BLOCK_FAST)
    {
    }
};

} // namespace bench

#endif
