#include "config/config_check.h"

#include <stdarg.h>
#include <stdio.h>

enum { MESSAGE = 1024, TITLE = KEY_NAME_BYTES + sizeof "[defaults]" };

/* Control characters as \r or \033: a terminal would show them by what they do to the line. A tab is a blank. */
static void show_controls(char *to, size_t size, const char *from)
{
    size_t at = 0;
    to[0] = '\0';
    for (; *from && at + sizeof "\\033" <= size; from++) {
        unsigned char c = (unsigned char)*from;
        bool shown = (c >= ' ' && c != 0x7f) || c == '\t';
        at += (size_t)snprintf(to + at, size - at, shown ? "%c" : c == '\r' ? "\\r" : "\\%03o", c);
    }
}

struct message {
    char text[MESSAGE + MESSAGE / 4];
};

/* What is said, after the file's name and, unless it is 0, the line. */
static void message_fill(struct message *message, const char *path, uint32_t line, const char *format,
                         va_list arguments)
{
    char text[MESSAGE];
    int used = snprintf(text, sizeof text, "%.500s:", path);
    if (line)
        used += snprintf(text + used, sizeof text - (size_t)used, "%u:", line);
    used += snprintf(text + used, sizeof text - (size_t)used, " ");
    vsnprintf(text + used, sizeof text - (size_t)used, format, arguments);
    show_controls(message->text, sizeof message->text, text);
}

void config_error_at(struct config_errors *errors, uint32_t line, const char *format, ...)
{
    struct message message;
    va_list arguments;
    va_start(arguments, format);
    message_fill(&message, errors->path, line, format, arguments);
    va_end(arguments);
    errors->count++;
    errors->tell(errors->context, message.text);
}

void config_warning_at(struct config_errors *errors, uint32_t line, const char *format, ...)
{
    struct message message;
    va_list arguments;
    va_start(arguments, format);
    message_fill(&message, errors->path, line, format, arguments);
    va_end(arguments);
    errors->warn(errors->context, message.text);
}

static const char *title_of(const struct section *section, char *title)
{
    snprintf(title, TITLE, "[%s%s]", *section->name ? "key " : "defaults", section->name);
    return title;
}

/* ------------------------------------------------------------------ the checks
 *
 * Of the settings that keys of a section have, which are those of [defaults] too. At fault is the section that sets one of the two
 * that do not go together. What is out of its range was reported where it stands, and is passed over here.
 */
struct check {
    const struct section *section;
    const uint32_t *lines;    /* of the section's own */
    struct settings settings; /* of its keys */
    struct config_errors *errors;
};

static bool is_in_range(const struct check *check, uint32_t setting)
{
    return setting_has(&settings_table[setting], check->settings.values[setting]);
}

/* Keys that share arenas share their decay, which is in [defaults]. */
static void check_decay(const struct check *check)
{
    if (*check->section->name && check->lines[SET_DECAY] && check->settings.values[SET_ARENA] != ARENA_KEY)
        config_error_at(
            check->errors, check->lines[SET_DECAY],
            "[key %s] decay: the arena is shared with other keys: expected 'arena = key', or decay in [defaults]",
            check->section->name);
}

/* A key without room for one slab would be refused all but large blocks. */
static void check_quota(const struct check *check)
{
    char title[TITLE], quota[SETTING_TEXT], slab[SETTING_TEXT];
    const struct settings *settings = &check->settings;
    uint32_t setting = check->lines[SET_QUOTA] ? SET_QUOTA : check->lines[SET_SLAB] ? SET_SLAB : SET_CHECK;
    if (!check->lines[setting] || !is_in_range(check, SET_QUOTA) || !is_in_range(check, SET_SLAB) ||
        settings->values[SET_QUOTA] >= setting_slab(settings))
        return;
    config_error_at(
        check->errors, check->lines[setting],
        "%s %s: a quota of %.24s has no room for a slab of %.24s: expected a larger quota, or a smaller slab",
        title_of(check->section, title), setting_name(setting),
        setting_format(&settings_table[SET_QUOTA], settings->values[SET_QUOTA], quota),
        setting_format(&settings_table[SET_SLAB], setting_slab(settings), slab));
}

/* The most that allows a class of this size. */
static uint32_t alignment_for(uint32_t size)
{
    uint32_t alignment = (uint32_t)settings_table[SET_ALIGNMENT].most;
    while (size % class_multiple(size, alignment))
        alignment /= 2;
    return alignment;
}

/* Classes between which no block would be aligned as the key promises. Each was a multiple of the least when it was read. */
static void check_alignment(const struct check *check)
{
    char title[TITLE];
    const struct settings *settings = &check->settings;
    uint32_t alignment = (uint32_t)settings->values[SET_ALIGNMENT];
    if (!is_in_range(check, SET_ALIGNMENT) || (!check->lines[SET_CLASSES] && !check->lines[SET_ALIGNMENT]))
        return;
    for (uint32_t i = 0; i < settings->sizes_count; i++) {
        uint32_t size = settings->sizes[i];
        const char *expected = class_size_error(settings->sizes, i, alignment);
        if (!expected)
            continue;
        if (check->lines[SET_CLASSES])
            config_error_at(check->errors, check->lines[SET_CLASSES],
                            "%s classes: %u: expected %s, or 'alignment = %u'", title_of(check->section, title), size,
                            expected, alignment_for(size));
        else
            config_error_at(check->errors, check->lines[SET_ALIGNMENT],
                            "%s alignment: %u is a class in [defaults]: expected %u at the most, or other classes",
                            title_of(check->section, title), size, alignment_for(size));
    }
}

void config_check(const struct config *config, struct config_errors *errors)
{
    for (uint32_t i = 0; i < config->count; i++) {
        struct check check = {.section = &config->sections[i], .errors = errors};
        check.lines = check.section->settings.origins;
        config_settings(config, check.section->name, &check.settings);
        check_decay(&check);
        check_quota(&check);
        check_alignment(&check);
    }
}
