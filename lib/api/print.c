/* The statistics as text and as JSON: ks_key_stats_print. */
#include "base/utf8.h"
#include "keyslab/keyslab.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct printer {
    void (*write)(void *context, const char *text);
    void *context;
};

static void __attribute__((format(printf, 2, 3))) print(const struct printer *printer, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    printer->write(printer->context, line);
}

/* The members that both formats print, in their order. */
struct member {
    const char *name;
    size_t offset;
};

#define KEY_MEMBER(name)                                                                                               \
    {                                                                                                                  \
#name, offsetof(struct ks_key_stats, name)                                                                     \
    }
#define CLASS_MEMBER(name)                                                                                             \
    {                                                                                                                  \
#name, offsetof(struct ks_class_stats, name)                                                                   \
    }

static const struct member key_members[] = {
    KEY_MEMBER(generation),    KEY_MEMBER(heaps),
    KEY_MEMBER(quota),         KEY_MEMBER(arena_bytes),
    KEY_MEMBER(arena_peak),    KEY_MEMBER(allocated),
    KEY_MEMBER(freed_local),   KEY_MEMBER(freed_remote),
    KEY_MEMBER(dropped),       KEY_MEMBER(live),
    KEY_MEMBER(in_flight),     KEY_MEMBER(held),
    KEY_MEMBER(live_bytes),    KEY_MEMBER(allocated_bytes),
    KEY_MEMBER(dropped_bytes), KEY_MEMBER(slabs),
    KEY_MEMBER(slabs_aside),   KEY_MEMBER(refused_memory),
    KEY_MEMBER(refused_quota), KEY_MEMBER(refused_terminated),
    KEY_MEMBER(refused_large), KEY_MEMBER(bad_block),
    KEY_MEMBER(wrong_key),     KEY_MEMBER(double_free),
    KEY_MEMBER(stale),         KEY_MEMBER(refused_at_home),
    KEY_MEMBER(damaged),
};

static const struct member class_members[] = {
    CLASS_MEMBER(size),    CLASS_MEMBER(allocated),  CLASS_MEMBER(freed_local), CLASS_MEMBER(freed_remote),
    CLASS_MEMBER(dropped), CLASS_MEMBER(live),       CLASS_MEMBER(in_flight),   CLASS_MEMBER(held),
    CLASS_MEMBER(slabs),   CLASS_MEMBER(live_bytes),
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *backend_name(enum ks_backend backend)
{
    return backend == KS_BACKEND_JEMALLOC ? "jemalloc" : backend == KS_BACKEND_EXTENTS ? "extents" : "none";
}

static uint64_t member_of(const void *stats, const struct member *member)
{
    return *(const uint64_t *)((const char *)stats + member->offset);
}

static void print_text(const struct printer *printer, const struct ks_key_stats *stats)
{
    print(printer, "key %#" PRIxPTR " \"%s\"%s\n", stats->key, stats->name, stats->terminated ? " terminated" : "");
    print(printer, "  %-18s %15s\n", "backend", backend_name(stats->backend));
    for (size_t i = 0; i < COUNT(key_members); i++)
        print(printer, "  %-18s %15" PRIu64 "\n", key_members[i].name, member_of(stats, &key_members[i]));
    print(printer, "\n ");
    for (size_t i = 0; i < COUNT(class_members); i++)
        print(printer, " %12s", class_members[i].name);
    for (uint32_t class = 0; class < stats->class_count; ++class) {
        if (!stats->classes[class].allocated)
            continue;
        print(printer, "\n ");
        for (size_t i = 0; i < COUNT(class_members); i++)
            print(printer, " %12" PRIu64, member_of(&stats->classes[class], &class_members[i]));
    }
    print(printer, "\n");
}

/* A piece of a name that is UTF-8. */
static void print_json_piece(const struct printer *printer, const char *piece)
{
    for (; *piece; piece++) {
        unsigned char c = (unsigned char)*piece;
        if (c < 0x20 || c == '"' || c == '\\')
            print(printer, "\\u%04x", c);
        else
            print(printer, "%c", c);
    }
}

static void print_json_name(const struct printer *printer, const char *name)
{
    char piece[UTF8_PIECE];
    print(printer, "\"");
    if (utf8_is_plain(name))
        print_json_piece(printer, name);
    else
        for (size_t length; (length = utf8_escape(name, piece)); name += length)
            print_json_piece(printer, piece);
    print(printer, "\"");
}

static void print_json(const struct printer *printer, const struct ks_key_stats *stats)
{
    print(printer, "{\"name\":");
    print_json_name(printer, stats->name);
    print(printer, ",\"key\":%" PRIuPTR ",\"terminated\":%s", stats->key, stats->terminated ? "true" : "false");
    print(printer, ",\"backend\":\"%s\"", backend_name(stats->backend));
    for (size_t i = 0; i < COUNT(key_members); i++)
        print(printer, ",\"%s\":%" PRIu64, key_members[i].name, member_of(stats, &key_members[i]));
    print(printer, ",\"classes\":[");
    for (uint32_t class = 0; class < stats->class_count; ++class) {
        for (size_t i = 0; i < COUNT(class_members); i++)
            print(printer, "%s\"%s\":%" PRIu64,
                  i       ? ","
                  : class ? ",{"
                          : "{",
                  class_members[i].name, member_of(&stats->classes[class], &class_members[i]));
        print(printer, "}");
    }
    print(printer, "]}");
}

ks_status ks_stats_print(const struct ks_key_stats *stats, enum ks_stats_format format,
                         void (*write)(void *context, const char *text), void *context)
{
    if (!stats || !write || (format != KS_STATS_TEXT && format != KS_STATS_JSON))
        return KS_INVALID;
    const struct printer printer = {write, context};
    (format == KS_STATS_JSON ? print_json : print_text)(&printer, stats);
    return KS_OK;
}

ks_status ks_key_stats_print(ks_key_t key, enum ks_stats_format format, void (*write)(void *context, const char *text),
                             void *context)
{
    struct ks_key_stats stats;
    ks_status status = ks_key_stats(key, &stats);
    return status == KS_OK ? ks_stats_print(&stats, format, write, context) : status;
}
