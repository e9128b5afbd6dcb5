/* `keyslab run`: experts over a capture, with all their memory in expert keys. */
#include "capture/recording.h"
#include "command.h"
#include "experts/decode.h"
#include "host/host.h"
#include "host/readers.h"
#include "input_path.h"
#include "interrupt.h"
#include "json_line.h"
#include "output.h"
#include "rotation.h"
#include "run_events.h"
#include "run_report.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TOP_DEFAULT = 10, TIMEOUT_DEFAULT = 10, PROGRESS_FRAMES = 4096, PROGRESS_FRAMES_FAST = 65536 };

#define RING_DEFAULT ((uint64_t)8 << 20)
#define RING_LEAST   ((uint64_t)4 << 10)
#define RING_MOST    ((uint64_t)1 << 40)

struct options {
    struct host *host;
    const char *fail;
    const char *filter;
    const char *config;
    const char *trace;
    uint64_t loops;
    uint64_t count;
    uint64_t top;
    uint64_t readers;
    struct rotation rotation;
    uint64_t dropped; /* in the periods before */
    bool json;
    size_t experts_count;
    const char **experts;
    size_t settings_count;
    char **settings; /* NAME=FILE */
    bool spool;
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
         "  -e, --expert NAME|PATH.so[:THREADS]\n"
         "                             an expert to run, again for more; connects, dns, flows, ndpi,\n"
         "                             reassembly, tcp-health and tls come with keyslab; default\n"
         "                             flows and reassembly. Its own number of threads may follow;\n"
         "                             a second one of a name is NAME#2\n"
         "  -t, --threads N            threads an expert, 1 to 64; default 1. Each flow goes\n"
         "                             to the same thread always\n"
         "      --config FILE          settings of the keys, keyslab.conf(5); without this the file\n"
         "                             of KEYSLAB_CONF, or the system's\n"
         "      --trace FILE           record what the keys do into a trace, for keyslab tune and\n"
         "                             keyslab replay\n"
         "  -f, --filter BPF           only frames that a pcap filter accepts\n"
         "  -l, --loop N               replay a file N times, from memory\n"
         "  -c, --count N              stop after N frames\n"
         "      --readers N            threads that read an interface, 1 to 64; default 1. The kernel\n"
         "                             deals the frames out to them, each flow to the same one\n"
         "      --every TIME           report each 60s, 5m, 1h, and begin again with keys that are\n"
         "                             reset: of an interface by the system's clock, of a file by\n"
         "                             its frames' times. JSON is a line for each report\n"
         "      --expert-timeout SECONDS\n"
         "                             that an expert has for one frame, and to return when it is\n"
         "                             told to; default 10; 0 for any time\n"
         "      --expert-quota SIZE    that an expert's key may take, such as 64M; 0 for any;\n"
         "                             default: as the config file has it for the key, else half\n"
         "                             of the machine's memory over the number of experts\n"
         "      --strict               an expert fails, too, that frees a block twice or what is no\n"
         "                             block of its own, or leaves blocks behind\n"
         "      --expert-config NAME=FILE\n"
         "                             the configuration of the expert of that name: what the\n"
         "                             file has, if it is there, is given to Configure, and what\n"
         "                             Configure makes of it is written into it\n"
         "      --spool                keep the frames of an interface or a pipe in a temporary\n"
         "                             file, for experts that ask for them again\n"
         "      --fail NAME@FRAME      make an expert fail at a frame: its key is terminated,\n"
         "                             then reset, and the others go on\n"
         "      --isolate              each expert in a process of its own, which can only read the\n"
         "                             frames: whatever becomes of it, the others go on\n"
         "      --restart N            with --isolate: start a failed expert again, up to N times\n"
         "      --isolate-ring SIZE    with --isolate: memory that the frames pass through; default\n"
         "                             8M. No frame may be larger\n"
         "      --top N                rows of each table; default 10\n"
         "  -j, --json                 print one JSON object instead\n"
         "  -h, --help                 print this\n"
         "\n"
         "SIGINT (Ctrl-C), SIGTERM and SIGHUP end a run, with its report of the frames up to\n"
         "then, whatever experts do; a second one ends it without.\n"
         "\n"
         "An expert that fails is stopped, and its key is reset; the others go on. It fails that\n"
         "crashes, ends the program, lets an exception out, takes too long, uses up its quota,\n"
         "or gives up.\n"
         "\n"
         "Exit status: 0 for a whole run, and for a live one that a signal ended, 1 where the\n"
         "capture was broken, memory was short or the report could not be written, 2 for a bad\n"
         "command line, 3 where an expert failed and everything else was right, 128 and the\n"
         "signal's number for a run of a file that a signal ended.\n");
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

static bool parse_ring(const char *text, uint64_t *bytes)
{
    if (!parse_size("--isolate-ring", text, bytes))
        return false;
    if (*bytes >= RING_LEAST && *bytes <= RING_MOST)
        return true;
    complain("--isolate-ring %s: expected a size from 4k to 1T", text);
    return false;
}

/* What needs the experts to be in this process, or not to be. */
static int check_isolate(const struct options *options)
{
    const struct host *host = options->host;
    if (host->isolate && options->trace)
        return usage_error("run", "--trace: with --isolate the experts' keys are in other processes");
    if (!host->isolate && host->restarts)
        return usage_error("run", "--restart: only with --isolate");
    if (!host->isolate && host->ring_bytes)
        return usage_error("run", "--isolate-ring: only with --isolate");
    return EXIT_DONE;
}

static int check_options(const struct options *options)
{
    int status = check_isolate(options);
    if (status)
        return status;
    if (options->config && input_path_is_standard(options->config) && input_path_is_standard(options->host->source))
        return usage_error("run", "--config -: standard input is the capture");
    if (options->trace && output_is_standard(options->trace))
        return usage_error("run", "--trace -: standard output is for the report: expected a file");
    if (options->rotation.every && (options->loops || options->spool))
        return usage_error("run", "--every: not with %s", options->loops ? "--loop" : "--spool");
    return options->config ? load_config(options->config) : EXIT_DONE;
}

static int parse_options(int argc, char **argv, struct options *options)
{
    enum {
        FAIL = 256,
        TOP,
        CONFIG,
        TRACE,
        TIMEOUT,
        QUOTA,
        STRICT,
        ISOLATE,
        RESTART,
        ISOLATE_RING,
        SPOOL,
        SETTINGS,
        READERS,
        EVERY
    };
    static const struct option names[] = {
        {"expert", required_argument, NULL, 'e'},
        {"threads", required_argument, NULL, 't'},
        {"filter", required_argument, NULL, 'f'},
        {"loop", required_argument, NULL, 'l'},
        {"count", required_argument, NULL, 'c'},
        {"fail", required_argument, NULL, FAIL},
        {"top", required_argument, NULL, TOP},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {"config", required_argument, NULL, CONFIG},
        {"trace", required_argument, NULL, TRACE},
        {"readers", required_argument, NULL, READERS},
        {"every", required_argument, NULL, EVERY},
        {"expert-timeout", required_argument, NULL, TIMEOUT},
        {"strict", no_argument, NULL, STRICT},
        {"isolate", no_argument, NULL, ISOLATE},
        {"restart", required_argument, NULL, RESTART},
        {"isolate-ring", required_argument, NULL, ISOLATE_RING},
        {"spool", no_argument, NULL, SPOOL},
        {"expert-config", required_argument, NULL, SETTINGS},
        {"expert-quota", required_argument, NULL, QUOTA},
        {0},
    };
    uint64_t number;
    int option;
    while ((option = getopt_long(argc, argv, "e:t:f:l:c:jh", names, NULL)) != -1) {
        switch (option) {
        case 'e':
            options->experts[options->experts_count++] = optarg;
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
        case TIMEOUT:
            if (!parse_seconds("--expert-timeout", optarg, &options->host->timeout))
                return EXIT_USAGE;
            break;
        case QUOTA:
            if (!parse_size("--expert-quota", optarg, &options->host->quota))
                return EXIT_USAGE;
            if (!options->host->quota)
                options->host->quota = HOST_NO_QUOTA;
            break;
        case STRICT:
            options->host->is_strict = true;
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
        case ISOLATE:
            options->host->isolate = true;
            break;
        case RESTART:
            if (!parse_number("--restart", optarg, 1, UINT32_MAX, &number))
                return EXIT_USAGE;
            options->host->restarts = (unsigned)number;
            break;
        case ISOLATE_RING:
            if (!parse_ring(optarg, &options->host->ring_bytes))
                return EXIT_USAGE;
            break;
        case READERS:
            if (!parse_number("--readers", optarg, 1, PACKET_SOCKETS_MOST, &options->readers))
                return EXIT_USAGE;
            break;
        case EVERY:
            if (!rotation_parse("--every", optarg, &options->rotation.every))
                return EXIT_USAGE;
            break;
        case SETTINGS:
            options->settings[options->settings_count++] = optarg;
            break;
        case SPOOL:
            options->spool = true;
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

/* The names of experts are known once they are loaded. */
static int read_settings(struct options *options)
{
    for (size_t i = 0; i < options->settings_count; i++) {
        char *name = options->settings[i];
        char *equals = strchr(name, '=');
        if (!equals || equals == name || !equals[1])
            return usage_error("run", "--expert-config %s: expected NAME=FILE", name);
        *equals = '\0';
        struct expert *expert = host_expert(options->host, name);
        if (!expert)
            return usage_error("run", "--expert-config %s=%s: no expert '%s' in this run", name, equals + 1, name);
        if (!settings_read(expert, equals + 1))
            return EXIT_FAILED;
    }
    return EXIT_DONE;
}

/* ------------------------------------------------------------------ the run */

static struct capture *running;

/* A ring of the kernel's is in memory that both processes could write. */
static void leave_capture(void)
{
    if (capture_is_live(running))
        capture_close(running);
}

static void stop_capture(void)
{
    capture_stop(running);
}

static struct timespec started;
static struct resident *measured;

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* Behind the first line, one for each expert that has said how far it is. */
static void append_statuses(struct host *host, FILE *text)
{
    char line[2 * EXPERTSTRINGLENGTH];
    struct status status;
    for (size_t i = 0; i < host->experts_count; i++) {
        if (!status_get(&host->experts[i], &status))
            continue;
        status_line(host->experts[i].name, &status, line, sizeof line);
        fprintf(text, "\n%s", line);
    }
}

static void show_progress(struct host *host)
{
    uint64_t now = resident_now();
    if (now > measured->peak)
        measured->peak = now;
    char *text = NULL;
    size_t size;
    FILE *stream = progress_is_shown() ? open_memstream(&text, &size) : NULL;
    if (!stream)
        return;
    double seconds = seconds_since(&started);
    fprintf(stream, "%llu frames, %.0f a second", (unsigned long long)host->frames,
            seconds > 0 ? (double)host->frames / seconds : 0);
    append_statuses(host, stream);
    if (!fclose(stream))
        progress("%s", text);
    free(text);
}

static bool one_more(const struct options *options)
{
    return !interrupted() && (!options->count || host_numbered(options->host) < options->count);
}

static enum capture_result next_frame(struct options *options, struct capture *capture, struct captured *frame)
{
    return rotation_take(&options->rotation, frame) ? CAPTURE_FRAME : capture_next(capture, frame);
}

static enum capture_result run_stream(struct options *options, struct capture *capture)
{
    struct host *host = options->host;
    struct captured frame;
    enum capture_result result = CAPTURE_FRAME;
    while (one_more(options) && (result = next_frame(options, capture, &frame)) <= CAPTURE_QUIET) {
        if (rotation_ends(&options->rotation, result == CAPTURE_FRAME ? &frame : NULL))
            break;
        if (result == CAPTURE_QUIET) {
            host_flush(host);
            show_progress(host);
            continue;
        }
        host_frame(host, &frame);
        if (host->frames % PROGRESS_FRAMES == 0)
            show_progress(host);
    }
    return result;
}

static uint64_t left_to_count(const struct options *options)
{
    return options->count ? options->count - host_numbered(options->host) : UINT64_MAX;
}

static enum capture_result run_readers(struct options *options, struct capture *capture)
{
    enum { QUIET_SPINS = 300 };
    struct host *host = options->host;
    struct read_error error = {0};
    struct readers *readers = readers_start(host, capture_group(capture));
    unsigned spins = 0;
    uint64_t shown = 0;
    if (!readers)
        exit(EXIT_FAILED);
    while (one_more(options) && !readers_ended(readers) && !rotation_ends(&options->rotation, NULL)) {
        if (readers_deliver(readers, left_to_count(options)))
            spins = 0;
        else
            wait_a_little(&spins);
        if (spins == QUIET_SPINS)
            host_flush(host);
        if (spins == QUIET_SPINS || host->frames - shown >= PROGRESS_FRAMES) {
            show_progress(host);
            shown = host->frames;
        }
    }
    if (readers_stop(readers, left_to_count(options), &error))
        return CAPTURE_END;
    complain("%s: %s", capture_name(capture), error.text);
    return CAPTURE_BROKEN;
}

/* One that would go on by itself: a live run has no other end than a signal. */
static bool is_cut_short(const struct capture *capture)
{
    return interrupted() && !capture_is_live(capture);
}

static void run_recording(struct options *options, const struct recording *recording)
{
    struct host *host = options->host;
    for (uint64_t loop = 0; loop < options->loops; loop++) {
        for (size_t i = 0; i < recording->count && one_more(options); i++) {
            host_frame(host, &recording->frames[i]);
            if (host->frames % PROGRESS_FRAMES_FAST == 0)
                show_progress(host);
        }
        host_settle(host);
    }
}

/* Until the capture ends, or a period of it. */
static enum capture_result run_period(struct options *options, struct capture *capture,
                                      const struct recording *recording, struct resident *resident)
{
    struct host *host = options->host;
    enum capture_result result = CAPTURE_END;
    resident->before = resident->peak = resident_now();
    measured = resident;
    host->show = show_progress;
    host_start(host);
    rotation_begin(&options->rotation);
    clock_gettime(CLOCK_MONOTONIC, &started);
    if (options->loops)
        run_recording(options, recording);
    else if (capture_group(capture))
        result = run_readers(options, capture);
    else
        result = run_stream(options, capture);
    rotation_end(&options->rotation);
    show_progress(host);
    host_drain(host);
    host->seconds = seconds_since(&started);
    host_finish(host);
    progress_end();
    resident->after = resident_now();
    return result;
}

static void print_report(struct options *options, const struct resident *resident, bool cut_short)
{
    const struct rotation *rotation = &options->rotation;
    options->host->period = (struct period){rotation->number, rotation->from, rotation->to};
    if (!options->json) {
        report_text(options->host, resident, options->top);
        return;
    }
    if (rotation->every)
        json_line_begin();
    report_json(options->host, resident, cut_short);
    if (rotation->every)
        json_line_end();
}

static int report_run(struct options *options, struct capture *capture, const struct resident *resident, bool whole)
{
    struct host *host = options->host;
    uint64_t dropped = capture_dropped(capture);
    bool cut_short = is_cut_short(capture) && !options->rotation.is_over;
    host->dropped = dropped - options->dropped;
    options->dropped = dropped;
    if (host->dropped)
        complain("%s: %llu frames were dropped before they could be read", capture_name(capture),
                 (unsigned long long)host->dropped);
    if (!options->rotation.is_over)
        capture_name_unknown_links(capture);
    if (cut_short)
        complain("%s: interrupted: the report is of %llu frames", capture_name(capture),
                 (unsigned long long)host->frames);
    if (interrupt_is_late())
        complain("an expert was too slow: it has not seen the last of them");
    bool has_failures = host_has_failures(host);
    output_recover();
    for (size_t i = 0; i < host->experts_count; i++)
        events_sort(&host->experts[i]);
    print_report(options, resident, cut_short);
    if (!whole)
        return EXIT_FAILED;
    return has_failures ? EXIT_EXPERT : EXIT_DONE;
}

/* Of two reports: what was broken is worse than an expert that failed. */
static int worse(int one, int other)
{
    return one == EXIT_FAILED || other == EXIT_DONE ? one : other;
}

/* Each period but the last, whose report is left to be made. False where the capture was broken, or memory short. */
static bool run_frames(struct options *options, struct capture *capture, const struct recording *recording,
                       struct resident *resident, int *status)
{
    for (;;) {
        bool well = run_period(options, capture, recording, resident) != CAPTURE_BROKEN;
        well &= host_ran_well(options->host);
        if (!options->rotation.is_over || !well)
            return well;
        interrupt_restarts(true);
        *status = worse(report_run(options, capture, resident, true), *status);
        fflush(stdout);
        interrupt_restarts(false);
        host_renew(options->host);
    }
}

static void remember_frames(const struct options *options, const struct capture *capture,
                            const struct recording *recording)
{
    const struct history_options history = {
        .source = options->rotation.every ? NULL : options->host->source,
        .filter = options->filter,
        .most = options->count,
        .recording = options->loops ? recording : NULL,
        .loops = options->loops,
        .spool = options->spool,
    };
    host_remember(options->host, &history, capture);
}

static bool load_experts(const struct options *options)
{
    static const char *const defaults[] = {"flows", "reassembly"};
    if (!options->experts_count)
        return host_load(options->host, defaults[0]) && host_load(options->host, defaults[1]);
    for (size_t i = 0; i < options->experts_count; i++)
        if (!host_load(options->host, options->experts[i]))
            return false;
    return true;
}

static int run_recorded(struct options *options, struct capture *capture, const struct recording *recording, bool whole)
{
    struct resident resident = {0};
    int status = EXIT_DONE;
    remember_frames(options, capture, recording);
    if (!load_experts(options))
        return EXIT_FAILED;
    status = apply_fail(options);
    if (!status)
        status = read_settings(options);
    if (status)
        return status;
    /* The trace begins before the first key is there, and ends before the report, whose reader may go away. */
    if (options->trace && ks_trace_start(options->trace, 1) != KS_OK) {
        complain("--trace %s: %s", options->trace, strerror(errno));
        return EXIT_FAILED;
    }
    whole &= run_frames(options, capture, recording, &resident, &status);
    bool traced = ks_trace_stop() == KS_OK;
    interrupt_report();
    status = worse(report_run(options, capture, &resident, whole && traced), status);
    host_close(options->host);
    return is_cut_short(capture) ? interrupt_status(status) : status;
}

/* Experts in processes of their own have to know what they may ask for before they begin. */
static int run_capture(struct options *options, struct capture *capture)
{
    struct recording recording = {0};
    running = capture;
    options->host->leave_capture = leave_capture;
    options->rotation.is_live = capture_is_live(capture);
    interrupt_catch(stop_capture);
    bool whole = !options->loops || recording_read(&recording, capture) != CAPTURE_BROKEN;
    int status = run_recorded(options, capture, &recording, whole);
    recording_free(&recording);
    return status;
}

static int check_capture(const struct options *options, const struct capture *capture)
{
    if (options->loops && capture_is_live(capture))
        return usage_error("run", "--loop: %s is an interface, not a file", options->host->source);
    if (options->readers > 1 && !capture_is_live(capture))
        return usage_error("run", "--readers: %s is a file, not an interface", options->host->source);
    return EXIT_DONE;
}

static int run(int argc, char **argv)
{
    static struct host host = {.threads = 1, .timeout = TIMEOUT_DEFAULT};
    /* There are no more experts than words on the command line, or two by default. */
    static struct options options;
    options = (struct options){
        .host = &host,
        .top = TOP_DEFAULT,
        .readers = 1,
        .experts = calloc((size_t)argc, sizeof *options.experts),
        .settings = calloc((size_t)argc, sizeof *options.settings),
    };
    host_reserve(&host, (size_t)argc + 2);
    if (!options.experts || !options.settings)
        host_fatal("loading experts", KS_NO_MEMORY);
    int status = parse_options(argc, argv, &options);
    if (status)
        return status;
    if (!host.ring_bytes)
        host.ring_bytes = RING_DEFAULT;
    struct capture *capture = capture_open_readers(host.source, options.filter, (unsigned)options.readers);
    if (!capture)
        return EXIT_FAILED;
    status = check_capture(&options, capture);
    if (!status)
        status = run_capture(&options, capture);
    capture_close(capture);
    free(options.experts);
    free(options.settings);
    if (host_is_stuck(&host))
        output_exit(status);
    return status;
}

const struct command command_run = {"run", "run experts over a capture or an interface", run};
