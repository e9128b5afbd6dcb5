/*
 * DPDK's rte_mempool: blocks of one size, as many as were asked for before, with a cache for each thread. Without huge
 * pages, devices, telemetry and a socket, so that it runs anywhere.
 */
#ifndef BENCH_PEERS_DPDK_H
#define BENCH_PEERS_DPDK_H

#include "../allocator.h"
#include "../place.h"
#include "../require.h"

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_mempool.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace bench
{

class Peer : public Traits
{
    /* The whole of DPDK, once for the process; its files are in a folder that goes with it. */
    class Environment
    {
        char folder[32] = "/tmp/keyslab-bench-XXXXXX";

      public:
        Environment()
        {
            require(mkdtemp(folder), "dpdk: no folder for its files");
            setenv("RUNTIME_DIRECTORY", folder, 1);
            setenv("XDG_RUNTIME_DIR", folder, 1);
            std::string core = "0@" + std::to_string(processors().empty() ? 0 : processors().front());
            const char *arguments[] = {"bench",       "--no-huge", "--no-pci", "--no-telemetry",
                                       "--no-shconf", "-m",        "1024",     "--log-level=lib.eal:error",
                                       "--lcores",    core.c_str()};
            int count = static_cast<int>(std::size(arguments));
            require(rte_eal_init(count, const_cast<char **>(arguments)) >= 0, "dpdk: rte_eal_init failed");
        }
        ~Environment()
        {
            rte_eal_cleanup();
            std::error_code ignored;
            std::filesystem::remove_all(folder, ignored);
        }
    };

    rte_mempool *pool;

  public:
    static constexpr bool any_size = false;
    static constexpr bool shared = true;
    static constexpr bool frees_away = true;

    /* Gives the thread a number, without which it has no cache. The first thread has one. */
    struct Thread {
        bool registered = rte_lcore_id() == LCORE_ID_ANY && rte_thread_register() == 0;
        ~Thread()
        {
            if (registered)
                rte_thread_unregister();
        }
    };

    explicit Peer(const Need &need)
    {
        static Environment environment;
        static unsigned number;
        std::string name = "pool" + std::to_string(number++);
        /* A cache holds one and a half times its size at the most, and asks the pool for its size beyond a burst. */
        unsigned count = static_cast<unsigned>(need.live + need.threads * 3 * RTE_MEMPOOL_CACHE_MAX_SIZE);
        pool = rte_mempool_create(name.c_str(), count, static_cast<unsigned>(need.size), RTE_MEMPOOL_CACHE_MAX_SIZE, 0,
                                  nullptr, nullptr, nullptr, nullptr, SOCKET_ID_ANY, 0);
        require(pool, "dpdk: rte_mempool_create failed");
    }
    ~Peer()
    {
        rte_mempool_free(pool);
    }
    Peer(const Peer &) = delete;
    Peer &operator=(const Peer &) = delete;

    void *allocate(size_t)
    {
        void *block;
        return rte_mempool_get(pool, &block) == 0 ? block : nullptr;
    }
    void release(void *block)
    {
        rte_mempool_put(pool, block);
    }
    void allocate_bulk(size_t, void **blocks, size_t count)
    {
        require(rte_mempool_get_bulk(pool, blocks, static_cast<unsigned>(count)) == 0, "dpdk: the pool is empty");
    }
    void release_bulk(void **blocks, size_t count)
    {
        rte_mempool_put_bulk(pool, blocks, static_cast<unsigned>(count));
    }
};

} // namespace bench

#endif
