/* talloc: blocks below a context. One thread. */
#ifndef BENCH_PEERS_TALLOC_H
#define BENCH_PEERS_TALLOC_H

#include "../allocator.h"
#include "../require.h"

extern "C" {
#include <talloc.h>
}

namespace bench
{

class Peer : public Traits
{
    void *context = talloc_new(nullptr);

  public:
    static constexpr bool drops_at_once = false;
    static constexpr size_t most_heaps = 65535;

    explicit Peer(const Need &)
    {
        require(context, "talloc: no context");
    }
    ~Peer()
    {
        talloc_free(context);
    }
    Peer(const Peer &) = delete;
    Peer &operator=(const Peer &) = delete;

    void *allocate(size_t size)
    {
        return talloc_size(context, size);
    }
    void release(void *block)
    {
        require(talloc_free(block) == 0, "talloc: a free was refused");
    }
    void *resize(void *block, size_t size)
    {
        return talloc_realloc_size(context, block, size);
    }
    void drop()
    {
        talloc_free_children(context);
    }
};

} // namespace bench

#endif
