#include "promise.h"

#include "command.h"

#include <string.h>

bool promise_read(const char *name, const char *path, bool salvage, struct tally *tally)
{
    struct source source = {.name = name, .path = path};
    if (!source_read_trace(&(struct source_options){.salvage = salvage}, tally, &source))
        return false;
    if (tally->full)
        complain("%s: out of memory, or more than %d keys", path, KEYS_MOST);
    return !tally->full;
}

static void table_of(const struct config *config, const struct tally_key *key, struct size_table *table)
{
    struct settings settings;
    config_settings(config, key->unnamed ? "" : key->name, &settings);
    table->count = settings.sizes_count;
    memcpy(table->bytes, settings.sizes, settings.sizes_count * sizeof *table->bytes);
}

double promise_of(const struct tally *tally, const struct config *config)
{
    struct spending sum = {0};
    bool by_time = false;
    for (uint32_t i = 0; i < tally->keys_count; i++)
        by_time = by_time || tuning_by_time(&tally->keys[i]);
    for (uint32_t i = 0; i < tally->keys_count; i++) {
        const struct tally_key *key = &tally->keys[i];
        struct size_table table;
        if (tuning_by_time(key) != by_time)
            continue; /* its blocks lived for no time */
        table_of(config, key, &table);
        struct spending spending = tuning_spend(key, by_time, &table);
        sum.asked += spending.asked;
        sum.internal += spending.internal;
    }
    return internal_part(&sum);
}
