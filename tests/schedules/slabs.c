/* Slabs that are carved, begin anew, or change hands while somebody frees. */
#include "common.h"

/* ------------------------------------------------------------------ a group is carved */

enum { GROUP = 32, FILLED = 8 };

static void prepare_group(void)
{
    for (int i = 0; i < GROUP; i++)
        blocks[i] = ks_alloc(key, SMALL, NULL);
    blocks[GROUP] = (char *)blocks[0] + GROUP * SMALL;
}

/* The same in a slab that is used for the second time, in which the next group's blocks have been handed out. */
static void prepare_group_again(void)
{
    for (int i = 0; i < FILLED * GROUP; i++)
        blocks[i] = ks_alloc(key, SMALL, NULL);
    HOLDS(ks_key_reset(key) == KS_OK);
    prepare_group();
}

static void carve_group(void)
{
    allocate_noted(SMALL);
    HOLDS(taken[0] == blocks[GROUP]);
}

static unsigned guessed_early, guessed_right;

/* Nobody has been given the block yet; he may be right all the same when it is over. */
static void guess(void)
{
    free_by(1, blocks[GROUP]);
    HOLDS(allocation_began() || freed[1] == KS_STALE);
    guessed_early += !allocation_began();
    guessed_right += freed[1] == KS_OK;
    ks_flush();
}

static void end_guess(void)
{
    HOLDS(allocated[0] == KS_OK && (among(freed[1], KS_OK, KS_STALE) || freed[1] == KS_DOUBLE_FREE));
    struct ks_key_stats s = end_live();
    HOLDS(s.freed_remote == (freed[1] == KS_OK) && !s.refused_at_home);
}

static bool both_were_guessed(void)
{
    return guessed_early && guessed_right;
}

/* ------------------------------------------------------------------ a slab begins anew in its heap */

static void begin_retaining_slabs(void)
{
    begin_with(&(struct ks_key_options){.outbox_bytes = 1 << 20, .retain = 4 * SLAB});
}

static unsigned begun_anew;

static bool slab_was_begun_anew(void)
{
    return begun_anew;
}

/* One in a slab of its own, and two in another, of which one lives on. */
static void prepare_in_a_slab(void)
{
    blocks[2] = ks_alloc(key, 2 * SMALL, NULL);
    blocks[3] = ks_alloc(key, 2 * SMALL, NULL);
    prepare_small();
}

/* A batch is open afterwards. */
static void free_beside(void)
{
    HOLDS(ks_free(key, blocks[3]) == KS_OK);
}

static void free_beside_and_flush(void)
{
    free_beside();
    free_and_flush_second();
}

/* Freed, found empty, and begun anew, with the same tag. */
static void free_and_begin_anew(size_t size)
{
    HOLDS(ks_free(key, blocks[0]) == KS_OK);
    freed[0] = KS_OK;
    HOLDS(ks_key_purge(key) == KS_OK && stats_now().slabs_aside == 1);
    allocate_noted(size);
    HOLDS(taken[0] == blocks[0]);
    begun_anew++;
}

static void begin_another_class(void)
{
    free_and_begin_anew(big);
}

static void begin_the_same_class(void)
{
    free_and_begin_anew(SMALL);
}

/*
 * The block's first free was its owner's. So the second is refused, at once or at home, unless the address has been handed out again
 * before it was answered. Between an epoch's beginning and that the address is a block that was not handed out yet.
 */
static void end_anew(void)
{
    HOLDS(allocated[0] == KS_OK);
    HOLDS(among(freed[1], KS_OK, KS_STALE) || among(freed[1], KS_DOUBLE_FREE, KS_BAD_BLOCK));
    struct ks_key_stats s = end_live();
    uint64_t remote = (freed[1] == KS_OK) - s.refused_at_home;
    HOLDS(s.freed_remote == 1 + remote && s.freed_local == 1);
    HOLDS(!remote || !was_answered(1));
}

static void more_blocks_differ_from_taken(void)
{
    more_blocks_differ(4);
}

static void prepare_two_in_a_slab(void)
{
    prepare_in_a_slab();
    blocks[1] = ks_alloc(key, SMALL, NULL);
}

static void free_both_and_begin_another_class(void)
{
    HOLDS(ks_free(key, blocks[1]) == KS_OK);
    begin_another_class();
    blocks[4] = ks_alloc(key, big, NULL);
    HOLDS(blocks[4] == (char *)taken[0] + big);
}

/* The second block of the group is another one now, which nobody has freed. */
static void the_second_block_lives(void)
{
    more_blocks_differ(4);
    HOLDS(ks_size(key, blocks[4]));
}

static void free_inner_and_flush(void)
{
    free_beside();
    free_by(1, blocks[1]);
    ks_flush();
}

/* In the slab's second epoch no block begins there. */
static void end_inner(void)
{
    struct ks_key_stats s = end_live();
    HOLDS(s.freed_remote == 1 && s.freed_local == 2 && s.refused_at_home == (freed[1] == KS_OK));
}

/* After a reset a class goes on with the slab that it had. */
static void reset_and_go_on(void)
{
    HOLDS(ks_key_reset(key) == KS_OK);
    allocate_noted(SMALL);
    HOLDS(taken[0] == blocks[0]);
}

/* What was freed before the address was handed out again is dropped, and not even refused. */
static void end_going_on(void)
{
    HOLDS(among(freed[1], KS_OK, KS_STALE) || freed[1] == KS_DOUBLE_FREE);
    HOLDS(freed[1] != KS_DOUBLE_FREE || !was_answered(1));
    struct ks_key_stats s = end_live();
    HOLDS(!s.refused_at_home && s.freed_remote <= (freed[1] == KS_OK && !was_answered(1)));
    HOLDS(s.allocated == 2 + 8 && s.dropped == 1 && s.live == 9 - s.freed_remote);
}

/* ------------------------------------------------------------------ the arena in between */

static void free_and_purge_first(void)
{
    HOLDS(ks_free(key, blocks[0]) == KS_OK);
    HOLDS(ks_key_purge(key) == KS_OK);
}

static void free_purge_and_free_first(void)
{
    free_and_purge_first();
    freed[0] = ks_free(key, blocks[0]);
}

/* What comes home late finds the slab in other hands, or on its way there. */
static void free_purge_and_allocate(void)
{
    free_and_purge_first();
    allocate_small_first();
}

static unsigned slabs_handed_over;

static bool slab_was_handed_over(void)
{
    return slabs_handed_over > 0;
}

/*
 * The block is freed twice, while its slab goes from one thread to another. The second free is refused, at once or at
 * home, or it is one of the other thread's block, to which the address has gone.
 */
static void end_slab_changes_hands(void)
{
    slabs_handed_over += taken[1] == blocks[0];
    ks_status second = freed[0] == KS_INVALID ? freed[2] : freed[0];
    HOLDS(allocated[1] == KS_OK && (among(second, KS_OK, KS_DOUBLE_FREE) || second == KS_STALE));
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 2 && s.live + s.freed_local + s.freed_remote == 2);
    HOLDS(s.freed_local + s.freed_remote + s.refused_at_home == 1u + (second == KS_OK));
    HOLDS(s.live == 1 || taken[1] == blocks[0]);
}

/* The other thread's blocks are larger: what is known of the slab lies elsewhere. */
static void end_slab_changes_class(void)
{
    slabs_handed_over += taken[1] == blocks[0];
    HOLDS(allocated[0] == KS_OK && allocated[1] == KS_OK);
    HOLDS(among(freed[2], KS_OK, KS_DOUBLE_FREE) || among(freed[2], KS_STALE, KS_BAD_BLOCK));
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 3 && s.freed_local == 1);
    HOLDS(s.freed_remote + s.refused_at_home == (freed[2] == KS_OK));
    HOLDS(s.freed_remote == 0 || taken[0] == blocks[0] || taken[1] == blocks[0]);
}

/* ------------------------------------------------------------------ large blocks */

enum { LARGE = 300000 };

static void prepare_large(void)
{
    blocks[0] = ks_alloc(key, LARGE, NULL);
}

static void free_and_allocate_large(void)
{
    free_first();
    HOLDS(freed[0] == KS_OK);
    allocate_noted(LARGE);
}

static void end_large(void)
{
    HOLDS(among(freed[1], KS_OK, KS_DOUBLE_FREE) || among(freed[1], KS_STALE, KS_BAD_BLOCK));
    struct ks_key_stats s = end_live();
    uint64_t remote = (freed[1] == KS_OK) - s.refused_at_home;
    HOLDS(s.freed_local == 1 && s.freed_remote == remote && s.allocated == 2u + (taken[2] != NULL));
    HOLDS(!remote || (!was_answered(1) && taken[0] == blocks[0]) || taken[2] == blocks[0]);
    slabs_handed_over += taken[2] == blocks[0];
}

static void allocate_large_third(void)
{
    allocate(2, LARGE);
}

static void free_large_second(void)
{
    free_second();
}

/* Three frees, of which none but the owner's may wait. */
static void end_large_three_frees(void)
{
    unsigned accepted = 0;
    for (int i = 0; i < ACTORS; i++) {
        HOLDS(among(freed[i], KS_OK, KS_DOUBLE_FREE));
        accepted += freed[i] == KS_OK;
    }
    struct ks_key_stats s = end_live();
    HOLDS(s.refused_at_home == accepted - 1 && s.double_free == 2);
    HOLDS(s.freed_local + s.freed_remote == 1 && s.live == 0 && s.live_bytes == 0);
}

/* It takes whole slabs for its alignment, and few bytes. */
static void prepare_aligned_and_small(void)
{
    blocks[0] = ks_aligned_alloc(key, SLAB, 3000, NULL);
    blocks[1] = ks_alloc(key, SMALL, NULL);
}

static void free_aligned_and_small(void)
{
    free_second();
    HOLDS(ks_free(key, blocks[1]) == KS_OK);
    /* Its bytes are in flight, too. */
    struct ks_key_stats s = stats_now();
    HOLDS(s.live || !s.live_bytes);
}

static void end_aligned(void)
{
    unsigned accepted = (freed[1] == KS_OK) + (freed[2] == KS_OK);
    HOLDS(accepted >= 1 && among(freed[1], KS_OK, KS_DOUBLE_FREE) && among(freed[2], KS_OK, KS_DOUBLE_FREE));
    struct ks_key_stats s = end_live();
    HOLDS(s.refused_at_home == accepted - 1 && s.freed_remote == 2 && !s.live && !s.live_bytes);
}

static const struct scenario all[] = {
    {"a group is carved under a free",
     begin,
     {{.prepare = prepare_group, .act = carve_group}, {.act = guess}},
     end_guess,
     "free find validate carve alloc ",
     .preemptions = 3,
     .covered = both_were_guessed},
    {"a group is carved again under a free",
     begin,
     {{.prepare = prepare_group_again, .act = carve_group}, {.act = guess}},
     end_guess,
     "free find validate carve alloc ",
     .preemptions = 3,
     .covered = both_were_guessed},
    {"a slab begins anew with another class under a free",
     begin_retaining_slabs,
     {{.prepare = prepare_in_a_slab, .act = begin_another_class, .after = more_blocks_differ_from_taken},
      {.act = free_beside_and_flush}},
     end_anew,
     "free find validate add send epoch carve ",
     .preemptions = 3,
     .covered = slab_was_begun_anew},
    {"a slab begins anew with the same class under a free",
     begin_retaining_slabs,
     {{.prepare = prepare_in_a_slab, .act = begin_the_same_class, .after = more_blocks_differ_from_taken},
      {.act = free_beside_and_flush}},
     end_anew,
     "free find validate add send epoch carve ",
     .preemptions = 3,
     .covered = slab_was_begun_anew},
    {"a slab begins anew with another class, one of whose blocks lies over the one that is freed",
     begin_retaining_slabs,
     {{.prepare = prepare_two_in_a_slab, .act = free_both_and_begin_another_class, .after = the_second_block_lives},
      {.act = free_inner_and_flush}},
     end_inner,
     "free find validate add send epoch carve ",
     .preemptions = 3,
     .covered = slab_was_begun_anew},
    {"a slab begins anew with the same class in a reset, under a free",
     begin_retaining_slabs,
     {{.prepare = prepare_small, .act = reset_and_go_on, .after = more_blocks_differ_from_taken},
      {.act = free_and_flush_second}},
     end_going_on,
     "free find validate add send drop epoch carve alloc ",
     .preemptions = 3},
    {"a slab changes hands under a free",
     begin,
     {{.prepare = prepare_small, .act = free_and_purge_first}, {.act = allocate_small_second}, {.act = free_third}},
     end_slab_changes_hands,
     "free give charge epoch send reclaim take accept ",
     .preemptions = 3,
     .covered = slab_was_handed_over},
    {"a slab changes hands and class under a free",
     begin,
     {{.prepare = prepare_small, .act = free_purge_and_allocate}, {.act = allocate_second}, {.act = free_third}},
     end_slab_changes_class,
     "give epoch send take accept ",
     .preemptions = 3,
     .covered = slab_was_handed_over},
    {"a slab's last owner frees once more",
     begin,
     {{.prepare = prepare_small, .act = free_purge_and_free_first}, {.act = allocate_small_second}},
     end_slab_changes_hands,
     "free validate give charge epoch alloc ",
     .preemptions = 4,
     .covered = slab_was_handed_over},
    {"a large block is freed by its owner, handed out again, and freed by another",
     begin,
     {{.prepare = prepare_large, .act = free_and_allocate_large}, {.act = free_large_second}},
     end_large,
     "free find validate give epoch carve alloc send take accept ",
     .preemptions = 3},
    {"a large block is freed by its owner and by another, a third is given its memory",
     begin,
     {{.prepare = prepare_large, .act = free_and_allocate_large},
      {.act = free_large_second},
      {.act = allocate_large_third}},
     end_large,
     "free give epoch alloc send ",
     .preemptions = 2,
     .covered = slab_was_handed_over},
    {"three frees of a large block",
     begin,
     {{.prepare = prepare_large, .act = free_first}, {.act = free_second}, {.act = free_third}},
     end_large_three_frees,
     "free find give send ",
     .preemptions = 2},
    {"two threads free a block that is large for its alignment",
     begin_collecting,
     {{.prepare = prepare_aligned_and_small}, {.act = free_aligned_and_small}, {.act = free_third}},
     end_aligned,
     "free find add send ",
     .preemptions = 4},
};

const struct scenarios slab_scenarios = {all, COUNT(all)};
