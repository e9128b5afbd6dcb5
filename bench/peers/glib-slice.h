/* GLib's slices (allocators of their own up to GLib 2.74): one size for each instance, which a free has to tell. */
#ifndef BENCH_PEERS_GLIB_SLICE_H
#define BENCH_PEERS_GLIB_SLICE_H

#include "../allocator.h"
#include "../require.h"

#include <glib.h>

namespace bench
{

class Peer : public Traits
{
    const size_t size;

  public:
    static constexpr bool any_size = false;
    static constexpr bool shared = true;
    static constexpr bool frees_away = true;

    explicit Peer(const Need &need) : size(need.size)
    {
    }
    void *allocate(size_t)
    {
        return g_slice_alloc(size);
    }
    void release(void *block)
    {
        g_slice_free1(size, block);
    }
};

} // namespace bench

#endif
