/* A tuning as one JSON object. */
#include "interrupt.h"
#include "json.h"
#include "tune_report.h"

#include <math.h>

static json_t *table_json(const struct size_table *table)
{
    json_t *sizes = json_array();
    for (uint32_t i = 0; i < table->count; i++)
        json_array_append_new(sizes, json_integer(table->bytes[i]));
    return sizes;
}

static json_t *spending_json(const struct spending *spending)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:i}", "asked", spending->asked, "internal", spending->internal,
                     "internal_part", internal_part(spending), "slab_tails", spending->tails, "partial_groups",
                     spending->partial, "classes_used", (int)spending->used);
}

static json_t *row_json(const struct row *row)
{
    return json_pack("{s:s, s:o, s:o, s:o}", "table", row->name, "classes", table_json(&row->table), "all",
                     spending_json(&row->all), "held_out", spending_json(&row->held));
}

static json_t *curve_json(const struct tuning *tuning, double threads)
{
    json_t *curve = json_array();
    for (uint32_t n = 1; n <= CLASSES_MOST; n++) {
        if (!isfinite(tuning->costs[n - 1]))
            continue;
        struct spending spending = tuning_spend_all(tuning, &tuning->tables[n - 1], threads);
        json_array_append_new(curve, json_pack("{s:i, s:f, s:f}", "classes", (int)n, "internal_part",
                                               internal_part(&spending), "cost", tuning->costs[n - 1]));
    }
    return curve;
}

static json_t *tuning_json(const struct tuning *tuning, double threads)
{
    json_t *rows = json_array();
    for (unsigned i = 0; i < ROWS; i++)
        if (tuning->rows[i].name)
            json_array_append_new(rows, row_json(&tuning->rows[i]));
    return json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:f, s:f, s:f, s:f}", "key",
                     json_text_or_null(tuning->name), "weight", tuning->by_time ? "lifetime" : "blocks", "blocks",
                     (json_int_t)tuning->blocks, "large_blocks", (json_int_t)tuning->large, "large_bytes",
                     (json_int_t)tuning->large_bytes, "peak_bytes", (json_int_t)tuning->peak_bytes, "alignment",
                     (json_int_t)tuning->alignment, "classes", table_json(&tuning->rows[ROW_TUNED].table), "tables",
                     rows, "curve", curve_json(tuning, threads), "alignment_alone", spending_json(&tuning->least),
                     "less_than_default", internal_less(tuning, ROW_AS_DEFAULT, ROW_DEFAULT), "less_than_jemalloc",
                     internal_less(tuning, ROW_AS_JEMALLOC, ROW_JEMALLOC), "avoidable_less_than_default",
                     avoidable_less(tuning, ROW_AS_DEFAULT, ROW_DEFAULT), "avoidable_less_than_jemalloc",
                     avoidable_less(tuning, ROW_AS_JEMALLOC, ROW_JEMALLOC));
}

static json_t *search_json(const struct report *report)
{
    const struct search *search = report->search;
    if (!search)
        return NULL;
    json_t *trials = json_array();
    for (uint32_t i = 0; i < search->count; i++) {
        const struct trial *trial = &search->trials[i];
        json_array_append_new(trials,
                              json_pack("{s:o, s:s, s:s, s:f, s:f, s:f, s:f, s:i, s:b, s:s}", "key",
                                        json_text_or_null(report->tunings->tunings[trial->tuning].name), "setting",
                                        setting_name(trial->setting), "value", trial->value, "time", trial->time.median,
                                        "noise", trial->time.noise, "resident", trial->resident.median,
                                        "resident_noise", trial->resident.noise, "rounds", (int)trial->rounds, "kept",
                                        trial->kept, "verdict", trial->verdict));
    }
    json_t *json =
        json_pack("{s:o, s:b, s:b}", "trials", trials, "late", search->late, "interrupted", (int)interrupted());
    if (search->time.median > 0)
        json_object_set_new(json, "together",
                            json_pack("{s:f, s:f, s:f, s:f}", "time", search->time.median, "noise", search->time.noise,
                                      "resident", search->resident.median, "resident_noise", search->resident.noise));
    return json;
}

bool tune_report_json(const struct report *report)
{
    json_t *sources = json_array();
    for (size_t i = 0; i < report->sources_count; i++) {
        const struct source *source = &report->sources[i];
        json_array_append_new(sources, json_pack("{s:o, s:s, s:I, s:I, s:b}", "path", json_text(source->name), "kind",
                                                 source->kind, source->unit, (json_int_t)source->events, "threads",
                                                 (json_int_t)source->threads, "whole", !source->broken));
    }
    json_t *tunings = json_array();
    for (uint32_t i = 0; i < report->tunings->count; i++)
        json_array_append_new(tunings, tuning_json(&report->tunings->tunings[i], report->options->limits.threads));
    json_t *root =
        json_pack("{s:o, s:I, s:o, s:o, s:o*}", "sources", sources, "unmatched_frees", (json_int_t)report->unmatched,
                  "keys", tunings, "config", json_text_or_null(report->config), "search", search_json(report));
    return json_print(root, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
}
