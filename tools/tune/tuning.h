/* A tuning: what one key's sizes are (or those of all keys together), the tables for them, and how each does. */
#ifndef TUNE_TUNING_H
#define TUNE_TUNING_H

#include "config/config.h"
#include "demand.h"
#include "source.h"

enum { ROW_DEFAULT, ROW_JEMALLOC, ROW_TUNED, ROW_AS_DEFAULT, ROW_AS_JEMALLOC, ROW_AT_16, ROW_AT_8, ROWS };

struct tuning_options {
    struct limits limits; /* alignment 0: as the config in effect has it for the key */
    double unseen;        /* see blend */
    bool by_blocks;       /* weigh blocks alike, however long they live */
    bool joint;
    const char *only;            /* a key's name, or NULL */
    const struct config *config; /* that is in effect: it says the keys' slab sizes and alignments; NULL for none */
};

/* One table, and what it spends on all that was seen, and on the second half. The name is NULL where there is none. */
struct row {
    const char *name;
    struct size_table table;
    struct spending all;
    struct spending held; /* by a table that knew the first half only */
};

struct tuning {
    const char *name;             /* of the key; NULL for all of them together */
    bool unnamed;                 /* the key has none: `name` is made from its number */
    const struct tally_key *keys; /* of the tally: those that are tuned here, and with no blocks */
    uint32_t keys_count;
    bool by_time; /* weights are bytes that are live on average; else bytes of all blocks */
    uint64_t blocks;
    uint64_t large;
    uint64_t large_bytes;
    uint64_t peak_bytes;
    struct weights all;
    struct weights halves[HALVES];
    double costs[CLASSES_MOST];
    struct size_table tables[CLASSES_MOST]; /* the best of each count of classes, where costs is finite */
    uint32_t alignment;                     /* of the key's blocks */
    struct spending least;                  /* what that alone costs, with any number of classes */
    /*
     * The default and jemalloc's; tuned for the least in all; for the least inside blocks, with as many classes as either of
     * the first two; and with as many as the default, at each lower alignment.
     */
    struct row rows[ROWS];
};

struct tunings {
    uint32_t count;
    struct tuning *tunings;
};

/* One for each key that has blocks, or a joint one. False after a complaint. */
bool tune_all(const struct tally *tally, const struct tuning_options *options, struct tunings *tunings);

/* What a table spends on one key's blocks, each at the alignment that it was asked for with. Without partial groups. */
struct spending tuning_spend(const struct tally_key *key, bool by_time, const struct size_table *table);

/* The same of a tuning's keys, of all that was seen, with the partial groups of so many threads. */
struct spending tuning_spend_all(const struct tuning *tuning, const struct size_table *table, double threads);

/* The key's blocks have lived for some length of time: weights can be bytes over time. */
bool tuning_by_time(const struct tally_key *key);

/* A config file can have a section for it: [defaults], or one that a config file's reader takes for its key. */
bool tuning_has_section(const struct tuning *tuning);

/* Lost inside of blocks, as a part of what the blocks take. */
double internal_part(const struct spending *spending);

/* All that is spent beyond what was asked for. */
double overhead(const struct spending *spending);

/* By how much `spending` is less than `than`: 0.4 for 40 % less. */
double less(double spending, double than);

/* The same of what two tables lose inside of blocks. */
double internal_less(const struct tuning *tuning, unsigned row, unsigned than);

/* And of what is lost there beyond what alignment alone costs: the part that a table can do something about. */
double avoidable_less(const struct tuning *tuning, unsigned row, unsigned than);

#endif
