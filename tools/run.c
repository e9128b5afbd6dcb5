/* `keyslab run`: experts over a capture, with all their memory in expert keys. */
#include "capture/recording.h"
#include "command.h"
#include "host/host.h"
#include "host/readers.h"
#include "interrupt.h"
#include "json_line.h"
#include "output.h"
#include "run_events.h"
#include "run_options.h"
#include "run_report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PROGRESS_FRAMES = 4096, PROGRESS_FRAMES_FAST = 65536 };

static int apply_fail(struct run_options *options)
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
static int read_settings(struct run_options *options)
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

static bool one_more(const struct run_options *options)
{
    return !interrupted() && (!options->count || host_numbered(options->host) < options->count);
}

static enum capture_result next_frame(struct run_options *options, struct capture *capture, struct captured *frame)
{
    return rotation_take(&options->rotation, frame) ? CAPTURE_FRAME : capture_next(capture, frame);
}

static enum capture_result run_stream(struct run_options *options, struct capture *capture)
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

static uint64_t left_to_count(const struct run_options *options)
{
    return options->count ? options->count - host_numbered(options->host) : UINT64_MAX;
}

static enum capture_result run_readers(struct run_options *options, struct capture *capture)
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

static void run_recording(struct run_options *options, const struct recording *recording)
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
static enum capture_result run_period(struct run_options *options, struct capture *capture,
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

static void print_report(struct run_options *options, const struct resident *resident, bool cut_short)
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

static int report_run(struct run_options *options, struct capture *capture, const struct resident *resident, bool whole)
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
static bool run_frames(struct run_options *options, struct capture *capture, const struct recording *recording,
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

static void remember_frames(const struct run_options *options, const struct capture *capture,
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

static const char *const defaults[] = {"flows", "reassembly"};

enum { DEFAULTS = sizeof defaults / sizeof *defaults };

static bool load_experts(const struct run_options *options)
{
    for (size_t i = 0; !options->experts_count && i < DEFAULTS; i++)
        if (!host_load(options->host, defaults[i]))
            return false;
    for (size_t i = 0; i < options->experts_count; i++)
        if (!host_load(options->host, options->experts[i]))
            return false;
    return true;
}

static int run_recorded(struct run_options *options, struct capture *capture, const struct recording *recording,
                        bool whole)
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
static int run_capture(struct run_options *options, struct capture *capture)
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

static int check_capture(const struct run_options *options, const struct capture *capture)
{
    if (options->loops && capture_is_live(capture))
        return usage_error("run", "--loop: %s is an interface, not a file", options->host->source);
    if (options->readers > 1 && !capture_is_live(capture))
        return usage_error("run", "--readers: %s is a file, not an interface", options->host->source);
    return EXIT_DONE;
}

static int run(int argc, char **argv)
{
    static struct host host;
    /* Static, so that what ends the program at once leaves nothing that is not referred to. */
    static struct run_options options = {.host = &host};
    int status = run_options_parse(argc, argv, &options);
    if (status)
        return status;
    host_reserve(&host, options.experts_count + DEFAULTS);
    struct capture *capture = capture_open_readers(host.source, options.filter, (unsigned)options.readers);
    if (!capture)
        return EXIT_FAILED;
    status = check_capture(&options, capture);
    if (!status)
        status = run_capture(&options, capture);
    capture_close(capture);
    run_options_free(&options);
    if (host_is_stuck(&host))
        output_exit(status);
    return status;
}

const struct command command_run = {"run", "run experts over a capture or an interface", run};
