#include "search.h"

#include "child.h"
#include "command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 7, ROUNDS_FIRST = 3 /* after which a hopeless trial ends */, VALUES_MOST = 4, PATH_BYTES = 4096 };

#define KIB              ((uint64_t)1024)
#define FASTER           0.01 /* least gain of time that counts */
#define LEANER           0.02 /* least gain of memory that counts */
#define RESIDENT_ALLOWED 1.02 /* what a faster config may take more */
#define TRIALS_PART      0.8  /* of the time; the rest is for what all of it comes to */

/* What may be searched, in the order of the search, and the values that are tried. */
static const struct ladder {
    uint32_t setting;
    bool between_threads; /* says nothing where there is one */
    uint64_t values[VALUES_MOST];
} ladders[] = {
    {SET_MAGAZINE, false, {32, 16, 8}},
    {SET_MAGAZINE_BYTES, false, {32 * KIB, 64 * KIB, 256 * KIB, 512 * KIB}},
    {SET_OUTBOX, true, {4 * KIB, 64 * KIB, 256 * KIB}},
    {SET_FLUSH, true, {16, 256}},
};

enum { LADDERS = sizeof ladders / sizeof *ladders };

/* ------------------------------------------------------------------ options */

static bool add_setting(struct search_options *options, const char *name)
{
    for (uint32_t i = 0; i < LADDERS; i++)
        if (!strcmp(settings_table[ladders[i].setting].name, name)) {
            for (uint32_t have = 0; have < options->count; have++)
                if (options->settings[have] == ladders[i].setting)
                    return true;
            options->settings[options->count++] = ladders[i].setting;
            return true;
        }
    return false;
}

bool search_parse(const char *list, struct search_options *options)
{
    char names[256];
    options->count = 0;
    for (uint32_t i = 0; !list && i < LADDERS; i++)
        add_setting(options, settings_table[ladders[i].setting].name);
    if (!list)
        return true;
    snprintf(names, sizeof names, "%s", list);
    for (char *rest = NULL, *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
        if (!add_setting(options, name)) {
            complain("--search=%s: '%s': expected magazine, magazine bytes, outbox or flush, with commas between them",
                     list, name);
            return false;
        }
    if (!options->count)
        complain("--search=: expected magazine, magazine bytes, outbox or flush, with commas between them");
    return options->count;
}

static bool is_wanted(const struct search *search, const struct ladder *ladder)
{
    if (ladder->between_threads && search->one_thread)
        return false;
    for (uint32_t i = 0; i < search->options->count; i++)
        if (search->options->settings[i] == ladder->setting)
            return true;
    return false;
}

const struct trial *search_kept(const struct search *search, uint32_t tuning, uint32_t setting)
{
    for (uint32_t i = search ? search->count : 0; i-- > 0;) {
        const struct trial *trial = &search->trials[i];
        if (trial->kept && trial->tuning == tuning && trial->setting == setting)
            return trial;
    }
    return NULL;
}

/* ------------------------------------------------------------------ a series of rounds */

struct work {
    struct search *search;
    const struct tunings *tunings;
    bool (*write)(void *context, const char *path);
    void *context;
    char plain[PATH_BYTES]; /* config files: without anything kept, the best that is known, the one that is tried */
    char best[PATH_BYTES];
    char tried[PATH_BYTES];
    double deadline;
    bool broken;
};

/* Ratios of one config to another, round by round. */
struct series {
    uint32_t rounds;
    double time[ROUNDS];
    double resident[ROUNDS];
};

static int compare_numbers(const void *left, const void *right)
{
    const double *a = left;
    const double *b = right;
    return (*a > *b) - (*a < *b);
}

static double sorted_at(const double *numbers, uint32_t count, uint32_t place)
{
    double sorted[ROUNDS];
    memcpy(sorted, numbers, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_numbers);
    return sorted[place];
}

static double median(const double *numbers, uint32_t count)
{
    return sorted_at(numbers, count, count / 2);
}

/* Half of the width of the middle half. */
static double noise(const double *numbers, uint32_t count)
{
    uint32_t edge = count / 4;
    return (sorted_at(numbers, count, count - 1 - edge) - sorted_at(numbers, count, edge)) / 2;
}

static bool gains(const double *ratios, uint32_t count, double least)
{
    double width = noise(ratios, count);
    return median(ratios, count) < 1 - (width > least ? width : least);
}

/* Faster without more memory, or less memory without being slower. */
static bool is_better(const struct series *series)
{
    uint32_t n = series->rounds;
    return (gains(series->time, n, FASTER) && median(series->resident, n) <= RESIDENT_ALLOWED) ||
           (gains(series->resident, n, LEANER) && median(series->time, n) <= 1);
}

static bool is_hopeless(const struct series *series)
{
    return series->rounds == ROUNDS_FIRST && median(series->time, ROUNDS_FIRST) >= 1 &&
           median(series->resident, ROUNDS_FIRST) > 1 - LEANER;
}

static bool replay_one(struct work *work, const char *config, double *time, double *resident)
{
    const struct child child = {
        .trace = work->search->options->trace,
        .allocator = "keyslab",
        .config = config,
        .salvage = work->search->options->salvage,
        .deadline = work->deadline,
    };
    bool late;
    json_t *json = child_run(&child, &late);
    work->search->late = work->search->late || late;
    work->broken = work->broken || (!json && !late);
    if (!json)
        return false;
    *time = number_of(json, "ns_an_operation");
    *resident = number_of(json, "resident_peak");
    json_decref(json);
    return true;
}

/* Each first in turn, so that neither has the advantage of it. False where the time is up, or a replay failed. */
static bool take_series(struct work *work, const char *config, const char *than, const char *what, bool all,
                        struct series *series)
{
    *series = (struct series){0};
    while (series->rounds < ROUNDS && (all || !is_hopeless(series))) {
        double time[2];
        double resident[2];
        const char *configs[2] = {config, than};
        uint32_t first = series->rounds % 2;
        progress("search: %s, round %" PRIu32 " of %d; %.0f s left", what, series->rounds + 1, ROUNDS,
                 work->deadline - clock_seconds());
        if (!replay_one(work, configs[first], &time[first], &resident[first]) ||
            !replay_one(work, configs[!first], &time[!first], &resident[!first]))
            return false;
        series->time[series->rounds] = time[1] > 0 ? time[0] / time[1] : 1;
        series->resident[series->rounds++] = resident[1] > 0 ? resident[0] / resident[1] : 1;
    }
    return true;
}

/* ------------------------------------------------------------------ trials */

/* Two series, of which the first has to tempt and the second to confirm. False where the search has to end. */
static bool judge(struct work *work, struct trial *trial)
{
    char what[SETTING_TEXT * 2];
    char value[SETTING_TEXT];
    struct series series;
    const struct setting *setting = &settings_table[trial->setting];
    const char *key = work->tunings->tunings[trial->tuning].name;
    snprintf(what, sizeof what, "%s: %s = %s", key ? key : "all keys", setting->name,
             setting_format(setting, trial->value, value));
    for (uint32_t turn = 0; turn < 2; turn++) {
        if (!take_series(work, work->tried, work->best, what, turn, &series))
            return false;
        trial->rounds += series.rounds;
        trial->time = median(series.time, series.rounds);
        trial->noise = noise(series.time, series.rounds);
        trial->resident = median(series.resident, series.rounds);
        if (series.rounds < ROUNDS || !is_better(&series))
            return true;
    }
    trial->kept = true;
    return true;
}

/* False where the search has to end; then the trial counts for nothing. */
static bool try_value(struct work *work, uint32_t tuning, uint32_t setting, uint64_t value)
{
    struct search *search = work->search;
    if (search->count == TRIALS_MOST) {
        search->late = true;
        return false;
    }
    struct trial *trial = &search->trials[search->count++];
    *trial = (struct trial){.tuning = tuning, .setting = setting, .value = value, .kept = true};
    bool written = work->write(work->context, work->tried);
    trial->kept = false;
    work->broken = !written;
    if (!written || !judge(work, trial)) {
        search->count--;
        return false;
    }
    if (trial->kept)
        work->broken = !work->write(work->context, work->best);
    return !work->broken;
}

static bool try_ladder(struct work *work, uint32_t tuning, const struct ladder *ladder)
{
    if (!tuning_has_section(&work->tunings->tunings[tuning]))
        return true;
    for (uint32_t i = 0; i < VALUES_MOST && ladder->values[i]; i++)
        if (!try_value(work, tuning, ladder->setting, ladder->values[i]))
            return false;
    return true;
}

/* The tuning with the most blocks of those that are not done; the first of equals. */
static uint32_t next_tuning(const struct tunings *tunings, const bool *done)
{
    uint32_t next = tunings->count;
    for (uint32_t i = 0; i < tunings->count; i++)
        if (!done[i] && (next == tunings->count || tunings->tunings[i].blocks > tunings->tunings[next].blocks))
            next = i;
    return next;
}

static void try_all(struct work *work)
{
    static bool done[KEYS_MOST];
    for (uint32_t i = 0; i < work->tunings->count; i++) {
        uint32_t tuning = next_tuning(work->tunings, done);
        done[tuning] = true;
        for (uint32_t ladder = 0; ladder < LADDERS; ladder++)
            if (is_wanted(work->search, &ladders[ladder]) && !try_ladder(work, tuning, &ladders[ladder]))
                return;
    }
}

/* All that is kept beside none of it. The time for it may be over. */
static void sum_up(struct work *work)
{
    struct search *search = work->search;
    bool any = false;
    for (uint32_t i = 0; i < search->count; i++)
        any = any || search->trials[i].kept;
    struct series series;
    if (!any || !take_series(work, work->best, work->plain, "all together", true, &series))
        return;
    search->time = median(series.time, series.rounds);
    search->noise = noise(series.time, series.rounds);
    search->resident = median(series.resident, series.rounds);
}

/* ------------------------------------------------------------------ the search */

static bool make_file(struct work *work, char *path, const char *name)
{
    const char *folder = getenv("TMPDIR");
    int length = snprintf(path, PATH_BYTES, "%s/keyslab-%s-XXXXXX", folder && *folder ? folder : "/tmp", name);
    int file = length < PATH_BYTES ? mkstemp(path) : -1;
    if (file < 0) {
        complain("%s: %s", path, strerror(errno));
        *path = '\0';
        return false;
    }
    close(file);
    return work->write(work->context, path);
}

static void remove_file(const char *path)
{
    if (*path)
        unlink(path);
}

bool search_run(struct search *search, const struct tunings *tunings, bool (*write)(void *context, const char *path),
                void *context)
{
    double start = clock_seconds();
    struct work work = {
        .search = search,
        .tunings = tunings,
        .write = write,
        .context = context,
        .deadline = start + TRIALS_PART * search->options->seconds,
    };
    work.broken = !make_file(&work, work.plain, "plain") || !make_file(&work, work.best, "best") ||
                  !make_file(&work, work.tried, "tried");
    if (!work.broken) {
        try_all(&work);
        work.deadline = start + search->options->seconds;
        if (!work.broken)
            sum_up(&work);
    }
    progress_end();
    remove_file(work.plain);
    remove_file(work.best);
    remove_file(work.tried);
    return !work.broken;
}
