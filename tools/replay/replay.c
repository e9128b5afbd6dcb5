/* `keyslab replay`: a trace's allocations done again, against the library under configs, and against other allocators. */
#include "allocator.h"
#include "child.h"
#include "command.h"
#include "crew.h"
#include "input_path.h"
#include "interrupt.h"
#include "json.h"
#include "promise.h"
#include "replay_report.h"

#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS_DEFAULT = 5, CONTENDERS_MOST = 16 };

#define JSON_FLAGS (JSON_INDENT(2) | JSON_REAL_PRECISION(12))

struct replay_options {
    const char *trace_name; /* as it was named */
    const char *trace;      /* under which it can be opened: input_path.h */
    const char *peer;
    char *compare;
    const char *configs[CONTENDERS_MOST];
    size_t configs_count;
    uint64_t threads; /* 0: as many as the trace has */
    uint64_t rounds;  /* 0: the default */
    bool salvage;
    bool weigh;
    bool quiet;
    bool json;
};

static void print_help(void)
{
    puts("usage: keyslab replay [OPTION]... TRACE\n"
         "\n"
         "Does again what a trace tells, thread by thread, against the library: each key of\n"
         "the trace is a key of that name. Measures the time, what memory is resident, and\n"
         "what is lost inside blocks, beside what 'keyslab tune' predicts of it. Each block\n"
         "is written to once a page. A config's 'trace = on' is left out: nothing is\n"
         "recorded. For TRACE and for FILE, - is standard input.\n"
         "\n"
         "options:\n"
         "  -C, --config FILE     compare the built-in settings with those of a config file;\n"
         "                        may be given several times\n"
         "  -c, --compare A,B...  compare these, and the files of --config behind them:\n"
         "                          default, keyslab     the library, built-in settings\n"
         "                          malloc               the C library's\n"
         "                          a name with .so in   a shared library to preload, such\n"
         "                                               as libjemalloc.so.2\n"
         "                          any other name       the library with that config file\n"
         "                        in turn, in processes of their own, round after round; the\n"
         "                        first is what the others are compared with\n"
         "  -r, --rounds N        of a comparison; default 5\n"
         "  -p, --peer NAME       only that, in this process: 'keyslab', with --config if you\n"
         "                        like, or 'malloc', which a preloaded library may be\n"
         "      --weigh           with --peer: ask every block what it can hold, not one of\n"
         "                        seventeen; no time to compare\n"
         "  -q, --quiet           with --peer: a good config file is used without a message of\n"
         "                        what has no effect\n"
         "  -t, --threads N       the trace's threads are dealt out to so many, up to 64;\n"
         "                        default as many as the trace has\n"
         "      --salvage         replay what can be read of a damaged or cut trace\n"
         "  -j, --json            print one JSON object instead\n"
         "  -h, --help            print this\n"
         "\n"
         "SIGINT (Ctrl-C), SIGTERM and SIGHUP end a comparison, with a report of the rounds\n"
         "that are whole.\n"
         "\n"
         "Exit status: 0, 1 where the trace or a config could not be read, a replay failed or\n"
         "the report could not be written, 2 for a bad command line, 128 and the signal's\n"
         "number for a comparison that a signal ended.");
}

static int parse_options(int argc, char **argv, struct replay_options *options)
{
    enum { SALVAGE = 256, WEIGH };
    static const struct option names[] = {
        {"peer", required_argument, NULL, 'p'},
        {"compare", required_argument, NULL, 'c'},
        {"config", required_argument, NULL, 'C'},
        {"rounds", required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 't'},
        {"salvage", no_argument, NULL, SALVAGE},
        {"weigh", no_argument, NULL, WEIGH},
        {"json", no_argument, NULL, 'j'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "p:c:C:r:t:qjh", names, NULL)) != -1) {
        switch (option) {
        case 'p':
            options->peer = optarg;
            break;
        case 'c':
            options->compare = optarg;
            break;
        case 'C':
            if (options->configs_count == CONTENDERS_MOST)
                return usage_error("replay", "--config %s: more than %d files", optarg, CONTENDERS_MOST);
            options->configs[options->configs_count++] = optarg;
            break;
        case 'r':
            if (!parse_number("--rounds", optarg, 1, ROUNDS_MOST, &options->rounds))
                return EXIT_USAGE;
            break;
        case 't':
            if (!parse_number("--threads", optarg, 1, WORKERS_MOST, &options->threads))
                return EXIT_USAGE;
            break;
        case SALVAGE:
            options->salvage = true;
            break;
        case WEIGH:
            options->weigh = true;
            break;
        case 'q':
            options->quiet = true;
            break;
        case 'j':
            options->json = true;
            break;
        case 'h':
            print_help();
            exit(EXIT_DONE);
        default:
            return try_help("replay");
        }
    }
    if (optind + 1 != argc)
        return usage_error("replay", optind == argc ? "no trace named" : "more than one trace named");
    options->trace_name = argv[optind];
    options->trace = input_path(options->trace_name);
    return options->trace ? EXIT_DONE : EXIT_FAILED;
}

/* ------------------------------------------------------------------ one, in this process */

static struct trace_reader *open_trace(const struct replay_options *options)
{
    struct trace_error error;
    struct trace_reader *reader = trace_open(options->trace, options->salvage, &error);
    if (*error.text)
        complain("%s: %s%s", input_path_shown(options->trace_name), error.text,
                 !reader && error.salvageable ? "; --salvage replays what is before" : "");
    return reader;
}

static uint32_t workers_for(const struct replay_options *options, const struct trace_reader *reader)
{
    uint64_t threads = options->threads ? options->threads : trace_threads(reader);
    if (threads > WORKERS_MOST)
        threads = WORKERS_MOST;
    return threads ? (uint32_t)threads : 1;
}

/* The loader goes on without a library that it cannot preload: what was asked for would not be what is measured. */
static bool is_preloaded(const char *name)
{
    char line[PATH_MAX + 128];
    const char *slash = strrchr(name, '/');
    FILE *maps = fopen("/proc/self/maps", "r");
    bool found = false;
    while (maps && !found && fgets(line, sizeof line, maps))
        found = strstr(line, slash ? slash + 1 : name);
    if (maps)
        fclose(maps);
    if (!found)
        complain("%s: could not be preloaded", name);
    return found;
}

static bool all_preloaded(void)
{
    const char *list = getenv("LD_PRELOAD");
    char *names = strdup(list ? list : "");
    bool all = names;
    for (char *rest = NULL, *name = strtok_r(names, ": ", &rest); all && name; name = strtok_r(NULL, ": ", &rest))
        all = is_preloaded(name);
    free(names);
    return all;
}

static void tell(void *context, const char *text)
{
    (void)context;
    complain("%s", text);
}

static void tell_nothing(void *context, const char *text)
{
    (void)context, (void)text;
}

/* Where a good file asks for what a replay does not do: crew.c. */
static void tell_of_trace(const char *path, const struct config *config)
{
    for (uint32_t i = 0; i < config->count; i++) {
        const struct settings *settings = &config->sections[i].settings;
        if (settings->origins[SET_TRACE] && settings->values[SET_TRACE] == TRACE_ON)
            complain("%s:%" PRIu32 ": trace = on is left out: a replay is not recorded", path,
                     settings->origins[SET_TRACE]);
    }
}

/* All errors and warnings are told. NULL with errors. */
static struct config *read_config(const char *name, const char *path)
{
    struct config *config = calloc(1, sizeof *config);
    struct config_errors errors = {.path = input_path_shown(name), .tell = tell, .warn = tell};
    if (config && config_read(path, config, &errors)) {
        tell_of_trace(errors.path, config);
        return config;
    }
    if (!config)
        complain("out of memory for %s", input_path_shown(name));
    free(config);
    return NULL;
}

/* Of this process, whatever file the environment names: what is replayed is what was asked for, and that file is not read. */
static bool load_config(const struct replay_options *options)
{
    const char *name = options->configs_count ? options->configs[0] : NULL;
    const char *path = name ? input_path(name) : NULL;
    if (name && !path)
        return false;
    setenv("KEYSLAB_CONF", "", 1);
    bool good = ks_config_load(path, tell_nothing, NULL) == KS_OK;
    if (path && (!good || !options->quiet))
        free(read_config(name, path));
    return good;
}

static int replay_once(const struct replay_options *options)
{
    const struct allocator *allocator = !strcmp(options->peer, "keyslab")  ? &allocator_keyslab
                                        : !strcmp(options->peer, "malloc") ? &allocator_malloc
                                                                           : NULL;
    if (!allocator)
        return usage_error("replay", "--peer %s: expected keyslab or malloc", options->peer);
    if (options->configs_count > 1 || (options->configs_count && allocator == &allocator_malloc))
        return usage_error("replay", "--config: expected one at the most with --peer keyslab, and none with malloc");
    if (!load_config(options))
        return EXIT_FAILED;
    struct trace_reader *reader = all_preloaded() ? open_trace(options) : NULL;
    if (!reader)
        return EXIT_FAILED;
    static struct outcome outcome;
    bool good = crew_replay(input_path_shown(options->trace_name), reader, allocator, workers_for(options, reader),
                            options->weigh ? ASK_ALL : ASK_SOME, &outcome);
    trace_close(reader);
    if (!good)
        return EXIT_FAILED;
    json_t *json = outcome_json(allocator->name, &outcome, options->weigh);
    if (options->json)
        return json_print(json, JSON_FLAGS) ? EXIT_DONE : EXIT_FAILED;
    print_outcome(options->trace_name, json, NULL, -1);
    json_decref(json);
    return EXIT_DONE;
}

/* ------------------------------------------------------------------ several, each in a process of its own */

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
        contender->config = contender->path ? read_config(contender->config_name, contender->path) : NULL;
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

static int replay_compared(const struct replay_options *options)
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

static int replay(int argc, char **argv)
{
    struct replay_options options = {0};
    int status = parse_options(argc, argv, &options);
    if (status)
        return status;
    if (options.compare && options.peer)
        return usage_error("replay", "--peer is for one allocator, --compare for several");
    if (options.weigh && !options.peer)
        return usage_error("replay", "--weigh goes with --peer: a comparison weighs by itself");
    if (options.quiet && !options.peer)
        return usage_error("replay", "--quiet goes with --peer: a comparison says it once");
    return interrupt_status(options.peer ? replay_once(&options) : replay_compared(&options));
}

const struct command command_replay = {"replay", "do a trace's allocations again, and measure", replay};
