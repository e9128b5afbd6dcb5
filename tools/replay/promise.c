#include "promise.h"

#include "command.h"

#include <stdlib.h>
#include <string.h>

bool promise_read(const char *trace, bool salvage, struct tunings *tunings)
{
    static struct tally tally;
    struct source source = {.path = trace};
    bool good = source_read_trace(&(struct source_options){.salvage = salvage}, &tally, &source);
    if (good && tally.full) {
        complain("%s: out of memory, or more than %d keys", trace, KEYS_MOST);
        good = false;
    }
    good = good && tuning_weigh(&tally, &(struct tuning_options){0}, tunings);
    tally_close(&tally);
    return good;
}

static void table_of(const struct config *config, const char *key, struct size_table *table)
{
    struct settings settings;
    config_settings(config, key, &settings);
    table->count = settings.sizes_count;
    memcpy(table->bytes, settings.sizes, settings.sizes_count * sizeof *table->bytes);
}

double promise_of(const struct tunings *tunings, const struct config *config)
{
    struct spending sum = {0};
    bool by_time = false;
    for (uint32_t i = 0; i < tunings->count; i++)
        by_time = by_time || tunings->tunings[i].by_time;
    for (uint32_t i = 0; i < tunings->count; i++) {
        const struct tuning *tuning = &tunings->tunings[i];
        struct size_table table;
        if (tuning->by_time != by_time)
            continue; /* its blocks lived for no time */
        table_of(config, tuning->unnamed ? "" : tuning->name, &table);
        struct spending spending = spend(&tuning->all, &table, 0);
        sum.asked += spending.asked;
        sum.internal += spending.internal;
    }
    return internal_part(&sum);
}
