/* Resets and terminations. */
#include "common.h"

static bool was_reset;

static void begin_unreset(void)
{
    begin();
    was_reset = false;
}

static void begin_unreset_and_collecting(void)
{
    begin_collecting();
    was_reset = false;
}

static void begin_unreset_and_paranoid(void)
{
    begin_paranoid();
    was_reset = false;
}

static void reset_and_say_so(void)
{
    reset_key();
    was_reset = true;
}

/* A block that has been dropped is refused, though its owner may not have noticed yet. */
static void free_knowing_second(void)
{
    bool is_dropped = was_reset;
    free_second();
    HOLDS(!is_dropped || freed[1] == KS_STALE || allocated[0] == KS_OK);
}

static void free_two_knowing_second(void)
{
    bool is_dropped = was_reset;
    free_second();
    free_by(2, blocks[1]);
    HOLDS(!is_dropped || (freed[1] == KS_STALE && freed[2] == KS_STALE) || allocated[0] == KS_OK);
    ks_flush();
}

/* A block that was dropped is stale, until its address is handed out again. */
static bool freed_or_stale(ks_status status, const void *block)
{
    return among(status, KS_OK, KS_STALE) || (status == KS_DOUBLE_FREE && taken[0] == block);
}

static void end_entry_and_reset(void)
{
    HOLDS(allocated[0] == KS_OK && freed_or_stale(freed[1], blocks[0]));
    /* The block at hand again: then its free came home before the reset. */
    for (int i = 0; i < 4; i++)
        if (taken[0] == blocks[i])
            HOLDS(i == 0 ? freed[1] == KS_OK || stats_now().dropped >= 3 : stats_now().dropped >= 3);
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 5 && s.freed_remote <= 1 && s.live <= 1);
    HOLDS(s.dropped >= 3 && s.refused_at_home == 0 && s.stale == (freed[1] == KS_STALE));
}

static void end_open_batch_and_reset(void)
{
    HOLDS(allocated[0] == KS_OK && freed_or_stale(freed[1], blocks[0]) && freed_or_stale(freed[2], blocks[1]));
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 5 && s.freed_remote <= 2 && s.live <= 1 && s.refused_at_home == 0);
    unsigned refused = (freed[1] == KS_STALE) + (freed[2] == KS_STALE);
    HOLDS(s.dropped + s.freed_remote >= 4 && s.stale == refused);
}

static void end_allocation_and_reset(void)
{
    HOLDS(allocated[0] == KS_OK && among(freed[0], KS_OK, KS_STALE));
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 3 && s.live == 0);
    HOLDS(s.freed_local + s.dropped == 3 && s.stale == (freed[0] == KS_STALE));
}

/* ------------------------------------------------------------------ resizing */

static void prepare_written(void)
{
    prepare_small();
    memset(blocks[0], 0x5a, SMALL);
}

static void resize_by(int actor)
{
    taken[actor] = ks_realloc(key, blocks[0], 1000, &freed[actor]);
    HOLDS((freed[actor] == KS_OK) == (taken[actor] != NULL));
    for (size_t i = 0; taken[actor] && i < SMALL; i++)
        HOLDS(((const char *)taken[actor])[i] == 0x5a);
}

static void resize_second(void)
{
    resize_by(1);
}

static void resize_third(void)
{
    resize_by(2);
}

static void end_resize_and_reset(void)
{
    HOLDS(among(freed[1], KS_OK, KS_STALE));
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 1u + (freed[1] == KS_OK) || s.allocated == 2);
    HOLDS(s.live <= 1);
}

/* One of them has freed the block; where the other was answered KS_OK, too, that is found at home. */
static void end_two_resizes(void)
{
    unsigned resized = (freed[1] == KS_OK) + (freed[2] == KS_OK);
    HOLDS(resized >= 1 && among(freed[1], KS_OK, KS_DOUBLE_FREE) && among(freed[2], KS_OK, KS_DOUBLE_FREE));
    HOLDS(taken[1] != taken[2]);
    struct ks_key_stats s = end_live();
    HOLDS(s.refused_at_home == resized - 1 && s.live == resized && s.double_free == 1);
}

/* The block is the last one in the only slab that the quota allows. */
static bool freed_by_one_behind;

/* What the owner has handed out since a reset that this thread's heap may not have seen yet. */
static void free_what_second_took(void)
{
    if (!taken[1])
        return;
    free_by(0, taken[1]);
    ks_flush();
    freed_by_one_behind |= freed[0] == KS_OK;
}

static bool one_behind_has_freed(void)
{
    return freed_by_one_behind;
}

/* Where the free was the block's, nothing is left. */
static void end_free_by_one_behind(void)
{
    bool was_freed = freed[0] != KS_INVALID;
    struct ks_key_stats stats = end_live();
    HOLDS(!was_freed || stats.live == 0);
}

static void prepare_last_of_quota(void)
{
    for (int i = 0; i < 4; i++)
        blocks[i] = ks_alloc(key, big, NULL);
    for (int i = 1; i < 4; i++)
        HOLDS(ks_free(key, blocks[i]) == KS_OK);
    memset(blocks[0], 0x5a, SMALL);
}

static bool freed_at_last, refused_for_quota;

/* Nothing but the memory of the block itself is there to be had, when another thread has freed it. */
static void resize_last_of_quota(void)
{
    taken[0] = ks_realloc(key, blocks[0], 1000, &freed[0]);
    HOLDS(!taken[0] && (among(freed[0], KS_QUOTA, KS_DOUBLE_FREE)));
    refused_for_quota |= freed[0] == KS_QUOTA;
    freed_at_last |= freed[0] == KS_DOUBLE_FREE;
}

static void end_resize_of_last(void)
{
    HOLDS(freed[1] == KS_OK);
    struct ks_key_stats s = end_live();
    HOLDS(s.freed_remote == 1 && s.live == 0 && s.refused_at_home == 0);
    HOLDS(s.double_free == (freed[0] == KS_DOUBLE_FREE) && s.refused_quota == (freed[0] == KS_QUOTA));
}

static bool both_ends_were_met(void)
{
    return refused_for_quota && freed_at_last;
}

/* ------------------------------------------------------------------ terminations */

static void terminate_key(void)
{
    HOLDS(ks_key_terminate(key) == KS_OK);
}

static void a_new_block_is_refused(void)
{
    ks_status status;
    HOLDS(!ks_alloc(key, SMALL, &status) && status == KS_TERMINATED);
}

static void end_terminate(void)
{
    HOLDS(among(allocated[0], KS_OK, KS_TERMINATED));
    if (taken[0])
        HOLDS(among(freed[0], KS_OK, KS_TERMINATED));
    struct ks_key_stats s = end_live();
    HOLDS(s.live == 1 && s.allocated == 1u + (taken[0] != NULL));
    HOLDS(s.refused_terminated == 1u + (taken[0] == NULL));
}

static void end_entry_and_terminate(void)
{
    HOLDS(among(allocated[0], KS_OK, KS_TERMINATED));
    if (taken[0])
        HOLDS(among(freed[0], KS_OK, KS_TERMINATED));
    struct ks_key_stats s = end_live();
    HOLDS(s.live == 0 && s.allocated == (taken[0] != NULL));
    HOLDS(s.refused_terminated == 1u + (taken[0] == NULL));
}

static const struct scenario all[] = {
    {"an entry meets an allocation and a reset",
     begin_unreset,
     {{.prepare = prepare_big, .act = allocate_first}, {.act = free_knowing_second}, {.act = reset_and_say_so}},
     end_entry_and_reset,
     "free find send take accept publish drop reset key ",
     .preemptions = 3},
    {"an open batch meets an allocation and a reset",
     begin_unreset_and_collecting,
     {{.prepare = prepare_big, .act = allocate_first}, {.act = free_two_knowing_second}, {.act = reset_and_say_so}},
     end_open_batch_and_reset,
     "free add send take publish drop reset key ",
     .preemptions = 3},
    {"an allocation meets a reset",
     begin,
     {{.prepare = prepare_small, .act = allocate_and_free, .after = a_new_block_lives}, {.act = reset_key}},
     end_allocation_and_reset,
     "operation alloc free publish drop reset key ",
     .preemptions = UNBOUNDED},
    {"an allocation meets two resets",
     begin,
     {{.prepare = prepare_small, .act = allocate_and_free, .after = a_new_block_lives},
      {.act = reset_key},
      {.act = reset_key}},
     end_allocation_and_reset,
     "alloc free publish drop reset key ",
     .preemptions = 3},
    {"another thread's block is resized in a reset",
     begin,
     {{.prepare = prepare_written, .act = nothing}, {.act = resize_second}, {.act = reset_key}},
     end_resize_and_reset,
     "operation alloc free realloc send publish drop reset key ",
     .preemptions = 3},
    {"two threads resize another's block",
     begin,
     {{.prepare = prepare_written}, {.act = resize_second}, {.act = resize_third}},
     end_two_resizes,
     "alloc free find realloc add send publish ",
     .preemptions = 3},
    {"a block is resized by its owner, and freed by another, in the last of the quota",
     begin_small,
     {{.prepare = prepare_last_of_quota, .act = resize_last_of_quota}, {.act = free_second}},
     end_resize_of_last,
     "free find validate send take accept charge give epoch carve ",
     .preemptions = 3,
     .covered = both_ends_were_met},
    {"a free meets a reset that the block's owner has seen",
     begin,
     {{.prepare = prepare_small, .act = free_what_second_took},
      {.prepare = prepare_small, .act = allocate_small_second},
      {.act = reset_key}},
     end_free_by_one_behind,
     "operation alloc free find validate send publish drop reset key ",
     .preemptions = 3,
     .covered = one_behind_has_freed},
    {"an expert is terminated",
     begin,
     {{.prepare = prepare_small, .act = allocate_and_free, .after = a_new_block_is_refused}, {.act = terminate_key}},
     end_terminate,
     "operation alloc free publish terminate key ",
     .preemptions = UNBOUNDED},
    {"a thread enters a key that is terminated",
     begin,
     {{.act = allocate_and_free, .after = a_new_block_is_refused}, {.act = terminate_key}},
     end_entry_and_terminate,
     "operation alloc free new publish terminate key ",
     .preemptions = UNBOUNDED},
    {"a paranoid key: an entry meets an allocation and a reset",
     begin_unreset_and_paranoid,
     {{.prepare = prepare_big, .act = allocate_first}, {.act = free_knowing_second}, {.act = reset_and_say_so}},
     end_entry_and_reset,
     "free find send take accept publish drop reset key ",
     .preemptions = 3},
};

const struct scenarios reset_scenarios = {all, COUNT(all)};
