/* What a search tries: for each setting the values, in their order, and for magazines three ranges of classes one after another. */
#ifndef TUNE_LADDER_H
#define TUNE_LADDER_H

#include "settings.h"
#include "tuning.h"

enum { PARTS = 3 /* of the classes: small, medium, large */ };

/* A value of a setting, as a config file has it. */
struct candidate {
    uint32_t setting; /* of settings_table */
    char value[SETTING_TEXT];
    uint32_t lengths[PARTS]; /* of magazines, where the setting is theirs */
};

struct ladder;

/* The ladder behind another one, NULL for the first; NULL at the end. */
const struct ladder *ladder_next(const struct ladder *ladder);

uint32_t ladder_setting(const struct ladder *ladder);

/* Its values say nothing where no block goes from one thread to another. */
bool ladder_is_between_threads(const struct ladder *ladder);

/* How many values it has. */
uint32_t ladder_count(const struct ladder *ladder);

/*
 * One of its values for a tuning, as a change of what was kept, which is NULL where that is what is built in. False where it would
 * change nothing.
 */
bool ladder_candidate(const struct ladder *ladder, uint32_t index, const struct tuning *tuning,
                      const struct candidate *kept, struct candidate *candidate);

#endif
