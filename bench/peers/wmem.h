/* What Wireshark's two wmem allocators have in common. One thread. */
#ifndef BENCH_PEERS_WMEM_H
#define BENCH_PEERS_WMEM_H

#include "../allocator.h"
#include "../require.h"

#include <wsutil/wmem/wmem.h>

namespace bench
{

class Wmem : public Traits
{
  protected:
    wmem_allocator_t *pool;

    explicit Wmem(wmem_allocator_type_t type)
    {
        static const bool ready = [] {
            wmem_init();
            return true;
        }();
        require(ready, "wmem: it did not start");
        pool = wmem_allocator_new(type);
    }
    ~Wmem()
    {
        wmem_destroy_allocator(pool);
    }

  public:
    Wmem(const Wmem &) = delete;
    Wmem &operator=(const Wmem &) = delete;

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
