/* A plugin that uses keyslab. It is opened late, or is part of a program. */
#include <keyslab/keyslab.h>
#include <string.h>

int plugin_use(void);
int sqlite3_extension_init(void *database, char **message, const void *functions);

/* enum ks_backend, or 0 where something went wrong. */
int plugin_use(void)
{
    enum { BLOCKS = 100 };
    void *blocks[BLOCKS];
    ks_key_t key;
    struct ks_key_stats stats;
    if (ks_key_create(NULL, &key) != KS_OK)
        return 0;
    for (int i = 0; i < BLOCKS; i++) {
        size_t size = i % 10 ? 1500 : 200000;
        blocks[i] = ks_alloc(key, size, NULL);
        if (!blocks[i])
            return 0;
        memset(blocks[i], i, size);
    }
    for (int i = 0; i < BLOCKS; i += 2)
        if (ks_free(key, blocks[i]) != KS_OK)
            return 0;
    if (ks_key_stats(key, &stats) != KS_OK || stats.live != BLOCKS / 2 || ks_key_destroy(key) != KS_OK)
        return 0;
    return (int)stats.backend;
}

/* As sqlite3's .load calls it; 0 is its SQLITE_OK. */
int sqlite3_extension_init(void *database, char **message, const void *functions)
{
    (void)database, (void)message, (void)functions;
    return !plugin_use();
}
