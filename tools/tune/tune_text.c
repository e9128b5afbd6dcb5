/* A tuning for the terminal: tables compared, the curve of waste, and the sizes with their classes. */
#include "command.h"
#include "input_path.h"
#include "interrupt.h"
#include "tune_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BAR = 40, CURVE_STEP = 4 };

/* Part by which a table may do worse on what it has not seen without being told. */
#define WORSE_UNTOLD 0.02

static void print_row(struct table *table, const char *name, const struct spending *spending, uint32_t classes)
{
    table_row(table);
    table_cell(table, 0, "%s", name);
    if (classes)
        table_cell(table, 1, "%" PRIu32, classes);
    table_cell(table, 2, "%" PRIu32, spending->used);
    table_cell(table, 3, "%.2f %%", 100 * internal_part(spending));
    table_cell(table, 4, "%s", bytes_text(spending->internal));
    table_cell(table, 5, "%s", bytes_text(spending->tails));
    table_cell(table, 6, "%s", spending->partial > 0 ? bytes_text(spending->partial) : "-");
    table_cell(table, 7, "%s", bytes_text(overhead(spending)));
}

static void print_rows(const struct tuning *tuning)
{
    struct table table = {
        .columns = 11,
        .titles = {"table", "classes", "used", "inside", "blocks", "slab tails", "partial groups", "in all", "less",
                   "held out:", "less"},
        .left = {true},
    };
    const struct row *plain = &tuning->rows[ROW_DEFAULT];
    for (unsigned i = 0; i < ROWS; i++) {
        const struct row *row = &tuning->rows[i];
        if (!row->name)
            continue;
        print_row(&table, row->name, &row->all, row->table.count);
        if (i != ROW_DEFAULT) {
            table_cell(&table, 8, "%.1f %%", 100 * less(overhead(&row->all), overhead(&plain->all)));
            table_cell(&table, 10, "%.1f %%", 100 * less(overhead(&row->held), overhead(&plain->held)));
        }
        table_cell(&table, 9, "%.2f %%", 100 * internal_part(&row->held));
    }
    print_row(&table, "alignment alone", &tuning->least, 0);
    table_print(&table);
    printf("\n  Inside blocks %.1f %% less than the default with as many classes, %.1f %% less than jemalloc's with as "
           "many;\n"
           "  beyond what alignment to %u costs, %.1f %% and %.1f %%.\n",
           100 * internal_less(tuning, ROW_AS_DEFAULT, ROW_DEFAULT),
           100 * internal_less(tuning, ROW_AS_JEMALLOC, ROW_JEMALLOC), tuning->alignment,
           100 * avoidable_less(tuning, ROW_AS_DEFAULT, ROW_DEFAULT),
           100 * avoidable_less(tuning, ROW_AS_JEMALLOC, ROW_JEMALLOC));
    for (unsigned row = ROW_AT_16; row <= ROW_AT_8; row++)
        if (tuning->rows[row].name)
            printf("  With --alignment %d, %.1f %% less than the default.\n", row == ROW_AT_16 ? 16 : 8,
                   100 * internal_less(tuning, row, ROW_DEFAULT));
}

/* A table that does worse on what it has not seen says more of the trace than of the table. */
static void warn_of_halves(const struct tuning *tuning)
{
    double more = -less(overhead(&tuning->rows[ROW_TUNED].held), overhead(&tuning->rows[ROW_DEFAULT].held));
    if (more <= WORSE_UNTOLD)
        return;
    printf("\n  Caution: what the first half of the events tells makes the second lose %.1f %% more than the default\n"
           "  does. The program did something new there. Record it for longer, or try --step 25.\n",
           100 * more);
}

/* What is lost in all with each count of classes; every fourth, and the chosen one. */
static void print_curve(const struct tuning *tuning, double threads)
{
    double most = overhead(&tuning->rows[ROW_DEFAULT].all);
    printf("\n  %7s  %9s  %9s\n", "classes", "inside", "in all");
    for (uint32_t n = 1; n <= CLASSES_MOST; n++) {
        bool chosen = n == tuning->rows[ROW_TUNED].table.count;
        if (!isfinite(tuning->costs[n - 1]) || (n % CURVE_STEP && !chosen && n != CLASSES_MOST))
            continue;
        struct spending spending = tuning_spend_all(tuning, &tuning->tables[n - 1], threads);
        double part = most > 0 ? overhead(&spending) / most : 0;
        printf("  %7" PRIu32 "  %7.2f %%  %9s  ", n, 100 * internal_part(&spending), bytes_text(overhead(&spending)));
        for (int i = 0; i < (int)lround(BAR * fmin(part, 2)); i++)
            fputs("▪", stdout);
        puts(chosen ? " tuned" : "");
    }
}

/* A row for each class of the tuned table: what falls in it, and what it loses. */
static void print_classes(const struct tuning *tuning)
{
    const struct size_table *classes = &tuning->rows[ROW_TUNED].table;
    double weights[CLASSES_MOST] = {0};
    double bytes[CLASSES_MOST] = {0};
    double most = 0;
    double sum = 0;
    uint32_t granule = 0;
    for (uint32_t c = 0; c < classes->count; c++) {
        for (; granule * GRANULE <= classes->bytes[c]; granule++) {
            weights[c] += tuning->all.weight[granule];
            bytes[c] += tuning->all.bytes[granule];
        }
        sum += bytes[c];
        most = fmax(most, bytes[c]);
    }
    printf("\n  %-15s  %8s  %8s\n", "sizes", "bytes", "lost");
    for (uint32_t c = 0; c < classes->count; c++) {
        double taken = weights[c] * classes->bytes[c];
        printf("  %6" PRIu32 " to %5" PRIu32, c ? classes->bytes[c - 1] + 1 : 1, classes->bytes[c]);
        if (taken > 0)
            printf("  %6.2f %%  %6.2f %%  ", 100 * bytes[c] / sum, 100 * (1 - bytes[c] / taken));
        else
            printf("  %8s  %8s  ", "-", "-");
        for (int i = 0; i < (int)lround(BAR * bytes[c] / (most > 0 ? most : 1)); i++)
            fputs("█", stdout);
        putchar('\n');
    }
}

static void print_tuning(const struct tuning *tuning, double threads)
{
    if (tuning->name)
        printf("\nkey %s: ", tuning->name);
    else
        printf("\nall keys: ");
    printf("%" PRIu64 " blocks", tuning->blocks);
    if (tuning->large)
        printf(", and %" PRIu64 " above %d bytes, which have no class", tuning->large, SIZE_TOP);
    if (tuning->peak_bytes)
        printf("; %s live at the peak", bytes_text((double)tuning->peak_bytes));
    printf("; %s\n\n", tuning->by_time ? "bytes are averages over time" : "bytes are sums over blocks");
    print_rows(tuning);
    warn_of_halves(tuning);
    print_curve(tuning, threads);
    print_classes(tuning);
}

static void print_search(const struct report *report)
{
    const struct search *search = report->search;
    struct table table = {
        .columns = 8,
        .titles = {"search", "value", "time", "noise", "resident, peak", "noise", "rounds", "outcome"},
        .left = {true, true, false, false, false, false, false, true},
    };
    for (uint32_t i = 0; i < search->count; i++) {
        const struct trial *trial = &search->trials[i];
        const char *key = report->tunings->tunings[trial->tuning].name;
        table_row(&table);
        table_cell(&table, 0, "%s: %s", key ? key : "all keys", setting_name(trial->setting));
        table_cell(&table, 1, "%s", trial->value);
        table_cell(&table, 2, "%.3f", trial->time.median);
        table_cell(&table, 3, "%.3f", trial->time.noise);
        table_cell(&table, 4, "%.3f", trial->resident.median);
        table_cell(&table, 5, "%.3f", trial->resident.noise);
        table_cell(&table, 6, "%" PRIu32, trial->rounds);
        table_cell(&table, 7, "%s", trial->verdict);
    }
    puts("\nThe search replays; ratios are to the best that was known before, medians of paired rounds.\n");
    if (search->count)
        table_print(&table);
    else
        puts("  Nothing was tried.");
    if (search->one_thread)
        puts("\n  Outbox and flush say nothing of a trace of one thread.");
    if (interrupted())
        puts("\n  Interrupted before all was tried.");
    else if (search->late)
        puts("\n  The time was up before all was tried: --search-seconds.");
    if (search->time.median > 0)
        printf(
            "\n  All that was kept, beside none of it: %.3f of the time (noise %.3f), %.3f of the resident memory.\n",
            search->time.median, search->time.noise, search->resident.median);
}

void tune_report_text(const struct report *report)
{
    for (size_t i = 0; i < report->sources_count; i++) {
        const struct source *source = &report->sources[i];
        printf("%s: %s, %" PRIu64 " %s%s", input_path_shown(source->name), source->kind, source->events, source->unit,
               source->broken ? ", incomplete" : "");
        if (source->threads)
            printf(" of %" PRIu64 " thread%s", source->threads, source->threads == 1 ? "" : "s");
        putchar('\n');
    }
    if (report->unmatched)
        printf("frees of blocks that were allocated before the recording: %" PRIu64 "\n", report->unmatched);
    for (uint32_t i = 0; i < report->tunings->count; i++)
        print_tuning(&report->tunings->tunings[i], report->options->limits.threads);
    if (report->search)
        print_search(report);
    if (report->config)
        printf("\n%s: written\n", report->config);
}
