/*
 * Reads a config file with inih, which splits lines into names, values, comments and continuations. What inih leaves out is done
 * here, in the reader that it takes its lines from: it knows the line's number, which Debian's build does not pass on; it reads
 * [section] lines, which inih passes on with the first setting only, cut to 49 bytes; and it sees which lines inih could make nothing
 * of, of which inih names only the first.
 */
#include "config/config.h"
#include "config/config_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if KS_CONFIG

#include <ini.h>

enum { CHUNK = 4096, LINE = 256, QUOTED = 60 };

static_assert(INI_MAX_LINE <= LINE, "a line of inih's fits");

struct reading {
    struct config *config;
    struct config_errors *errors;
    int file;
    /* the chunk that lines are taken from */
    char chunk[CHUNK];
    size_t at, end;
    bool broken; /* nothing more is read */
    /* the line at work */
    char text[LINE];
    size_t length;  /* in the file, which may be more */
    size_t returns; /* carriage returns in it */
    uint32_t line;
    bool used; /* inih has made something of it, or it was reported already */
    /* where it stands */
    struct section *section;
    struct section scratch; /* takes the settings of a section that is wrong */
    char title[LINE];       /* as the file has it */
    bool named;             /* a setting stands above it in the section: an indented line goes on with it */
    uint32_t setting;       /* that one; SETTINGS where it was wrong or removed */
};

#define ERROR_IN(reading, name, format, ...)                                                                           \
    config_error_at((reading)->errors, (reading)->line, "%.80s %.*s: " format, (reading)->title, QUOTED, name,         \
                    ##__VA_ARGS__)

/* ------------------------------------------------------------------ the list of classes */

/* One size of the list. A wrong one is reported and left out; the others are looked at all the same. */
static void size_add(struct reading *reading, const char *text)
{
    struct settings *settings = &reading->section->settings;
    uint64_t bytes;
    if (!bytes_parse(text, &bytes)) {
        ERROR_IN(reading, "classes", "'%.*s' is no size: expected bytes, as 1536 or 64 KiB, with commas between them",
                 QUOTED, text);
        return;
    }
    if (settings->sizes_count == CLASS_LARGE) {
        ERROR_IN(reading, "classes", "'%.*s' is one too many: expected 47 sizes at the most", QUOTED, text);
        return;
    }
    settings->sizes[settings->sizes_count] = bytes > CLASS_TOP ? CLASS_TOP + 1 : (uint32_t)bytes;
    const char *expected = class_size_error(settings->sizes, settings->sizes_count, CLASS_GRANULE);
    if (expected)
        ERROR_IN(reading, "classes", "%.*s: expected %s", QUOTED, text, expected);
    else
        settings->sizes_count++;
}

/* What one line has of the list, a comma after each but the last, which may have one. */
static void sizes_add(struct reading *reading, char *text)
{
    while (*text) {
        char *next = text + strcspn(text, ",");
        char *end = next;
        if (*next)
            next++;
        while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        next += strspn(next, " \t");
        *end = '\0';
        size_add(reading, text);
        text = next;
    }
}

/* The list of the section's classes is over. */
static void sizes_end(struct reading *reading)
{
    if (!reading->named || reading->setting != SET_CLASSES)
        return;
    const struct settings *settings = &reading->section->settings;
    if (!settings->sizes_count || settings->sizes[settings->sizes_count - 1] != CLASS_TOP) {
        uint32_t line = reading->line;
        reading->line = settings->origins[SET_CLASSES];
        ERROR_IN(reading, "classes", "the list does not end with 65536: expected that as the last size");
        reading->line = line;
    }
}

/* ------------------------------------------------------------------ settings */

/* A path, or the word that stands for none. */
static void path_set(struct reading *reading, const struct setting *setting, const char *path)
{
    char expected[SETTING_TEXT];
    char *to = reading->section->settings.trace_file;
    if (!strcmp(path, setting->special))
        *to = '\0';
    else if (strlen(path) < PATH_ROOM)
        memcpy(to, path, strlen(path) + 1);
    else
        ERROR_IN(reading, setting->name, "%zu bytes: expected %s", strlen(path), setting_expected(setting, expected));
}

static void value_set(struct reading *reading, char *value)
{
    const struct setting *setting = &settings_table[reading->setting];
    char expected[SETTING_TEXT];
    if (setting->type == TYPE_CLASSES)
        sizes_add(reading, value);
    else if (!*value)
        ERROR_IN(reading, setting->name, "no value: expected %s", setting_expected(setting, expected));
    else if (setting->type == TYPE_PATH)
        path_set(reading, setting, value);
    else if (!setting_parse(setting, value, &reading->section->settings.values[reading->setting]))
        ERROR_IN(reading, setting->name, "'%.*s': expected %s", QUOTED, value, setting_expected(setting, expected));
}

/* Files that were written for an older library have these, and go on working. */
static bool is_removed(const char *name)
{
    return !strcmp(name, "magazine") || !strcmp(name, "magazine bytes");
}

/* Whatever its value, however often, and with the indented lines below it. */
static void setting_pass_over(struct reading *reading, const char *name)
{
    config_warning_at(reading->errors, reading->line,
                      "%.80s %.*s: this setting was removed and has no effect: free blocks are bits in their slab, and "
                      "there is nothing left to size: delete the line",
                      reading->title, QUOTED, name);
}

static void setting_unknown(struct reading *reading, const char *name)
{
    const char *nearest = nearest_name(name, setting_name, SETTINGS);
    if (!*name)
        ERROR_IN(reading, "=", "no name before it: expected NAME = VALUE");
    else if (nearest)
        ERROR_IN(reading, name, "no such setting: did you mean '%s'?", nearest);
    else
        ERROR_IN(reading, name, "no such setting: 'keyslab config list' names them");
}

/* A line NAME = VALUE. */
static void setting_begin(struct reading *reading, const char *name, char *value)
{
    sizes_end(reading);
    reading->named = true;
    reading->setting = setting_find(name);
    if (!reading->section) {
        config_error_at(reading->errors, reading->line,
                        "%.*s: outside of a section: expected [defaults] or [key NAME] above it", QUOTED, name);
        reading->setting = SETTINGS;
        return;
    }
    if (reading->setting == SETTINGS) {
        if (is_removed(name))
            setting_pass_over(reading, name);
        else
            setting_unknown(reading, name);
        return;
    }
    uint32_t *origin = &reading->section->settings.origins[reading->setting];
    if (*origin) {
        ERROR_IN(reading, name, "set in line %u already: expected once in a section", *origin);
        reading->setting = SETTINGS;
        return;
    }
    *origin = reading->line;
    if (settings_table[reading->setting].defaults_only && *reading->section->name)
        ERROR_IN(reading, name, "of the whole program: expected in [defaults]");
    value_set(reading, value);
}

/* An indented line below a setting. */
static void setting_go_on(struct reading *reading, char *value)
{
    if (reading->setting == SET_CLASSES)
        sizes_add(reading, value);
    else if (reading->setting != SETTINGS)
        ERROR_IN(reading, setting_name(reading->setting),
                 "'%.*s' is indented, and so goes on with the line above: only classes may take more than one line",
                 QUOTED, value);
}

/* A comment begins with # or ; at a line's start or after a blank. inih knows the latter for ; and not in indented lines. */
static void comment_cut(char *value)
{
    for (char *at = value; *at; at++)
        if ((*at == '#' || *at == ';') && (at == value || at[-1] == ' ' || at[-1] == '\t')) {
            *at = '\0';
            break;
        }
    size_t length = strlen(value);
    while (length && (value[length - 1] == ' ' || value[length - 1] == '\t'))
        value[--length] = '\0';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

static int handle(void *user, const char *section, const char *name, const char *text)
{
    (void)section;
    struct reading *reading = user;
    char value[LINE];
    snprintf(value, sizeof value, "%s", text);
    comment_cut(value);
    reading->used = true;
    if (reading->named && is_blank(*reading->text))
        setting_go_on(reading, value);
    else
        setting_begin(reading, name, value);
    return 1;
}

/* ------------------------------------------------------------------ sections */

static const char *section_word(uint32_t index)
{
    static const char *const words[] = {"defaults", "key"};
    return words[index];
}

/* What stands between the brackets, and the name of a key out of it; false for no section. */
static bool section_parse(struct reading *reading, const char *text, const char **name)
{
    *name = "";
    if (!strcmp(text, "defaults"))
        return true;
    size_t word = strcspn(text, " \t");
    *name = text + word + strspn(text + word, " \t");
    if (word == 3 && !strncmp(text, "key", word)) {
        if (!**name)
            config_error_at(reading->errors, reading->line,
                            "[%s]: no name: expected [key NAME], or a pattern as [key dns-*]", text);
        else if (strlen(*name) >= KEY_NAME_BYTES)
            config_error_at(reading->errors, reading->line, "[%s]: a key's name has 63 bytes at the most", text);
        return **name && strlen(*name) < KEY_NAME_BYTES;
    }
    char first[QUOTED];
    snprintf(first, sizeof first, "%.*s", (int)word, text);
    const char *nearest = nearest_name(first, section_word, 2);
    config_error_at(reading->errors, reading->line, "[%s]: no such section: %s", text,
                    !nearest          ? "expected [defaults] or [key NAME]"
                    : *nearest == 'd' ? "did you mean [defaults]?"
                                      : "did you mean [key NAME]?");
    return false;
}

static struct section *section_add(struct reading *reading, const char *name)
{
    struct config *config = reading->config;
    for (uint32_t i = 0; i < config->count; i++)
        if (!strcmp(config->sections[i].name, name)) {
            config_error_at(reading->errors, reading->line, "%s: begun in line %u already: expected once in a file",
                            reading->title, config->sections[i].line);
            return NULL;
        }
    if (config->count == SECTIONS_MOST) {
        config_error_at(reading->errors, reading->line, "one section too many: expected %u at the most", SECTIONS_MOST);
        return NULL;
    }
    struct section *section = &config->sections[config->count++];
    memcpy(section->name, name, strlen(name) + 1);
    section->line = reading->line;
    return section;
}

/* A line that begins with a bracket. */
static void section_begin(struct reading *reading)
{
    char text[LINE];
    const char *name;
    sizes_end(reading);
    reading->named = false;
    reading->used = true;
    reading->scratch = (struct section){0};
    reading->section = &reading->scratch;
    snprintf(text, sizeof text, "%s", reading->text);
    comment_cut(text);
    snprintf(reading->title, sizeof reading->title, "%s", text);
    char *end = strrchr(text, ']');
    if (!end || end[1]) {
        config_error_at(reading->errors, reading->line, "'%.*s': expected ] at its end", QUOTED, text);
        return;
    }
    *end = '\0';
    comment_cut(text);
    if (!section_parse(reading, text + 1 + strspn(text + 1, " \t"), &name))
        return;
    struct section *section = section_add(reading, name);
    if (section)
        reading->section = section;
}

/* ------------------------------------------------------------------ lines */

/* inih has had its turn with the last line. */
static void line_end(struct reading *reading)
{
    const char *text = reading->text + strspn(reading->text, " \t\r\v\f");
    if (reading->line && !reading->used && *text && *text != '#' && *text != ';')
        config_error_at(reading->errors, reading->line, "'%.*s': expected NAME = VALUE, [defaults] or [key NAME]",
                        QUOTED, text);
    reading->used = false;
}

/* The next byte; -1 at the end, and after an error. */
static int byte_next(struct reading *reading)
{
    if (reading->at == reading->end && !reading->broken) {
        ssize_t got = read(reading->file, reading->chunk, sizeof reading->chunk);
        if (got < 0)
            config_error_at(reading->errors, 0, "%s", strerror(errno));
        reading->broken = got <= 0;
        reading->at = 0;
        reading->end = got > 0 ? (size_t)got : 0;
    }
    return reading->at < reading->end ? (unsigned char)reading->chunk[reading->at++] : -1;
}

/* Fills text with a line, without its end, which is LF or CR LF. False at the end of the file. */
static bool line_next(struct reading *reading, size_t room)
{
    int last = 0;
    int byte;
    reading->length = reading->returns = 0;
    while ((byte = byte_next(reading)) >= 0 && byte != '\n') {
        if (!byte) {
            config_error_at(reading->errors, reading->line + 1, "a zero byte: expected a text file");
            reading->broken = true;
            reading->at = reading->end = 0;
            return false;
        }
        if (reading->length < room)
            reading->text[reading->length] = (char)byte;
        reading->length++;
        reading->returns += byte == '\r';
        last = byte;
    }
    bool any = byte >= 0 || reading->length;
    if (byte == '\n' && last == '\r') {
        reading->length--;
        reading->returns--;
    }
    reading->text[reading->length < room ? reading->length : room] = '\0';
    return any;
}

static bool is_comment(const char *text)
{
    text += strspn(text, " \t");
    return *text == '#' || *text == ';';
}

/* What is wrong with the line as a whole. It is passed over then, and a section that it begins takes its settings with it. */
static bool line_is_good(struct reading *reading, size_t room)
{
    if (reading->returns)
        config_error_at(reading->errors, reading->line,
                        "a carriage return (\\r) inside of a line: expected lines that end with LF or CR LF");
    else if (reading->length <= room || is_comment(reading->text))
        return true;
    else
        config_error_at(reading->errors, reading->line, "a line of %zu bytes: expected %zu at the most",
                        reading->length, room);
    return false;
}

static void line_drop(struct reading *reading)
{
    if (*reading->text == '[') {
        sizes_end(reading);
        reading->named = false;
        reading->scratch = (struct section){0};
        reading->section = &reading->scratch;
        snprintf(reading->title, sizeof reading->title, "[...]");
    }
    *reading->text = '\0';
}

static void mark_skip(struct reading *reading)
{
    if (reading->line == 1 && !strncmp(reading->text, "\xEF\xBB\xBF", 3))
        memmove(reading->text, reading->text + 3, strlen(reading->text + 3) + 1);
}

/* inih's next line, as fgets would read it into `size` bytes. */
static char *reader(char *line, int size, void *stream)
{
    struct reading *reading = stream;
    size_t room = (size_t)(size < LINE ? size : LINE) - 2;
    line_end(reading);
    if (!line_next(reading, room)) {
        *reading->text = '\0';
        sizes_end(reading);
        return NULL;
    }
    reading->line++;
    mark_skip(reading);
    if (!line_is_good(reading, room))
        line_drop(reading);
    if (*reading->text == '[')
        section_begin(reading);
    snprintf(line, (size_t)size, "%s\n", reading->text);
    return line;
}

/* ------------------------------------------------------------------ the whole */

static bool file_read(int file, struct config *config, struct config_errors *errors)
{
    struct reading reading = {.config = config, .errors = errors, .file = file};
    ini_parse_stream(reader, &reading, handle, &reading);
    config_check(config, errors);
    return !errors->count;
}

bool config_read(const char *path, struct config *config, struct config_errors *errors)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        config_error_at(errors, 0, "%s", strerror(errno));
        return false;
    }
    bool good = file_read(file, config, errors);
    close(file);
    return good;
}

#else

bool config_read(const char *path, struct config *config, struct config_errors *errors)
{
    (void)path, (void)config;
    config_error_at(errors, 0, "this keyslab was built without libinih, and reads no config files");
    return false;
}

#endif
