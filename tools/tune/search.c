#include "search.h"

#include "child.h"
#include "command.h"
#include "interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PATH_BYTES = 32, NAMES_BYTES = 256 };

#define TRIALS_PART 0.8 /* of the time; the rest is for what all of it comes to */

/* ------------------------------------------------------------------ options */

static bool has_setting(const struct search_options *options, uint32_t setting)
{
    for (uint32_t i = 0; i < options->count; i++)
        if (options->settings[i] == setting)
            return true;
    return false;
}

/* "slab, retain, outbox or flush". */
static char *names_join(char *text)
{
    size_t used = 0;
    for (uint32_t i = 0; i < GRID_SETTINGS; i++) {
        const char *between = !i ? "" : i + 1 < GRID_SETTINGS ? ", " : " or ";
        used += (size_t)snprintf(text + used, NAMES_BYTES - used, "%s%s", between, setting_name(grid[i].setting));
    }
    return text;
}

/* Each once, in the order in which they were named. False where the grid has no such setting. */
static bool add_setting(struct search_options *options, uint32_t setting)
{
    uint32_t i = 0;
    while (i < GRID_SETTINGS && grid[i].setting != setting)
        i++;
    if (i < GRID_SETTINGS && !has_setting(options, setting))
        options->settings[options->count++] = setting;
    return i < GRID_SETTINGS;
}

bool search_parse(const char *list, struct search_options *options)
{
    char names[NAMES_BYTES];
    char expected[NAMES_BYTES];
    options->count = 0;
    for (uint32_t i = 0; !list && i < GRID_SETTINGS; i++)
        add_setting(options, grid[i].setting);
    if (!list)
        return true;
    snprintf(names, sizeof names, "%s", list);
    for (char *rest = NULL, *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        if (!add_setting(options, setting_find(name))) {
            complain("--search=%s: '%s': expected %s, with commas between them", list, name, names_join(expected));
            return false;
        }
    }
    if (!options->count)
        complain("--search=: expected %s, with commas between them", names_join(expected));
    return options->count;
}

static bool is_wanted(const struct search *search, const struct grid_setting *tried)
{
    return !(tried->between_threads && search->one_thread) && has_setting(search->options, tried->setting);
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

/* A config file in memory, which ends with this process. Replays have its descriptor, and so its path. */
struct trial_config {
    FILE *file;
    char path[PATH_BYTES];
};

struct work {
    struct search *search;
    const struct tunings *tunings;
    void (*write)(void *context, FILE *file);
    void *context;
    struct trial_config plain; /* without anything kept */
    struct trial_config best;  /* that is known */
    struct trial_config tried;
    double deadline;
    bool broken;
};

static bool config_write(struct work *work, struct trial_config *config)
{
    rewind(config->file);
    bool written = !ftruncate(fileno(config->file), 0);
    if (written)
        work->write(work->context, config->file);
    written = written && !fflush(config->file) && !ferror(config->file);
    if (!written)
        complain("a config file in memory: %s", strerror(errno));
    return written;
}

static bool config_open(struct work *work, struct trial_config *config)
{
    int file = memfd_create("keyslab.conf", 0);
    config->file = file < 0 ? NULL : fdopen(file, "w");
    if (!config->file) {
        complain("a config file in memory: %s", strerror(errno));
        return false;
    }
    snprintf(config->path, sizeof config->path, "/proc/self/fd/%d", file);
    return config_write(work, config);
}

static void config_close(struct trial_config *config)
{
    if (config->file)
        fclose(config->file);
}

static bool replay_one(struct work *work, const struct trial_config *config, double *time, double *resident)
{
    const struct child child = {
        .trace = work->search->options->trace,
        .allocator = "keyslab",
        .config = config->path,
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
static bool take_series(struct work *work, const struct trial_config *config, const struct trial_config *than,
                        const char *what, bool all, struct series *series)
{
    *series = (struct series){0};
    while (series->rounds < ROUNDS && (all || !series_is_hopeless(series))) {
        double time[2];
        double resident[2];
        const struct trial_config *configs[2] = {config, than};
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
    struct series series;
    const char *key = work->tunings->tunings[trial->tuning].name;
    snprintf(what, sizeof what, "%s: %s = %s", key ? key : "all keys", setting_name(trial->setting), trial->value);
    for (uint32_t turn = 0; turn < 2; turn++) {
        if (!take_series(work, &work->tried, &work->best, what, turn, &series))
            return false;
        trial->rounds += series.rounds;
        trial->time = series_time(&series);
        trial->resident = series_resident(&series);
        if (series.rounds < ROUNDS || !series_is_better(&series)) {
            trial->verdict = turn ? "not confirmed" : series_verdict(&series);
            return true;
        }
    }
    trial->kept = true;
    trial->verdict = "kept";
    return true;
}

/* False where the search has to end; then the trial counts for nothing. */
static bool try_value(struct work *work, uint32_t tuning, uint32_t setting, const char *value)
{
    struct search *search = work->search;
    if (search->count == TRIALS_MOST) {
        search->late = true;
        return false;
    }
    struct trial *trial = &search->trials[search->count++];
    *trial = (struct trial){.tuning = tuning, .setting = setting, .value = value, .kept = true};
    bool written = config_write(work, &work->tried);
    trial->kept = false;
    work->broken = !written;
    if (!written || !judge(work, trial)) {
        search->count--;
        return false;
    }
    if (trial->kept)
        work->broken = !config_write(work, &work->best);
    return !work->broken;
}

/* All but the one that the section has already. */
static bool try_values(struct work *work, uint32_t tuning, const struct grid_setting *tried)
{
    char start[SETTING_TEXT];
    grid_start(tried->setting, &work->tunings->tunings[tuning], start);
    for (uint32_t i = 0; i < GRID_VALUES && tried->values[i]; i++) {
        const struct trial *kept = search_kept(work->search, tuning, tried->setting);
        if (strcmp(tried->values[i], kept ? kept->value : start) != 0 &&
            !try_value(work, tuning, tried->setting, tried->values[i]))
            return false;
    }
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
        if (!tuning_has_section(&work->tunings->tunings[tuning]))
            continue;
        for (const struct grid_setting *tried = grid; tried < grid + GRID_SETTINGS; tried++)
            if (is_wanted(work->search, tried) && !try_values(work, tuning, tried))
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
    if (!any || !take_series(work, &work->best, &work->plain, "all together", true, &series))
        return;
    search->time = series_time(&series);
    search->resident = series_resident(&series);
}

/* ------------------------------------------------------------------ the search */

static bool work_begin(struct work *work)
{
    return config_open(work, &work->plain) && config_open(work, &work->best) && config_open(work, &work->tried);
}

static void work_end(struct work *work)
{
    config_close(&work->plain);
    config_close(&work->best);
    config_close(&work->tried);
}

bool search_run(struct search *search, const struct tunings *tunings, void (*write)(void *context, FILE *file),
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
    interrupt_catch(NULL);
    work.broken = !work_begin(&work);
    if (!work.broken) {
        try_all(&work);
        work.deadline = start + search->options->seconds;
        if (!work.broken)
            sum_up(&work);
    }
    progress_end();
    interrupt_report();
    work_end(&work);
    return !work.broken;
}
