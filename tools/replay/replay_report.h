/* What `keyslab replay` prints. */
#ifndef REPLAY_REPORT_H
#define REPLAY_REPORT_H

#include "crew.h"
#include "promise.h"

#include <jansson.h>

enum { ROUNDS_MOST = 1000 };

/* One of those that are compared. */
struct contender {
    const char *name;
    const char *allocator;   /* see child.h */
    const char *config_name; /* of a config file, as it was named, or NULL */
    const char *path;        /* under which it can be opened: input_path.h */
    struct config *config;
    double nanoseconds[ROUNDS_MOST]; /* an operation, by round; sorted when all are there */
    double resident_peak[ROUNDS_MOST];
    double resident_end[ROUNDS_MOST];
    json_t *last;    /* of its timed replays */
    json_t *weighed; /* with every block asked */
    double promise;  /* negative: tune knows nothing of this allocator */
};

/* One replay. `weighed`: every block was asked. */
json_t *outcome_json(const char *name, const struct outcome *outcome, bool weighed);

/* `outcome` is a timed one's JSON; each prints what is known: `weighed` may be NULL, `promise` negative. */
void print_outcome(const char *trace, const json_t *outcome, const json_t *weighed, double promise);

void print_contenders(const struct contender *contenders, size_t count, uint64_t rounds);
json_t *contenders_json(const struct contender *contenders, size_t count, uint64_t rounds);

#endif
