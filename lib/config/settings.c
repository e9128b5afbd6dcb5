#include "config/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KIB ((uint64_t)1 << 10)
#define GIB ((uint64_t)1 << 30)

const struct setting settings_table[SETTINGS] = {
    [SET_CLASSES] =
        {
            .name = "classes",
            .type = TYPE_CLASSES,
            .unit = "bytes",
            .text = "the block sizes",
        },
    [SET_ALIGNMENT] =
        {
            .name = "alignment",
            .type = TYPE_COUNT,
            .unit = "bytes",
            .least = CLASS_GRANULE,
            .most = 64,
            .initial = 64,
            .power_of_two = true,
            .text = "what addresses are multiples of; below 512 bytes of 16 at the most, from there up of 16 at least",
        },
    [SET_OUTBOX] =
        {
            .name = "outbox",
            .type = TYPE_BYTES,
            .unit = "bytes",
            .least = 1,
            .most = GIB,
            .initial = 64 * KIB,
            .text = "most bytes of freed blocks that a thread collects for one owner thread before it sends them",
        },
    [SET_FLUSH] =
        {
            .name = "flush",
            .type = TYPE_COUNT,
            .unit = "slow paths",
            .least = 1,
            .most = 1000000,
            .initial = 64,
            .text = "slow paths of a thread in the key after which collected blocks are sent, however few",
        },
    [SET_SLAB] =
        {
            .name = "slab",
            .type = TYPE_BYTES,
            .unit = "bytes",
            .least = CLASS_TOP,
            .most = SLAB_BYTES,
            .initial = SLAB_BYTES,
            .power_of_two = true,
            .text = "bytes that the key takes from its arena at once, for blocks of one class",
        },
    [SET_RETAIN] =
        {
            .name = "retain",
            .type = TYPE_BYTES,
            .unit = "bytes",
            .least = 0,
            .most = KIB * GIB,
            .initial = RETAIN_AUTO,
            .special = "auto",
            .special_value = RETAIN_AUTO,
            .text = "bytes of empty slabs that each thread keeps, and no more; auto: what it has needed lately",
        },
    [SET_QUOTA] =
        {
            .name = "quota",
            .type = TYPE_BYTES,
            .unit = "bytes",
            .least = CLASS_TOP,
            .most = KIB * GIB,
            .initial = QUOTA_NONE,
            .special = "none",
            .special_value = QUOTA_NONE,
            .text = "most bytes that the key takes from its arena",
        },
    [SET_ON_ERROR] =
        {
            .name = "on error",
            .type = TYPE_WORD,
            .words = {"status", "log", "abort"},
            .initial = ON_ERROR_STATUS,
            .text = "what follows a refused block: its status alone, a line on standard error too, or that and abort()",
        },
    [SET_CHECK] =
        {
            .name = "check",
            .type = TYPE_WORD,
            .words = {"standard", "paranoid"},
            .initial = CHECK_STANDARD,
            .text = "paranoid: watch free blocks, guard the ends of slabs, hand out blocks in random order",
        },
    [SET_ARENA] =
        {
            .name = "arena",
            .type = TYPE_WORD,
            .words = {"shared", "key", "node"},
            .initial = ARENA_SHARED,
            .text =
                "where slabs come from: arenas that keys share, one of the key's own, or shared ones of each NUMA node",
        },
    [SET_HUGE_PAGES] =
        {
            .name = "huge pages",
            .type = TYPE_WORD,
            .words = {"off", "on"},
            .initial = HUGE_PAGES_OFF,
            .text = "on: ask the system to back the key's memory with pages of 2 MiB",
        },
    [SET_DECAY] =
        {
            .name = "decay",
            .type = TYPE_TIME,
            .unit = "ms",
            .least = 0,
            .most = 86400000,
            .initial = 10000,
            .special = "never",
            .special_value = (uint64_t)DECAY_FOR_EVER,
            .text = "time after which an arena gives unused pages back to the system",
        },
    [SET_TRACE] =
        {
            .name = "trace",
            .type = TYPE_WORD,
            .words = {"off", "on"},
            .initial = TRACE_OFF,
            .text = "on: record every allocation, free, resize and reset of the key",
        },
    [SET_TRACE_FILE] =
        {
            .name = "trace file",
            .type = TYPE_PATH,
            .special = "none",
            .defaults_only = true,
            .text = "where what is traced is recorded, from the first key with trace = on",
        },
    [SET_TRACE_SAMPLE] =
        {
            .name = "trace sample",
            .type = TYPE_COUNT,
            .unit = "blocks",
            .least = 1,
            .most = 1000000,
            .initial = 1,
            .defaults_only = true,
            .text = "one of so many blocks is recorded",
        },
};

/* ------------------------------------------------------------------ sets of them */

void settings_start(struct settings *settings)
{
    *settings = (struct settings){
        .sizes_count = class_choice_default.count,
    };
    memcpy(settings->sizes, class_choice_default.sizes, class_choice_default.count * sizeof *settings->sizes);
    for (uint32_t i = 0; i < SETTINGS; i++)
        settings->values[i] = settings_table[i].initial;
}

void settings_overlay(struct settings *settings, const struct settings *over)
{
    for (uint32_t i = 0; i < SETTINGS; i++) {
        if (over->origins[i] == ORIGIN_BUILT_IN)
            continue;
        settings->origins[i] = over->origins[i];
        settings->values[i] = over->values[i];
        if (i == SET_CLASSES) {
            memcpy(settings->sizes, over->sizes, sizeof settings->sizes);
            settings->sizes_count = over->sizes_count;
        }
        if (i == SET_TRACE_FILE)
            memcpy(settings->trace_file, over->trace_file, sizeof settings->trace_file);
    }
}

/* ------------------------------------------------------------------ names */

const char *setting_name(uint32_t index)
{
    return settings_table[index].name;
}

uint32_t setting_find(const char *name)
{
    uint32_t i = 0;
    while (i < SETTINGS && strcmp(settings_table[i].name, name) != 0)
        i++;
    return i;
}

enum { NAME_MOST = 32 };

static uint32_t least_of(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Letters to insert, delete or replace (Levenshtein); `b` is no longer than NAME_MOST. */
static uint32_t distance(const char *a, const char *b)
{
    uint32_t row[NAME_MOST + 1];
    uint32_t width = (uint32_t)strlen(b);
    for (uint32_t i = 0; i <= width; i++)
        row[i] = i;
    for (uint32_t above = 0; *a; a++) {
        uint32_t diagonal = above++;
        row[0] = above;
        for (uint32_t i = 1; i <= width; i++) {
            uint32_t next = least_of(row[i] + 1, row[i - 1] + 1, diagonal + (*a != b[i - 1]));
            diagonal = row[i];
            row[i] = next;
        }
    }
    return row[width];
}

const char *nearest_name(const char *name, const char *(*name_at)(uint32_t), uint32_t count)
{
    const char *nearest = NULL;
    uint32_t least = (uint32_t)strlen(name) / 2 + 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t away = distance(name, name_at(i));
        if (away >= least)
            continue;
        least = away;
        nearest = name_at(i);
    }
    return nearest;
}

/* ------------------------------------------------------------------ values */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit byte_units[] = {{"", 1}, {"KiB", KIB}, {"MiB", KIB *KIB}, {"GiB", GIB}, {NULL, 0}};
static const struct unit time_units[] = {{"ms", 1}, {"s", 1000}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

/* Digits, blanks if you like, a unit. */
static bool number_parse(const char *text, const struct unit *units, uint64_t *number)
{
    uint64_t digits = 0;
    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(digits, 10, &digits) ||
            __builtin_add_overflow(digits, (uint64_t)(*text - '0'), &digits))
            return false;
    text += strspn(text, " \t");
    *number = 0;
    if (!digits && !*text)
        return true;
    for (; units->name; units++)
        if (!strcmp(text, units->name))
            return !__builtin_mul_overflow(digits, units->factor, number);
    return false;
}

bool bytes_parse(const char *text, uint64_t *bytes)
{
    return number_parse(text, byte_units, bytes);
}

static bool word_parse(const struct setting *setting, const char *text, uint64_t *value)
{
    for (uint64_t i = 0; setting->words[i]; i++) {
        *value = i;
        if (!strcmp(text, setting->words[i]))
            return true;
    }
    return false;
}

static const struct unit *units_of(const struct setting *setting)
{
    return setting->type == TYPE_BYTES ? byte_units : setting->type == TYPE_TIME ? time_units : no_units;
}

bool setting_has(const struct setting *setting, uint64_t value)
{
    return value >= setting->least && value <= setting->most && !(setting->power_of_two && value & (value - 1));
}

bool setting_parse(const struct setting *setting, const char *text, uint64_t *value)
{
    if (setting->type == TYPE_WORD)
        return word_parse(setting, text, value);
    if (setting->special && !strcmp(text, setting->special)) {
        *value = setting->special_value;
        return true;
    }
    return number_parse(text, units_of(setting), value) && setting_has(setting, *value);
}

/* In the largest unit that it is a multiple of. */
static void number_format(const struct setting *setting, uint64_t value, char *text)
{
    const struct unit *units = units_of(setting);
    const struct unit *best = units;
    while ((++units)->name)
        if (value && value % units->factor == 0)
            best = units;
    snprintf(text, SETTING_TEXT, "%" PRIu64 "%s%s", value / best->factor, *best->name ? " " : "", best->name);
}

char *setting_format(const struct setting *setting, uint64_t value, char *text)
{
    if (setting->type == TYPE_WORD)
        snprintf(text, SETTING_TEXT, "%s", setting->words[value]);
    else if (setting->special && value == setting->special_value)
        snprintf(text, SETTING_TEXT, "%s", setting->special);
    else
        number_format(setting, value, text);
    return text;
}

static void words_join(const struct setting *setting, char *text)
{
    size_t used = 0;
    for (uint32_t i = 0; setting->words[i]; i++) {
        const char *between = !i ? "" : setting->words[i + 1] ? ", " : " or ";
        used += (size_t)snprintf(text + used, SETTING_TEXT - used, "%s%s", between, setting->words[i]);
    }
}

static const char *examples_of(const struct setting *setting)
{
    switch (setting->type) {
    case TYPE_BYTES:
        return ", as 1500, 64 KiB or 2 MiB";
    case TYPE_TIME:
        return ", as 500 ms or 10 s";
    default:
        return "";
    }
}

char *setting_range(const struct setting *setting, char *text)
{
    char least[SETTING_TEXT];
    char most[SETTING_TEXT];
    if (setting->type == TYPE_CLASSES) {
        snprintf(text, SETTING_TEXT, "1 to 47 sizes, rising, multiples of the alignment; the last is 65536");
    } else if (setting->type == TYPE_WORD) {
        words_join(setting, text);
    } else if (setting->type == TYPE_PATH) {
        snprintf(text, SETTING_TEXT, "none or a path of %u bytes at the most", PATH_ROOM - 1);
    } else {
        number_format(setting, setting->least, least);
        number_format(setting, setting->most, most);
        snprintf(text, SETTING_TEXT, "%s%s%s%.24s to %.24s", setting->special ? setting->special : "",
                 setting->special ? " or " : "", setting->power_of_two ? "a power of two from " : "", least, most);
    }
    return text;
}

char *setting_expected(const struct setting *setting, char *text)
{
    size_t used = strlen(setting_range(setting, text));
    snprintf(text + used, SETTING_TEXT - used, "%s", examples_of(setting));
    return text;
}
