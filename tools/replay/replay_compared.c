/* Replays against several allocators, or under several configs, in turn: each in a process of its own, round after round. */
#include "replay.h"

#include "child.h"
#include "command.h"
#include "input_path.h"
#include "interrupt.h"
#include "promise.h"
#include "replay_report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS_DEFAULT = 5 };

struct comparison {
    size_t count;
    uint64_t rounds;
    struct contender contenders[CONTENDERS_MOST];
};

static bool is_library(const char *name)
{
    size_t length = strlen(name);
    return strstr(name, ".so.") || (length > 3 && !strcmp(name + length - 3, ".so"));
}

static bool add_contender(struct comparison *comparison, const char *name, bool config)
{
    if (comparison->count == CONTENDERS_MOST)
        return false;
    struct contender *contender = &comparison->contenders[comparison->count++];
    bool keyslab = !config && (!strcmp(name, "keyslab") || !strcmp(name, "default"));
    bool other = !config && !keyslab && (!strcmp(name, "malloc") || is_library(name));
    *contender = (struct contender){
        .name = name,
        .allocator = other ? name : "keyslab",
        .config_name = keyslab || other ? NULL : name,
        .promise = -1,
    };
    return true;
}

static int list_contenders(const struct replay_options *options, struct comparison *comparison)
{
    bool room = options->compare || add_contender(comparison, options->configs_count ? "default" : "keyslab", false);
    char *rest = NULL;
    for (char *name = options->compare ? strtok_r(options->compare, ",", &rest) : NULL; room && name;
         name = strtok_r(NULL, ",", &rest))
        room = add_contender(comparison, name, false);
    for (size_t i = 0; room && i < options->configs_count; i++)
        room = add_contender(comparison, options->configs[i], true);
    if (!room)
        return usage_error("replay", "more than %d to compare", CONTENDERS_MOST);
    if (options->compare && comparison->count < 2)
        return usage_error("replay", "--compare: expected two allocators or more, with commas between them");
    return EXIT_DONE;
}

/* All errors of all files are told. */
static bool read_configs(struct comparison *comparison)
{
    bool good = true;
    for (size_t i = 0; i < comparison->count; i++) {
        struct contender *contender = &comparison->contenders[i];
        if (!contender->config_name)
            continue;
        contender->path = input_path(contender->config_name);
        contender->config = contender->path ? replay_config(contender->config_name, contender->path) : NULL;
        good = contender->config && good;
    }
    return good;
}

static bool promise_all(const struct replay_options *options, struct comparison *comparison)
{
    static struct tally tally;
    bool good = promise_read(options->trace_name, options->trace, options->salvage, &tally);
    for (size_t i = 0; good && i < comparison->count; i++)
        if (!strcmp(comparison->contenders[i].allocator, "keyslab"))
            comparison->contenders[i].promise = promise_of(&tally, comparison->contenders[i].config);
    tally_close(&tally);
    return good;
}

static json_t *replay_apart(const struct replay_options *options, const struct contender *contender, bool weigh)
{
    const struct child child = {
        .trace = options->trace,
        .allocator = contender->allocator,
        .config = contender->path,
        .threads = options->threads,
        .salvage = options->salvage,
        .weigh = weigh,
    };
    bool late;
    return child_run(&child, &late);
}

static bool take_round(const struct replay_options *options, struct contender *contender, uint64_t round)
{
    json_t *outcome = replay_apart(options, contender, false);
    if (!outcome)
        return false;
    json_decref(contender->last);
    contender->last = outcome;
    contender->nanoseconds[round] = number_of(outcome, "ns_an_operation");
    contender->resident_peak[round] = number_of(outcome, "resident_peak");
    contender->resident_end[round] = number_of(outcome, "resident_end");
    return true;
}

static bool weigh_all(const struct replay_options *options, struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->count; i++) {
        progress("what blocks hold: %s", comparison->contenders[i].name);
        comparison->contenders[i].weighed = replay_apart(options, &comparison->contenders[i], true);
        if (!comparison->contenders[i].weighed)
            return false;
    }
    return true;
}

/* All that were asked for; fewer after a complaint, or when a signal has come. */
static uint64_t take_rounds(const struct replay_options *options, struct comparison *comparison)
{
    for (uint64_t round = 0; round < comparison->rounds; round++)
        for (size_t i = 0; i < comparison->count; i++) {
            progress("round %" PRIu64 " of %" PRIu64 ": %s", round + 1, comparison->rounds,
                     comparison->contenders[i].name);
            if (!take_round(options, &comparison->contenders[i], round))
                return round;
        }
    return comparison->rounds;
}

/* False where there is nothing to report. A signal ends the rounds: those that are whole are reported. */
static bool measure_all(const struct replay_options *options, struct comparison *comparison)
{
    interrupt_catch(NULL);
    uint64_t rounds = weigh_all(options, comparison) ? take_rounds(options, comparison) : 0;
    progress_end();
    interrupt_report();
    if (interrupted() && !rounds)
        interrupt_die();
    if (interrupted())
        complain("interrupted: the report is of %" PRIu64 " rounds of %" PRIu64, rounds, comparison->rounds);
    else if (rounds < comparison->rounds)
        return false;
    comparison->rounds = rounds;
    return true;
}

static int compare_numbers(const void *left, const void *right)
{
    const double *a = left;
    const double *b = right;
    return (*a > *b) - (*a < *b);
}

/* Sorted: the middle one is the median. */
static void sort_rounds(struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->count; i++) {
        struct contender *it = &comparison->contenders[i];
        qsort(it->nanoseconds, comparison->rounds, sizeof *it->nanoseconds, compare_numbers);
        qsort(it->resident_peak, comparison->rounds, sizeof *it->resident_peak, compare_numbers);
        qsort(it->resident_end, comparison->rounds, sizeof *it->resident_end, compare_numbers);
    }
}

static int report(const struct replay_options *options, const struct comparison *comparison)
{
    const struct contender *first = comparison->contenders;
    if (options->json) {
        json_t *json = comparison->count > 1 ? contenders_json(first, comparison->count, comparison->rounds)
                                             : json_pack("{s:f, s:O}", "predicted", first->promise, "measured",
                                                         json_object_get(first->weighed, "measured"));
        if (comparison->count == 1) {
            json_object_update_missing(json, first->weighed);
            json_object_update(json, first->last);
            json_object_set(json, "inside_blocks", json_object_get(first->weighed, "inside_blocks"));
            json_object_set(json, "classes", json_object_get(first->weighed, "classes"));
        }
        return json_print(json, JSON_FLAGS) ? EXIT_DONE : EXIT_FAILED;
    }
    if (comparison->count > 1)
        print_contenders(first, comparison->count, comparison->rounds);
    else
        print_outcome(options->trace_name, first->last, first->weighed, first->promise);
    return EXIT_DONE;
}

int replay_compared(const struct replay_options *options)
{
    static struct comparison comparison;
    int status = list_contenders(options, &comparison);
    if (status)
        return status;
    comparison.rounds = options->rounds ? options->rounds : comparison.count > 1 ? ROUNDS_DEFAULT : 1;
    if (!read_configs(&comparison) || !promise_all(options, &comparison) || !measure_all(options, &comparison))
        return EXIT_FAILED;
    sort_rounds(&comparison);
    status = report(options, &comparison);
    for (size_t i = 0; i < comparison.count; i++) {
        json_decref(comparison.contenders[i].last);
        json_decref(comparison.contenders[i].weighed);
        free(comparison.contenders[i].config);
    }
    return status;
}
