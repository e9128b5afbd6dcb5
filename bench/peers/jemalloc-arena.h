/* jemalloc through mallocx: an arena of its own for each instance, with a thread cache of its own. */
#ifndef BENCH_PEERS_JEMALLOC_ARENA_H
#define BENCH_PEERS_JEMALLOC_ARENA_H

#include "../allocator.h"
#include "../require.h"

#include <jemalloc/jemalloc.h>

#include <string>

namespace bench
{

class Peer : public Traits
{
    unsigned arena;
    unsigned cache;
    int flags;

    static unsigned make(const char *what)
    {
        unsigned index;
        size_t length = sizeof index;
        require(mallctl(what, &index, &length, nullptr, 0) == 0, "jemalloc: no arena, or no cache");
        return index;
    }
    void with_cache(const char *what)
    {
        require(mallctl(what, nullptr, nullptr, &cache, sizeof cache) == 0, "jemalloc: the cache was not emptied");
    }
    void with_arena(const char *what)
    {
        std::string name = "arena." + std::to_string(arena) + "." + what;
        require(mallctl(name.c_str(), nullptr, nullptr, nullptr, 0) == 0, "jemalloc: the arena did not do that");
    }

  public:
    static constexpr bool frees_away = true;
    /* 4,095 are allowed, at 88 KiB each. */
    static constexpr size_t most_heaps = 1024;

    explicit Peer(const Need &)
        : arena(make("arenas.create")), cache(make("tcache.create")),
          flags(MALLOCX_ARENA(arena) | MALLOCX_TCACHE(cache))
    {
    }
    ~Peer()
    {
        with_cache("tcache.destroy");
        with_arena("destroy");
    }
    Peer(const Peer &) = delete;
    Peer &operator=(const Peer &) = delete;

    void *allocate(size_t size)
    {
        return mallocx(size, flags);
    }
    void release(void *block)
    {
        dallocx(block, flags);
    }
    /* By way of the freeing thread's own cache. */
    static void release_away(void *block)
    {
        dallocx(block, 0);
    }
    void *resize(void *block, size_t size)
    {
        return rallocx(block, size, flags);
    }
    void drop()
    {
        with_cache("tcache.flush");
        with_arena("reset");
    }
    void purge()
    {
        with_arena("purge");
    }
};

} // namespace bench

#endif
