/* Wireshark's wmem, the allocator of its packet scope: a free does nothing, all goes at once. One thread. */
#ifndef BENCH_PEERS_WMEM_BLOCK_FAST_H
#define BENCH_PEERS_WMEM_BLOCK_FAST_H

#include "../allocator.h"
#include "../require.h"

#include <wsutil/wmem/wmem.h>

namespace bench
{

class Peer : public Traits
{
    wmem_allocator_t *pool;

  public:
    static constexpr bool frees = false;

    explicit Peer(const Need &)
    {
        static const bool ready = [] {
            wmem_init();
            return true;
        }();
        require(ready, "wmem: it did not start");
        pool = wmem_allocator_new(WMEM_ALLOCATOR_BLOCK_FAST);
    }
    ~Peer()
    {
        wmem_destroy_allocator(pool);
    }
    Peer(const Peer &) = delete;
    Peer &operator=(const Peer &) = delete;

    void *allocate(size_t size)
    {
        return wmem_alloc(pool, size);
    }
    void drop()
    {
        wmem_free_all(pool);
    }
    void purge()
    {
        wmem_gc(pool);
    }
};

} // namespace bench

#endif
