/* What `keyslab tune` says of its tunings, and writes. */
#ifndef TUNE_REPORT_H
#define TUNE_REPORT_H

#include "search.h"
#include "tuning.h"

#include <stdio.h>

struct report {
    size_t sources_count;
    const struct source *sources;
    const struct tuning_options *options;
    const struct tunings *tunings;
    uint64_t unmatched;
    const char *config;          /* that was written, or NULL */
    const struct search *search; /* or NULL */
};

void tune_report_text(const struct report *report);

/* Each of these is false after a complaint. */
bool tune_report_json(const struct report *report);

/* A config file, complete and commented, as the library reads it: see docs/config.md. The first only writes it. */
void tune_write_config(const struct report *report, FILE *file);
bool tune_report_config(const struct report *report, const char *path);

/* Sizes and counts as Scudo's compute_size_class_config reads them. */
bool tune_report_scudo(const struct report *report, const char *path);

/* FOLDER/KEY-sizes.svg and FOLDER/KEY-curve.svg for each tuning. */
bool tune_report_svg(const struct report *report, const char *folder);

#endif
