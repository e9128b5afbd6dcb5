#include "ladder.h"

#include "lengths.h"

#include <stdlib.h>
#include <string.h>

enum { VALUES_MOST = 4, EVERY_PART = PARTS };

struct ladder {
    uint32_t setting;
    bool between_threads;
    uint32_t part; /* of magazine: the classes that it is for; EVERY_PART for all of them, and for other settings */
    const char *values[VALUES_MOST];
};

/* All classes first, then a part of them after another: small classes fill most magazines, and large ones most of the bytes. */
static const struct ladder ladders[] = {
    {SET_MAGAZINE, false, EVERY_PART, {"32", "16", "8"}},
    {SET_MAGAZINE, false, 0, {"60", "32", "8"}},
    {SET_MAGAZINE, false, 1, {"60", "32", "8"}},
    {SET_MAGAZINE, false, 2, {"60", "32", "8"}},
    {SET_MAGAZINE_BYTES, false, EVERY_PART, {"32 KiB", "64 KiB", "256 KiB", "512 KiB"}},
    {SET_SLAB, false, EVERY_PART, {"64 KiB", "128 KiB", "256 KiB"}},
    {SET_RETAIN, false, EVERY_PART, {"0", "1 MiB", "16 MiB"}},
    {SET_OUTBOX, true, EVERY_PART, {"4 KiB", "64 KiB", "256 KiB"}},
    {SET_FLUSH, true, EVERY_PART, {"16", "256"}},
};

/* The largest class of each part; all that are larger are of the last. */
static const uint32_t part_tops[PARTS] = {256, 2048, CLASS_TOP};

enum { LADDERS = sizeof ladders / sizeof *ladders };

const struct ladder *ladder_next(const struct ladder *ladder)
{
    ladder = ladder ? ladder + 1 : ladders;
    return ladder < ladders + LADDERS ? ladder : NULL;
}

uint32_t ladder_setting(const struct ladder *ladder)
{
    return ladder->setting;
}

bool ladder_is_between_threads(const struct ladder *ladder)
{
    return ladder->between_threads;
}

uint32_t ladder_count(const struct ladder *ladder)
{
    uint32_t count = 0;
    while (count < VALUES_MOST && ladder->values[count])
        count++;
    return count;
}

/* ------------------------------------------------------------------ magazines */

static uint32_t part_of(uint32_t class_bytes)
{
    uint32_t part = 0;
    while (part + 1 < PARTS && part_tops[part] < class_bytes)
        part++;
    return part;
}

/* Whether blocks were seen whose class, in the table that is written, is of the part. */
static bool part_is_used(const struct tuning *tuning, uint32_t part)
{
    const struct size_table *table = &tuning->rows[ROW_TUNED].table;
    uint32_t class = 0;
    for (uint32_t granule = 1; granule < GRANULES; granule++) {
        while (table->bytes[class] < granule * GRANULE)
            class ++;
        if (tuning->all.weight[granule] > 0 && part_of(table->bytes[class]) == part)
            return true;
    }
    return false;
}

/* Parts with equal lengths are one. */
static void lengths_text(const uint32_t *parts, char *text)
{
    struct lengths lengths = {0};
    for (uint32_t part = 0; part < PARTS; part++)
        if (part + 1 == PARTS || parts[part] != parts[part + 1])
            lengths.rungs[lengths.count++] = (struct rung){part_tops[part], parts[part]};
    lengths_format(&lengths, text);
}

static bool magazine_candidate(const struct ladder *ladder, const char *value, const struct tuning *tuning,
                               const struct candidate *kept, struct candidate *candidate)
{
    uint32_t length = (uint32_t)strtoul(value, NULL, 10);
    bool changed = false;
    if (ladder->part != EVERY_PART && !part_is_used(tuning, ladder->part))
        return false;
    for (uint32_t part = 0; part < PARTS; part++) {
        uint32_t before = kept ? kept->lengths[part] : MAGAZINE_SLOTS;
        bool meant = ladder->part == EVERY_PART || ladder->part == part;
        candidate->lengths[part] = meant ? length : before;
        changed = changed || candidate->lengths[part] != before;
    }
    lengths_text(candidate->lengths, candidate->value);
    return changed;
}

/* ------------------------------------------------------------------ all settings */

bool ladder_candidate(const struct ladder *ladder, uint32_t index, const struct tuning *tuning,
                      const struct candidate *kept, struct candidate *candidate)
{
    const char *text = ladder->values[index];
    uint32_t setting = ladder_setting(ladder);
    *candidate = (struct candidate){.setting = setting};
    if (setting == SET_MAGAZINE)
        return magazine_candidate(ladder, text, tuning, kept, candidate);
    uint64_t value;
    if (!setting_parse(&settings_table[setting], text, &value))
        return false;
    setting_format(&settings_table[setting], value, candidate->value);
    return kept ? strcmp(candidate->value, kept->value) != 0 : value != settings_table[setting].initial;
}
