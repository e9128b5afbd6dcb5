/* A tuning as a config file for the library, and as a histogram for Scudo's tool. */
#include "input_path.h"
#include "interrupt.h"
#include "output.h"
#include "tune_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SIZES_A_LINE = 12, PATH_SHOWN = 120 };

#define SCUDO_SCALE 1e6 /* what lives a millionth of the time counts as one block */

/* ------------------------------------------------------------------ config */

/* What a comment can hold of a path: a line, without what would end it. */
static void write_path(FILE *file, const char *path)
{
    for (int left = PATH_SHOWN; *path && left > 0; path++, left--)
        fputc((unsigned char)*path < ' ' ? '?' : *path, file);
    if (*path)
        fputs("...", file);
}

static void write_search_head(FILE *file, const struct search *search)
{
    fputs("# Searched by replay, and as built in where nothing better is set below:", file);
    for (uint32_t i = 0; i < search->options->count; i++)
        fprintf(file, "%s %s", i ? "," : "", settings_table[search->options->settings[i]].name);
    fprintf(file, ".%s\n",
            interrupted()  ? "\n# It was interrupted before all was tried."
            : search->late ? "\n# The time was up before all was tried."
                           : "");
    if (search->time.median > 0)
        fprintf(file,
                "# All that is set below, but for the classes, takes %.3f of the time without it (noise %.3f), and "
                "%.3f of\n"
                "# the resident memory at the peak.\n",
                search->time.median, search->time.noise, search->resident.median);
}

static void write_head(FILE *file, const struct report *report)
{
    fputs("# keyslab configuration, written by 'keyslab tune' from\n", file);
    for (size_t i = 0; i < report->sources_count; i++) {
        const struct source *source = &report->sources[i];
        fputs("#     ", file);
        write_path(file, input_path_shown(source->name));
        fprintf(file, " (%s, %" PRIu64 " %s%s)\n", source->kind, source->events, source->unit,
                source->broken ? ", incomplete" : "");
    }
    fputs("# Every setting is explained in keyslab.conf(5). What is not set here is as the library has it.\n", file);
    if (report->search)
        write_search_head(file, report->search);
}

static void write_why(FILE *file, const struct tuning *tuning)
{
    const struct row *plain = &tuning->rows[ROW_DEFAULT];
    const struct row *tuned = &tuning->rows[ROW_TUNED];
    double all = 100 * less(overhead(&tuned->all), overhead(&plain->all));
    double held = 100 * less(overhead(&tuned->held), overhead(&plain->held));
    fprintf(
        file,
        "\n# From %" PRIu64
        " blocks. Inside of blocks %.2f %% of their bytes are lost, with the default classes %.2f %%; in\n"
        "# all %.1f %% %s than with those. A table from the first half of the events loses %.1f %% %s on the second.\n",
        tuning->blocks, 100 * internal_part(&tuned->all), 100 * internal_part(&plain->all), fabs(all),
        all < 0 ? "more" : "less", fabs(held), held < 0 ? "more" : "less");
}

static void write_classes(FILE *file, const struct size_table *table)
{
    fputs("# Bytes, rising: multiples of the alignment; the last is 65536; 47 at the most.\nclasses = ", file);
    for (uint32_t i = 0; i < table->count; i++) {
        bool last = i + 1 == table->count;
        fprintf(file, "%" PRIu32 "%s", table->bytes[i], last ? "\n" : (i + 1) % SIZES_A_LINE ? ", " : ",\n    ");
    }
}

/* What the classes are multiples of, and cut from: another file would not know it. The search may have found another slab. */
static void write_grounds(FILE *file, const struct tuning *tuning, bool slab)
{
    char text[SETTING_TEXT];
    if (tuning->alignment != settings_table[SET_ALIGNMENT].initial)
        fprintf(file, "# Blocks of 512 bytes and more are at multiples of %u, smaller ones of %u.\nalignment = %u\n",
                class_multiple(SIZE_TOP, tuning->alignment), class_multiple(CLASS_LEAST, tuning->alignment),
                tuning->alignment);
    if (slab && tuning->all.slab != SLAB_BYTES)
        fprintf(file, "# As in the config file in effect.\nslab = %s\n",
                setting_format(&settings_table[SET_SLAB], tuning->all.slab, text));
}

static void write_searched(FILE *file, const struct search *search, uint32_t tuning)
{
    for (uint32_t setting = 0; search && setting < SETTINGS; setting++) {
        const struct trial *trial = search_kept(search, tuning, setting);
        if (!trial)
            continue;
        if (trial->rounds)
            fprintf(
                file,
                "# From the search: %.3f of the time before (noise %.3f), %.3f of the resident memory at the peak.\n",
                trial->time.median, trial->time.noise, trial->resident.median);
        fprintf(file, "%s = %s\n", setting_name(setting), trial->value);
    }
}

/* One table for all keys: a joint one, or that of programs with one key. */
static bool is_for_all(const struct report *report)
{
    bool programs = true;
    for (size_t i = 0; i < report->sources_count; i++)
        programs = programs && report->sources[i].program;
    return !report->tunings->tunings[0].name || (report->tunings->count == 1 && programs && !report->options->only);
}

static void write_section(FILE *file, const struct report *report, uint32_t index)
{
    const struct tuning *tuning = &report->tunings->tunings[index];
    bool for_all = is_for_all(report);
    if (!for_all && !tuning_has_section(tuning)) {
        fprintf(file,
                "\n# No section for a key of %" PRIu64 " blocks: it has no name, or none that a section can have.\n",
                tuning->blocks);
        return;
    }
    write_why(file, tuning);
    if (for_all)
        fputs("[defaults]\n", file);
    else
        fprintf(file, "[key %s]\n", tuning->name);
    write_grounds(file, tuning, !search_kept(report->search, index, SET_SLAB));
    write_classes(file, &tuning->rows[ROW_TUNED].table);
    write_searched(file, report->search, index);
}

void tune_write_config(const struct report *report, FILE *file)
{
    write_head(file, report);
    for (uint32_t i = 0; i < report->tunings->count; i++)
        write_section(file, report, i);
}

bool tune_report_config(const struct report *report, const char *path)
{
    struct output output;
    if (!output_open(&output, path))
        return false;
    tune_write_config(report, output.file);
    return output_close(&output);
}

/* ------------------------------------------------------------------ Scudo */

bool tune_report_scudo(const struct report *report, const char *path)
{
    struct output output;
    if (!output_open(&output, path))
        return false;
    FILE *file = output.file;
    fputs("<malloc version=\"scudo-1\">\n", file);
    for (uint32_t granule = 1; granule < GRANULES; granule++) {
        double weight = 0;
        for (uint32_t i = 0; i < report->tunings->count; i++)
            weight += report->tunings->tunings[i].all.weight[granule] *
                      (report->tunings->tunings[i].by_time ? SCUDO_SCALE : 1);
        if (weight > 0)
            fprintf(file, "<alloc size=\"%u\" count=\"%.0f\"/>\n", granule * GRANULE, ceil(weight));
    }
    fputs("</malloc>\n", file);
    return output_close(&output);
}
