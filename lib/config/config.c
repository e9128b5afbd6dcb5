/* Keys and their sections; the reader of the file is in config_read.c. */
#include "config/config.h"

#include <fnmatch.h>
#include <string.h>

static const struct section *section_named(const struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->count; i++)
        if (!strcmp(config->sections[i].name, name))
            return &config->sections[i];
    return NULL;
}

const struct section *config_section(const struct config *config, const char *key_name)
{
    if (!*key_name)
        return NULL;
    const struct section *exact = section_named(config, key_name);
    if (exact)
        return exact;
    for (uint32_t i = 0; i < config->count; i++)
        if (*config->sections[i].name && !fnmatch(config->sections[i].name, key_name, FNM_NOESCAPE))
            return &config->sections[i];
    return NULL;
}

void config_settings(const struct config *config, const char *key_name, struct settings *settings)
{
    settings_start(settings);
    if (!config)
        return;
    const struct section *defaults = section_named(config, "");
    const struct section *section = config_section(config, key_name);
    if (defaults)
        settings_overlay(settings, &defaults->settings);
    if (section)
        settings_overlay(settings, &section->settings);
}
