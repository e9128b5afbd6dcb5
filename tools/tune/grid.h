/* What a search tries: for each of some settings the values, in the order in which they are tried. */
#ifndef TUNE_GRID_H
#define TUNE_GRID_H

#include "tuning.h"

enum { GRID_SETTINGS = 4, GRID_VALUES = 4 };

struct grid_setting {
    uint32_t setting;                /* of settings_table */
    bool between_threads;            /* its values are all the same where no block goes from one thread to another */
    const char *values[GRID_VALUES]; /* as config files and setting_format have them; NULL behind the last */
};

extern const struct grid_setting grid[GRID_SETTINGS];

/* Fills `text`, of SETTING_TEXT bytes, with the value that a tuning's section has before the search. Returns `text`. */
char *grid_start(uint32_t setting, const struct tuning *tuning, char *text);

#endif
