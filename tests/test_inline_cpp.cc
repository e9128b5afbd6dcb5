// keyslab/inline.h in C++: blocks of sizes that the compiler knows and does not know, allocated and freed.
#include <keyslab/inline.h>

#include <cstdio>
#include <vector>

int main()
{
    ks_key_t key = 0;
    if (ks_key_create(nullptr, &key) != KS_OK)
        return 1;
    std::vector<void *> blocks;
    for (size_t size = 0; size < 1000; size++) {
        blocks.push_back(ks_alloc(key, size, nullptr));
        blocks.push_back(ks_alloc(key, 576, nullptr));
    }
    size_t freed = 0;
    for (void *block : blocks)
        freed += block && ks_free(key, block) == KS_OK;
    struct ks_key_stats stats;
    bool good = freed == blocks.size() && ks_key_stats(key, &stats) == KS_OK && stats.freed_local == freed;
    if (!good)
        std::fprintf(stderr, "%zu of %zu blocks were freed\n", freed, blocks.size());
    return ks_key_destroy(key) == KS_OK && good ? 0 : 1;
}
