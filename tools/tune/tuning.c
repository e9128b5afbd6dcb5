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
    return spending->internal + spending->tails + spending->partial;
}

double less(double spending, double than)
{
    return than > 0 ? 1 - spending / than : 0;
}

double internal_less(const struct tuning *tuning, unsigned row, unsigned than)
{
    return less(tuning->rows[row].all.internal, tuning->rows[than].all.internal);
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
    return spend_key(key, by_time, table, 0, SLAB_BYTES);
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

struct spending tuning_spend_all(const struct tuning *tuning, const struct size_table *table, double threads)
{
    struct spending sum = spend(&tuning->all, table, threads);
    spend_truly(tuning, table, 0, &sum);
    return sum;
}

static void fill_row(const struct tuning *tuning, struct row *row, const char *name, const struct size_table *table,
                     const struct size_table *of_first_half, double threads)
{
    row->name = name;
    row->table = *table;
    row->all = tuning_spend_all(tuning, table, threads);
    row->held = spend(&tuning->halves[1], of_first_half, threads);
    spend_truly(tuning, of_first_half, 1, &row->held);
}

/* ------------------------------------------------------------------ the best tables */

/* What a table is made for. */
struct sample {
    struct weights sizes; /* blocks that ask for an alignment as ones of their size rounded up */
    struct demand demand;
};

struct samples {
    struct sample first_half; /* of what was seen */
    struct sample all;
};

/* Of the first `halves` halves. */
static void take_sample(const struct tuning *tuning, uint32_t halves, double unseen, struct sample *sample)
{
    static struct weights weights;
    static struct weights blended;
    blend(halves == HALVES ? &tuning->all : &tuning->halves[0], unseen, &sample->sizes);
    sample->demand.count = 0;
    for (uint32_t shift = 0; shift < ALIGNMENTS; shift++) {
        bool asked = !shift;
        weights = (struct weights){.slab = sample->sizes.slab, .standing = sample->sizes.standing};
        for (uint32_t i = 0; i < tuning->keys_count; i++) {
            const struct tally_key *key = &tuning->keys[i];
            for (uint32_t half = 0; key->halves[shift] && half < halves && has_blocks(key); half++) {
                add_counts(&weights, key->duration, &key->halves[shift][half], tuning->by_time, 1);
                asked = true;
            }
        }
        blend(&weights, shift ? 0 : unseen, &blended);
        if (asked)
            demand_add(&sample->demand, 1u << shift, &blended);
    }
}

static uint32_t least_of(const double *costs, uint32_t count)
{
    uint32_t least = 0;
    for (uint32_t i = 1; i < count; i++)
        if (costs[i] < costs[least])
            least = i;
    return least;
}

/*
 * For each number of classes the best table within the limits. Where some blocks ask for an alignment, one that was found on the
 * grid of a higher one may have more classes that have it. False without memory.
 */
static bool best_tables(const struct sample *sample, struct limits limits, double *costs, struct size_table *tables)
{
    static struct size_table found[CLASSES_MOST];
    double found_costs[CLASSES_MOST];
    const struct demand *demand = &sample->demand;
    if (!optimum(&sample->sizes, &limits, costs, tables))
        return false;
    if (demand->count == 1)
        return true;
    for (uint32_t n = 0; n < limits.classes; n++)
        costs[n] = isfinite(costs[n]) ? demand_cost(demand, &tables[n], limits.threads) : costs[n];
    while ((limits.alignment *= 2) <= settings_table[SET_ALIGNMENT].most) {
        if (!optimum(&sample->sizes, &limits, found_costs, found))
            return false;
        for (uint32_t n = 0; n < limits.classes; n++) {
            double cost = isfinite(found_costs[n]) ? demand_cost(demand, &found[n], limits.threads) : INFINITY;
            if (cost >= costs[n])
                continue;
            costs[n] = cost;
            tables[n] = found[n];
        }
    }
    return true;
}

static bool best_table(const struct sample *sample, struct limits limits, struct size_table *table)
{
    static struct size_table tables[CLASSES_MOST];
    double costs[CLASSES_MOST];
    if (!best_tables(sample, limits, costs, tables))
        return false;
    *table = tables[least_of(costs, limits.classes)];
    demand_mend(&sample->demand, &limits, table);
    return true;
}

/* The same for each number of classes. */
static bool fill_curve(struct tuning *tuning, const struct sample *all, struct limits limits)
{
    limits.classes = CLASSES_MOST;
    if (!best_tables(all, limits, tuning->costs, tuning->tables))
        return false;
    for (uint32_t n = 0; n < CLASSES_MOST; n++)
        if (isfinite(tuning->costs[n])) {
            demand_mend(&all->demand, &limits, &tuning->tables[n]);
            tuning->costs[n] = demand_cost(&all->demand, &tuning->tables[n], limits.threads);
        }
    return true;
}

/* ------------------------------------------------------------------ rows */

/* The one of the curve that spends least. */
static bool chosen_row(struct tuning *tuning, const struct samples *samples, struct limits limits)
{
    struct size_table of_first_half;
    if (!best_table(&samples->first_half, limits, &of_first_half))
        return false;
    fill_row(tuning, &tuning->rows[ROW_TUNED], "tuned", &tuning->tables[least_of(tuning->costs, limits.classes)],
             &of_first_half, limits.threads);
    return true;
}

/* The least inside blocks: partial groups are left out. */
static bool inside_row(struct tuning *tuning, const struct samples *samples, unsigned row, const char *name,
                       struct limits limits, uint32_t classes)
{
    struct size_table table;
    struct size_table of_first_half;
    double threads = limits.threads;
    limits.classes = classes;
    limits.threads = 0;
    if (!best_table(&samples->first_half, limits, &of_first_half) || !best_table(&samples->all, limits, &table))
        return false;
    fill_row(tuning, &tuning->rows[row], name, &table, &of_first_half, threads);
    return true;
}

static bool aligned_row(struct tuning *tuning, const struct samples *samples, unsigned row, const char *name,
                        struct limits limits, uint32_t classes, uint32_t alignment)
{
    if (alignment >= limits.alignment)
        return true;
    limits.alignment = alignment;
    return inside_row(tuning, samples, row, name, limits, classes);
}

static bool tune(struct tuning *tuning, const struct tuning_options *options)
{
    static struct samples samples;
    struct limits limits = options->limits;
    limits.alignment = tuning->alignment;
    take_sample(tuning, 1, options->unseen, &samples.first_half);
    take_sample(tuning, HALVES, options->unseen, &samples.all);
    struct size_table plain;
    struct size_table jemalloc;
    table_default(&plain);
    table_jemalloc(&jemalloc);
    tuning->least = spend_least(&tuning->all, tuning->alignment);
    fill_row(tuning, &tuning->rows[ROW_DEFAULT], "default", &plain, &plain, limits.threads);
    fill_row(tuning, &tuning->rows[ROW_JEMALLOC], "jemalloc's", &jemalloc, &jemalloc, limits.threads);
    if (fill_curve(tuning, &samples.all, limits) && chosen_row(tuning, &samples, limits) &&
        inside_row(tuning, &samples, ROW_AS_DEFAULT, "inside, as default", limits, plain.count) &&
        inside_row(tuning, &samples, ROW_AS_JEMALLOC, "inside, as jemalloc", limits, jemalloc.count) &&
        aligned_row(tuning, &samples, ROW_AT_16, "inside, aligned 16", limits, plain.count, 16) &&
        aligned_row(tuning, &samples, ROW_AT_8, "inside, aligned 8", limits, plain.count, 8))
        return true;
    complain("out of memory for a tuning");
    return false;
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

/* Of the section that the table is for, as far as the options leave it open. */
static void set_settings(struct tuning *tuning, const struct tuning_options *options)
{
    struct settings settings;
    config_settings(options->config, tuning->name ? tuning->name : "", &settings);
    tuning->alignment = options->limits.alignment;
    if (!tuning->alignment)
        tuning->alignment = (uint32_t)settings.values[SET_ALIGNMENT];
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
        set_settings(&tunings->tunings[i], options);
        if (!tune(&tunings->tunings[i], options))
            return false;
    }
    return true;
}
