/* What `keyslab run` prints at its end: text for people, or one JSON object. */
#ifndef TOOLS_RUN_REPORT_H
#define TOOLS_RUN_REPORT_H

#include "host/host.h"

struct resident {
    uint64_t before; /* bytes */
    uint64_t peak;
    uint64_t after; /* with every key reset and purged */
};

/* Resident bytes of this process. */
uint64_t resident_now(void);

void report_text(const struct host *host, const struct resident *resident, size_t top);

/* `cut_short`: a signal ended the run before its file did. */
void report_json(const struct host *host, const struct resident *resident, bool cut_short);

#endif
