#include "run_report.h"

#include "command.h"
#include "input_path.h"
#include "json.h"
#include "run_events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t resident_now(void)
{
    unsigned long total = 0;
    unsigned long resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    int found = fscanf(file, "%lu %lu", &total, &resident);
    fclose(file);
    return found == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* ------------------------------------------------------------------ text */

static double waste_of(const struct ks_key_stats *stats)
{
    return stats->arena_peak ? 100 * (1 - (double)stats->live_bytes / (double)stats->arena_bytes) : 0;
}

static unsigned classes_used(const struct ks_key_stats *stats)
{
    unsigned used = 0;
    for (uint32_t c = 0; c < stats->class_count; c++)
        used += stats->classes[c].allocated > 0;
    return used;
}

static void print_key(struct table *table, const struct ks_key_stats *stats, double reset_us,
                      const struct ks_key_stats *after)
{
    table_row(table);
    table_cell(table, 0, "%s%s", stats->name, stats->terminated ? " (terminated)" : "");
    table_cell(table, 1, "%" PRIu64, stats->allocated);
    table_cell(table, 2, "%" PRIu64, stats->freed_local);
    table_cell(table, 3, "%" PRIu64, stats->freed_remote);
    table_cell(table, 4, "%" PRIu64, stats->live);
    table_cell(table, 5, "%s", bytes_text((double)stats->live_bytes));
    table_cell(table, 6, "%s", bytes_text((double)stats->arena_peak));
    table_cell(table, 7, "%u", classes_used(stats));
    table_cell(table, 8, stats->live ? "%.0f %%" : "-", waste_of(stats));
    table_cell(table, 9, "%.1f", reset_us);
    table_cell(table, 10, "%s", bytes_text((double)after->arena_bytes));
}

static void print_keys(const struct host *host)
{
    struct table table = {
        .columns = 11,
        .titles = {"key", "allocated", "freed here", "freed away", "live", "live bytes", "arena peak", "classes",
                   "waste", "reset us", "kept"},
        .left = {true},
    };
    if (!host->isolate)
        print_key(&table, &host->stats, host->reset_us, &host->stats_after);
    for (size_t i = 0; i < host->experts_count; i++)
        if (!host->experts[i].is_gone)
            print_key(&table, &host->experts[i].stats, host->experts[i].reset_us, &host->experts[i].stats_after);
    printf("\nkeys, before their reset; 'kept' after reset and purge\n");
    table_print(&table);
    if (host->isolate)
        printf("\nframes: a ring of %s\n", bytes_text((double)host->ring_bytes));
}

/* That an expert is done goes without saying. */
static void print_statuses(const struct host *host)
{
    char line[2 * EXPERTSTRINGLENGTH];
    struct status status;
    for (size_t i = 0; i < host->experts_count; i++) {
        bool said = status_get(&host->experts[i], &status);
        if (!said || (status.status == EXPERTSTATUS_DONE && !*status.text))
            continue;
        status_line(host->experts[i].name, &status, line, sizeof line);
        printf("\n%s\n", line);
    }
}

static void print_problems(const struct host *host)
{
    if (!host->problems_count)
        return;
    printf("\n%" PRIu64 " frames with problems, the first:\n", host->problems_count);
    for (size_t i = 0; i < host->problems_count && i < PROBLEMS_KEPT; i++)
        printf("  frame %" PRIu64 ": %s\n", host->problems[i].frame, host->problems[i].text);
}

static void print_failure(const struct expert *expert)
{
    const struct failure *failure = &expert->failure;
    printf("\n%s failed", expert->name);
    if (failure->frame)
        printf(" at frame %" PRIu32, failure->frame);
    if (failure->thread)
        printf("%s thread %" PRIu32, failure->frame ? "," : " on", failure->thread);
    printf(": %s\n", failure->text);
    for (uint32_t i = 0; i < failure->depth; i++)
        printf("  %s\n", failure->backtrace[i]);
    if (expert->is_gone)
        printf("  its process is gone, with all of its memory\n");
    else
        printf("  its key was reset: %" PRIu64 " blocks, %" PRIu64 " bytes recovered, %" PRIu64 " live now\n",
               expert->stats.live, expert->stats.live_bytes, expert->stats_after.live);
    if (expert->restarts)
        printf("  it was started again %u time%s\n", expert->restarts, expert->restarts == 1 ? "" : "s");
}

static void print_failures(const struct host *host)
{
    for (size_t i = 0; i < host->experts_count; i++) {
        const struct expert *expert = &host->experts[i];
        if (atomic_load(&expert->failed))
            print_failure(expert);
    }
}

/* What it has left, where it was not the host that stopped it. */
static uint64_t left_by(const struct expert *expert, uint64_t live)
{
    return atomic_load(&expert->failed) && expert->failure.kind != FAILURE_LEFT ? 0 : live;
}

struct counted {
    uint64_t count;
    const char *one;
    const char *more;
};

/* "crash: 1 double free, 2 frees of foreign pointers, 10 blocks (480 bytes) left to the reset" */
static void print_expert_misuse(const struct expert *expert)
{
    const struct ks_key_stats *stats = &expert->stats;
    const struct counted all[] = {
        {stats->double_free, "double free", "double frees"},
        {stats->bad_block, "free of a foreign pointer", "frees of foreign pointers"},
        {stats->wrong_key, "free of another key's block", "frees of other keys' blocks"},
        {stats->stale, "free of a block that was not handed out", "frees of blocks that were not handed out"},
    };
    const char *before = "";
    uint64_t left = left_by(expert, stats->live);
    printf("%s: ", expert->name);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].count) {
            printf("%s%" PRIu64 " %s", before, all[i].count, all[i].count == 1 ? all[i].one : all[i].more);
            before = ", ";
        }
    if (left)
        printf("%s%" PRIu64 " block%s (%" PRIu64 " bytes) left to the reset", before, left, left == 1 ? "" : "s",
               stats->live_bytes);
    putchar('\n');
}

static void print_misuse(const struct host *host)
{
    bool some = false;
    for (size_t i = 0; i < host->experts_count; i++) {
        const struct ks_key_stats *stats = &host->experts[i].stats;
        if (!(stats->double_free + stats->bad_block + stats->wrong_key + stats->stale +
              left_by(&host->experts[i], stats->live)))
            continue;
        fputs(some ? "" : "\n", stdout);
        some = true;
        print_expert_misuse(&host->experts[i]);
    }
}

static void print_threads(const struct host *host)
{
    const struct expert *experts = host->experts;
    unsigned first = experts[0].lanes_count;
    bool same = true;
    for (size_t i = 1; i < host->experts_count; i++)
        same &= experts[i].lanes_count == first;
    if (same)
        printf(", %u thread%s an expert\n", first, first == 1 ? "" : "s");
    else
        for (size_t i = 0; i < host->experts_count; i++)
            printf("%s %s %u%s", i ? "," : "; threads:", experts[i].name, experts[i].lanes_count,
                   i + 1 == host->experts_count ? "\n" : "");
}

static void print_time(int64_t microseconds)
{
    char text[64];
    struct tm parts;
    time_t seconds = (time_t)(microseconds / 1000000 - (microseconds % 1000000 < 0));
    if (gmtime_r(&seconds, &parts) && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts))
        printf("%s.%03d", text, (int)((microseconds - (int64_t)seconds * 1000000) / 1000));
}

static void print_period(const struct period *period)
{
    if (!period->number)
        return;
    printf("%speriod %" PRIu64 ", ", period->number > 1 ? "\n" : "", period->number);
    print_time(period->from);
    fputs(" to ", stdout);
    print_time(period->to);
    puts(" UTC");
}

void report_text(const struct host *host, const struct resident *resident, size_t top)
{
    print_period(&host->period);
    double frames = (double)host->frames;
    double rate = host->seconds > 0 ? 1 / host->seconds : 0;
    printf("%s: %.0f frames, %s in %.3f s: %.0f frames/s, %s/s", input_path_shown(host->source), frames,
           bytes_text((double)host->bytes), host->seconds, frames * rate, bytes_text((double)host->bytes * rate));
    print_threads(host);
    if (host->refused)
        printf("%" PRIu64 " frames found no memory\n", host->refused);
    if (host->dropped)
        printf("%" PRIu64 " frames were dropped before they could be read\n", host->dropped);
    for (size_t i = 0; i < host->experts_count; i++)
        events_print(&host->experts[i], top);
    print_statuses(host);
    print_problems(host);
    print_failures(host);
    print_misuse(host);
    print_keys(host);
    printf("\nresident: %s before", bytes_text((double)resident->before));
    printf(", %s at the peak, %s after\n", bytes_text((double)resident->peak), bytes_text((double)resident->after));
}

/* ------------------------------------------------------------------ JSON */

struct text {
    char *bytes;
    size_t length;
};

static void text_append(void *context, const char *piece)
{
    struct text *text = context;
    size_t length = strlen(piece);
    char *bytes = realloc(text->bytes, text->length + length + 1);
    if (!bytes) {
        complain("out of memory for the report");
        exit(EXIT_FAILED);
    }
    memcpy(bytes + text->length, piece, length + 1);
    text->bytes = bytes;
    text->length += length;
}

/* The statistics that were taken before the reset, in the library's own form. */
static json_t *json_key(const struct ks_key_stats *stats, const struct ks_key_stats *after, double reset_us)
{
    struct text text = {0};
    ks_stats_print(stats, KS_STATS_JSON, text_append, &text);
    json_t *object = json_loadb(text.bytes, text.length, 0, NULL);
    free(text.bytes);
    json_object_set_new(object, "reset_us", json_real(reset_us));
    json_object_set_new(object, "live_bytes_after", json_integer((json_int_t)after->live_bytes));
    json_object_set_new(object, "arena_bytes_after", json_integer((json_int_t)after->arena_bytes));
    return object;
}

static json_t *json_failure(const struct failure *failure)
{
    json_t *calls = json_array();
    for (uint32_t i = 0; i < failure->depth; i++)
        json_array_append_new(calls, json_text(failure->backtrace[i]));
    return json_pack("{s:s, s:o, s:I, s:I, s:o}", "kind", failure_name(failure->kind), "text", json_text(failure->text),
                     "frame", (json_int_t)failure->frame, "thread", (json_int_t)failure->thread, "backtrace", calls);
}

static json_t *json_status(const struct status *status)
{
    json_t *percent = status->percent < 0 ? json_null() : json_integer(status->percent);
    return json_pack("{s:s, s:I, s:o, s:o}", "status", status_name(status->status), "substatus",
                     (json_int_t)status->substatus, "percent", percent, "text", json_text(status->text));
}

static json_t *json_expert(struct expert *expert)
{
    const struct ks_key_stats *stats = &expert->stats;
    bool failed = atomic_load(&expert->failed);
    struct status status;
    json_t *object = json_pack(
        "{s:o, s:o, s:i, s:b, s:o, s:{s:I, s:I, s:I, s:I}, s:I, s:I}", "name", json_text(expert->name), "description",
        json_text(expert->info.szDescription), "threads", (int)expert->lanes_count, "failed", (int)failed, "key",
        json_key(stats, &expert->stats_after, expert->reset_us), "misuse", "double_free",
        (json_int_t)stats->double_free, "bad_block", (json_int_t)stats->bad_block, "wrong_key",
        (json_int_t)stats->wrong_key, "stale", (json_int_t)stats->stale, "left_blocks",
        (json_int_t)left_by(expert, stats->live), "left_bytes", (json_int_t)left_by(expert, stats->live_bytes));
    if (status_get(expert, &status))
        json_object_set_new(object, "status", json_status(&status));
    if (failed) {
        json_object_set_new(object, "failure", json_failure(&expert->failure));
        json_object_set_new(object, "recovered_blocks", json_integer((json_int_t)expert->stats.live));
        json_object_set_new(object, "recovered_bytes", json_integer((json_int_t)expert->stats.live_bytes));
    }
    if (expert->host->isolate)
        json_object_set_new(object, "restarts", json_integer((json_int_t)expert->restarts));
    return object;
}

/* All members of an object, each in a line at this depth, and `,` behind each. */
static void print_members(json_t *object, const char *indent)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        printf("%s\"%s\": ", indent, name);
        json_print_value(json_incref(value));
        fputs(",\n", stdout);
    }
    json_decref(object);
}

static void print_json_expert(struct expert *expert)
{
    puts("    {");
    print_members(json_expert(expert), "      ");
    fputs("      \"events\": [", stdout);
    events_print_json(expert, "        ");
    fputs(expert->events_count ? "\n      ]\n    }" : "]\n    }", stdout);
}

static json_t *json_problems(const struct host *host)
{
    json_t *first = json_array();
    for (size_t i = 0; i < host->problems_count && i < PROBLEMS_KEPT; i++)
        json_array_append_new(first, json_pack("{s:I, s:o}", "frame", (json_int_t)host->problems[i].frame, "problem",
                                               json_text(host->problems[i].text)));
    return json_pack("{s:I, s:o}", "count", (json_int_t)host->problems_count, "first", first);
}

/* What frames lie in. */
static json_t *json_frames(const struct host *host)
{
    return host->isolate ? json_pack("{s:I}", "bytes", (json_int_t)host->ring_bytes)
                         : json_key(&host->stats, &host->stats_after, host->reset_us);
}

void report_json(const struct host *host, const struct resident *resident, bool cut_short)
{
    puts("{");
    if (host->period.number)
        print_members(json_pack("{s:{s:I, s:f, s:f}}", "period", "number", (json_int_t)host->period.number, "from",
                                (double)host->period.from / 1e6, "to", (double)host->period.to / 1e6),
                      "  ");
    print_members(json_pack("{s:I, s:I, s:f, s:f, s:o, s:i, s:b, s:I, s:I, s:o, s:o, s:{s:I, s:I, s:I}}", "frames",
                            (json_int_t)host->frames, "bytes", (json_int_t)host->bytes, "seconds", host->seconds,
                            "frames_per_second", host->seconds > 0 ? (double)host->frames / host->seconds : 0, "source",
                            json_text(host->source), "threads", (int)host->threads, "interrupted", (int)cut_short,
                            "refused", (json_int_t)host->refused, "dropped", (json_int_t)host->dropped, "problems",
                            json_problems(host), host->isolate ? "frames_ring" : "frames_key", json_frames(host),
                            "resident", "before", (json_int_t)resident->before, "peak", (json_int_t)resident->peak,
                            "after", (json_int_t)resident->after),
                  "  ");
    fputs("  \"experts\": [", stdout);
    for (size_t i = 0; i < host->experts_count; i++) {
        puts(i ? "," : "");
        print_json_expert(&host->experts[i]);
    }
    puts("\n  ]\n}");
}
