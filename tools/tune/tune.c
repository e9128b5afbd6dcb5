/* `keyslab tune`: the size classes that fit what was seen. */
#include "command.h"
#include "input_path.h"
#include "interrupt.h"
#include "output.h"
#include "search.h"
#include "source.h"
#include "tune_report.h"
#include "tuning.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { SEARCH_SECONDS = 120, SEARCH_SECONDS_MOST = 86400 };
enum { STEP_DEFAULT = 50, UNSEEN_DEFAULT = 1, THREADS_MOST = 4096, HEADROOM_MOST = 65536, PERCENT = 100 };

struct tune_options {
    struct source_options source;
    struct tuning_options tuning;
    const char *output;
    const char *svg;
    const char *scudo;
    struct search_options search;
    uint64_t seconds; /* 0: the default */
    bool json;
};

static void print_help(void)
{
    puts("usage: keyslab tune [OPTION]... FILE...\n"
         "\n"
         "Finds the size classes that lose least on what a program allocated, and shows by\n"
         "how much, beside the default classes and jemalloc's. FILE is what is known of the\n"
         "sizes, any of these, plain or gzip or zstd but for the first; - is standard input:\n"
         "\n"
         "  a trace        of 'keyslab record', or of the library\n"
         "  a capture      pcap or pcapng: one block for each frame\n"
         "  a histogram    JSON: {\"SIZE\": COUNT, ...}\n"
         "  a heaptrack    file, raw or interpreted\n"
         "  memory_replay  text, of Android\n"
         "\n"
         "Sizes of a trace are weighted by how long their blocks live, so that what is lost\n"
         "is memory, on average over time. A table made from the first half of the events\n"
         "is tried on the second: the column 'held out'. What slabs lose at their ends goes\n"
         "by the slab size of the config file in effect, as 'keyslab config show' has it.\n"
         "\n"
         "options:\n"
         "  -o, --output FILE    write a config file with the tuned classes; - is standard\n"
         "                       output, in place of the report\n"
         "  -n, --classes N      most classes, up to 47; default as many as the library's\n"
         "                       own table has\n"
         "      --step PERCENT   most of a block that a step from one class to the next may\n"
         "                       lose, for sizes that were not seen; default 50\n"
         "      --alignment N    what addresses of blocks are multiples of, 8, 16, 32 or 64, as\n"
         "                       'alignment' in keyslab.conf(5); default as in the config file\n"
         "                       in effect\n"
         "      --unseen PERCENT part of the bytes that is taken to be of sizes that were not\n"
         "                       seen, spread evenly over all; default 1\n"
         "      --blocks         weigh all blocks alike, however long they live\n"
         "      --threads N      threads that will use a key: each has a partial group of blocks\n"
         "                       of each class; default 1\n"
         "      --headroom N     bytes beside each frame of a capture\n"
         "  -k, --key NAME       only this key\n"
         "      --joint          one table for all keys; else one for each\n"
         "      --search[=LIST]  try other values of settings beside the classes by replaying\n"
         "                       the trace, and keep what is better by more than the noise:\n"
         "                       'slab', 'retain', 'outbox', 'flush', or some of them with\n"
         "                       commas between; default all. FILE is one trace\n"
         "      --search-seconds N  the search ends after so many; default 120. SIGINT\n"
         "                       (Ctrl-C), SIGTERM and SIGHUP end it earlier: what was found\n"
         "                       until then is reported and written\n"
         "      --salvage        read what can be read of a damaged or cut trace\n"
         "      --svg FOLDER     draw the sizes with their classes, and the curve\n"
         "      --scudo FILE     write the sizes for Scudo's compute_size_class_config\n"
         "  -j, --json           print one JSON object instead\n"
         "  -h, --help           print this\n"
         "\n"
         "Of a file that is cut or damaged, what comes before counts. Exit status: 0, 1 where\n"
         "a file could not be read to its end, or a file or the report not be written, 2 for\n"
         "a bad command line, 128 and the signal's number for a search that a signal ended.");
}

enum { STEP = 256, ALIGNMENT, UNSEEN, BLOCKS, THREADS, HEADROOM, JOINT, SALVAGE, SVG, SCUDO, SEARCH, SECONDS };

static const struct option names[] = {
    {"output", required_argument, NULL, 'o'},
    {"classes", required_argument, NULL, 'n'},
    {"step", required_argument, NULL, STEP},
    {"alignment", required_argument, NULL, ALIGNMENT},
    {"blocks", no_argument, NULL, BLOCKS},
    {"threads", required_argument, NULL, THREADS},
    {"unseen", required_argument, NULL, UNSEEN},
    {"headroom", required_argument, NULL, HEADROOM},
    {"key", required_argument, NULL, 'k'},
    {"joint", no_argument, NULL, JOINT},
    {"salvage", no_argument, NULL, SALVAGE},
    {"svg", required_argument, NULL, SVG},
    {"scudo", required_argument, NULL, SCUDO},
    {"search", optional_argument, NULL, SEARCH},
    {"search-seconds", required_argument, NULL, SECONDS},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static bool parse_alignment(const char *text, uint32_t *alignment)
{
    const struct setting *setting = &settings_table[SET_ALIGNMENT];
    char expected[SETTING_TEXT];
    uint64_t value;
    if (!setting_parse(setting, text, &value)) {
        complain("--alignment %s: expected %s", text, setting_expected(setting, expected));
        return false;
    }
    *alignment = (uint32_t)value;
    return true;
}

/* False after a complaint. */
static bool parse_option(int option, struct tune_options *options)
{
    uint64_t number = 0;
    switch (option) {
    case 'o':
        options->output = optarg;
        return true;
    case 'n':
        if (!parse_number("--classes", optarg, 1, CLASSES_MOST, &number))
            return false;
        options->tuning.limits.classes = (uint32_t)number;
        return true;
    case STEP:
        if (!parse_number("--step", optarg, 1, PERCENT, &number))
            return false;
        options->tuning.limits.step = (double)number / PERCENT;
        return true;
    case ALIGNMENT:
        return parse_alignment(optarg, &options->tuning.limits.alignment);
    case UNSEEN:
        if (!parse_number("--unseen", optarg, 0, PERCENT, &number))
            return false;
        options->tuning.unseen = (double)number / PERCENT;
        return true;
    case BLOCKS:
        return options->tuning.by_blocks = true;
    case THREADS:
        if (!parse_number("--threads", optarg, 0, THREADS_MOST, &number))
            return false;
        options->tuning.limits.threads = (double)number;
        return true;
    case HEADROOM:
        return parse_number("--headroom", optarg, 0, HEADROOM_MOST, &options->source.headroom);
    case 'k':
        options->tuning.only = optarg;
        return true;
    case JOINT:
        return options->tuning.joint = true;
    case SALVAGE:
        return options->source.salvage = true;
    case SVG:
        options->svg = optarg;
        return true;
    case SCUDO:
        options->scudo = optarg;
        return true;
    case SEARCH:
        return search_parse(optarg, &options->search);
    case SECONDS:
        return parse_number("--search-seconds", optarg, 1, SEARCH_SECONDS_MOST, &options->seconds);
    case 'j':
        return options->json = true;
    case 'h':
        print_help();
        exit(EXIT_DONE);
    default:
        try_help("tune");
        return false;
    }
}

static bool is_standard(const char *path)
{
    return path && output_is_standard(path);
}

/* A file that goes to standard output goes there in place of the report. */
static bool is_in_place_of_report(const struct tune_options *options)
{
    return is_standard(options->output) || is_standard(options->scudo);
}

static int check_options(const struct tune_options *options, size_t files)
{
    struct limits limits = options->tuning.limits;
    if (!limits.alignment)
        limits.alignment = (uint32_t)settings_table[SET_ALIGNMENT].initial;
    uint32_t least = optimum_least(&limits);
    if (least > options->tuning.limits.classes)
        return usage_error("tune", "--classes %u: steps of %.0f %% need %u classes or more",
                           options->tuning.limits.classes, PERCENT * options->tuning.limits.step, least);
    if (options->tuning.joint && options->tuning.only)
        return usage_error("tune", "--joint is for several keys, --key for one");
    if (options->search.count && files != 1)
        return usage_error("tune", "--search replays one trace: expected one file, not %zu", files);
    if (options->seconds && !options->search.count)
        return usage_error("tune", "--search-seconds goes with --search");
    if (is_standard(options->output) + is_standard(options->scudo) + (options->json && is_in_place_of_report(options)) >
        1)
        return usage_error("tune", "standard output is for one of --output, --scudo and --json");
    return EXIT_DONE;
}

static int write_report(const struct tune_options *options, struct report *report)
{
    if (options->output && !tune_report_config(report, options->output))
        return EXIT_FAILED;
    report->config = options->output;
    if ((options->scudo && !tune_report_scudo(report, options->scudo)) ||
        (options->svg && !tune_report_svg(report, options->svg)))
        return EXIT_FAILED;
    if (is_in_place_of_report(options))
        return EXIT_DONE;
    if (options->json)
        return tune_report_json(report) ? EXIT_DONE : EXIT_FAILED;
    tune_report_text(report);
    return EXIT_DONE;
}

static void write_candidate(void *context, FILE *file)
{
    tune_write_config(context, file);
}

/* False after a complaint. */
static bool search_settings(const struct tune_options *options, const struct source *source, struct report *report)
{
    static struct search search;
    static struct search_options with;
    if (!options->search.count)
        return true;
    if (!source->trace) {
        complain("%s: --search replays a trace, and this is a %s", input_path_shown(source->name), source->kind);
        return false;
    }
    with = options->search;
    with.trace = source->path;
    with.salvage = options->source.salvage;
    with.seconds = (double)(options->seconds ? options->seconds : SEARCH_SECONDS);
    search = (struct search){.options = &with, .one_thread = source->threads == 1};
    report->search = &search;
    return search_run(&search, report->tunings, write_candidate, report);
}

static void tell_of_config(void *context, const char *text)
{
    (void)context;
    complain("%s", text);
}

/* The file that a program would find; NULL for none, and after complaints for a bad one. */
static const struct config *config_in_effect(void)
{
    static struct config config;
    enum config_source source;
    const char *path = config_path(&source);
    if (!path)
        return NULL;
    struct config_errors errors = {.path = path, .tell = tell_of_config, .warn = tell_of_config};
    if (config_read(path, &config, &errors))
        return &config;
    complain("built-in settings are used instead");
    return NULL;
}

static int tune_files(const struct tune_options *options, char **paths, size_t count)
{
    static struct tally tally;
    struct tunings tunings = {0};
    struct source *sources = calloc(count, sizeof *sources);
    if (!sources) {
        complain("out of memory for %zu files", count);
        return EXIT_FAILED;
    }
    bool good = true;
    for (size_t i = 0; i < count && good; i++)
        good = source_read(paths[i], &options->source, &tally, &sources[i]);
    if (good && tally.full) {
        complain("out of memory, or more than %d keys: what is counted is not all", KEYS_MOST);
        good = false;
    }
    bool whole = true;
    for (size_t i = 0; i < count; i++)
        whole = whole && !sources[i].broken;
    good = good && tune_all(&tally, &options->tuning, &tunings);
    struct report report = {
        .sources_count = count,
        .sources = sources,
        .options = &options->tuning,
        .tunings = &tunings,
        .unmatched = tally.unmatched,
    };
    good = good && search_settings(options, sources, &report);
    int status = good ? write_report(options, &report) : EXIT_FAILED;
    if (!whole)
        status = EXIT_FAILED;
    free(tunings.tunings);
    free(sources);
    tally_close(&tally);
    return status;
}

static int tune(int argc, char **argv)
{
    struct size_table table;
    table_default(&table);
    struct tune_options options = {
        .source.frames = "frames",
        .tuning.config = config_in_effect(),
        .tuning.unseen = (double)UNSEEN_DEFAULT / PERCENT,
        .tuning.limits = {.classes = table.count, .step = (double)STEP_DEFAULT / PERCENT, .threads = 1},
    };
    int option;
    while ((option = getopt_long(argc, argv, "o:n:k:jh", names, NULL)) != -1)
        if (!parse_option(option, &options))
            return EXIT_USAGE;
    if (optind == argc)
        return usage_error("tune", "no file named");
    int status = check_options(&options, (size_t)(argc - optind));
    if (!status)
        status = tune_files(&options, argv + optind, (size_t)(argc - optind));
    return interrupt_status(status);
}

const struct command command_tune = {"tune", "find the size classes that fit what was seen", tune};
