/* Purges, quotas, and what threads retain. */
#include "common.h"

/* Six slabs, all of which a thread may retain. */
static void begin_retaining(void)
{
    begin_with(&(struct ks_key_options){.quota = 6 * SLAB, .retain = 6 * SLAB});
}

/* Six slabs, of which two are in use. */
static void prepare_slabs(void)
{
    for (int i = 0; i < 24; i++)
        blocks[i] = ks_alloc(key, big, NULL);
    for (int i = 8; i < 24; i++)
        ks_free(key, blocks[i]);
}

static void retain_slabs(int slabs)
{
    for (int i = 0; i < 4 * slabs; i++)
        blocks[i] = ks_alloc(key, big, NULL);
    for (int i = 0; i < 4 * slabs; i++)
        ks_free(key, blocks[i]);
    HOLDS(ks_key_purge(key) == KS_OK);
}

/* All of the quota. */
static void prepare_retained(void)
{
    retain_slabs(6);
    HOLDS(stats_now().slabs_aside == 6);
}

static void prepare_half_retained(void)
{
    retain_slabs(3);
}

/* One block more than three slabs have. */
static void allocate_beyond_half(int actor)
{
    for (int i = 0; i < 13; i++)
        allocate(actor, big);
}

static void allocate_beyond_half_first(void)
{
    allocate_beyond_half(0);
}

static void allocate_beyond_half_second(void)
{
    allocate_beyond_half(1);
}

/* ------------------------------------------------------------------ sleepers */

/* A thread that takes memory gives back what the others do not use. */
static void begin_sleeping(void)
{
    begin_collecting();
    ks_sleep_set(KS_SLEEP_ALWAYS);
}

static void grow(void)
{
    taken[1] = ks_alloc(key, big, &allocated[1]);
}

static void free_flush_and_grow(void)
{
    for (int i = 0; i < 8; i++)
        free_by(2, blocks[i]);
    ks_flush();
    taken[2] = ks_alloc(key, big, &allocated[2]);
}

static void end_sleeper_grown_over(void)
{
    ks_sleep_set(KS_SLEEP_NEVER);
    HOLDS(allocated[1] == KS_OK && allocated[0] == KS_OK);
    HOLDS(stats_now().arena_bytes == 3 * SLAB);
    struct ks_key_stats s = end_live();
    HOLDS(s.live == 9 && s.allocated == 27 && s.freed_local + s.freed_remote == 18);
}

static void end_sleeper_reset(void)
{
    ks_sleep_set(KS_SLEEP_NEVER);
    struct ks_key_stats s = end_live();
    HOLDS(s.live <= 1 && s.allocated == 26);
}

static void end_sleeper_purged_and_grown_over(void)
{
    ks_sleep_set(KS_SLEEP_NEVER);
    HOLDS(ended[2] == KS_OK);
    end_sleeper_grown_over();
}

static void end_sleeper_destroyed(void)
{
    ks_sleep_set(KS_SLEEP_NEVER);
    HOLDS(among(allocated[1], KS_OK, KS_BAD_KEY) && ended[2] == KS_OK);
    end_destroyed();
}

/* Nothing is left of the thread that has ended, and of the others a slab each. */
static void end_orphan_grown_over(void)
{
    ks_sleep_set(KS_SLEEP_NEVER);
    HOLDS(allocated[1] == KS_OK && allocated[2] == KS_OK && freed[2] == KS_OK);
    struct ks_key_stats s = end_live();
    HOLDS(s.live == 2 && s.allocated == 26 && s.freed_local + s.freed_remote == 24);
}

static void reset_and_purge(void)
{
    reset_key();
    HOLDS(ks_key_purge(key) == KS_OK);
}

/* ------------------------------------------------------------------ purge */

static void call_once_more(void)
{
    allocate_and_free();
}

/* The owner has done what it may have been asked for; it may have had to change heaps between two calls. */
static void call_once_more_and_look(size_t slabs)
{
    allocate_and_free();
    HOLDS(stats_now().arena_bytes <= slabs * SLAB);
}

/* Of six slabs two are in use. */
static void call_after_purge(void)
{
    call_once_more_and_look(4);
}

static void call_after_reset_and_purge(void)
{
    call_once_more_and_look(2);
}

/* Another thread has one. */
static void call_after_growth_and_purge(void)
{
    call_once_more_and_look(5);
}

static void end_purge_and_wake(void)
{
    HOLDS(ended[1] == KS_OK);
    struct ks_key_stats s = end_live();
    HOLDS(s.live == 8 && s.allocated == 26 && s.freed_local + s.freed_remote == 18);
}

static void end_reset_purge_and_wake(void)
{
    HOLDS(stats_now().arena_bytes == 0);
    struct ks_key_stats s = end_live();
    HOLDS(s.live == 0 && s.allocated == 26);
}

static void end_purge_wake_and_reset(void)
{
    HOLDS(ended[1] == KS_OK);
    struct ks_key_stats s = end_live();
    HOLDS(s.live == 0 && s.allocated == 26);
}

static void end_flush_and_purge(void)
{
    HOLDS(ended[1] == KS_OK || ended[1] == KS_INVALID);
    struct ks_key_stats s = end_live();
    HOLDS(s.live == 3 && s.freed_remote + s.freed_local == 1);
}

static bool flushed;

static void begin_unflushed(void)
{
    begin_collecting();
    flushed = false;
}

static void free_flush_and_say_so(void)
{
    free_and_flush_second();
    flushed = true;
}

/* What was sent before the purge is home after it, though the owner sleeps. */
static void purge_knowing(void)
{
    bool is_sent = flushed;
    HOLDS(ks_key_purge(key) == KS_OK);
    HOLDS(!is_sent || (stats_now().in_flight == 0 && stats_now().freed_remote == 1));
}

static void end_sleeper_purged(void)
{
    HOLDS(freed[1] == KS_OK);
    struct ks_key_stats s = end_live();
    HOLDS(s.live == 3 && s.freed_remote == 1);
}

/* Two threads, each of which has blocks of the other's; both sleep, all comes home, and nothing is kept. */
static void prepare_others(void)
{
    for (int i = 4; i < 8; i++)
        blocks[i] = ks_alloc(key, big, NULL);
    for (int i = 0; i < 4; i++)
        HOLDS(ks_free(key, blocks[i]) == KS_OK);
}

static void purge_and_look(void)
{
    bool all_freed = freed[0] == KS_OK;
    HOLDS(ks_key_purge(key) == KS_OK);
    HOLDS(!all_freed || (stats_now().arena_bytes == 0 && stats_now().in_flight == 0));
}

static void free_others_and_say_so(void)
{
    for (int i = 4; i < 8; i++)
        HOLDS(ks_free(key, blocks[i]) == KS_OK);
    freed[0] = KS_OK;
}

static void end_all_freed(void)
{
    struct ks_key_stats s = end_live();
    HOLDS(s.live == 0 && s.freed_remote == 8);
}

/* ------------------------------------------------------------------ quota */

static void end_quota(void)
{
    HOLDS(among(allocated[0], KS_OK, KS_QUOTA) && among(allocated[1], KS_OK, KS_QUOTA));
    HOLDS((allocated[0] == KS_OK) + (allocated[1] == KS_OK) == 1);
    struct ks_key_stats s = stats_now();
    HOLDS(s.arena_peak == SLAB && s.refused_quota == 1);
    end_live();
}

/* Nobody is inside an operation any more who could keep what is empty. */
static void a_block_is_to_be_had(void)
{
    HOLDS(ks_alloc(key, big, NULL));
}

static void end_relief(void)
{
    HOLDS(among(allocated[0], KS_OK, KS_QUOTA) && among(allocated[1], KS_OK, KS_QUOTA));
    HOLDS(allocated[0] == KS_OK || allocated[1] == KS_OK);
    struct ks_key_stats s = end_live();
    HOLDS(s.arena_peak == 6 * SLAB && s.live == 2u + (allocated[0] == KS_OK) + (allocated[1] == KS_OK));
}

/* Whoever is refused last is so because blocks are in all slabs. */
static void end_relief_of_each_other(void)
{
    uint64_t aside = stats_now().slabs_aside;
    struct ks_key_stats s = end_live();
    HOLDS(allocated[0] == KS_OK || allocated[1] == KS_OK || !aside);
    HOLDS(s.arena_peak <= 6 * SLAB && s.live >= 12 && s.live <= 24);
}

static void end_relief_and_destroy(void)
{
    HOLDS(ended[2] == KS_OK);
    end_destroyed();
}

static void end_work_and_destroy(void)
{
    HOLDS(among(allocated[0], KS_OK, KS_BAD_KEY) && ended[1] == KS_OK);
    end_destroyed();
}

static const struct scenario all[] = {
    {"an owner wakes in a purge",
     begin,
     {{.prepare = prepare_slabs, .act = allocate_and_free, .after = call_after_purge}, {.act = purge_second}},
     end_purge_and_wake,
     "operation enter publish leave orphan adopt reclaim ",
     .preemptions = 4},
    {"an owner wakes in a reset and a purge",
     begin,
     {{.prepare = prepare_slabs, .act = allocate_and_free, .after = call_after_reset_and_purge},
      {.act = reset_and_purge}},
     end_reset_purge_and_wake,
     "operation enter publish leave orphan drop reset key reclaim ",
     .preemptions = 4},
    {"an owner wakes in a purge, another resets",
     begin,
     {{.prepare = prepare_slabs, .act = allocate_and_free, .after = call_once_more},
      {.act = purge_second},
      {.act = reset_key}},
     end_purge_wake_and_reset,
     "operation publish leave reclaim reset key ",
     .preemptions = 2},
    {"a thread that has freed another's block flushes in a purge",
     begin,
     {{.prepare = prepare_big, .act = purge_second}, {.act = free_and_flush_second}, {.act = purge_second}},
     end_flush_and_purge,
     "free send take accept leave orphan reclaim ",
     .preemptions = 2},
    {"a sleeper's block is freed in a purge",
     begin_unflushed,
     {{.prepare = prepare_big}, {.act = free_flush_and_say_so}, {.act = purge_knowing}},
     end_sleeper_purged,
     "operation free add send take accept publish leave orphan reclaim ",
     .preemptions = 3},
    {"two threads have each other's blocks in a purge",
     begin_collecting,
     {{.prepare = prepare_big, .act = free_others_and_say_so}, {.prepare = prepare_others}, {.act = purge_and_look}},
     end_all_freed,
     "operation send take publish leave orphan reclaim ",
     .preemptions = 3},

    {"a thread grows, a sleeper wakes",
     begin_sleeping,
     {{.prepare = prepare_slabs, .act = allocate_and_free, .after = call_once_more}, {.act = grow}},
     end_sleeper_grown_over,
     "operation enter publish leave orphan adopt reclaim ",
     .preemptions = 3},
    {"a thread grows, a sleeper wakes, another purges",
     begin_sleeping,
     {{.prepare = prepare_slabs, .act = allocate_and_free, .after = call_after_growth_and_purge},
      {.act = grow},
      {.act = purge_third}},
     end_sleeper_purged_and_grown_over,
     "operation publish leave orphan reclaim ",
     .preemptions = 2},
    {"a thread grows, a sleeper wakes, another resets",
     begin_sleeping,
     {{.prepare = prepare_slabs, .act = allocate_and_free}, {.act = grow}, {.act = reset_key}},
     end_sleeper_reset,
     "operation publish leave reclaim reset key ",
     .preemptions = 2},
    {"a thread grows, the sleepers' key is destroyed",
     begin_sleeping,
     {{.prepare = prepare_slabs, .act = allocate_and_free, .after = a_dead_key_is_refused},
      {.act = grow, .after = the_key_is_gone},
      {.act = destroy_third}},
     end_sleeper_destroyed,
     "publish leave orphan reclaim retire destroy key ",
     .preemptions = 2},
    {"a thread grows, another ends, whose last blocks come home",
     begin_sleeping,
     {{.prepare = prepare_slabs, .act = nothing, .leaves = true}, {.act = grow}, {.act = free_flush_and_grow}},
     end_orphan_grown_over,
     "operation send take publish leave orphan adopt reclaim ",
     .preemptions = 2},

    {"two threads at the last of the quota",
     begin_small,
     {{.act = allocate_first}, {.act = allocate_second}},
     end_quota,
     "charge new publish reclaim orphan adopt ",
     .preemptions = UNBOUNDED},
    {"a refused thread takes what a sleeper retains, who wakes",
     begin_retaining,
     {{.act = allocate_first, .after = a_block_is_to_be_had},
      {.prepare = prepare_retained, .act = allocate_second, .after = a_block_is_to_be_had}},
     end_relief,
     "operation charge enter publish leave orphan adopt reclaim ",
     .preemptions = 4},
    {"a refused thread takes what a sleeper retains, who wakes, the key is destroyed",
     begin_retaining,
     {{.act = allocate_first, .after = a_dead_key_is_refused},
      {.prepare = prepare_retained, .act = allocate_second, .after = the_key_is_gone},
      {.act = destroy_third}},
     end_relief_and_destroy,
     "publish leave orphan reclaim retire destroy key ",
     .preemptions = 2},
    {"two refused threads take what the other retains",
     begin_retaining,
     {{.prepare = prepare_half_retained, .act = allocate_beyond_half_first},
      {.prepare = prepare_half_retained, .act = allocate_beyond_half_second}},
     end_relief_of_each_other,
     "charge enter publish leave orphan adopt reclaim ",
     .preemptions = 3},

    {"a paranoid key: an owner wakes in a purge",
     begin_paranoid,
     {{.prepare = prepare_slabs, .act = allocate_and_free, .after = call_after_purge}, {.act = purge_second}},
     end_purge_and_wake,
     "operation enter publish leave orphan adopt reclaim ",
     .preemptions = 3},
    {"a paranoid key: a thread at work, its key is destroyed",
     begin_paranoid,
     {{.prepare = prepare_big, .act = allocate_first, .after = the_key_is_gone}, {.act = destroy_second}},
     end_work_and_destroy,
     "operation enter publish leave orphan retire reclaim destroy key release ",
     .preemptions = 3},
};

const struct scenarios memory_scenarios = {all, COUNT(all)};
