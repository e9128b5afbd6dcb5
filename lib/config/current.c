#include "config/current.h"

#include "keyslab/keyslab.h"
#include "memory/arena.h"

#include <errno.h>
#include <stdio.h>

/*
 *     current == NULL: built-in settings
 *     a reader is counted from before it loads `current` until it has done with what it got
 */
static struct config *current; /* any, atomic */
static uint32_t readers;       /* any, atomic */

/* With one write, and no memory: this may run inside the program's malloc. */
static void tell_stderr(void *context, const char *text)
{
    (void)context;
    char line[1200];
    int length = snprintf(line, sizeof line, "keyslab: %s\n", text);
    platform_log(line, (size_t)length);
}

/* The old config is unmapped, unless another thread is reading it at this moment (C12.1). */
static void current_replace(struct config *config)
{
    /* Once it is in place, another thread may replace it in turn. */
    struct settings settings;
    config_settings(config, "", &settings);
    struct config *old = swap(&current, config);
    POINT("config: in place");
    arena_decay_shared(setting_decay(&settings));
    POINT("config: replaced");
    if (old && !load_ordered(&readers))
        platform_unmap(old, sizeof *old);
}

static ks_status config_open(const char *path, ks_config_error *tell, void *context, struct config **opened)
{
    struct config *config = platform_map(sizeof *config);
    if (!config)
        return KS_NO_MEMORY;
    struct config_errors errors = {.path = path, .tell = tell, .warn = tell, .context = context};
    if (!config_read(path, config, &errors)) {
        platform_unmap(config, sizeof *config);
        return KS_INVALID;
    }
    *opened = config;
    return KS_OK;
}

/* The program did not ask for it, and keeps its errno. */
static void current_find(void)
{
    int before = errno;
    enum config_source source;
    const char *path = config_path(&source);
    struct config *config = NULL;
    if (path && config_open(path, tell_stderr, NULL, &config) != KS_OK)
        tell_stderr(NULL, "built-in settings are used instead");
    if (config)
        current_replace(config);
    errno = before;
}

/* The program has a config of its own: nobody looks for another one any more. */
static void current_given(void)
{
}

/* Counts itself among the readers before it loads the config, which is not unmapped meanwhile (C12.1). */
void current_settings(const char *key_name, struct settings *settings)
{
    platform_once(ONCE_CONFIG, current_find);
    fetch_add(&readers, 1);
    const struct config *config = load_ordered(&current);
    POINT("config: loaded");
    config_settings(config, key_name, settings);
    fetch_sub(&readers, 1);
}

ks_status current_load(const char *path, ks_config_error *tell, void *context)
{
    struct config *config = NULL;
    ks_status status = path ? config_open(path, tell ? tell : tell_stderr, context, &config) : KS_OK;
    if (status != KS_OK)
        return status;
    platform_once(ONCE_CONFIG, current_given);
    current_replace(config);
    return KS_OK;
}
