/* mimalloc's first-class heaps: a heap belongs to a thread, any thread may free. */
#ifndef BENCH_PEERS_MIMALLOC_HEAP_H
#define BENCH_PEERS_MIMALLOC_HEAP_H

#include "../allocator.h"
#include "../require.h"

#include <mimalloc.h>

namespace bench
{

class Peer : public Traits
{
    mi_heap_t *heap = mi_heap_new();

  public:
    static constexpr bool frees_away = true;
    static constexpr size_t most_heaps = 65535;

    explicit Peer(const Need &)
    {
        require(heap, "mimalloc: no heap");
    }
    ~Peer()
    {
        mi_heap_destroy(heap);
    }
    Peer(const Peer &) = delete;
    Peer &operator=(const Peer &) = delete;

    void *allocate(size_t size)
    {
        return mi_heap_malloc(heap, size);
    }
    void release(void *block)
    {
        mi_free(block);
    }
    static void release_away(void *block)
    {
        mi_free(block);
    }
    void *resize(void *block, size_t size)
    {
        return mi_heap_realloc(heap, block, size);
    }
    void drop()
    {
        mi_heap_destroy(heap);
        heap = mi_heap_new();
        require(heap, "mimalloc: no heap");
    }
    void purge()
    {
        mi_collect(true);
    }
};

} // namespace bench

#endif
