#include "config_report.h"

#include "command.h"
#include "input_path.h"
#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZES_A_LINE = 12 };

/* "35 classes, 16 to 65536". */
static char *classes_text(const uint32_t *sizes, uint32_t count, char *text)
{
    snprintf(text, SETTING_TEXT, "%u class%s, %u to %u", count, count == 1 ? "" : "es", sizes[0], sizes[count - 1]);
    return text;
}

static char *path_text(const struct settings *settings, char *text)
{
    snprintf(text, SETTING_TEXT, "%s", *settings->trace_file ? settings->trace_file : "none");
    return text;
}

static char *value_text(const struct settings *settings, uint32_t i, char *text)
{
    if (i == SET_CLASSES)
        return classes_text(settings->sizes, settings->sizes_count, text);
    if (i == SET_TRACE_FILE)
        return path_text(settings, text);
    return setting_format(&settings_table[i], settings->values[i], text);
}

static json_t *value_json(const struct settings *settings, uint32_t i)
{
    char text[SETTING_TEXT];
    if (i != SET_CLASSES)
        return json_text(value_text(settings, i, text));
    json_t *sizes = json_array();
    for (uint32_t size = 0; size < settings->sizes_count; size++)
        json_array_append_new(sizes, json_integer(settings->sizes[size]));
    return sizes;
}

/* ------------------------------------------------------------------ list */

static bool list_json(const struct settings *built_in)
{
    static const char *const types[] = {"sizes", "count", "bytes", "time", "word", "path"};
    char range[SETTING_TEXT];
    json_t *list = json_array();
    for (uint32_t i = 0; i < SETTINGS; i++) {
        const struct setting *setting = &settings_table[i];
        json_array_append_new(list,
                              json_pack("{ss ss ss* ss so ss}", "name", setting->name, "type", types[setting->type],
                                        "unit", setting->unit, "values", setting_range(setting, range), "built_in",
                                        value_json(built_in, i), "text", setting->text));
    }
    return json_print(list, JSON_INDENT(2));
}

bool report_list(bool json)
{
    struct settings built_in;
    char range[SETTING_TEXT];
    char value[SETTING_TEXT];
    settings_start(&built_in);
    if (json)
        return list_json(&built_in);
    for (uint32_t i = 0; i < SETTINGS; i++) {
        const struct setting *setting = &settings_table[i];
        printf("%s\n    %s\n    values: %s%s%s\n    built in: %s\n", setting->name, setting->text,
               setting_range(setting, range), setting->type == TYPE_COUNT ? " " : "",
               setting->type == TYPE_COUNT ? setting->unit : "", value_text(&built_in, i, value));
    }
    return true;
}

/* ------------------------------------------------------------------ check */

static char *section_text(const struct section *section, char *text, size_t size)
{
    if (*section->name)
        snprintf(text, size, "[key %s]", section->name);
    else
        snprintf(text, size, "[defaults]");
    return text;
}

static json_t *section_json(const struct section *section)
{
    char name[KEY_NAME_BYTES + 8];
    json_t *settings = json_array();
    for (uint32_t i = 0; i < SETTINGS; i++)
        if (section->settings.origins[i])
            json_array_append_new(settings, json_pack("{ss so si}", "name", settings_table[i].name, "value",
                                                      value_json(&section->settings, i), "line",
                                                      (int)section->settings.origins[i]));
    return json_pack("{so si so}", "section", json_text(section_text(section, name, sizeof name)), "line",
                     (int)section->line, "settings", settings);
}

static bool check_json(const struct checked *files, size_t count)
{
    json_t *all = json_array();
    for (size_t f = 0; f < count; f++) {
        json_t *sections = json_array();
        for (uint32_t i = 0; !json_array_size(files[f].errors) && i < files[f].config->count; i++)
            json_array_append_new(sections, section_json(&files[f].config->sections[i]));
        json_array_append_new(all, json_pack("{so sO so}", "file", json_text(files[f].path), "errors", files[f].errors,
                                             "sections", sections));
    }
    return json_print(all, JSON_INDENT(2));
}

static void section_rows(struct table *table, const struct section *section, const struct settings *built_in)
{
    char text[SETTING_TEXT];
    for (uint32_t i = 0; i < SETTINGS; i++) {
        if (!section->settings.origins[i])
            continue;
        table_row(table);
        table_cell(table, 0, "%s", section_text(section, text, sizeof text));
        table_cell(table, 1, "%u", section->settings.origins[i]);
        table_cell(table, 2, "%s", settings_table[i].name);
        table_cell(table, 3, "%s", value_text(&section->settings, i, text));
        table_cell(table, 4, "%s", value_text(built_in, i, text));
    }
}

static void check_text(const struct checked *file)
{
    struct settings built_in;
    struct table table = {
        .columns = 5,
        .titles = {"section", "line", "setting", "value", "built in"},
        .left = {true, false, true, true, true},
    };
    settings_start(&built_in);
    printf("%s: good, %u section%s\n", input_path_shown(file->path), file->config->count,
           file->config->count == 1 ? "" : "s");
    for (uint32_t i = 0; i < file->config->count; i++)
        section_rows(&table, &file->config->sections[i], &built_in);
    if (table.rows)
        table_print(&table);
}

bool report_check(const struct checked *files, size_t count, bool json)
{
    if (json)
        return check_json(files, count);
    for (size_t f = 0; f < count; f++)
        if (!json_array_size(files[f].errors))
            check_text(&files[f]);
    return true;
}

/* ------------------------------------------------------------------ show */

static json_t *origin_json(uint32_t line, const char *path)
{
    return line ? json_text_format("%s:%u", input_path_shown(path), line) : json_string("built in");
}

static bool show_json(const struct settings *settings, const char *key, const char *path, const char *source)
{
    json_t *shown = json_array();
    for (uint32_t i = 0; i < SETTINGS; i++)
        json_array_append_new(shown,
                              json_pack("{ss so so}", "name", settings_table[i].name, "value", value_json(settings, i),
                                        "from", origin_json(settings->origins[i], path)));
    json_t *json = json_pack("{so so ss so}", "key", json_text_or_null(key), "file", json_text_or_null(path), "source",
                             source, "settings", shown);
    return json_print(json, JSON_INDENT(2));
}

static void print_sizes(const struct settings *settings)
{
    printf("\nclasses:");
    for (uint32_t i = 0; i < settings->sizes_count; i++)
        printf("%s%u%s", i % SIZES_A_LINE ? " " : "\n    ", settings->sizes[i],
               i + 1 < settings->sizes_count ? "," : "\n");
}

bool report_show(const struct settings *settings, const char *key, const char *path, const char *source, bool json)
{
    if (json)
        return show_json(settings, key, path, source);
    char text[SETTING_TEXT];
    struct table table = {.columns = 3, .titles = {"setting", "value", "from"}, .left = {true, true, true}};
    printf("config: %s%s%s%s\n", path ? input_path_shown(path) : "none", path ? " (" : "", path ? source : "",
           path ? ")" : "");
    printf("keys: %s%s\n", key ? "named " : "that no section is for", key ? key : "");
    for (uint32_t i = 0; i < SETTINGS; i++) {
        table_row(&table);
        table_cell(&table, 0, "%s", settings_table[i].name);
        table_cell(&table, 1, "%s", value_text(settings, i, text));
        if (settings->origins[i])
            table_cell(&table, 2, "line %u", settings->origins[i]);
        else
            table_cell(&table, 2, "built in");
    }
    table_print(&table);
    print_sizes(settings);
    return true;
}
