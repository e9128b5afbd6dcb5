/*
 * The numbers behind the blocks: mallinfo2, mallinfo, malloc_stats, malloc_info, from the key's statistics; and
 * malloc_trim and mallopt.
 */
#include "malloc/process_key.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <string.h>
#include <unistd.h>

/* All zero where there is no key. */
static struct ks_key_stats figures(void)
{
    struct ks_key_stats stats;
    if (ks_key_stats(process_key(), &stats) != KS_OK)
        memset(&stats, 0, sizeof stats);
    return stats;
}

/* The blocks above the top class, which glibc would map one by one. */
static struct ks_class_stats large_of(const struct ks_key_stats *stats)
{
    static const struct ks_class_stats none;
    return stats->class_count ? stats->classes[stats->class_count - 1] : none;
}

EXPORTED struct mallinfo2 mallinfo2(void)
{
    struct ks_key_stats stats = figures();
    struct ks_class_stats large = large_of(&stats);
    return (struct mallinfo2){
        .arena = stats.arena_bytes - large.live_bytes,
        .ordblks = stats.held,
        .hblks = large.live,
        .hblkhd = large.live_bytes,
        .uordblks = stats.live_bytes - large.live_bytes,
        .fordblks = stats.arena_bytes - stats.live_bytes,
    };
}

static int at_most_int(size_t value)
{
    return value < INT_MAX ? (int)value : INT_MAX;
}

EXPORTED struct mallinfo mallinfo(void)
{
    struct mallinfo2 info = mallinfo2();
    return (struct mallinfo){
        .arena = at_most_int(info.arena),
        .ordblks = at_most_int(info.ordblks),
        .hblks = at_most_int(info.hblks),
        .hblkhd = at_most_int(info.hblkhd),
        .uordblks = at_most_int(info.uordblks),
        .fordblks = at_most_int(info.fordblks),
    };
}

static void write_to_stderr(void *context, const char *text)
{
    (void)context;
    fputs(text, stderr);
}

EXPORTED void malloc_stats(void)
{
    struct ks_key_stats stats = figures();
    ks_stats_print(&stats, KS_STATS_TEXT, write_to_stderr, NULL);
}

static void print_class(FILE *file, const struct ks_class_stats *class)
{
    if (class->allocated)
        fprintf(file, "<class size=\"%zu\" live=\"%zu\" bytes=\"%zu\" held=\"%zu\" slabs=\"%zu\"/>\n",
                (size_t) class->size, (size_t) class->live, (size_t) class->live_bytes, (size_t) class->held,
                (size_t) class->slabs);
}

EXPORTED int malloc_info(int options, FILE *file)
{
    if (options)
        return EINVAL;
    struct ks_key_stats stats = figures();
    fprintf(file, "<malloc version=\"keyslab-%s\">\n", ks_version());
    for (uint32_t i = 0; i < stats.class_count; i++)
        print_class(file, &stats.classes[i]);
    fprintf(file, "<live blocks=\"%zu\" bytes=\"%zu\"/>\n", (size_t)stats.live, (size_t)stats.live_bytes);
    fprintf(file, "<system type=\"current\" size=\"%zu\"/>\n", (size_t)stats.arena_bytes);
    fprintf(file, "<system type=\"max\" size=\"%zu\"/>\n</malloc>\n", (size_t)stats.arena_peak);
    return 0;
}

/* There is no heap to keep the top of, so `pad` has nothing to say. */
EXPORTED int malloc_trim(size_t pad)
{
    (void)pad;
    return ks_key_purge(process_key()) == KS_OK;
}

/* glibc's parameters are of glibc's heap: each is refused, as an unknown one is. */
EXPORTED int mallopt(int parameter, int value)
{
    (void)parameter, (void)value;
    return 0;
}
