/* What `keyslab tune` predicts of a trace's keys under a config, by tune's own arithmetic. */
#ifndef REPLAY_PROMISE_H
#define REPLAY_PROMISE_H

#include "config/config.h"
#include "tuning.h"

/* Counts the trace's blocks. False after a complaint. */
bool promise_read(const char *name, const char *path, bool salvage, struct tally *tally);

/*
 * Lost inside of blocks of up to 64 KiB, as a part of what they take: over time, or over all blocks where no block lived for any
 * length of time. `config` may be NULL: the built-in classes.
 */
double promise_of(const struct tally *tally, const struct config *config);

#endif
