/*
 * Settings beside the classes, chosen by replay: one after another is changed in the written config, and the change stays if the trace's
 * replay is better by more than the noise, twice.
 */
#ifndef TUNE_SEARCH_H
#define TUNE_SEARCH_H

#include "grid.h"
#include "series.h"

#include <stdio.h>

enum { TRIALS_MOST = 1024 };

struct search_options {
    uint32_t settings[GRID_SETTINGS]; /* of settings_table */
    uint32_t count;                   /* 0: no search */
    double seconds;
    const char *trace;
    bool salvage;
};

/* One value in one tuning's section. Ratios are to the best that was known before, of paired rounds. */
struct trial {
    uint32_t tuning;
    uint32_t setting; /* of settings_table */
    const char *value;
    struct ratio time;     /* nanoseconds an operation */
    struct ratio resident; /* at the peak */
    uint32_t rounds;
    bool kept;
    const char *verdict; /* "kept", "not confirmed", or that of the series */
};

struct search {
    const struct search_options *options;
    uint32_t count;
    struct trial trials[TRIALS_MOST];
    bool late;         /* the time was up before all was tried */
    bool one_thread;   /* of the trace: no block goes to another thread */
    struct ratio time; /* the same ratios of all that is kept to none of it; 0 where nothing is */
    struct ratio resident;
};

/* The words that `--search` takes, into options; false after a complaint. NULL for all of them. */
bool search_parse(const char *list, struct search_options *options);

/* The last trial of a setting that was kept for a tuning, or NULL. */
const struct trial *search_kept(const struct search *search, uint32_t tuning, uint32_t setting);

/*
 * `write` writes the config file with what is kept. A signal ends the search as the time does: what was kept until then is. False after
 * a complaint.
 */
bool search_run(struct search *search, const struct tunings *tunings, void (*write)(void *context, FILE *file),
                void *context);

#endif
