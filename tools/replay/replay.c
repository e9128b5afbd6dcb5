/* `keyslab replay`: a trace's allocations done again, against the library under configs, and against other allocators. */
#include "replay.h"

#include "command.h"
#include "crew.h"
#include "input_path.h"
#include "interrupt.h"
#include "replay_report.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

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
