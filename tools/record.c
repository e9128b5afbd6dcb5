/* `keyslab record`: runs a program and writes a trace of its allocations. */
#include "command.h"
#include "interrupt.h"
#include "output.h"
#include "record_traces.h"
#include "recorder/recorder.h"
#include "trace/open.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* As a shell and env(1) answer: not found, and found but not to be run. */
enum { STATUS_NOT_RUN = 126, STATUS_NOT_FOUND = 127, STATUS_SIGNAL = 128 };

struct record_options {
    const char *output;
    uint64_t sample;
    bool quiet;
    char **program;
};

static void print_help(void)
{
    puts("usage: keyslab record [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
         "\n"
         "Runs a program and writes every allocation, free and reallocation that it does\n"
         "through malloc into a trace, for 'keyslab tune' and 'keyslab replay'. The\n"
         "program's own output and exit status are passed on.\n"
         "\n"
         "options:\n"
         "  -o, --output FILE  the trace; default PROGRAM.kst, in this folder\n"
         "  -s, --sample N     record one of N blocks, chosen by address; default 1: all\n"
         "  -q, --quiet        no summary at the end\n"
         "  -h, --help         print this\n"
         "\n"
         "A child process that allocates writes FILE.PID, or FILE.PID.2 and so on where that\n"
         "is another's; a program that replaces itself (exec) goes on in its file. What was\n"
         "recorded is in the file however a program ends. A child that outlives the program\n"
         "and is killed leaves a trace without an end: see --salvage of 'keyslab tune'.\n"
         "Programs that are linked statically, or that change their user, cannot be recorded.\n"
         "\n"
         "Exit status: the program's; 126 or 127 where it could not be run, 1 where no\n"
         "trace came of it, 2 for a bad command line.");
}

static int parse_options(int argc, char **argv, struct record_options *options)
{
    static const struct option names[] = {
        {"output", required_argument, NULL, 'o'},
        {"sample", required_argument, NULL, 's'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "+o:s:qh", names, NULL)) != -1) {
        switch (option) {
        case 'o':
            options->output = optarg;
            break;
        case 's':
            if (!parse_number("--sample", optarg, 1, UINT32_MAX, &options->sample))
                return EXIT_USAGE;
            break;
        case 'q':
            options->quiet = true;
            break;
        case 'h':
            print_help();
            exit(EXIT_DONE);
        default:
            try_help("record");
            return EXIT_USAGE;
        }
    }
    if (optind == argc) {
        usage_error("record", "no program named");
        return EXIT_USAGE;
    }
    if (options->output && output_is_standard(options->output)) {
        usage_error("record", "--output -: standard output is the program's: expected a file");
        return EXIT_USAGE;
    }
    options->program = argv + optind;
    return EXIT_DONE;
}

/* ------------------------------------------------------------------ paths */

/* Absolute, since the program may change its folder. */
static bool trace_file(const struct record_options *options, char path[PATH_MAX])
{
    char folder[PATH_MAX] = "";
    char name[PATH_MAX];
    if (options->output)
        snprintf(name, sizeof name, "%s", options->output);
    else
        snprintf(name, sizeof name, "%s.kst", base_name(options->program[0]));
    if (*name != '/' && !getcwd(folder, sizeof folder)) {
        complain("this folder: %s", strerror(errno));
        return false;
    }
    if ((size_t)snprintf(path, PATH_MAX, "%s%s%s", folder, *folder ? "/" : "", name) < PATH_MAX)
        return true;
    complain("%s: %s", name, strerror(ENAMETOOLONG));
    return false;
}

static bool library_path(char path[PATH_MAX])
{
    char searched[FILE_SEARCHED];
    bool found = find_file("recorder", RECORDER_FOLDER, RECORD_LIBRARY, path, searched);
    if (!found)
        complain(RECORD_LIBRARY ": no such file: %s", searched);
    return found;
}

/* An empty file where the trace will be: a bad path is told before the program runs. */
static bool clear_file(const char *path)
{
    int descriptor = trace_open_new(path);
    if (descriptor >= 0)
        close(descriptor);
    else
        complain("%s: %s", path, strerror(errno));
    return descriptor >= 0;
}

static uint64_t wall_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ------------------------------------------------------------------ the program */

static const int passed_on[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};

enum { PASSED_ON = sizeof passed_on / sizeof *passed_on };

static volatile pid_t program; /* 0 when it has ended */

/* What the kernel sends, for a key or for a terminal that is gone, reaches the program by itself. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (!program) {
        signal(number, SIG_DFL);
        raise(number);
    } else if (info->si_code != SI_KERNEL) {
        kill(program, number);
    }
}

/* Signals that are ignored stay so, for the program too. They are blocked until there is a program, and it has the signals as they were. */
static void catch_signals(void)
{
    for (int i = 0; i < PASSED_ON; i++) {
        struct sigaction before;
        sigaction(passed_on[i], NULL, &before);
        if (before.sa_handler != SIG_IGN)
            sigaction(passed_on[i], &(struct sigaction){.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART},
                      NULL);
    }
}

static void set_number(const char *name, uint64_t value)
{
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, value);
    setenv(name, number, 1);
}

static _Noreturn void run_program(const struct record_options *options, const char *trace, uint64_t since,
                                  const char *library)
{
    char preload[2 * PATH_MAX];
    const char *before = getenv("LD_PRELOAD");
    snprintf(preload, sizeof preload, "%s%s%s", library, before && *before ? ":" : "", before ? before : "");
    setenv("LD_PRELOAD", preload, 1);
    setenv(RECORD_FILE, trace, 1);
    set_number(RECORD_PROCESS, (uint64_t)getpid());
    set_number(RECORD_SINCE, since);
    set_number(RECORD_SAMPLE, options->sample);
    output_release();
    execvp(options->program[0], options->program);
    complain("%s: %s", options->program[0], strerror(errno));
    _exit(errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUN);
}

/* False where its status is not to be had. */
static bool wait_program(const char *name, int *status)
{
    while (waitpid(program, status, 0) < 0)
        if (errno != EINTR) {
            complain("%s: %s", name, strerror(errno));
            return false;
        }
    program = 0;
    return true;
}

static int shell_status(int status)
{
    return WIFSIGNALED(status) ? STATUS_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

static int record(int argc, char **argv)
{
    struct record_options options = {.sample = 1};
    char trace[PATH_MAX];
    char library[PATH_MAX];
    int status = parse_options(argc, argv, &options);
    if (status)
        return status;
    sigset_t before;
    if (!trace_file(&options, trace) || !library_path(library) || !clear_file(trace))
        return EXIT_FAILED;
    uint64_t since = wall_time();
    interrupt_block(&before);
    program = fork();
    if (!program) {
        interrupt_unblock(&before);
        run_program(&options, trace, since, library);
    }
    if (program < 0) {
        complain("%s: %s", options.program[0], strerror(errno));
        return EXIT_FAILED;
    }
    catch_signals();
    interrupt_unblock(&before);
    struct recording_end end = {.path = trace, .since = since, .quiet = options.quiet};
    if (!wait_program(options.program[0], &end.status))
        return EXIT_FAILED;
    status = shell_status(end.status);
    if (status == STATUS_NOT_FOUND || status == STATUS_NOT_RUN)
        return status;
    signal(SIGXFSZ, SIG_IGN); /* the traces may be as large as files may be */
    return record_traces(&end) || status ? status : EXIT_FAILED;
}

const struct command command_record = {"record", "run a program and write a trace of its allocations", record};
