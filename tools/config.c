/* `keyslab config`: checks config files, and shows what they make of a key. */
#include "command.h"
#include "config_report.h"
#include "input_path.h"
#include "json.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *key;
    bool json;
};

static void print_help(void)
{
    puts("usage: keyslab config check [OPTION]... FILE...\n"
         "       keyslab config show [OPTION]... [FILE]\n"
         "       keyslab config list [OPTION]...\n"
         "\n"
         "  check  reads config files, prints every error, or what each section sets; warns of\n"
         "         settings that have no effect any more, on standard error\n"
         "  show   prints the settings of a key, and the line that each comes from; without\n"
         "         FILE by the file that a program would find: that of KEYSLAB_CONF, else\n"
         "         the system's. A program's own options win over any file\n"
         "  list   prints every setting that there is\n"
         "\n"
         "A FILE of - is standard input.\n"
         "\n"
         "options:\n"
         "  -k, --key NAME  of show: a key of this name\n"
         "  -j, --json      print JSON instead\n"
         "  -h, --help      print this\n"
         "\n"
         "Exit status: 0 for good files, 1 for bad ones or where the\n"
         "report could not be written, 2 for a bad command line.");
}

/* ------------------------------------------------------------------ files */

static void keep_error(void *context, const char *text)
{
    struct checked *file = context;
    if (!file->json)
        complain("%s", text);
    json_array_append_new(file->errors, json_text(text));
}

/* Not of the report: a file with warnings is good. */
static void tell_warning(void *context, const char *text)
{
    (void)context;
    complain("%s", text);
}

static struct checked file_check(const char *name, bool json)
{
    struct checked file = {
        .path = name,
        .config = calloc(1, sizeof *file.config),
        .errors = json_array(),
        .json = json,
    };
    const char *path = input_path(name);
    if (!file.config || !file.errors)
        complain("out of memory for %s", input_path_shown(name));
    if (!path || !file.config || !file.errors)
        exit(EXIT_FAILED);
    struct config_errors errors = {
        .path = input_path_shown(name), .tell = keep_error, .warn = tell_warning, .context = &file};
    config_read(path, file.config, &errors);
    return file;
}

static void file_free(struct checked *file)
{
    json_decref(file->errors);
    free(file->config);
}

/* ------------------------------------------------------------------ the three */

static int check(const struct options *options, int count, char **paths)
{
    if (!count)
        return usage_error("config", "check: no file named");
    struct checked *files = calloc((size_t)count, sizeof *files);
    if (!files) {
        complain("out of memory for %d files", count);
        return EXIT_FAILED;
    }
    int status = EXIT_DONE;
    for (int i = 0; i < count; i++) {
        files[i] = file_check(paths[i], options->json);
        if (json_array_size(files[i].errors))
            status = EXIT_FAILED;
    }
    if (!report_check(files, (size_t)count, options->json))
        status = EXIT_FAILED;
    for (int i = 0; i < count; i++)
        file_free(&files[i]);
    free(files);
    return status;
}

static int show(const struct options *options, int count, char **paths)
{
    static const char *const sources[] = {"none", "named by KEYSLAB_CONF", "the system's"};
    if (count > 1)
        return usage_error("config", "show: more than one file named: %s", paths[1]);
    enum config_source source = SOURCE_NONE;
    const char *path = count ? paths[0] : config_path(&source);
    struct settings settings;
    if (!path) {
        config_settings(NULL, "", &settings);
        return report_show(&settings, options->key, NULL, sources[source], options->json) ? EXIT_DONE : EXIT_FAILED;
    }
    struct checked file = file_check(path, options->json);
    int status = json_array_size(file.errors) ? EXIT_FAILED : EXIT_DONE;
    if (status == EXIT_FAILED) {
        report_check(&file, 1, options->json);
    } else {
        config_settings(file.config, options->key ? options->key : "", &settings);
        if (!report_show(&settings, options->key, path, count ? "named here" : sources[source], options->json))
            status = EXIT_FAILED;
    }
    file_free(&file);
    return status;
}

static int list(const struct options *options, int count, char **arguments)
{
    if (count)
        return usage_error("config", "list: takes no file: %s", arguments[0]);
    return report_list(options->json) ? EXIT_DONE : EXIT_FAILED;
}

static int run(int argc, char **argv)
{
    static const struct option names[] = {
        {"key", required_argument, NULL, 'k'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct options options = {0};
    int option;
    while ((option = getopt_long(argc, argv, "k:jh", names, NULL)) != -1) {
        switch (option) {
        case 'k':
            options.key = optarg;
            break;
        case 'j':
            options.json = true;
            break;
        case 'h':
            print_help();
            return EXIT_DONE;
        default:
            return try_help("config");
        }
    }
    const char *what = optind < argc ? argv[optind] : "";
    int count = argc - optind - 1;
    char **arguments = argv + optind + 1;
    if (options.key && strcmp(what, "show") != 0)
        return usage_error("config", "--key goes with show");
    if (!strcmp(what, "check"))
        return check(&options, count, arguments);
    if (!strcmp(what, "show"))
        return show(&options, count, arguments);
    if (!strcmp(what, "list"))
        return list(&options, count, arguments);
    return usage_error("config", *what ? "%s: expected check, show or list" : "expected check, show or list", what);
}

const struct command command_config = {"config", "check config files, and show what they set", run};
