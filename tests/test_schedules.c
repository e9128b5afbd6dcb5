/*
 * Every order of the steps of two or three threads that meet in a protocol: see schedule.h. Whatever the order, the statuses
 * are among those that the interface names, every block is accounted for, no heap of a destroyed key is left behind,
 * and the invariants hold. Needs a build with -Dcheck=true.
 *
 *     test_schedules [--more] [SCENARIO...]
 *
 * --more allows a preemption more in each scenario that bounds them.
 */
#include "schedule.h"
#include "testing.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t big; /* four blocks in a magazine, and in a slab */
static const char *scenario_name;
static ks_key_t key;
static ks_key_t other;
static void *blocks[512];
static void *taken[ACTORS];
static ks_status freed[ACTORS];
static ks_status allocated[ACTORS];
static ks_status ended[ACTORS];

#define HOLDS(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s: %s:%d: %s\n", scenario_name, __FILE__, __LINE__, #condition);                         \
            schedule_print();                                                                                          \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static bool among(ks_status status, ks_status a, ks_status b)
{
    return status == a || status == b;
}

/* ------------------------------------------------------------------ what scenarios begin and end with */

static void begin_with(struct ks_key_options *options)
{
    HOLDS(ks_key_create(options, &key) == KS_OK);
    big = 65536;
    memset(taken, 0, sizeof taken);
    for (int i = 0; i < ACTORS; i++)
        freed[i] = allocated[i] = ended[i] = KS_INVALID;
}

static void begin(void)
{
    begin_with(NULL);
}

static void begin_paranoid(void)
{
    begin_with(&(struct ks_key_options){.checks = KS_CHECKS_PARANOID});
    big = 52416; /* before the guard */
}

static void begin_small(void)
{
    begin_with(&(struct ks_key_options){.quota = 256 << 10});
}

/* Six slabs, all of which a thread may retain. */
static void begin_retaining(void)
{
    begin_with(&(struct ks_key_options){.quota = 6 * (256 << 10), .retain = 6 * (256 << 10)});
}

static struct ks_key_stats stats_now(void)
{
    struct ks_key_stats s;
    HOLDS(ks_key_stats(key, &s) == KS_OK);
    HOLDS(s.allocated == s.freed_local + s.freed_remote + s.live + s.dropped);
    return s;
}

/* The key has nothing left but what is live, and nothing at all after a reset. */
static struct ks_key_stats end_live(void)
{
    HOLDS(ks_key_check(key) == KS_OK);
    HOLDS(ks_key_purge(key) == KS_OK);
    HOLDS(ks_key_check(key) == KS_OK);
    struct ks_key_stats s = stats_now();
    HOLDS(s.in_flight == 0);
    HOLDS(ks_key_reset(key) == KS_OK && ks_key_purge(key) == KS_OK);
    HOLDS(stats_now().arena_bytes == 0);
    HOLDS(ks_key_destroy(key) == KS_OK);
    HOLDS(ks_leaks() == 0);
    return s;
}

static void end_destroyed(void)
{
    HOLDS(ks_key_destroy(key) == KS_BAD_KEY);
    HOLDS(ks_leaks() == 0);
}

/* ------------------------------------------------------------------ what actors do */

static void prepare_small(void)
{
    blocks[0] = ks_alloc(key, 64, NULL);
}

/* The magazine is empty afterwards: the next allocation looks into the return queue. */
static void prepare_big(void)
{
    for (int i = 0; i < 4; i++)
        blocks[i] = ks_alloc(key, big, NULL);
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

/* The next slow path of this heap is a tick. */
static void prepare_tick(void)
{
    for (int i = 0; i < 63 * 4; i++)
        blocks[i] = ks_alloc(key, big, NULL);
}

static void allocate(int actor, size_t size)
{
    taken[actor] = ks_alloc(key, size, &allocated[actor]);
}

static void allocate_first(void)
{
    allocate(0, big);
}

static void allocate_second(void)
{
    allocate(1, big);
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

static void allocate_small_first(void)
{
    allocate(0, 64);
}

static void allocate_small_second(void)
{
    allocate(1, 64);
}

static void allocate_and_free(void)
{
    allocate(0, 64);
    if (taken[0])
        freed[0] = ks_free(key, taken[0]);
}

static void free_first(void)
{
    freed[0] = ks_free(key, blocks[0]);
}

static void free_second(void)
{
    freed[1] = ks_free(key, blocks[0]);
}

static void free_third(void)
{
    freed[2] = ks_free(key, blocks[0]);
}

static void free_and_flush_second(void)
{
    free_second();
    ks_flush();
}

static void resize_second(void)
{
    taken[1] = ks_realloc(key, blocks[0], 1000, &freed[1]);
}

static void reset_key(void)
{
    HOLDS(ks_key_reset(key) == KS_OK);
}

enum { OVER_GUARD = 2048 };

/* The block that lies highest in a slab: where blocks are larger, the guard begins before it. */
static void prepare_over_guard(void)
{
    enum { FULL = (256 - 4) * 1024 / OVER_GUARD };
    blocks[0] = NULL;
    for (int i = 0; i < FULL; i++) {
        char *block = ks_alloc(key, OVER_GUARD, NULL);
        memset(block, 0x5a, OVER_GUARD);
        if (block > (char *)blocks[0])
            blocks[0] = block;
    }
}

static void reset_and_set_guard(void)
{
    reset_key();
    allocate(0, big);
}

static void resize_over_guard(void)
{
    taken[1] = ks_realloc(key, blocks[0], 3 * OVER_GUARD, &freed[1]);
}

static void terminate_key(void)
{
    HOLDS(ks_key_terminate(key) == KS_OK);
}

static void purge_second(void)
{
    ended[1] = ks_key_purge(key);
}

static void reset_and_purge(void)
{
    reset_key();
    HOLDS(ks_key_purge(key) == KS_OK);
}

static void destroy_second(void)
{
    ended[1] = ks_key_destroy(key);
}

static void destroy_third(void)
{
    ended[2] = ks_key_destroy(key);
}

static void nothing(void)
{
}

/* ------------------------------------------------------------------ what holds when all have acted */

/* Whoever calls after a reset calls in the new generation. */
static void a_new_block_lives(void)
{
    void *block = ks_alloc(key, 64, NULL);
    HOLDS(block && stats_now().live == 1);
    HOLDS(ks_free(key, block) == KS_OK);
}

static void a_new_block_is_refused(void)
{
    ks_status status;
    HOLDS(!ks_alloc(key, 64, &status) && status == KS_TERMINATED);
}

/* With its next call a thread gives back what it has of the destroyed key. */
static void a_dead_key_is_refused(void)
{
    ks_status status;
    HOLDS(!ks_alloc(key, 64, &status) && status == KS_BAD_KEY);
}

/* The last one that does. */
static void the_key_is_gone(void)
{
    a_dead_key_is_refused();
    HOLDS(ks_leaks() == 0);
}

/* ------------------------------------------------------------------ a return, a reset */

static void end_return_and_reset(void)
{
    HOLDS(allocated[0] == KS_OK && among(freed[1], KS_OK, KS_STALE));
    /* The block at hand again: then its free came home before the reset. */
    for (int i = 0; i < 4; i++)
        if (taken[0] == blocks[i])
            HOLDS(i == 0 ? freed[1] == KS_OK || stats_now().dropped >= 3 : stats_now().dropped >= 3);
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 5 && s.freed_remote <= 1 && s.live <= 1);
    HOLDS(s.dropped >= 3 && s.refused_at_home == 0 && s.stale == (freed[1] == KS_STALE));
}

static void end_return_to_allocation(void)
{
    HOLDS(allocated[0] == KS_OK && freed[1] == KS_OK);
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 5 && s.freed_remote == 1 && s.live == 4);
}

static void end_allocation_and_reset(void)
{
    HOLDS(allocated[0] == KS_OK && among(freed[0], KS_OK, KS_STALE));
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 3 && s.live == 0);
    HOLDS(s.freed_local + s.dropped == 3 && s.stale == (freed[0] == KS_STALE));
}

static void end_three_frees(void)
{
    unsigned accepted = 0;
    for (int i = 0; i < ACTORS; i++) {
        HOLDS(among(freed[i], KS_OK, KS_DOUBLE_FREE));
        accepted += freed[i] == KS_OK;
    }
    struct ks_key_stats s = end_live();
    HOLDS(accepted >= 1 && s.refused_at_home == accepted - 1);
    HOLDS(s.double_free == 2 && s.live == 3 && s.freed_local + s.freed_remote == 1);
}

static void end_resize_and_reset(void)
{
    HOLDS(among(freed[1], KS_OK, KS_STALE));
    HOLDS((freed[1] == KS_OK) == (taken[1] != NULL));
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 1u + (freed[1] == KS_OK) || s.allocated == 2);
    HOLDS(s.live <= 1);
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

/* ------------------------------------------------------------------ destroy */

static void end_entry_and_destroy(void)
{
    HOLDS(among(allocated[0], KS_OK, KS_BAD_KEY) && ended[1] == KS_OK);
    end_destroyed();
}

static void end_exit_and_destroy(void)
{
    HOLDS(ended[1] == KS_OK);
    end_destroyed();
}

static void end_two_destroys(void)
{
    HOLDS(among(ended[1], KS_OK, KS_BAD_KEY) && among(ended[2], KS_OK, KS_BAD_KEY));
    HOLDS((ended[1] == KS_OK) + (ended[2] == KS_OK) == 1);
    end_destroyed();
}

static void end_purge_and_destroy(void)
{
    HOLDS(among(ended[1], KS_OK, KS_BAD_KEY) && ended[2] == KS_OK);
    end_destroyed();
}

/* A sleeper never gets to do anything for itself. */
static void nothing_is_left(void)
{
    HOLDS(ks_leaks() == 0);
}

static void destroy_and_create(void)
{
    HOLDS(ks_key_destroy(key) == KS_OK);
    HOLDS(ks_key_create(NULL, &other) == KS_OK);
    taken[1] = ks_alloc(other, 64, NULL);
}

/* The old handle never reaches the key that has its slot now. */
static void end_slot_reuse(void)
{
    HOLDS(among(allocated[0], KS_OK, KS_BAD_KEY));
    HOLDS(taken[1]);
    struct ks_key_stats s;
    HOLDS(ks_key_stats(other, &s) == KS_OK);
    HOLDS(s.allocated == 1 && s.live == 1 && s.heaps == 1 && s.arena_bytes == 256 << 10);
    HOLDS(ks_key_check(other) == KS_OK && ks_key_destroy(other) == KS_OK);
    end_destroyed();
}

/* ------------------------------------------------------------------ exit, adoption */

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

/* A heap of the actor's own, and one that nobody holds, with all that the quota allows. */
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

/* ------------------------------------------------------------------ purge */

static void call_once_more(void)
{
    allocate_and_free();
}

static void end_purge_and_wake(void)
{
    HOLDS(ended[1] == KS_OK);
    struct ks_key_stats s = stats_now();
    /* Of six slabs two are in use; and those of the owner's calls, which may have had to change heaps between two. */
    HOLDS(s.arena_bytes <= 4 * (256 << 10));
    s = end_live();
    HOLDS(s.live == 8 && s.allocated == 26 && s.freed_local + s.freed_remote == 18);
}

static void end_reset_purge_and_wake(void)
{
    struct ks_key_stats s = stats_now();
    /* Of seven; two where the owner had to change heaps between two calls. */
    HOLDS(s.arena_bytes <= 2 * (256 << 10));
    s = end_live();
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

/* ------------------------------------------------------------------ quota */

static void end_quota(void)
{
    HOLDS(among(allocated[0], KS_OK, KS_QUOTA) && among(allocated[1], KS_OK, KS_QUOTA));
    HOLDS((allocated[0] == KS_OK) + (allocated[1] == KS_OK) == 1);
    struct ks_key_stats s = stats_now();
    HOLDS(s.arena_peak == 256 << 10 && s.refused_quota == 1);
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
    HOLDS(s.arena_peak == 6 * (256 << 10) && s.live == 2u + (allocated[0] == KS_OK) + (allocated[1] == KS_OK));
}

/* Whoever is refused last is so because blocks are in all slabs. */
static void end_relief_of_each_other(void)
{
    uint64_t aside = stats_now().slabs_aside;
    struct ks_key_stats s = end_live();
    HOLDS(allocated[0] == KS_OK || allocated[1] == KS_OK || !aside);
    HOLDS(s.arena_peak <= 6 * (256 << 10) && s.live >= 12 && s.live <= 24);
}

static void end_relief_and_destroy(void)
{
    HOLDS(ended[2] == KS_OK);
    end_destroyed();
}

/* ------------------------------------------------------------------ a slab that changes hands */

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
    HOLDS(allocated[1] == KS_OK && among(second, KS_OK, KS_DOUBLE_FREE));
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == 2 && s.live + s.freed_local + s.freed_remote == 2);
    HOLDS(s.freed_local + s.freed_remote + s.refused_at_home == 1u + (second == KS_OK));
    HOLDS(s.live == 1 || taken[1] == blocks[0]);
}

/* ------------------------------------------------------------------ a config is replaced */

/* Files in memory, each opened anew by its name. */
static const char *config_file(int which)
{
    static const char *const texts[] = {"[defaults]\nclasses = 512, 65536\nquota = 1 MiB\n",
                                        "[defaults]\nclasses = 1024, 65536\nquota = 2 MiB\n"};
    static char paths[2][32];
    if (!*paths[which]) {
        int file = memfd_create("config", 0);
        HOLDS(file >= 0 && write(file, texts[which], strlen(texts[which])) == (ssize_t)strlen(texts[which]));
        snprintf(paths[which], sizeof paths[which], "/proc/self/fd/%d", file);
    }
    return paths[which];
}

static void begin_configured(void)
{
    begin();
    HOLDS(ks_config_load(config_file(0), NULL, NULL) == KS_OK);
}

static void create_other(void)
{
    HOLDS(ks_key_create(NULL, &other) == KS_OK);
}

static void replace_config(void)
{
    HOLDS(ks_config_load(config_file(1), NULL, NULL) == KS_OK);
}

static void replace_config_twice(void)
{
    replace_config();
    HOLDS(ks_config_load(config_file(0), NULL, NULL) == KS_OK);
}

/* All of its settings are of one config, whichever. */
static void end_configured(void)
{
    struct ks_key_stats s;
    HOLDS(ks_key_stats(other, &s) == KS_OK);
    HOLDS(s.quota == (uint64_t)ks_key_good_size(other, 1) << 11);
    HOLDS(ks_key_destroy(other) == KS_OK && ks_config_load(NULL, NULL, NULL) == KS_OK);
    end_live();
}

/* ------------------------------------------------------------------ the table */

static bool copied, stale;

/* The resize came first, and has every byte; or the reset did. */
static void end_guard(void)
{
    HOLDS(allocated[0] == KS_OK && among(freed[1], KS_OK, KS_STALE));
    HOLDS(!taken[1] == (freed[1] == KS_STALE));
    for (size_t i = 0; taken[1] && i < OVER_GUARD; i++)
        HOLDS(((const char *)taken[1])[i] == 0x5a);
    *(taken[1] ? &copied : &stale) = true;
    end_live();
}

static bool guard_and_copy_met(void)
{
    return copied && stale;
}

static const struct scenario scenarios[] = {
    {"a return meets an allocation",
     begin,
     {{.prepare = prepare_big, .act = allocate_first}, {.act = free_second}},
     end_return_to_allocation,
     "operation free send take judge alloc ",
     .preemptions = UNBOUNDED},
    {"a return meets an allocation and a reset",
     begin,
     {{.prepare = prepare_big, .act = allocate_first}, {.act = free_second}, {.act = reset_key}},
     end_return_and_reset,
     "free send take judge publish rewind reset key ",
     .preemptions = 3},
    {"an allocation meets a reset",
     begin,
     {{.prepare = prepare_small, .act = allocate_and_free, .after = a_new_block_lives}, {.act = reset_key}},
     end_allocation_and_reset,
     "operation alloc free publish rewind reset key ",
     .preemptions = UNBOUNDED},
    {"an allocation meets two resets",
     begin,
     {{.prepare = prepare_small, .act = allocate_and_free, .after = a_new_block_lives},
      {.act = reset_key},
      {.act = reset_key}},
     end_allocation_and_reset,
     "alloc free publish rewind reset key ",
     .preemptions = 3},
    {"three frees of one block",
     begin,
     {{.prepare = prepare_big, .act = free_first}, {.act = free_second}, {.act = free_third}},
     end_three_frees,
     "free send take judge ",
     .preemptions = UNBOUNDED},
    {"another thread's block is resized in a reset",
     begin,
     {{.prepare = prepare_small, .act = nothing}, {.act = resize_second}, {.act = reset_key}},
     end_resize_and_reset,
     "operation alloc free send publish rewind reset key ",
     .preemptions = 4},
    {"an expert is terminated",
     begin,
     {{.prepare = prepare_small, .act = allocate_and_free, .after = a_new_block_is_refused}, {.act = terminate_key}},
     end_terminate,
     "operation alloc free publish terminate key ",
     .preemptions = UNBOUNDED},

    {"a thread enters a key that is destroyed",
     begin,
     {{.act = allocate_first, .after = the_key_is_gone}, {.act = destroy_second}},
     end_entry_and_destroy,
     "operation reference enter new publish leave orphan retire visit destroy key release ",
     .preemptions = 3},
    {"a thread at work, its key is destroyed",
     begin,
     {{.prepare = prepare_big, .act = allocate_first, .after = the_key_is_gone}, {.act = destroy_second}},
     end_entry_and_destroy,
     "operation reference enter publish leave orphan retire visit destroy key release ",
     .preemptions = 3},
    {"a tick, its key is destroyed",
     begin,
     {{.prepare = prepare_tick, .act = allocate_first, .after = the_key_is_gone}, {.act = destroy_second}},
     end_entry_and_destroy,
     "operation leave orphan retire visit destroy key release give ",
     .preemptions = 2},
    {"a thread ends, its key is destroyed",
     begin,
     {{.prepare = prepare_small, .act = nothing, .leaves = true}, {.act = destroy_second}},
     end_exit_and_destroy,
     "operation reference leave orphan retire visit destroy key release ",
     .preemptions = 4},
    {"a key is destroyed twice",
     begin,
     {{0}, {.act = destroy_second, .after = nothing_is_left}, {.prepare = prepare_small, .act = destroy_third}},
     end_two_destroys,
     "reference leave orphan retire visit destroy key release ",
     .preemptions = 3},
    {"a sleeper's key is purged and destroyed",
     begin,
     {{.act = purge_second, .after = nothing_is_left}, {.act = destroy_third}, {.prepare = prepare_big}},
     end_purge_and_destroy,
     "reference leave orphan retire visit destroy key release ",
     .preemptions = 4},
    {"a thread enters, its key is purged and destroyed",
     begin,
     {{.prepare = prepare_big, .act = allocate_first, .after = the_key_is_gone},
      {.act = purge_second},
      {.act = destroy_third}},
     end_purge_and_destroy,
     "leave orphan retire visit destroy key publish ",
     .preemptions = 3},
    {"a thread ends, its key is purged and destroyed",
     begin,
     {{.prepare = prepare_big, .act = nothing, .leaves = true}, {.act = purge_second}, {.act = destroy_third}},
     end_purge_and_destroy,
     "leave orphan retire visit destroy key ",
     .preemptions = 3},
    {"an old handle meets a new key in its slot",
     begin,
     {{.act = allocate_small_first}, {.act = destroy_and_create}},
     end_slot_reuse,
     "operation reference enter new publish retire destroy create key release ",
     .preemptions = 3},

    {"a thread ends, another takes its heap over, a third returns a block",
     begin,
     {{.prepare = prepare_big, .act = nothing, .leaves = true}, {.act = allocate_second}, {.act = free_third}},
     end_adoption,
     "leave orphan adopt send take free publish ",
     .preemptions = 3},
    {"two threads take over one heap",
     begin_with_orphan,
     {{.act = allocate_first}, {.act = allocate_second}},
     end_two_adoptions,
     "enter adopt new publish operation ",
     .preemptions = UNBOUNDED},
    {"a refused thread settles an orphan, another takes it over, the key is destroyed",
     begin_small,
     {{.prepare = prepare_beside_orphan, .act = allocate_small_first, .after = the_key_is_gone},
      {.act = allocate_small_second},
      {.act = destroy_third}},
     end_orphan_and_destroy,
     "adopt leave orphan retire visit destroy key ",
     .preemptions = 2},

    {"an owner wakes in a purge",
     begin,
     {{.prepare = prepare_slabs, .act = allocate_and_free, .after = call_once_more}, {.act = purge_second}},
     end_purge_and_wake,
     "operation enter publish leave orphan adopt visit ",
     .preemptions = 4},
    {"an owner wakes in a reset and a purge",
     begin,
     {{.prepare = prepare_slabs, .act = allocate_and_free, .after = call_once_more}, {.act = reset_and_purge}},
     end_reset_purge_and_wake,
     "operation enter publish leave orphan rewind reset key visit ",
     .preemptions = 4},
    {"a thread that has freed another's block flushes in a purge",
     begin,
     {{.prepare = prepare_big, .act = purge_second}, {.act = free_and_flush_second}, {.act = purge_second}},
     end_flush_and_purge,
     "free send take judge leave orphan visit ",
     .preemptions = 2},

    {"two threads at the last of the quota",
     begin_small,
     {{.act = allocate_first}, {.act = allocate_second}},
     end_quota,
     "charge new publish visit orphan adopt ",
     .preemptions = UNBOUNDED},
    {"a refused thread takes what a sleeper retains, who wakes",
     begin_retaining,
     {{.act = allocate_first, .after = a_block_is_to_be_had},
      {.prepare = prepare_retained, .act = allocate_second, .after = a_block_is_to_be_had}},
     end_relief,
     "operation charge enter publish leave orphan adopt visit ",
     .preemptions = 4},
    {"a refused thread takes what a sleeper retains, who wakes, the key is destroyed",
     begin_retaining,
     {{.act = allocate_first, .after = a_dead_key_is_refused},
      {.prepare = prepare_retained, .act = allocate_second, .after = the_key_is_gone},
      {.act = destroy_third}},
     end_relief_and_destroy,
     "publish leave orphan visit retire destroy key ",
     .preemptions = 2},
    {"two refused threads take what the other retains",
     begin_retaining,
     {{.prepare = prepare_half_retained, .act = allocate_beyond_half_first},
      {.prepare = prepare_half_retained, .act = allocate_beyond_half_second}},
     end_relief_of_each_other,
     "charge enter publish leave orphan adopt visit ",
     .preemptions = 3},
    {"a slab changes hands under a free",
     begin,
     {{.prepare = prepare_small, .act = free_and_purge_first}, {.act = allocate_small_second}, {.act = free_third}},
     end_slab_changes_hands,
     "free give charge life send visit take judge ",
     3,
     .covered = slab_was_handed_over},
    {"a slab's last owner frees once more",
     begin,
     {{.prepare = prepare_small, .act = free_purge_and_free_first}, {.act = allocate_small_second}},
     end_slab_changes_hands,
     "free give charge life alloc ",
     UNBOUNDED,
     .covered = slab_was_handed_over},
    {"a thread enters a key that is terminated",
     begin,
     {{.act = allocate_and_free, .after = a_new_block_is_refused}, {.act = terminate_key}},
     end_entry_and_terminate,
     "operation alloc free new publish terminate key ",
     .preemptions = UNBOUNDED},
    {"a config is replaced while a key is created",
     begin_configured,
     {{.act = create_other}, {.act = replace_config_twice}, {.act = replace_config}},
     end_configured,
     "config create ",
     .preemptions = UNBOUNDED},
    {"a paranoid key: a return meets an allocation and a reset",
     begin_paranoid,
     {{.prepare = prepare_big, .act = allocate_first}, {.act = free_second}, {.act = reset_key}},
     end_return_and_reset,
     "free send take judge publish rewind reset key ",
     .preemptions = 3},
    {"a paranoid key: a guard is set where a block is copied",
     begin_paranoid,
     {{.prepare = prepare_over_guard, .act = reset_and_set_guard}, {.act = resize_over_guard}},
     end_guard,
     "realloc guard life rewind reset key ",
     .preemptions = UNBOUNDED,
     .covered = guard_and_copy_met},
    {"a paranoid key: an owner wakes in a purge",
     begin_paranoid,
     {{.prepare = prepare_slabs, .act = allocate_and_free, .after = call_once_more}, {.act = purge_second}},
     end_purge_and_wake,
     "operation enter publish leave orphan adopt visit ",
     .preemptions = 3},
    {"a paranoid key: a thread at work, its key is destroyed",
     begin_paranoid,
     {{.prepare = prepare_big, .act = allocate_first, .after = the_key_is_gone}, {.act = destroy_second}},
     end_entry_and_destroy,
     "operation enter publish leave orphan retire visit destroy key release ",
     .preemptions = 3},
    {"an owner wakes in a purge, another resets",
     begin,
     {{.prepare = prepare_slabs, .act = allocate_and_free, .after = call_once_more},
      {.act = purge_second},
      {.act = reset_key}},
     end_purge_wake_and_reset,
     "operation publish leave visit reset key ",
     .preemptions = 2},
};

static bool is_wanted(const char *name, int count, char **names)
{
    for (int i = 0; i < count; i++)
        if (strstr(name, names[i]))
            return true;
    return count == 0;
}

int main(int argc, char **argv)
{
    bool more = argc > 1 && !strcmp(argv[1], "--more");
    unsigned long schedules = 0;
    size_t run = 0;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        struct scenario scenario = scenarios[i];
        if (!is_wanted(scenario.name, argc - 1 - more, argv + 1 + more))
            continue;
        if (more && scenario.preemptions != UNBOUNDED)
            scenario.preemptions++;
        scenario_name = scenario.name;
        struct exploration seen = explore(&scenario);
        printf("%8lu schedules of up to %2u steps: %s\n", seen.schedules, seen.longest, scenario.name);
        HOLDS(!scenario.covered || scenario.covered());
        if (seen.diverged)
            printf("%8lu of them went another way under the same choices\n", seen.diverged);
        fflush(stdout);
        schedules += seen.schedules;
        run++;
    }
    printf("%lu schedules in %zu scenarios\n", schedules, run);
    return 0;
}
