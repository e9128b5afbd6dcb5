#include "tuning.h"

#include "command.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double internal_part(const struct spending *spending)
{
    double taken = spending->asked + spending->internal;
    return taken > 0 ? spending->internal / taken : 0;
}

double overhead(const struct spending *spending)
{
    return spending->internal + spending->tails + spending->magazines;
}

double less(double spending, double than)
{
    return than > 0 ? 1 - spending / than : 0;
}

double avoidable_less(const struct tuning *tuning, unsigned row, unsigned than)
{
    double least = tuning->least.internal;
    return less(tuning->rows[row].all.internal - least, tuning->rows[than].all.internal - least);
}

/* No control characters, no blanks at the ends, and nothing that begins a comment. See docs/config.md. */
bool tuning_has_section(const struct tuning *tuning)
{
    const char *name = tuning->name;
    if (!name)
        return true;
    size_t length = strlen(name);
    if (tuning->unnamed || !length || name[0] == ' ' || name[length - 1] == ' ')
        return false;
    for (const char *at = name; *at; at++)
        if ((unsigned char)*at < ' ' || *at == '\x7f' || (*at == ' ' && (at[1] == '#' || at[1] == ';')))
            return false;
    return name[0] != '#' && name[0] != ';';
}

/* ------------------------------------------------------------------ weights */

/* Sizes are rounded up to multiples of `alignment`: the least that a class for them could have. */
static void add_counts(struct weights *weights, uint64_t duration, const struct counts *counts, bool by_time,
                       uint32_t alignment)
{
    double whole = (double)duration;
    for (uint32_t granule = 0; granule < GRANULES; granule++) {
        uint32_t rounded = (granule * GRANULE + alignment - 1) / alignment * alignment / GRANULE;
        uint32_t to = alignment > GRANULE ? rounded : granule;
        weights->weight[to] += by_time ? (double)counts->lifetime[granule] / whole : (double)counts->blocks[granule];
        weights->bytes[to] += by_time ? (double)counts->size_lifetime[granule] / whole : (double)counts->bytes[granule];
    }
}

/* What is there all the time weighs one on average over all of it, and half of that over a half. Blocks have no time. */
static void add_key(struct tuning *tuning, const struct tally_key *key)
{
    for (uint32_t half = 0; half < HALVES; half++) {
        tuning->halves[half].standing = tuning->by_time ? 1.0 / HALVES : 0;
        for (uint32_t shift = 0; shift < ALIGNMENTS; shift++) {
            if (!key->halves[shift])
                continue;
            const struct counts *counts = &key->halves[shift][half];
            add_counts(&tuning->all, key->duration, counts, tuning->by_time, 1u << shift);
            add_counts(&tuning->halves[half], key->duration, counts, tuning->by_time, 1u << shift);
            for (uint32_t granule = 0; granule < GRANULES; granule++)
                tuning->blocks += counts->blocks[granule];
        }
    }
    tuning->all.standing = tuning->by_time;
    tuning->large += key->large;
    tuning->large_bytes += key->large_bytes;
    tuning->peak_bytes += key->peak_bytes;
}

bool tuning_by_time(const struct tally_key *key)
{
    wide sum = 0;
    for (uint32_t shift = 0; shift < ALIGNMENTS; shift++)
        for (uint32_t granule = 0; key->halves[shift] && granule < GRANULES; granule++)
            sum += key->halves[shift][0].lifetime[granule] + key->halves[shift][1].lifetime[granule];
    return key->timed && key->duration && sum > 0;
}

static bool has_blocks(const struct tally_key *key)
{
    for (uint32_t shift = 0; shift < ALIGNMENTS; shift++)
        for (uint32_t granule = 0; key->halves[shift] && granule < GRANULES; granule++)
            if (key->halves[shift][0].blocks[granule] + key->halves[shift][1].blocks[granule])
                return true;
    return false;
}

/* From that half of the events on. */
static struct spending spend_key(const struct tally_key *key, bool by_time, const struct size_table *table,
                                 uint32_t first_half, uint32_t slab)
{
    static struct weights weights;
    struct spending sum = {0};
    for (uint32_t shift = 0; shift < ALIGNMENTS; shift++) {
        if (!key->halves[shift])
            continue;
        weights = (struct weights){.slab = slab};
        for (uint32_t half = first_half; half < HALVES; half++)
            add_counts(&weights, key->duration, &key->halves[shift][half], by_time, 1);
        struct spending part = spend_aligned(&weights, table, 1u << shift);
        sum.asked += part.asked;
        sum.internal += part.internal;
        sum.tails += part.tails;
    }
    return sum;
}

struct spending tuning_spend(const struct tally_key *key, bool by_time, const struct size_table *table)
{
    return spend_key(key, by_time, table, 0, SLAB);
}

/* ------------------------------------------------------------------ one tuning */

/* The weights know nothing of alignments but the rounded sizes; here each block gets the class that it would really have. */
static void spend_truly(const struct tuning *tuning, const struct size_table *table, uint32_t first_half,
                        struct spending *spending)
{
    spending->internal = spending->tails = 0;
    for (uint32_t i = 0; i < tuning->keys_count; i++) {
        if (!has_blocks(&tuning->keys[i]))
            continue;
        struct spending part = spend_key(&tuning->keys[i], tuning->by_time, table, first_half, tuning->all.slab);
        spending->internal += part.internal;
        spending->tails += part.tails;
    }
}

static void fill_row(const struct tuning *tuning, struct row *row, const char *name, const struct size_table *table,
                     const struct size_table *of_first_half, double threads)
{
    row->name = name;
    row->table = *table;
    row->all = spend(&tuning->all, table, threads);
    row->held = spend(&tuning->halves[1], of_first_half, threads);
    spend_truly(tuning, table, 0, &row->all);
    spend_truly(tuning, of_first_half, 1, &row->held);
}

/* The best table for these weights within the limits. False where there is none, or without memory. */
static bool best_table(const struct weights *seen, double unseen, const struct limits *limits, struct size_table *table)
{
    static struct size_table tables[CLASSES_MOST];
    static struct weights blended;
    blend(seen, unseen, &blended);
    uint32_t best = optimum(&blended, limits, NULL, tables);
    if (best)
        *table = tables[best - 1];
    return best;
}

/* The best table of `classes` or fewer where each thread's magazines count, or none's. */
static bool tuned_row(struct tuning *tuning, const struct tuning_options *options, unsigned row, const char *name,
                      uint32_t classes, double threads)
{
    struct size_table table;
    struct size_table of_first_half;
    struct limits limits = {.classes = classes, .step = options->limits.step, .threads = threads};
    if (!best_table(&tuning->halves[0], options->unseen, &limits, &of_first_half) ||
        !best_table(&tuning->all, options->unseen, &limits, &table)) {
        complain("out of memory for a tuning");
        return false;
    }
    fill_row(tuning, &tuning->rows[row], name, &table, &of_first_half, options->limits.threads);
    return true;
}

static bool tune(struct tuning *tuning, const struct tuning_options *options)
{
    static struct weights blended;
    double threads = options->limits.threads;
    struct limits limits = {.classes = CLASSES_MOST, .step = options->limits.step, .threads = threads};
    struct size_table plain;
    struct size_table jemalloc;
    table_default(&plain);
    table_jemalloc(&jemalloc);
    tuning->least = spend_least(&tuning->all);
    fill_row(tuning, &tuning->rows[ROW_DEFAULT], "default", &plain, &plain, threads);
    fill_row(tuning, &tuning->rows[ROW_JEMALLOC], "jemalloc's", &jemalloc, &jemalloc, threads);
    blend(&tuning->all, options->unseen, &blended);
    return optimum(&blended, &limits, tuning->costs, tuning->tables) &&
           tuned_row(tuning, options, ROW_TUNED, "tuned", options->limits.classes, threads) &&
           tuned_row(tuning, options, ROW_AS_DEFAULT, "inside, as default", plain.count, 0) &&
           tuned_row(tuning, options, ROW_AS_JEMALLOC, "inside, as jemalloc", jemalloc.count, 0);
}

/* ------------------------------------------------------------------ all of them */

static bool wanted(const struct tally_key *key, const struct tuning_options *options)
{
    return has_blocks(key) && (!options->only || !strcmp(key->name, options->only));
}

static bool complain_of_nothing(const struct tally *tally, const struct tuning_options *options)
{
    if (!options->only) {
        complain("no blocks of %d bytes or less: there is nothing to tune", SIZE_TOP);
        return false;
    }
    complain("--key %s: no block is of that key; the keys are:", options->only);
    for (uint32_t i = 0; i < tally->keys_count; i++)
        complain("    %s", tally->keys[i].name);
    return false;
}

/* Of the section that the table is for. */
static void set_slab(struct tuning *tuning, const struct config *config)
{
    struct settings settings;
    config_settings(config, tuning->name ? tuning->name : "", &settings);
    tuning->all.slab = (uint32_t)setting_slab(&settings);
    for (uint32_t half = 0; half < HALVES; half++)
        tuning->halves[half].slab = tuning->all.slab;
}

bool tune_all(const struct tally *tally, const struct tuning_options *options, struct tunings *tunings)
{
    bool by_time = !options->by_blocks;
    uint32_t keys = 0;
    for (uint32_t i = 0; i < tally->keys_count; i++)
        if (wanted(&tally->keys[i], options)) {
            keys++;
            by_time = by_time && (!options->joint || tuning_by_time(&tally->keys[i]));
        }
    *tunings = (struct tunings){0};
    if (!keys)
        return complain_of_nothing(tally, options);
    tunings->tunings = calloc(options->joint ? 1 : keys, sizeof *tunings->tunings);
    if (!tunings->tunings) {
        complain("out of memory for %u tunings", keys);
        return false;
    }
    for (uint32_t i = 0; i < tally->keys_count; i++) {
        const struct tally_key *key = &tally->keys[i];
        if (!wanted(key, options))
            continue;
        struct tuning *tuning = &tunings->tunings[options->joint ? 0 : tunings->count];
        tuning->name = options->joint ? NULL : key->name;
        tuning->unnamed = key->unnamed;
        tuning->keys = options->joint ? tally->keys : key;
        tuning->keys_count = options->joint ? tally->keys_count : 1;
        tuning->by_time = by_time && tuning_by_time(key);
        add_key(tuning, key);
        tunings->count += !options->joint || !tunings->count;
    }
    for (uint32_t i = 0; i < tunings->count; i++) {
        set_slab(&tunings->tunings[i], options->config);
        if (!tune(&tunings->tunings[i], options))
            return false;
    }
    return true;
}
