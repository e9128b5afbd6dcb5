/*
 * The config file's reader on any bytes. A file that it takes has settings in their ranges only, and means the same when its settings
 * are written out and read again; one that it does not take has at least one error. Each error and each warning is a line of text.
 */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TEXT_MOST = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *what)
{
    fprintf(stderr, "config: %s\n", what);
    abort();
}

static void tell(void *context, const char *text)
{
    (void)context;
    if (!*text || strchr(text, '\n'))
        fail("an error or a warning that is not a line of text");
}

static bool read_bytes(const void *bytes, size_t size, struct config *config, uint32_t *errors)
{
    char path[64];
    int file = memfd_create("config", 0);
    if (file < 0 || write(file, bytes, size) != (ssize_t)size)
        fail("no memory for a file");
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    struct config_errors told = {.path = path, .tell = tell, .warn = tell};
    bool good = config_read(path, config, &told);
    close(file);
    *errors = told.count;
    return good;
}

static void check_value(const struct setting *setting, uint64_t value)
{
    if (setting->type == TYPE_WORD) {
        uint64_t words = 0;
        while (setting->words[words])
            words++;
        if (value >= words)
            fail("a word that is none");
    } else if (setting->type != TYPE_CLASSES && setting->type != TYPE_PATH &&
               !(setting->special && value == setting->special_value) && !setting_has(setting, value)) {
        fail("a value out of its range");
    }
}

static void check_settings(const struct settings *settings)
{
    for (uint32_t i = 0; i < SETTINGS; i++)
        check_value(&settings_table[i], settings->values[i]);
    if (!memchr(settings->trace_file, '\0', sizeof settings->trace_file))
        fail("a path without an end");
    if (class_sizes_error(settings->sizes, settings->sizes_count, (uint32_t)settings->values[SET_ALIGNMENT]))
        fail("classes that are none");
    struct class table[CLASS_COVERED + 1];
    class_table_fill(table, &(struct class_choice){
                                .sizes = settings->sizes,
                                .count = settings->sizes_count,
                            });
}

static void write_settings(FILE *file, const struct settings *settings)
{
    char text[SETTING_TEXT];
    for (uint32_t i = 0; i < SETTINGS; i++) {
        if (!settings->origins[i])
            continue;
        fprintf(file, "%s = ", settings_table[i].name);
        if (i == SET_TRACE_FILE)
            fprintf(file, "%s", *settings->trace_file ? settings->trace_file : "none");
        else if (i != SET_CLASSES)
            fprintf(file, "%s", setting_format(&settings_table[i], settings->values[i], text));
        for (uint32_t size = 0; i == SET_CLASSES && size < settings->sizes_count; size++)
            fprintf(file, "%u,\n  ", settings->sizes[size]);
        fprintf(file, "\n");
    }
}

static bool is_same(const struct section *a, const struct section *b)
{
    bool same = !strcmp(a->name, b->name) && a->settings.sizes_count == b->settings.sizes_count &&
                !memcmp(a->settings.sizes, b->settings.sizes, a->settings.sizes_count * sizeof *a->settings.sizes) &&
                !strcmp(a->settings.trace_file, b->settings.trace_file);
    for (uint32_t i = 0; i < SETTINGS; i++)
        same = same && !a->settings.origins[i] == !b->settings.origins[i] &&
               (!a->settings.origins[i] || a->settings.values[i] == b->settings.values[i]);
    return same;
}

static void check_again(const struct config *config)
{
    static char text[TEXT_MOST];
    static struct config again;
    FILE *file = fmemopen(text, sizeof text, "w");
    for (uint32_t i = 0; i < config->count; i++) {
        const struct section *section = &config->sections[i];
        fprintf(file, *section->name ? "[key %s]\n" : "[defaults]\n", section->name);
        write_settings(file, &section->settings);
    }
    size_t size = (size_t)ftell(file);
    fclose(file);
    memset(&again, 0, offsetof(struct config, sections) + config->count * sizeof *config->sections);
    uint32_t errors;
    if (!read_bytes(text, size, &again, &errors) || again.count != config->count)
        fail("written out, it is not read again");
    for (uint32_t i = 0; i < config->count; i++)
        if (!is_same(&config->sections[i], &again.sections[i]))
            fail("written out, it means something else");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config;
    struct settings settings;
    uint32_t errors;
    /* As many sections are wiped as there can be: each takes two bytes. */
    size_t sections = size / 2 < SECTIONS_MOST ? size / 2 : SECTIONS_MOST;
    memset(&config, 0, offsetof(struct config, sections) + sections * sizeof *config.sections);
    bool good = read_bytes(data, size, &config, &errors);
    if (good != !errors)
        fail("errors and the answer differ");
    for (uint32_t i = 0; good && i < config.count; i++) {
        config_settings(&config, config.sections[i].name, &settings);
        check_settings(&settings);
    }
    if (good)
        check_again(&config);
    return 0;
}
