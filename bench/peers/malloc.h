/* The program's malloc: glibc's, or that of a library which the program is started with (LD_PRELOAD). */
#ifndef BENCH_PEERS_MALLOC_H
#define BENCH_PEERS_MALLOC_H

#include "../allocator.h"

#include <cstdlib>
#include <malloc.h>

namespace bench
{

class Peer : public Traits
{
  public:
    static constexpr bool shared = true;
    static constexpr bool frees_away = true;

    explicit Peer(const Need &)
    {
    }
    void *allocate(size_t size)
    {
        return malloc(size);
    }
    void release(void *block)
    {
        free(block);
    }
    void *resize(void *block, size_t size)
    {
        return realloc(block, size);
    }
    /* glibc's own; what is preloaded may define it too. */
    void purge()
    {
        malloc_trim(0);
    }
};

} // namespace bench

#endif
