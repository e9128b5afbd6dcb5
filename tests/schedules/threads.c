/* Threads that end, and heaps that others take over. */
#include "common.h"

#include <pthread.h>

static void end_adoption(void)
{
    HOLDS(allocated[1] == KS_OK && freed[2] == KS_OK);
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 5 && s.freed_local + s.freed_remote == 1 && s.live == 4);
}

static void end_two_adoptions(void)
{
    HOLDS(allocated[0] == KS_OK && allocated[1] == KS_OK && taken[0] != taken[1]);
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 6 && s.live == 6 && s.heaps == 2);
}

/* The main thread has no heap of the key, so that only the actors' heaps are there to be taken over. */
static void *prepare_and_end(void *argument)
{
    (void)argument;
    prepare_big();
    return NULL;
}

static void begin_with_orphan(void)
{
    begin();
    pthread_t thread;
    HOLDS(pthread_create(&thread, NULL, prepare_and_end, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

/* A heap of the actor's own, and one that nobody owns, with all that the quota allows. */
static void prepare_beside_orphan(void)
{
    HOLDS(ks_size(key, NULL) == 0);
    pthread_t thread;
    HOLDS(pthread_create(&thread, NULL, prepare_and_end, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

static void end_orphan_and_destroy(void)
{
    HOLDS(ended[2] == KS_OK);
    HOLDS(allocated[0] == KS_QUOTA || allocated[0] == KS_BAD_KEY || allocated[0] == KS_OK);
    end_destroyed();
}

/* Whoever has taken the heap over is the owner of what is freed here. */
static void adopt_and_free(void)
{
    allocate_second();
    free_second();
}

/* The block is freed once, or twice if it was handed out in between. */
static void end_adoption_and_two_frees(void)
{
    HOLDS(allocated[1] == KS_OK);
    unsigned accepted = (freed[1] == KS_OK) + (freed[2] == KS_OK);
    HOLDS(among(freed[1], KS_OK, KS_DOUBLE_FREE) && among(freed[2], KS_OK, KS_DOUBLE_FREE));
    struct ks_key_stats s = end_live();
    unsigned freed_once = s.freed_local + s.freed_remote == 1;
    HOLDS(accepted >= 1 && s.allocated == 5 && s.freed_local + s.freed_remote + s.refused_at_home == accepted);
    HOLDS(freed_once || taken[1] == blocks[0]);
    HOLDS(s.double_free == 2 - (s.freed_local + s.freed_remote));
}

/* What the thread had collected for another is sent when it ends. */
static void the_block_is_home(void)
{
    bool found = taken[0] == blocks[0];
    for (int i = 0; i < 8 && !found; i++)
        found = ks_alloc(key, big, NULL) == blocks[0];
    HOLDS(found);
}

static void end_freer_ends(void)
{
    HOLDS(allocated[0] == KS_OK && freed[1] == KS_OK);
    struct ks_key_stats s = end_live();
    HOLDS(s.freed_remote == 1 && s.freed_local == 0);
}

static const struct scenario all[] = {
    {"a thread ends, another takes its heap over, a third frees a block",
     begin,
     {{.prepare = prepare_big, .act = nothing, .leaves = true}, {.act = allocate_second}, {.act = free_third}},
     end_adoption,
     "leave orphan adopt send take free publish ",
     .preemptions = 3},
    {"a thread ends, another takes its heap over, two free one block",
     begin_collecting,
     {{.prepare = prepare_big, .act = nothing, .leaves = true}, {.act = adopt_and_free}, {.act = free_and_flush_third}},
     end_adoption_and_two_frees,
     "leave orphan adopt send take accept free publish ",
     .preemptions = 3},
    {"two threads take over one heap",
     begin_with_orphan,
     {{.act = allocate_first}, {.act = allocate_second}},
     end_two_adoptions,
     "enter adopt new publish operation ",
     .preemptions = UNBOUNDED},
    {"a thread that has freed another's block ends",
     begin_collecting,
     {{.prepare = prepare_big, .act = allocate_first, .after = the_block_is_home},
      {.act = free_second, .leaves = true}},
     end_freer_ends,
     "operation free add send take accept leave orphan ",
     .preemptions = 4},
    {"a refused thread trims an orphan, another takes it over, the key is destroyed",
     begin_small,
     {{.prepare = prepare_beside_orphan, .act = allocate_small_first, .after = the_key_is_gone},
      {.act = allocate_small_second},
      {.act = destroy_third}},
     end_orphan_and_destroy,
     "adopt leave orphan retire reclaim destroy key ",
     .preemptions = 2},
};

const struct scenarios thread_scenarios = {all, COUNT(all)};
