#include "run_options.h"

#include "capture/packet_socket.h"
#include "command.h"
#include "experts/decode.h"
#include "input_path.h"
#include "output.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOP_DEFAULT = 10, TIMEOUT_DEFAULT = 10 };

#define RING_DEFAULT ((uint64_t)8 << 20)
#define RING_LEAST   ((uint64_t)4 << 10)
#define RING_MOST    ((uint64_t)1 << 40)

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
static int check_isolate(const struct run_options *options)
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

static int check_options(const struct run_options *options)
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

static int parse(int argc, char **argv, struct run_options *options)
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

/* There are no more experts, and no more of their configurations, than words on the command line. */
int run_options_parse(int argc, char **argv, struct run_options *options)
{
    options->top = TOP_DEFAULT;
    options->readers = 1;
    options->host->threads = 1;
    options->host->timeout = TIMEOUT_DEFAULT;
    options->experts = calloc((size_t)argc, sizeof *options->experts);
    options->settings = calloc((size_t)argc, sizeof *options->settings);
    if (!options->experts || !options->settings)
        host_fatal("loading experts", KS_NO_MEMORY);
    int status = parse(argc, argv, options);
    if (!options->host->ring_bytes)
        options->host->ring_bytes = RING_DEFAULT;
    return status;
}

void run_options_free(struct run_options *options)
{
    free(options->experts);
    free(options->settings);
}
