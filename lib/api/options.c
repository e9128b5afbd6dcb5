#include "api/options.h"

#include "config/current.h"

#include <string.h>

/* An option of 0 is not set. */
static void option_set(struct settings *settings, uint32_t setting, uint64_t option, uint64_t value)
{
    if (!option)
        return;
    settings->values[setting] = value;
    settings->origins[setting] = ORIGIN_OPTION;
}

static bool is_within(uint32_t setting, uint64_t option)
{
    return !option || setting_has(&settings_table[setting], option);
}

/* Classes that a program names go by the alignment that it names, and by no file's. */
static uint32_t alignment_of(const struct ks_key_options *options)
{
    return (uint32_t)(options->alignment ? options->alignment : settings_table[SET_ALIGNMENT].initial);
}

static bool options_are_valid(const struct ks_key_options *options)
{
    uint64_t unknown = 0;
    for (size_t i = 0; i < sizeof options->reserved / sizeof *options->reserved; i++)
        unknown |= options->reserved[i];
    return !unknown && is_within(SET_FLUSH, options->flush) && is_within(SET_SLAB, options->slab_bytes) &&
           is_within(SET_ALIGNMENT, options->alignment) &&
           (options->retain == KS_RETAIN_NONE || is_within(SET_RETAIN, options->retain)) &&
           (unsigned)options->response <= KS_RESPONSE_ABORT && (unsigned)options->checks <= KS_CHECKS_PARANOID &&
           (unsigned)options->arena <= KS_ARENA_NODE && (unsigned)options->huge <= KS_HUGE_PAGES_ON &&
           (unsigned)options->trace <= KS_TRACE_ON && !options->class_count == !options->classes &&
           (!options->classes || !class_sizes_error(options->classes, options->class_count, alignment_of(options)));
}

static void options_overlay(struct settings *settings, const struct ks_key_options *options)
{
    option_set(settings, SET_OUTBOX, options->outbox_bytes, options->outbox_bytes);
    option_set(settings, SET_FLUSH, options->flush, options->flush);
    option_set(settings, SET_SLAB, options->slab_bytes, options->slab_bytes);
    option_set(settings, SET_QUOTA, options->quota, options->quota == KS_QUOTA_NONE ? QUOTA_NONE : options->quota);
    option_set(settings, SET_RETAIN, options->retain, options->retain == KS_RETAIN_NONE ? 0 : options->retain);
    /* Their first value stands for "not set". */
    option_set(settings, SET_ON_ERROR, options->response, options->response - 1u);
    option_set(settings, SET_CHECK, options->checks, options->checks - 1u);
    option_set(settings, SET_ARENA, options->arena, options->arena - 1u);
    option_set(settings, SET_HUGE_PAGES, options->huge, options->huge - 1u);
    option_set(settings, SET_TRACE, options->trace, options->trace - 1u);
    option_set(settings, SET_ALIGNMENT, options->alignment | options->class_count, alignment_of(options));
    option_set(settings, SET_CLASSES, options->class_count, 0);
    if (options->class_count) {
        settings->sizes_count = options->class_count;
        memcpy(settings->sizes, options->classes, options->class_count * sizeof *settings->sizes);
    }
    /* A file's classes that the program's alignment does not allow. */
    class_sizes_align(settings->sizes, &settings->sizes_count, (uint32_t)settings->values[SET_ALIGNMENT]);
}

bool options_settle(const struct ks_key_options *options, struct settings *settings)
{
    char name[KEY_NAME_BYTES] = "";
    if (!options_are_valid(options))
        return false;
    if (options->name)
        strncpy(name, options->name, sizeof name - 1);
    current_settings(name, settings);
    options_overlay(settings, options);
    return true;
}
