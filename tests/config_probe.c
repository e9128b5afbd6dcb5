/*
 * For test_config_tool.py: creates a key of each name that it is given, and prints its quota, the bytes that a block of 100 really has,
 * and the same for a key with options of its own. A key that is named "misuse" is misused before. `--load FILE` before the names loads a
 * config first.
 */
#include <keyslab/keyslab.h>
#include <stdio.h>
#include <string.h>

static void print(const char *name, const struct ks_key_options *options)
{
    ks_key_t key;
    struct ks_key_stats stats;
    ks_status status = ks_key_create(options, &key);
    if (!strcmp(name, "misuse"))
        ks_free(key, (void *)8);
    if (status == KS_OK)
        status = ks_key_stats(key, &stats);
    if (status == KS_OK)
        printf("%s %llu %zu\n", name, (unsigned long long)stats.quota, ks_key_good_size(key, 100));
    else
        printf("%s %s\n", name, ks_strerror(status));
}

int main(int argc, char **argv)
{
    int first = argc > 2 && !strcmp(argv[1], "--load") ? 3 : 1;
    if (first == 3)
        printf("load %s\n", ks_strerror(ks_config_load(argv[2], NULL, NULL)));
    for (int i = first; i < argc; i++) {
        print(argv[i], &(struct ks_key_options){.name = argv[i]});
        print("option", &(struct ks_key_options){.name = argv[i], .quota = 1 << 20});
    }
    return 0;
}
