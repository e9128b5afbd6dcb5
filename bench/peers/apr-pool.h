/* An APR pool: blocks go only all at once. One thread. */
#ifndef BENCH_PEERS_APR_POOL_H
#define BENCH_PEERS_APR_POOL_H

#include "../allocator.h"
#include "../require.h"

#include <apr_general.h>
#include <apr_pools.h>

namespace bench
{

class Peer : public Traits
{
    apr_pool_t *pool = nullptr;

  public:
    static constexpr bool frees = false;

    explicit Peer(const Need &)
    {
        static const apr_status_t started = apr_initialize();
        require(started == APR_SUCCESS && apr_pool_create(&pool, nullptr) == APR_SUCCESS, "apr: no pool");
    }
    ~Peer()
    {
        apr_pool_destroy(pool);
    }
    Peer(const Peer &) = delete;
    Peer &operator=(const Peer &) = delete;

    void *allocate(size_t size)
    {
        return apr_palloc(pool, size);
    }
    void drop()
    {
        apr_pool_clear(pool);
    }
};

} // namespace bench

#endif
