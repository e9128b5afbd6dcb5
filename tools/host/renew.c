/* Another period of a run: the experts begin again with keys of their own, as if there had been nothing before. */
#include "host.h"
#include "process.h"

#include <stdlib.h>

/* What the last period has found. */
static void expert_forget(struct expert *expert)
{
    atomic_store(&expert->event_kinds, NULL);
    expert->events = NULL;
    expert->events_count = 0;
    expert->status = (struct status){0};
}

/* One that has failed is left as it is, and gets no frames; so does memory that a thread may look at which could not be stopped. */
static void expert_renew(struct expert *expert)
{
    ks_key_destroy(expert->key);
    atomic_store(&expert->is_dropped, false);
    expert->is_stuck |= guests_remain(expert);
    if (!expert->is_stuck && !atomic_load(&expert->failed)) {
        filters_free(expert);
        events_free(expert);
        free(expert->lanes);
    }
    expert->lanes = NULL;
    expert->filters = NULL;
    expert_forget(expert);
    expert->config = NULL;
    *expert->problem = 0;
    atomic_store(&expert->threads, 0);
    expert->left_for = expert->quota_unseen = 0;
}

void host_renew(struct host *host)
{
    for (size_t i = 0; i < host->experts_count; i++) {
        if (host->isolate) {
            events_free(&host->experts[i]);
            expert_forget(&host->experts[i]);
        } else {
            expert_renew(&host->experts[i]);
        }
    }
    ks_key_destroy(host->key);
    host->numbered += atomic_load(&host->frames);
    atomic_store(&host->frames, 0);
    atomic_store(&host->capture_ended, false);
    host->readers = 0;
    host->bytes = host->refused = host->problems_count = 0;
    if (host->isolate)
        processes_renew(host);
}
