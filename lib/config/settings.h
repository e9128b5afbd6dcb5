/*
 * The settings of a key: one table says what there is. The config file's reader, the options of ks_key_create, `keyslab config` and
 * the manual page keyslab.conf(5) all go by it.
 */
#ifndef LIB_SETTINGS_H
#define LIB_SETTINGS_H

#include "classes/classes.h"
#include "memory/backend.h"

#define KEY_NAME_BYTES 64

enum {
    SET_CLASSES,
    SET_ALIGNMENT,
    SET_OUTBOX,
    SET_FLUSH,
    SET_SLAB,
    SET_RETAIN,
    SET_QUOTA,
    SET_ON_ERROR,
    SET_CHECK,
    SET_ARENA,
    SET_HUGE_PAGES,
    SET_DECAY,
    SET_TRACE,
    SET_TRACE_FILE,
    SET_TRACE_SAMPLE,
    SETTINGS,
};

enum setting_type { TYPE_CLASSES, TYPE_COUNT, TYPE_BYTES, TYPE_TIME, TYPE_WORD, TYPE_PATH };

/* Values of words: their places in setting.words. */
enum { ON_ERROR_STATUS, ON_ERROR_LOG, ON_ERROR_ABORT };
enum { CHECK_STANDARD, CHECK_PARANOID };
enum { ARENA_SHARED, ARENA_KEY, ARENA_NODE };
enum { HUGE_PAGES_OFF, HUGE_PAGES_ON };
enum { TRACE_OFF, TRACE_ON };

#define QUOTA_NONE  0
#define RETAIN_AUTO UINT64_MAX
#define PATH_ROOM   160

struct setting {
    const char *name;
    enum setting_type type;
    const char *unit;
    uint64_t least, most, initial;
    const char *special; /* a word in place of a number, or NULL */
    uint64_t special_value;
    const char *words[4]; /* TYPE_WORD; ends with NULL */
    bool power_of_two;    /* no other number */
    bool defaults_only;   /* of the process, not of a key */
    const char *text;     /* what it does, one line */
};

extern const struct setting settings_table[SETTINGS];

#define ORIGIN_BUILT_IN 0
#define ORIGIN_OPTION   UINT32_MAX

struct settings {
    uint64_t values[SETTINGS];   /* but those of the classes and the path */
    uint32_t origins[SETTINGS];  /* ORIGIN_BUILT_IN: not set; the file's line; ORIGIN_OPTION */
    uint32_t sizes[CLASS_LARGE]; /* of the classes */
    uint32_t sizes_count;
    char trace_file[PATH_ROOM]; /* "" for none */
};

/* The built-in ones. */
void settings_start(struct settings *settings);

/* What `over` sets takes the place of what was there. */
void settings_overlay(struct settings *settings, const struct settings *over);

/* For backend.decay: where it is not set it is the backend's own, which MALLOC_CONF may have changed if that is jemalloc. */
static inline int64_t setting_decay(const struct settings *settings)
{
    return settings->origins[SET_DECAY] ? (int64_t)settings->values[SET_DECAY] : DECAY_AS_EVER;
}

/* Behind the blocks of a paranoid key lies a guard, and before that, room for one of the top class. */
static inline size_t setting_slab(const struct settings *settings)
{
    size_t bytes = settings->values[SET_SLAB];
    return settings->values[SET_CHECK] == CHECK_PARANOID && bytes == CLASS_TOP ? 2 * bytes : bytes;
}

/* The place of a name in the table, SETTINGS where there is none. */
uint32_t setting_find(const char *name);

/* Of several names the one that is spelt most alike, or NULL where none is near. */
const char *nearest_name(const char *name, const char *(*name_at)(uint32_t), uint32_t count);
const char *setting_name(uint32_t index);

/* "1500", "64 KiB", "2 MiB": false for anything else, and for what does not fit. */
bool bytes_parse(const char *text, uint64_t *bytes);

/* Whether a number is one of the setting's, its special value aside. */
bool setting_has(const struct setting *setting, uint64_t value);

/* A value of any type but the classes and the path; false for anything that setting_expected does not describe. */
bool setting_parse(const struct setting *setting, const char *text, uint64_t *value);

#define SETTING_TEXT 160

/*
 * The values that there are, the same with examples for who got one wrong, and a value, for people. Each fills a buffer of
 * SETTING_TEXT bytes, which it returns.
 */
char *setting_range(const struct setting *setting, char *text);
char *setting_expected(const struct setting *setting, char *text);
char *setting_format(const struct setting *setting, uint64_t value, char *text);

#endif
