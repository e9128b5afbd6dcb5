/* Entries: blocks that others free, of a group that its owner allocates from. */
#include "common.h"

/* Frees that were accepted, by anybody: one for each KS_OK but for those that are refused at home. */
static struct ks_key_stats end_counted(unsigned accepted)
{
    struct ks_key_stats s = end_live();
    HOLDS(s.freed_local + s.freed_remote + s.refused_at_home == accepted);
    HOLDS(!s.bad_block && !s.wrong_key && !s.stale && !s.damaged);
    return s;
}

static unsigned accepted_of(const ks_status *statuses, size_t count)
{
    unsigned accepted = 0;
    for (size_t i = 0; i < count; i++) {
        HOLDS(statuses[i] == KS_INVALID || among(statuses[i], KS_OK, KS_DOUBLE_FREE));
        accepted += statuses[i] == KS_OK;
    }
    return accepted;
}

/* ------------------------------------------------------------------ one block, freed once */

static void end_entry_to_allocation(void)
{
    HOLDS(allocated[0] == KS_OK && freed[1] == KS_OK);
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 5 && s.freed_remote == 1 && s.live == 4);
}

/* The owner's clock goes on while the entry is made, with the bit of another block. */
static void reuse_neighbour(void)
{
    HOLDS(ks_free(key, blocks[1]) == KS_OK);
    allocate(1, big);
    HOLDS(taken[1] == blocks[1]);
}

static void reuse_neighbour_and_allocate(void)
{
    reuse_neighbour();
    allocate(0, big);
}

static void end_neighbour(void)
{
    HOLDS(allocated[0] == KS_OK && freed[1] == KS_OK);
    struct ks_key_stats s = end_counted(2);
    HOLDS(s.allocated == 6 && s.live == 4 && !s.refused_at_home && s.freed_local == 1);
}

/* ------------------------------------------------------------------ two blocks, whose frees may join */

static unsigned joined, parted;

/* One that lived all the time, and one that was handed out meanwhile, where it was. */
static void free_two_and_flush(void)
{
    free_second();
    if (taken[1])
        free_by(2, taken[1]);
    ks_flush();
}

static void end_two_blocks(void)
{
    HOLDS(freed[1] == KS_OK && among(freed[2], KS_OK, KS_INVALID));
    *(freed[2] == KS_OK ? &joined : &parted) += 1;
    struct ks_key_stats s = end_counted(2u + (freed[2] == KS_OK));
    HOLDS(!s.refused_at_home);
}

static bool second_block_was_seen(void)
{
    return joined && parted;
}

/* ------------------------------------------------------------------ one block, freed more often */

static void end_three_frees(void)
{
    unsigned accepted = accepted_of(freed, ACTORS);
    struct ks_key_stats s = end_live();
    HOLDS(accepted >= 1 && s.refused_at_home == accepted - 1);
    HOLDS(s.double_free == 2 && s.live == 3 && s.freed_local + s.freed_remote == 1);
}

/* As long as nothing is allocated both frees are of one entry. */
static void free_twice_and_flush(void)
{
    free_second();
    ks_status second = ks_free(key, blocks[0]);
    HOLDS(second == KS_DOUBLE_FREE || allocation_began());
    freed[2] = second;
    ks_flush();
}

/* The address has been freed once, or twice if it was handed out in between. */
static void end_handed_out_between(void)
{
    unsigned accepted = accepted_of(freed, ACTORS);
    struct ks_key_stats s = end_counted(accepted);
    unsigned handed_out = 1u + (taken[0] == blocks[0]);
    HOLDS(accepted >= 1 && s.freed_local + s.freed_remote <= handed_out);
    HOLDS(s.double_free == (freed[1] == KS_DOUBLE_FREE) + (freed[2] == KS_DOUBLE_FREE) + s.refused_at_home);
}

static void free_and_allocate(void)
{
    free_first();
    HOLDS(freed[0] == KS_OK);
    HOLDS(ks_size(key, blocks[0]) == 0);
    allocate_noted_first();
    HOLDS(taken[0] == blocks[0]);
}

static unsigned between; /* frees that lay between the owner's free and its allocation */

/* The owner's free is seen at once. */
static void free_after_owner_and_flush(void)
{
    bool is_free = freed[0] == KS_OK && !allocation_began();
    free_second();
    HOLDS(!is_free || allocation_began() || freed[1] == KS_DOUBLE_FREE);
    between += is_free && !allocation_began();
    ks_flush();
}

static bool frees_lay_between(void)
{
    return between;
}

/* ------------------------------------------------------------------ bursts */

static size_t freed_of_bulk[ACTORS];

static void free_bulk_by(int actor, void *const *some, size_t count)
{
    freed_of_bulk[actor] = ks_free_bulk(key, some, count, &freed[actor]);
    HOLDS(freed[actor] == (freed_of_bulk[actor] == count ? KS_OK : KS_DOUBLE_FREE));
    ks_flush();
}

/* Two blocks of one run, at one tick of the clock. */
static void reuse_in_bulk(void)
{
    void *run[2];
    HOLDS(ks_free_bulk(key, &blocks[1], 2, NULL) == 2);
    freed[0] = KS_OK;
    HOLDS(ks_size(key, blocks[1]) == 0);
    note_answers();
    HOLDS(ks_alloc_bulk(key, big, run, 2, &allocated[0]) == 2 && run[0] == blocks[1] && run[1] == blocks[2]);
    taken[0] = run[0];
    HOLDS(ks_alloc(key, big, NULL));
}

/* But for the first block of the run the four may have been freed. */
static void no_more_is_given_twice(void)
{
    more_blocks_differ(4);
}

static void free_bulk_second(void)
{
    free_bulk_by(1, &blocks[0], 2);
}

static void free_bulk_third(void)
{
    free_bulk_by(2, (void *[]){blocks[1], blocks[3]}, 2);
}

static void end_bulk(void)
{
    struct ks_key_stats s = end_live();
    uint64_t done = s.freed_local + s.freed_remote;
    HOLDS(done + s.refused_at_home == 2 + freed_of_bulk[1] + freed_of_bulk[2]);
    HOLDS(s.double_free == 4 - freed_of_bulk[1] - freed_of_bulk[2] + s.refused_at_home);
    /* Nought, two and three are freed once, and one by all three, which was handed out up to three times. */
    HOLDS(s.allocated == 7 + 8 && done >= 4 && done <= 6);
}

static void free_all_second(void)
{
    free_bulk_by(1, blocks, 4);
}

static void free_all_third(void)
{
    free_bulk_by(2, blocks, 4);
}

/* Each of four blocks is freed once, and refused once, here or there. */
static void end_two_bulks(void)
{
    struct ks_key_stats s = end_live();
    HOLDS(freed_of_bulk[1] + freed_of_bulk[2] == 4 + s.refused_at_home && s.double_free == 4);
    HOLDS(s.freed_remote == 4 && s.live == 0);
}

/* ------------------------------------------------------------------ low memory */

static bool refused_before;
static unsigned refusals;

static void begin_small_and_collecting(void)
{
    begin_with(&(struct ks_key_options){.quota = SLAB, .outbox_bytes = 1 << 20});
    refused_before = false;
}

/* Whoever frees after an allocation was refused sends at once. */
static void free_knowing_second(void)
{
    refused_before = allocated[0] == KS_QUOTA;
    refusals += refused_before;
    free_second();
}

static void a_refused_thread_is_helped(void)
{
    HOLDS(!refused_before || ks_alloc(key, big, NULL));
}

static void end_hint(void)
{
    HOLDS(among(allocated[0], KS_OK, KS_QUOTA) && freed[1] == KS_OK);
    struct ks_key_stats s = end_live();
    HOLDS(s.freed_remote == 1 && s.arena_peak == SLAB && s.refused_quota == (allocated[0] == KS_QUOTA));
}

static bool a_free_came_after_a_refusal(void)
{
    return refusals;
}

/* ------------------------------------------------------------------ ages */

enum { AGE_MOST = 0x4000, AGE_COMES_ROUND = 0x10000, AGE_LOOKED_AT = 0x8000, TICK = 2, BETWEEN_LOOKS = 0x800 };

/* The clock of blocks[0]'s group goes on so far. */
static void age(int clock)
{
    for (int i = 0; i < clock / TICK; i++) {
        HOLDS(ks_free(key, blocks[1]) == KS_OK);
        HOLDS(ks_alloc(key, SMALL, NULL) == blocks[1]);
    }
}

static void prepare_two_small(void)
{
    for (int i = 0; i < 2; i++)
        blocks[i] = ks_alloc(key, SMALL, NULL);
}

static void prepare_aged(void)
{
    prepare_two_small();
    age(AGE_COMES_ROUND - 2 * TICK);
}

static void age_a_little(void)
{
    age(4 * TICK);
}

/* Wherever the clock stands, an age is cut to AGE_MOST when it stands so much higher, and then it goes on. */
static void age_long(void)
{
    age(AGE_MOST + AGE_LOOKED_AT + BETWEEN_LOOKS);
}

static void end_aged(void)
{
    HOLDS(freed[1] == KS_OK);
    struct ks_key_stats s = end_live();
    HOLDS(s.freed_remote == 1 && !s.double_free && s.live == 1);
}

static const struct scenario all[] = {
    {"an entry meets an allocation",
     begin,
     {{.prepare = prepare_big, .act = allocate_first}, {.act = free_second}},
     end_entry_to_allocation,
     "operation free find add send take accept alloc ",
     .preemptions = 5},
    {"an entry meets allocations of its neighbour",
     begin,
     {{.prepare = prepare_big, .act = reuse_neighbour_and_allocate}, {.act = free_second}},
     end_neighbour,
     "free add send take accept alloc ",
     .preemptions = 5},
    {"a block that was handed out meanwhile does not join an entry",
     begin_collecting,
     {{.prepare = prepare_big, .act = reuse_neighbour}, {.act = free_two_and_flush}},
     end_two_blocks,
     "free add send alloc ",
     .preemptions = 5,
     .covered = second_block_was_seen},
    {"three frees of one block",
     begin,
     {{.prepare = prepare_big, .act = free_first}, {.act = free_second}, {.act = free_third}},
     end_three_frees,
     "free send take accept ",
     .preemptions = 4},
    {"three frees of one block, two of which wait",
     begin_collecting,
     {{.prepare = prepare_big, .act = free_first}, {.act = free_and_flush_second}, {.act = free_and_flush_third}},
     end_three_frees,
     "free find add send ",
     .preemptions = 3},
    {"a block is freed twice by one thread, and handed out in between",
     begin_collecting,
     {{.prepare = prepare_big, .act = allocate_noted_first, .after = more_blocks_differ_from_three},
      {.act = free_twice_and_flush}},
     end_handed_out_between,
     "free add send take accept alloc ",
     .preemptions = 6},
    {"two threads free a block, which is handed out in between",
     begin_collecting,
     {{.prepare = prepare_big, .act = allocate_noted_first, .after = more_blocks_differ_from_three},
      {.act = free_and_flush_second},
      {.act = free_and_flush_third}},
     end_handed_out_between,
     "free send take accept alloc ",
     .preemptions = 4},
    {"a block is freed by its owner, handed out again, and freed by another",
     begin_collecting,
     {{.prepare = prepare_big, .act = free_and_allocate, .after = more_blocks_differ_from_three},
      {.act = free_after_owner_and_flush}},
     end_handed_out_between,
     "operation free find add send alloc ",
     .preemptions = 3,
     .covered = frees_lay_between},
    {"a block is freed by its owner, handed out again, and freed by two others",
     begin_collecting,
     {{.prepare = prepare_big, .act = free_and_allocate, .after = more_blocks_differ_from_three},
      {.act = free_and_flush_second},
      {.act = free_and_flush_third}},
     end_handed_out_between,
     "free send alloc ",
     .preemptions = 3},
    {"bursts of frees meet a burst of allocations",
     begin_collecting,
     {{.prepare = prepare_big, .act = reuse_in_bulk, .after = no_more_is_given_twice},
      {.act = free_bulk_second},
      {.act = free_bulk_third}},
     end_bulk,
     "free add send take accept alloc ",
     .preemptions = 2},
    {"two bursts of frees of the same blocks",
     begin_collecting,
     {{.prepare = prepare_big}, {.act = free_all_second}, {.act = free_all_third}},
     end_two_bulks,
     "free find add send ",
     .preemptions = 3},
    {"a thread that was refused is sent what others free",
     begin_small_and_collecting,
     {{.prepare = prepare_big, .act = allocate_first, .after = a_refused_thread_is_helped},
      {.act = free_knowing_second}},
     end_hint,
     "charge free add send take accept ",
     .preemptions = UNBOUNDED,
     .covered = a_free_came_after_a_refusal},
    {"a block whose age would have come round is freed",
     begin,
     {{.prepare = prepare_aged, .act = age_a_little}, {.act = free_and_flush_second}},
     end_aged,
     "free send ",
     .preemptions = 1},
    {"an entry is older than ages are known",
     begin,
     {{.prepare = prepare_two_small, .act = age_long}, {.act = free_and_flush_second}},
     end_aged,
     "send ",
     .preemptions = UNBOUNDED},
};

const struct scenarios entry_scenarios = {all, COUNT(all)};
