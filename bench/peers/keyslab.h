/* keyslab: a key, used by any thread. */
#ifndef BENCH_PEERS_KEYSLAB_H
#define BENCH_PEERS_KEYSLAB_H

#include "../allocator.h"
#include "../require.h"

#include <keyslab/keyslab.h>

namespace bench
{

class Peer : public Traits
{
    ks_key_t key = 0;

  public:
    static constexpr bool shared = true;
    static constexpr bool frees_away = true;
    static constexpr size_t most_heaps = 65535;

    explicit Peer(const Need &)
    {
        require(ks_key_create(nullptr, &key) == KS_OK, "keyslab: no key");
    }
    ~Peer()
    {
        ks_key_destroy(key);
    }
    Peer(const Peer &) = delete;
    Peer &operator=(const Peer &) = delete;

    void *allocate(size_t size)
    {
        return ks_alloc(key, size, nullptr);
    }
    void release(void *block)
    {
        require(ks_free(key, block) == KS_OK, "keyslab: a free was refused");
    }
    void allocate_bulk(size_t size, void **blocks, size_t count)
    {
        require(ks_alloc_bulk(key, size, blocks, count, nullptr) == count, "keyslab: a bulk allocation failed");
    }
    void release_bulk(void **blocks, size_t count)
    {
        require(ks_free_bulk(key, blocks, count, nullptr) == count, "keyslab: a bulk free was refused");
    }
    void *resize(void *block, size_t size)
    {
        return ks_realloc(key, block, size, nullptr);
    }
    void drop()
    {
        require(ks_key_reset(key) == KS_OK, "keyslab: a reset was refused");
    }
    void purge()
    {
        require(ks_key_purge(key) == KS_OK, "keyslab: a purge was refused");
    }
    void flush()
    {
        ks_flush();
    }
};

} // namespace bench

#endif
