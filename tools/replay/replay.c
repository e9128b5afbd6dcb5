/* `keyslab replay`: a trace's allocations done again, against the library or another allocator. */
#include "allocator.h"
#include "command.h"
#include "crew.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS_DEFAULT = 5, ROUNDS_MOST = 1000, PEERS_MOST = 8 };

struct replay_options {
    const char *trace;
    const char *peer;
    char *compare;
    uint64_t threads; /* 0: as many as the trace has */
    uint64_t rounds;
    bool salvage;
    bool json;
};

static void print_help(void)
{
    puts("usage: keyslab replay [OPTION]... TRACE\n"
         "\n"
         "Does again what a trace tells, thread by thread, against the library: each key of\n"
         "the trace is a key. Measures the time, and what memory is resident. Each block is\n"
         "written to once a page.\n"
         "\n"
         "options:\n"
         "  -p, --peer NAME       against 'keyslab', or 'malloc': that of this process, which\n"
         "                        a preloaded library may be\n"
         "  -c, --compare A,B...  against each of these in turn, in processes of their own,\n"
         "                        round after round: keyslab, malloc, or the name of a shared\n"
         "                        library to preload, such as libjemalloc.so.2\n"
         "  -r, --rounds N        of --compare; default 5\n"
         "  -t, --threads N       the trace's threads are dealt out to so many, up to 64;\n"
         "                        default as many as the trace has\n"
         "      --salvage         replay what can be read of a damaged or cut trace\n"
         "  -j, --json            print one JSON object instead\n"
         "  -h, --help            print this\n"
         "\n"
         "Exit status: 0, 1 where the trace could not be read or a replay failed, 2 for a\n"
         "bad command line.");
}

static int parse_options(int argc, char **argv, struct replay_options *options)
{
    enum { SALVAGE = 256 };
    static const struct option names[] = {
        {"peer", required_argument, NULL, 'p'},   {"compare", required_argument, NULL, 'c'},
        {"rounds", required_argument, NULL, 'r'}, {"threads", required_argument, NULL, 't'},
        {"salvage", no_argument, NULL, SALVAGE},  {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "p:c:r:t:jh", names, NULL)) != -1) {
        switch (option) {
        case 'p':
            options->peer = optarg;
            break;
        case 'c':
            options->compare = optarg;
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
        case 'j':
            options->json = true;
            break;
        case 'h':
            print_help();
            exit(EXIT_DONE);
        default:
            fprintf(stderr, "Try 'keyslab replay --help'.\n");
            return EXIT_USAGE;
        }
    }
    if (optind + 1 != argc)
        return usage_error("replay", optind == argc ? "no trace named" : "more than one trace named");
    options->trace = argv[optind];
    return EXIT_DONE;
}

/* ------------------------------------------------------------------ one replay */

/* Lost inside of blocks, as a part of what they take. */
static double lost_of(const struct given *given)
{
    return given->usable > 0 ? 1 - given->asked / given->usable : 0;
}

static double internal_of(const struct outcome *outcome)
{
    struct given sum = {0};
    for (uint32_t class = 0; class <= outcome->table.count; class ++) {
        sum.asked += outcome->given[class].asked;
        sum.usable += outcome->given[class].usable;
    }
    return lost_of(&sum);
}

static double nanoseconds_of(const struct outcome *outcome)
{
    return outcome->operations ? 1e9 * outcome->seconds / (double)outcome->operations : 0;
}

static json_t *given_json(const struct outcome *outcome)
{
    json_t *array = json_array();
    for (uint32_t class = 0; class <= outcome->table.count; class ++) {
        const struct given *given = &outcome->given[class];
        int size = class < outcome->table.count ? (int)outcome->table.bytes[class] : 0;
        json_array_append_new(array,
                              json_pack("{s:i, s:I, s:f, s:f}", "size", size, "blocks", (json_int_t)given->blocks,
                                        "asked", given->asked, "usable", given->usable));
    }
    return array;
}

static json_t *outcome_json(const char *name, const struct outcome *outcome)
{
    return json_pack("{s:s, s:f, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:o}", "allocator", name, "seconds",
                     outcome->seconds, "operations", (json_int_t)outcome->operations, "ns_an_operation",
                     nanoseconds_of(outcome), "failed", (json_int_t)outcome->failed, "asked_peak",
                     (json_int_t)outcome->asked_peak, "resident_peak", (json_int_t)outcome->resident_peak, "asked_end",
                     (json_int_t)outcome->asked_end, "resident_end", (json_int_t)outcome->resident_end, "inside_blocks",
                     internal_of(outcome), "unmatched", (json_int_t)outcome->unmatched, "classes", given_json(outcome));
}

static bool print_json(json_t *json)
{
    bool written = json && !json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) && putchar('\n') != EOF;
    json_decref(json);
    if (!written)
        complain("the report could not be written");
    return written;
}

/* What each of the library's classes holds, and what the allocator lost on it. */
static void print_given(const struct outcome *outcome)
{
    struct table table = {.columns = 4, .titles = {"sizes", "blocks", "bytes", "lost"}};
    uint64_t blocks = 0;
    double asked = 0;
    for (uint32_t class = 0; class <= outcome->table.count; class ++) {
        blocks += outcome->given[class].blocks;
        asked += outcome->given[class].asked;
    }
    for (uint32_t class = 0; class <= outcome->table.count; class ++) {
        const struct given *given = &outcome->given[class];
        if (!given->blocks)
            continue;
        table_row(&table);
        if (class < outcome->table.count)
            table_cell(&table, 0, "to %" PRIu32, outcome->table.bytes[class]);
        else
            table_cell(&table, 0, "above");
        table_cell(&table, 1, "%.2f %%", 100 * (double)given->blocks / (double)blocks);
        table_cell(&table, 2, "%.2f %%", asked > 0 ? 100 * given->asked / asked : 0);
        table_cell(&table, 3, "%.2f %%", 100 * lost_of(given));
    }
    putchar('\n');
    table_print(&table);
}

static void print_outcome(const struct replay_options *options, const char *name, const struct outcome *outcome)
{
    printf("%s, %s: %" PRIu64 " operations in %.3f s, %.1f ns each\n", options->trace, name, outcome->operations,
           outcome->seconds, nanoseconds_of(outcome));
    printf("at the peak: %s asked for, %s resident\n", bytes_text((double)outcome->asked_peak),
           bytes_text((double)outcome->resident_peak));
    printf("at the end: %s asked for, %s resident\n", bytes_text((double)outcome->asked_end),
           bytes_text((double)outcome->resident_end));
    printf("lost inside blocks: %.2f %% of their bytes, over all allocations\n", 100 * internal_of(outcome));
    if (outcome->unmatched)
        printf("frees and reallocations of blocks from before the recording: %" PRIu64 "\n", outcome->unmatched);
    if (outcome->failed)
        printf("allocations without memory: %" PRIu64 "\n", outcome->failed);
    print_given(outcome);
}

static struct trace_reader *open_trace(const struct replay_options *options)
{
    struct trace_error error;
    struct trace_reader *reader = trace_open(options->trace, options->salvage, &error);
    if (*error.text)
        complain("%s: %s%s", options->trace, error.text,
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

static int replay_once(const struct replay_options *options)
{
    const struct allocator *allocator = !strcmp(options->peer, "keyslab")  ? &allocator_keyslab
                                        : !strcmp(options->peer, "malloc") ? &allocator_malloc
                                                                           : NULL;
    if (!allocator)
        return usage_error("replay", "--peer %s: expected keyslab or malloc", options->peer);
    struct trace_reader *reader = all_preloaded() ? open_trace(options) : NULL;
    if (!reader)
        return EXIT_FAILED;
    struct outcome outcome;
    bool good = crew_replay(options->trace, reader, allocator, workers_for(options, reader), &outcome);
    trace_close(reader);
    if (!good)
        return EXIT_FAILED;
    if (options->json)
        good = print_json(outcome_json(allocator->name, &outcome));
    else
        print_outcome(options, allocator->name, &outcome);
    return good ? EXIT_DONE : EXIT_FAILED;
}

/* ------------------------------------------------------------------ several, each in a process of its own */

struct contender {
    const char *name;
    double nanoseconds[ROUNDS_MOST]; /* an operation, by round */
    double resident_peak[ROUNDS_MOST];
    double resident_end[ROUNDS_MOST];
    double asked_peak;
    double inside;
};

static _Noreturn void become_replay(const struct replay_options *options, const char *name, int output)
{
    char threads[24];
    bool preload = strcmp(name, "keyslab") && strcmp(name, "malloc");
    if (preload)
        setenv("LD_PRELOAD", name, 1);
    snprintf(threads, sizeof threads, "%" PRIu64, options->threads);
    const char *arguments[16] = {"keyslab", "replay", "--json", "--peer",
                                 strcmp(name, "keyslab") ? "malloc" : "keyslab"};
    size_t count = 5;
    if (options->threads) {
        arguments[count++] = "--threads";
        arguments[count++] = threads;
    }
    if (options->salvage)
        arguments[count++] = "--salvage";
    arguments[count++] = options->trace;
    dup2(output, STDOUT_FILENO);
    execv("/proc/self/exe", (char **)arguments);
    _exit(EXIT_FAILED);
}

/* The JSON object that a replay prints. NULL after a complaint. */
static json_t *run_contender(const struct replay_options *options, const char *name)
{
    int ends[2];
    int status = 0;
    if (pipe(ends)) {
        complain("a pipe: %s", strerror(errno));
        return NULL;
    }
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        close(ends[0]);
        become_replay(options, name, ends[1]);
    }
    close(ends[1]);
    FILE *file = fdopen(ends[0], "r");
    json_error_t error;
    json_t *json = file ? json_loadf(file, 0, &error) : NULL;
    if (file)
        fclose(file);
    else
        close(ends[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (json && !status)
        return json;
    complain("%s: its replay failed", name);
    json_decref(json);
    return NULL;
}

static double number_of(const json_t *json, const char *name)
{
    return json_number_value(json_object_get(json, name));
}

static int compare_numbers(const void *left, const void *right)
{
    const double *a = left;
    const double *b = right;
    return (*a > *b) - (*a < *b);
}

/* Sorted: the middle one is the median. */
static void sort(double *numbers, uint64_t count)
{
    qsort(numbers, count, sizeof *numbers, compare_numbers);
}

static bool take_round(const struct replay_options *options, struct contender *contender, uint64_t round)
{
    json_t *json = run_contender(options, contender->name);
    if (!json)
        return false;
    contender->nanoseconds[round] = number_of(json, "ns_an_operation");
    contender->resident_peak[round] = number_of(json, "resident_peak");
    contender->resident_end[round] = number_of(json, "resident_end");
    contender->asked_peak = number_of(json, "asked_peak");
    contender->inside = number_of(json, "inside_blocks");
    json_decref(json);
    return true;
}

static void print_contenders(const struct contender *contenders, size_t count, uint64_t rounds)
{
    struct table table = {
        .columns = 8,
        .titles = {"allocator", "ns", "least", "most", "ratio", "resident, peak", "of asked", "at the end"},
        .left = {true},
    };
    uint64_t middle = rounds / 2;
    for (size_t i = 0; i < count; i++) {
        const struct contender *contender = &contenders[i];
        table_row(&table);
        table_cell(&table, 0, "%s", contender->name);
        table_cell(&table, 1, "%.1f", contender->nanoseconds[middle]);
        table_cell(&table, 2, "%.1f", contender->nanoseconds[0]);
        table_cell(&table, 3, "%.1f", contender->nanoseconds[rounds - 1]);
        table_cell(&table, 4, "%.2f", contender->nanoseconds[middle] / contenders[0].nanoseconds[middle]);
        table_cell(&table, 5, "%s", bytes_text(contender->resident_peak[middle]));
        table_cell(&table, 6, "%.2f",
                   contender->asked_peak > 0 ? contender->resident_peak[middle] / contender->asked_peak : 0);
        table_cell(&table, 7, "%s", bytes_text(contender->resident_end[middle]));
    }
    printf("medians of %" PRIu64 " rounds, interleaved; ns an operation, beside the first\n\n", rounds);
    table_print(&table);
}

static json_t *numbers_json(const double *numbers, uint64_t count)
{
    json_t *array = json_array();
    for (uint64_t i = 0; i < count; i++)
        json_array_append_new(array, json_real(numbers[i]));
    return array;
}

static json_t *contenders_json(const struct contender *contenders, size_t count, uint64_t rounds)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_pack("{s:s, s:f, s:o, s:o, s:o, s:f, s:f}", "allocator", contenders[i].name,
                                               "ns_an_operation", contenders[i].nanoseconds[rounds / 2], "rounds",
                                               numbers_json(contenders[i].nanoseconds, rounds), "resident_peak",
                                               numbers_json(contenders[i].resident_peak, rounds), "resident_end",
                                               numbers_json(contenders[i].resident_end, rounds), "asked_peak",
                                               contenders[i].asked_peak, "inside_blocks", contenders[i].inside));
    return json_pack("{s:o}", "allocators", array);
}

static int replay_compared(const struct replay_options *options)
{
    static struct contender contenders[PEERS_MOST];
    size_t count = 0;
    for (char *rest = NULL, *name = strtok_r(options->compare, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        if (count == PEERS_MOST)
            return usage_error("replay", "--compare: more than %d allocators", PEERS_MOST);
        contenders[count++].name = name;
    }
    if (count < 2)
        return usage_error("replay", "--compare: expected two allocators or more, with commas between them");
    for (uint64_t round = 0; round < options->rounds; round++)
        for (size_t i = 0; i < count; i++) {
            progress("round %" PRIu64 " of %" PRIu64 ": %s", round + 1, options->rounds, contenders[i].name);
            if (!take_round(options, &contenders[i], round))
                return EXIT_FAILED;
        }
    progress_end();
    for (size_t i = 0; i < count; i++) {
        sort(contenders[i].nanoseconds, options->rounds);
        sort(contenders[i].resident_peak, options->rounds);
        sort(contenders[i].resident_end, options->rounds);
    }
    if (options->json)
        return print_json(contenders_json(contenders, count, options->rounds)) ? EXIT_DONE : EXIT_FAILED;
    print_contenders(contenders, count, options->rounds);
    return EXIT_DONE;
}

static int replay(int argc, char **argv)
{
    struct replay_options options = {.rounds = ROUNDS_DEFAULT};
    int status = parse_options(argc, argv, &options);
    if (status)
        return status;
    if (options.compare && options.peer)
        return usage_error("replay", "--peer is for one allocator, --compare for several");
    if (options.compare)
        return replay_compared(&options);
    if (!options.peer)
        options.peer = "keyslab";
    return replay_once(&options);
}

const struct command command_replay = {"replay", "do a trace's allocations again, and measure", replay};
