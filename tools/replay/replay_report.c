#include "replay_report.h"

#include "child.h"
#include "command.h"
#include "input_path.h"
#include "json.h"

#include <inttypes.h>
#include <stdio.h>

#define PERCENT 100.0

/* Lost inside of blocks, as a part of what they take. */
static double lost(double asked, double usable)
{
    return usable > 0 ? 1 - asked / usable : 0;
}

/* ------------------------------------------------------------------ JSON */

static json_t *given_json(const struct outcome *outcome, bool weighed)
{
    json_t *array = json_array();
    for (uint32_t place = 0; place < PLACES; place++) {
        const struct given *given = &outcome->given[place];
        if (!given->blocks)
            continue;
        json_t *row =
            json_pack("{s:I, s:I, s:f, s:f}", "size", (json_int_t)place_size(place), "blocks",
                      (json_int_t)given->blocks, "asked", (double)given->asked, "usable", (double)given->usable);
        if (weighed && outcome->duration) {
            double duration = (double)outcome->duration;
            json_object_set_new(row, "live_asked", json_real((double)given->asked_time / duration));
            json_object_set_new(row, "live_usable", json_real((double)given->usable_time / duration));
        }
        json_array_append_new(array, row);
    }
    return array;
}

/* Over all allocations. */
static double lost_inside(const struct outcome *outcome)
{
    double asked = 0;
    double usable = 0;
    for (uint32_t place = 0; place < PLACES; place++) {
        asked += (double)outcome->given[place].asked;
        usable += (double)outcome->given[place].usable;
    }
    return lost(asked, usable);
}

/* As tune counts: blocks that have a class, over time, or where none of them lived for any length of time, over all. */
static double measured_of(const struct outcome *outcome)
{
    double asked = 0;
    double usable = 0;
    double asked_time = 0;
    double usable_time = 0;
    for (uint32_t place = 0; place < PLACE_ABOVE; place++) {
        asked += (double)outcome->given[place].asked;
        usable += (double)outcome->given[place].usable;
        asked_time += (double)outcome->given[place].asked_time;
        usable_time += (double)outcome->given[place].usable_time;
    }
    return usable_time > 0 ? lost(asked_time, usable_time) : lost(asked, usable);
}

json_t *outcome_json(const char *name, const struct outcome *outcome, bool weighed)
{
    double each = outcome->operations ? 1e9 * outcome->seconds / (double)outcome->operations : 0;
    json_t *json = json_pack(
        "{s:s, s:f, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:o}", "allocator", name, "seconds", outcome->seconds,
        "operations", (json_int_t)outcome->operations, "ns_an_operation", each, "failed", (json_int_t)outcome->failed,
        "asked_peak", (json_int_t)outcome->asked_peak, "resident_peak", (json_int_t)outcome->resident_peak, "asked_end",
        (json_int_t)outcome->asked_end, "resident_end", (json_int_t)outcome->resident_end, "inside_blocks",
        lost_inside(outcome), "unmatched", (json_int_t)outcome->unmatched, "classes", given_json(outcome, weighed));
    if (weighed)
        json_object_set_new(json, "measured", json_real(measured_of(outcome)));
    return json;
}

static json_t *numbers_json(const double *numbers, uint64_t count)
{
    json_t *array = json_array();
    for (uint64_t i = 0; i < count; i++)
        json_array_append_new(array, json_real(numbers[i]));
    return array;
}

static double of_asked(const struct contender *contender, uint64_t rounds)
{
    double asked = number_of(contender->last, "asked_peak");
    return asked > 0 ? contender->resident_peak[rounds / 2] / asked : 0;
}

static double ratio_to(const struct contender *first, const struct contender *contender, uint64_t rounds)
{
    double least = first->nanoseconds[rounds / 2];
    return least > 0 ? contender->nanoseconds[rounds / 2] / least : 0;
}

json_t *contenders_json(const struct contender *contenders, size_t count, uint64_t rounds)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct contender *it = &contenders[i];
        json_t *row = json_pack(
            "{s:o, s:o, s:f, s:f, s:o, s:o, s:o, s:f, s:f, s:f, s:O, s:O}", "allocator", json_text(it->name), "config",
            json_text_or_null(it->config_name), "ns_an_operation", it->nanoseconds[rounds / 2], "ratio",
            ratio_to(contenders, it, rounds), "rounds", numbers_json(it->nanoseconds, rounds), "resident_peak",
            numbers_json(it->resident_peak, rounds), "resident_end", numbers_json(it->resident_end, rounds),
            "asked_peak", number_of(it->last, "asked_peak"), "of_asked", of_asked(it, rounds), "inside_blocks",
            number_of(it->weighed, "inside_blocks"), "measured", json_object_get(it->weighed, "measured"), "classes",
            json_object_get(it->weighed, "classes"));
        if (it->promise >= 0)
            json_object_set_new(row, "predicted", json_real(it->promise));
        json_array_append_new(array, row);
    }
    return json_pack("{s:o}", "allocators", array);
}

/* ------------------------------------------------------------------ text */

struct sums {
    double blocks, asked, live_asked;
};

static void print_class(struct table *table, const json_t *row, const struct sums *sums)
{
    double live = number_of(row, "live_asked");
    table_row(table);
    if (number_of(row, "size") > 0)
        table_cell(table, 0, "to %.0f", number_of(row, "size"));
    else
        table_cell(table, 0, "above");
    table_cell(table, 1, "%.2f %%", PERCENT * number_of(row, "blocks") / sums->blocks);
    table_cell(table, 2, "%.2f %%", sums->asked > 0 ? PERCENT * number_of(row, "asked") / sums->asked : 0);
    table_cell(table, 3, "%.2f %%", PERCENT * lost(number_of(row, "asked"), number_of(row, "usable")));
    if (sums->live_asked <= 0)
        return;
    table_cell(table, 4, "%s", bytes_text(live));
    table_cell(table, 5, "%.2f %%", PERCENT * lost(live, number_of(row, "live_usable")));
}

/* What each class holds, and what is lost on it: over all allocations, and of what is live on average over time. */
static void print_classes(const json_t *outcome)
{
    struct table table = {.columns = 4, .titles = {"sizes", "blocks", "bytes", "lost", "live", "lost"}};
    struct sums sums = {0};
    size_t index;
    json_t *row;
    json_t *classes = json_object_get(outcome, "classes");
    json_array_foreach(classes, index, row)
    {
        sums.blocks += number_of(row, "blocks");
        sums.asked += number_of(row, "asked");
        sums.live_asked += number_of(row, "live_asked");
    }
    if (sums.live_asked > 0)
        table.columns = 6;
    json_array_foreach(classes, index, row) print_class(&table, row, &sums);
    putchar('\n');
    table_print(&table);
}

void print_outcome(const char *trace, const json_t *outcome, const json_t *weighed, double promise)
{
    const json_t *asked = weighed ? weighed : outcome;
    double peak = number_of(outcome, "asked_peak");
    printf("%s, %s: %.0f operations in %.3f s, %.1f ns each\n", input_path_shown(trace),
           json_string_value(json_object_get(outcome, "allocator")), number_of(outcome, "operations"),
           number_of(outcome, "seconds"), number_of(outcome, "ns_an_operation"));
    printf("at the peak: %s asked for, %s resident, %.2f of it\n", bytes_text(peak),
           bytes_text(number_of(outcome, "resident_peak")), peak > 0 ? number_of(outcome, "resident_peak") / peak : 0);
    printf("at the end: %s asked for, %s resident\n", bytes_text(number_of(outcome, "asked_end")),
           bytes_text(number_of(outcome, "resident_end")));
    printf("lost inside blocks: %.2f %% of their bytes, over all allocations\n",
           PERCENT * number_of(asked, "inside_blocks"));
    if (json_object_get(asked, "measured"))
        printf("lost inside blocks up to 64 KiB, over time: %.2f %% measured", PERCENT * number_of(asked, "measured"));
    if (promise >= 0)
        printf(", %.2f %% predicted", PERCENT * promise);
    if (json_object_get(asked, "measured"))
        putchar('\n');
    if (number_of(outcome, "unmatched") > 0)
        printf("frees and reallocations of blocks from before the recording: %.0f\n", number_of(outcome, "unmatched"));
    if (number_of(outcome, "failed") > 0)
        printf("allocations without memory: %.0f\n", number_of(outcome, "failed"));
    print_classes(asked);
}

static void print_contender(struct table *table, const struct contender *first, const struct contender *it,
                            uint64_t rounds)
{
    uint64_t middle = rounds / 2;
    table_row(table);
    table_cell(table, 0, "%s", input_path_shown(it->name));
    table_cell(table, 1, "%.1f", it->nanoseconds[middle]);
    table_cell(table, 2, "%.1f", it->nanoseconds[0]);
    table_cell(table, 3, "%.1f", it->nanoseconds[rounds - 1]);
    table_cell(table, 4, "%.2f", ratio_to(first, it, rounds));
    table_cell(table, 5, "%s", bytes_text(it->resident_peak[middle]));
    table_cell(table, 6, "%.2f", of_asked(it, rounds));
    table_cell(table, 7, "%s", bytes_text(it->resident_end[middle]));
    if (it->promise >= 0)
        table_cell(table, 8, "%.2f %%", PERCENT * it->promise);
    table_cell(table, 9, "%.2f %%", PERCENT * number_of(it->weighed, "measured"));
}

void print_contenders(const struct contender *contenders, size_t count, uint64_t rounds)
{
    struct table table = {
        .columns = 10,
        .titles = {"allocator", "ns", "least", "most", "ratio", "resident, peak", "of asked", "at the end",
                   "lost, predicted", "measured"},
        .left = {true},
    };
    for (size_t i = 0; i < count; i++)
        print_contender(&table, contenders, &contenders[i], rounds);
    printf("medians of %" PRIu64 " rounds, interleaved; ns an operation, beside the first\n\n", rounds);
    table_print(&table);
    for (size_t i = 0; i < count; i++) {
        printf("\n%s:\n", input_path_shown(contenders[i].name));
        print_classes(contenders[i].weighed);
    }
}
