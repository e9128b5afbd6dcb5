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
    static unsigned make(const char *what)
    {
        unsigned index;
        size_t length = sizeof index;
        require(mallctl(what, &index, &length, nullptr, 0) == 0, "jemalloc: no arena, or no cache");
        return index;
    }

    struct Cache {
        unsigned index = make("tcache.create");

        Cache() = default;
        Cache(const Cache &) = delete;
        Cache &operator=(const Cache &) = delete;
        ~Cache()
        {
            mallctl("tcache.destroy", nullptr, nullptr, &index, sizeof index);
        }
        void empty()
        {
            require(mallctl("tcache.flush", nullptr, nullptr, &index, sizeof index) == 0,
                    "jemalloc: the cache was not emptied");
        }
    };

    unsigned arena = make("arenas.create");
    Cache cache;
    int flags = static_cast<int>(MALLOCX_ARENA(arena) | MALLOCX_TCACHE(cache.index));

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
    {
    }
    ~Peer()
    {
        cache.empty();
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
    /* Not by way of the thread's usual cache: its malloc would hand out what is to go with the arena. */
    static void release_away(void *block)
    {
        static thread_local Cache own;
        dallocx(block, MALLOCX_TCACHE(own.index));
    }
    void *resize(void *block, size_t size)
    {
        return rallocx(block, size, flags);
    }
    void drop()
    {
        cache.empty();
        with_arena("reset");
    }
    void purge()
    {
        with_arena("purge");
    }
};

} // namespace bench

#endif
