/* `keyslab run`: experts over a capture, with all their memory in expert keys. */
#include "capture/recording.h"
#include "command.h"
#include "experts/decode.h"
#include "host/host.h"
#include "input_path.h"
#include "interrupt.h"
#include "output.h"
#include "run_report.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TOP_DEFAULT = 10, PROGRESS_FRAMES = 4096, PROGRESS_FRAMES_FAST = 65536 };

struct options {
    struct host *host;
    const char *fail;
    const char *filter;
    const char *config;
    const char *trace;
    uint64_t loops;
    uint64_t count;
    uint64_t top;
    bool json;
};

static void print_help(void)
{
    puts("usage: keyslab run [OPTION]... CAPTURE|INTERFACE\n"
         "\n"
         "Runs experts over a capture file (pcap or pcapng; plain, gzip or zstd; - for\n"
         "standard input) or a live interface. Each expert has a key of its own for all\n"
         "its memory; the frames lie in the key `frames`. Prints what the experts found,\n"
         "and what their memory did.\n"
         "\n"
         "options:\n"
         "  -e, --expert NAME|PATH.so  an expert to run, again for more; connects, dns, flows,\n"
         "                             reassembly, tcp-health and tls come with keyslab; default\n"
         "                             flows and reassembly\n"
         "  -t, --threads N            threads an expert, 1 to 64; default 1. Each flow goes\n"
         "                             to the same thread always\n"
         "      --config FILE          settings of the keys, keyslab.conf(5); without this the file\n"
         "                             of KEYSLAB_CONF, or the system's\n"
         "      --trace FILE           record what the keys do into a trace, for keyslab tune and\n"
         "                             keyslab replay\n"
         "  -f, --filter BPF           only frames that a pcap filter accepts\n"
         "  -l, --loop N               replay a file N times, from memory\n"
         "  -c, --count N              stop after N frames\n"
         "      --fail NAME@FRAME      make an expert fail at a frame: its key is terminated,\n"
         "                             then reset, and the others go on\n"
         "      --top N                rows of each table; default 10\n"
         "  -j, --json                 print one JSON object instead\n"
         "  -h, --help                 print this\n"
         "\n"
         "SIGINT (Ctrl-C), SIGTERM and SIGHUP end a run, with its report of the frames up to\n"
         "then; a second one ends it without. Exit status: 0 for a whole run, and for a live\n"
         "one that a signal ended, 1 where the capture was broken, memory was short, an\n"
         "expert gave up or the report could not be written, 2 for a bad command line, 128\n"
         "and the signal's number for a run of a file that a signal ended.\n");
    puts(decode_list);
}

static void complain_of_config(void *context, const char *text)
{
    (void)context;
    complain("%s", text);
}

static int load_config(const char *name)
{
    const char *path = input_path(name);
    return path && ks_config_load(path, complain_of_config, NULL) == KS_OK ? EXIT_DONE : EXIT_FAILED;
}

static int check_options(const struct options *options)
{
    if (options->config && input_path_is_standard(options->config) && input_path_is_standard(options->host->source))
        return usage_error("run", "--config -: standard input is the capture");
    if (options->trace && output_is_standard(options->trace))
        return usage_error("run", "--trace -: standard output is for the report: expected a file");
    return options->config ? load_config(options->config) : EXIT_DONE;
}

static int parse_options(int argc, char **argv, struct options *options)
{
    enum { FAIL = 256, TOP, CONFIG, TRACE };
    static const struct option names[] = {
        {"expert", required_argument, NULL, 'e'},  {"threads", required_argument, NULL, 't'},
        {"filter", required_argument, NULL, 'f'},  {"loop", required_argument, NULL, 'l'},
        {"count", required_argument, NULL, 'c'},   {"fail", required_argument, NULL, FAIL},
        {"top", required_argument, NULL, TOP},     {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},          {"config", required_argument, NULL, CONFIG},
        {"trace", required_argument, NULL, TRACE}, {0},
    };
    uint64_t number;
    int option;
    while ((option = getopt_long(argc, argv, "e:t:f:l:c:jh", names, NULL)) != -1) {
        switch (option) {
        case 'e':
            if (!host_load(options->host, optarg))
                return EXIT_FAILED;
            break;
        case 't':
            if (!parse_number("--threads", optarg, 1, LANES_MOST, &number))
                return EXIT_USAGE;
            options->host->threads = (unsigned)number;
            break;
        case 'f':
            options->filter = optarg;
            break;
        case 'l':
            if (!parse_number("--loop", optarg, 1, UINT32_MAX, &options->loops))
                return EXIT_USAGE;
            break;
        case 'c':
            if (!parse_number("--count", optarg, 1, UINT64_MAX, &options->count))
                return EXIT_USAGE;
            break;
        case FAIL:
            options->fail = optarg;
            break;
        case CONFIG:
            options->config = optarg;
            break;
        case TRACE:
            options->trace = optarg;
            break;
        case TOP:
            if (!parse_number("--top", optarg, 0, UINT32_MAX, &options->top))
                return EXIT_USAGE;
            break;
        case 'j':
            options->json = true;
            break;
        case 'h':
            print_help();
            exit(EXIT_DONE);
        default:
            return try_help("run");
        }
    }
    if (optind + 1 != argc)
        return usage_error("run", optind == argc ? "no capture named" : "more than one capture named: %s",
                           optind == argc ? "" : argv[optind + 1]);
    options->host->source = argv[optind];
    return check_options(options);
}

static int apply_fail(struct options *options)
{
    if (!options->fail)
        return EXIT_DONE;
    char name[EXPERTSTRINGLENGTH];
    const char *at = strrchr(options->fail, '@');
    uint64_t frame;
    if (!at || at == options->fail || (size_t)(at - options->fail) >= sizeof name)
        return usage_error("run", "--fail %s: expected NAME@FRAME", options->fail);
    if (!parse_number("--fail NAME@", at + 1, 1, UINT32_MAX, &frame))
        return EXIT_USAGE;
    snprintf(name, sizeof name, "%.*s", (int)(at - options->fail), options->fail);
    if (!host_fail(options->host, name, frame))
        return usage_error("run", "--fail %s: no expert '%s' in this run", options->fail, name);
    return EXIT_DONE;
}

/* ------------------------------------------------------------------ the run */

static struct capture *running;

static void stop_capture(void)
{
    capture_stop(running);
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void show_progress(const struct host *host, const struct timespec *start, struct resident *resident)
{
    uint64_t now = resident_now();
    if (now > resident->peak)
        resident->peak = now;
    double seconds = seconds_since(start);
    progress("%llu frames, %.0f a second", (unsigned long long)host->frames,
             seconds > 0 ? (double)host->frames / seconds : 0);
}

static bool one_more(const struct options *options)
{
    return !interrupted() && (!options->count || options->host->frames < options->count);
}

static enum capture_result run_stream(struct options *options, struct capture *capture, const struct timespec *start,
                                      struct resident *resident)
{
    struct host *host = options->host;
    struct captured frame;
    enum capture_result result = CAPTURE_FRAME;
    while (one_more(options) && (result = capture_next(capture, &frame)) <= CAPTURE_QUIET) {
        if (result == CAPTURE_QUIET) {
            host_flush(host);
            show_progress(host, start, resident);
            continue;
        }
        host_frame(host, &frame);
        if (host->frames % PROGRESS_FRAMES == 0)
            show_progress(host, start, resident);
    }
    return result;
}

/* One that would go on by itself: a live run has no other end than a signal. */
static bool is_cut_short(const struct capture *capture)
{
    return interrupted() && !capture_is_live(capture);
}

static void run_recording(struct options *options, const struct recording *recording, const struct timespec *start,
                          struct resident *resident)
{
    struct host *host = options->host;
    for (uint64_t loop = 0; loop < options->loops; loop++) {
        for (size_t i = 0; i < recording->count && one_more(options); i++) {
            host_frame(host, &recording->frames[i]);
            if (host->frames % PROGRESS_FRAMES_FAST == 0)
                show_progress(host, start, resident);
        }
        host_settle(host);
    }
}

/* False where the capture was broken, or an expert gave up. */
static bool run_frames(struct options *options, struct capture *capture, struct resident *resident)
{
    struct host *host = options->host;
    struct recording recording = {0};
    struct timespec start;
    enum capture_result result = CAPTURE_END;
    if (options->loops)
        result = recording_read(&recording, capture);
    resident->before = resident->peak = resident_now();
    if (!host_start(host))
        exit(EXIT_FAILED);
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (options->loops)
        run_recording(options, &recording, &start, resident);
    else
        result = run_stream(options, capture, &start, resident);
    show_progress(host, &start, resident);
    host_drain(host);
    host->seconds = seconds_since(&start);
    host_finish(host);
    progress_end();
    resident->after = resident_now();
    recording_free(&recording);
    return result != CAPTURE_BROKEN && host_ran_well(host);
}

static int report_run(const struct options *options, struct capture *capture, const struct resident *resident,
                      bool whole)
{
    struct host *host = options->host;
    uint64_t dropped = capture_dropped(capture);
    if (dropped)
        complain("%s: %llu frames were dropped before they could be read", capture_name(capture),
                 (unsigned long long)dropped);
    capture_name_unknown_links(capture);
    if (is_cut_short(capture))
        complain("%s: interrupted: the report is of %llu frames", capture_name(capture),
                 (unsigned long long)host->frames);
    if (interrupt_is_late())
        complain("an expert was too slow: it has not seen the last of them");
    for (size_t i = 0; i < host->experts_count; i++)
        report_sort(&host->experts[i]);
    if (options->json)
        report_json(host, resident, is_cut_short(capture));
    else
        report_text(host, resident, options->top);
    return whole ? EXIT_DONE : EXIT_FAILED;
}

static int run_capture(struct options *options, struct capture *capture)
{
    struct resident resident = {0};
    /* The trace begins before the first key is there, and ends before the report, whose reader may go away. */
    if (options->trace && ks_trace_start(options->trace, 1) != KS_OK) {
        complain("--trace %s: %s", options->trace, strerror(errno));
        return EXIT_FAILED;
    }
    running = capture;
    interrupt_catch(stop_capture);
    bool whole = run_frames(options, capture, &resident);
    bool traced = ks_trace_stop() == KS_OK;
    interrupt_report();
    int status = report_run(options, capture, &resident, whole && traced);
    host_close(options->host);
    return is_cut_short(capture) ? interrupt_status(status) : status;
}

static int run(int argc, char **argv)
{
    static struct host host = {.threads = 1};
    struct options options = {.host = &host, .top = TOP_DEFAULT};
    int status = parse_options(argc, argv, &options);
    if (status)
        return status;
    if (!host.experts_count && (!host_load(&host, "flows") || !host_load(&host, "reassembly")))
        return EXIT_FAILED;
    status = apply_fail(&options);
    if (status)
        return status;
    struct capture *capture = capture_open(host.source, options.filter);
    if (!capture)
        return EXIT_FAILED;
    if (options.loops && capture_is_live(capture))
        return usage_error("run", "--loop: %s is an interface, not a file", host.source);
    status = run_capture(&options, capture);
    capture_close(capture);
    return status;
}

const struct command command_run = {"run", "run experts over a capture or an interface", run};
