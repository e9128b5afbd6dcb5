/* The block that a thread was handed out last, of which it remembers where it is, as long as it is there. */
#include "common.h"

/* The owner's own look brings its heap up to date, whatever others have done to it since the allocation. */
static void allocate_look_and_free(void)
{
    allocate_small_first();
    HOLDS(ks_size(key, taken[0]));
    free_by(0, taken[0]);
    HOLDS(freed[0] == KS_OK);
    HOLDS(ks_free(key, taken[0]) == KS_DOUBLE_FREE);
}

static void allocate_purge_and_free(void)
{
    allocate_small_first();
    HOLDS(ks_key_purge(key) == KS_OK && ks_size(key, taken[0]));
    free_by(0, taken[0]);
    HOLDS(freed[0] == KS_OK);
}

static void free_flush_and_purge(void)
{
    free_and_flush_second();
    purge_second();
}

static void end_looked_at(void)
{
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 5 && s.freed_local + s.freed_remote == 1u + (freed[1] == KS_OK) && !s.refused_at_home);
}

/* ------------------------------------------------------------------ a slab that was found empty */

static void begin_retaining_some(void)
{
    begin_with(&(struct ks_key_options){.retain = 4 * SLAB});
}

static void prepare_last(void)
{
    blocks[4] = ks_alloc(key, SMALL, NULL);
}

/* What the thread sends for another is a slow path of its own, which looks for slabs that are empty. */
static void free_last_twice(void)
{
    HOLDS(ks_free(key, blocks[4]) == KS_OK);
    free_first();
    HOLDS(ks_free(key, blocks[4]) == KS_DOUBLE_FREE);
}

static void end_twice(void)
{
    HOLDS(freed[0] == KS_OK);
    struct ks_key_stats s = end_live();
    HOLDS(s.double_free == 1 && s.freed_local == 1 && s.freed_remote == 1);
}

/* ------------------------------------------------------------------ a burst after it */

enum { BURST = 8 };

static void *burst[BURST];

static void allocate_burst_and_free(void)
{
    allocate_first();
    HOLDS(ks_alloc_bulk(key, big, burst, BURST, NULL) == BURST);
    free_by(0, taken[0]);
    HOLDS(freed[0] == KS_OK);
    for (int i = 0; i < BURST; i++)
        HOLDS(burst[i] != taken[0] && ks_size(key, burst[i]));
}

static void end_burst(void)
{
    HOLDS(freed[1] == KS_OK);
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 5 + BURST && s.freed_local == 1 && s.freed_remote == 1 && !s.double_free);
}

static const struct scenario all[] = {
    {"an owner looks at its last block in a purge, and frees it",
     begin,
     {{.prepare = prepare_big, .act = allocate_look_and_free}, {.act = purge_second}},
     end_looked_at,
     "operation enter publish free alloc leave reclaim ",
     .preemptions = 3},
    {"an owner purges before it frees its last block, another thread frees and purges",
     begin,
     {{.prepare = prepare_big, .act = allocate_purge_and_free}, {.act = free_flush_and_purge}},
     end_looked_at,
     "operation enter publish send take leave reclaim ",
     .preemptions = 2},
    {"a thread frees its last block twice, and another's in between",
     begin_retaining_some,
     {{.prepare = prepare_last, .act = free_last_twice}, {.prepare = prepare_big, .act = allocate_second}},
     end_twice,
     "free send take accept alloc ",
     .preemptions = 3},
    {"a thread frees its last block after a burst",
     begin,
     {{.prepare = prepare_big, .act = allocate_burst_and_free}, {.act = free_second}},
     end_burst,
     "free send take accept alloc ",
     .preemptions = 3},
};

const struct scenarios last_scenarios = {all, COUNT(all)};
