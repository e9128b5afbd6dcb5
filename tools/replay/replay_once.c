/* A replay in this process. */
#include "replay.h"

#include "allocator.h"
#include "command.h"
#include "crew.h"
#include "input_path.h"
#include "replay_report.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

struct config *replay_config(const char *name, const char *path)
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
        free(replay_config(name, path));
    return good;
}

int replay_once(const struct replay_options *options)
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
