#include "settings.h"

#include "command.h"
#include "host.h"
#include "output.h"
#include "process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETTINGS_MOST = 16 << 20 };

/* All of the file, as far as it is not longer than a configuration can be. */
static bool read_all(struct settings *settings, FILE *file)
{
    char *bytes;
    int byte;
    FILE *copy = open_memstream(&bytes, &settings->size);
    if (!copy)
        return false;
    for (size_t size = 0; size <= SETTINGS_MOST && (byte = getc(file)) != EOF; size++)
        putc(byte, copy);
    bool written = !fclose(copy);
    settings->bytes = bytes;
    return written && !ferror(file);
}

static bool check(const struct expert *expert)
{
    const struct settings *settings = &expert->settings;
    DWORD length = 0;
    if (settings->size >= sizeof length)
        memcpy(&length, settings->bytes, sizeof length);
    if (settings->size <= SETTINGS_MOST && settings->size >= sizeof length && length == settings->size)
        return true;
    complain("--expert-config %s=%s: not the configuration of an expert: it has %s%zu bytes, and says that it has %u",
             expert->name, settings->path, settings->size > SETTINGS_MOST ? "more than " : "",
             settings->size > SETTINGS_MOST ? SETTINGS_MOST : settings->size, length);
    return false;
}

bool settings_read(struct expert *expert, const char *path)
{
    if (!expert->is_configurable) {
        complain("--expert-config %s=%s: the expert cannot be configured", expert->name, path);
        return false;
    }
    expert->settings = (struct settings){.path = path};
    FILE *file = fopen(path, "rb");
    if (!file && errno == ENOENT)
        return true;
    bool read = file && read_all(&expert->settings, file);
    if (!read)
        complain("--expert-config %s=%s: %s", expert->name, path, strerror(errno));
    if (file)
        fclose(file);
    return read && check(expert);
}

EXPERTCONFIG *settings_copy(const struct expert *expert)
{
    const struct settings *settings = &expert->settings;
    EXPERTCONFIG *config = settings->bytes ? ks_alloc(expert->key, settings->size, NULL) : NULL;
    if (config)
        memcpy(config, settings->bytes, settings->size);
    return config;
}

bool settings_save(const struct expert *expert, const void *bytes, size_t size)
{
    const struct settings *settings = &expert->settings;
    struct output output;
    if (settings->bytes && settings->size == size && !memcmp(settings->bytes, bytes, size))
        return true;
    if (!settings->path || !output_open(&output, settings->path))
        return false;
    fwrite(bytes, 1, size, output.file);
    return output_close(&output);
}

bool settings_write(const struct expert *expert, const EXPERTCONFIG *config)
{
    const struct settings *settings = &expert->settings;
    if (!settings->path || !config)
        return true;
    /* The host looks at it only where it is a block of the expert's, and whole. */
    size_t size = ks_size(expert->key, config);
    if (size < sizeof config->RawConfigLength || size < config->RawConfigLength ||
        config->RawConfigLength < sizeof config->RawConfigLength) {
        complain("--expert-config %s=%s: not written: what Configure has made is no configuration", expert->name,
                 settings->path);
        return false;
    }
    if (!expert->is_apart)
        return settings_save(expert, config, config->RawConfigLength);
    process_send_settings(config);
    return true;
}

void settings_free(struct expert *expert)
{
    free(expert->settings.bytes);
    expert->settings.bytes = NULL;
}
