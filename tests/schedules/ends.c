/* The ends of keys, and their slots' and heaps' next ones. */
#include "common.h"

#include <pthread.h>

static ks_key_t other;

/* The next slow path of this heap is a maintenance pass. */
static void prepare_pass(void)
{
    for (int i = 0; i < 63 * 4; i++)
        blocks[i] = ks_alloc(key, big, NULL);
}

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

/* A free that began before the key's end may find its block dropped. */
static bool freed_or_dropped(ks_status status)
{
    return among(status, KS_OK, KS_BAD_KEY) || status == KS_STALE;
}

static void end_free_and_destroy(void)
{
    HOLDS(freed_or_dropped(freed[1]) && ended[2] == KS_OK);
    end_destroyed();
}

/* ------------------------------------------------------------------ a slot's next key */

static void destroy_and_create(void)
{
    HOLDS(ks_key_destroy(key) == KS_OK);
    HOLDS(ks_key_create(&(struct ks_key_options){.outbox_bytes = 1 << 20}, &other) == KS_OK);
}

static void destroy_create_and_allocate(void)
{
    destroy_and_create();
    taken[1] = ks_alloc(other, SMALL, NULL);
}

/* The old handle never reaches the key that has its slot now. */
static void end_slot_reuse(void)
{
    HOLDS(among(allocated[0], KS_OK, KS_BAD_KEY));
    HOLDS(taken[1]);
    struct ks_key_stats s;
    HOLDS(ks_key_stats(other, &s) == KS_OK);
    HOLDS(s.allocated == 1 && s.live == 1 && s.heaps == 1 && s.arena_bytes == SLAB);
    HOLDS(ks_key_check(other) == KS_OK && ks_key_destroy(other) == KS_OK);
    end_destroyed();
}

/* ------------------------------------------------------------------ a heap's next key */

static unsigned handed_on;

/* The same thread gets the heap of the old key for the new one, and the old slabs; it looks into the queue. */
static void destroy_create_and_fill(void)
{
    destroy_and_create();
    for (int i = 0; i < 5; i++) {
        void *block = ks_alloc(other, big, NULL);
        HOLDS(block);
        handed_on += block == blocks[0] && freed[1] == KS_OK;
    }
}

/* What is sent to the old key's heap is not for the new one's. */
static void end_heap_reuse(void)
{
    HOLDS(freed_or_dropped(freed[1]) || freed[1] == KS_WRONG_KEY);
    struct ks_key_stats s;
    HOLDS(ks_key_check(other) == KS_OK && ks_key_purge(other) == KS_OK);
    HOLDS(ks_key_stats(other, &s) == KS_OK);
    HOLDS(s.allocated == 5 && s.live == 5 && !s.freed_remote && !s.refused_at_home && !s.double_free);
    HOLDS(ks_key_check(other) == KS_OK && ks_key_destroy(other) == KS_OK);
    end_destroyed();
}

static bool heap_was_handed_on(void)
{
    return handed_on;
}

/* ------------------------------------------------------------------ a table's entry that is not true any more */

static ks_key_t third;

static void begin_with_other(void)
{
    begin();
    HOLDS(ks_key_create(NULL, &other) == KS_OK);
}

static void allocate_from_other(void)
{
    taken[0] = ks_alloc(other, SMALL, &allocated[0]);
}

static void destroy_and_create_third(void)
{
    HOLDS(ks_key_destroy(key) == KS_OK);
    HOLDS(ks_key_create(NULL, &third) == KS_OK);
}

static void *enter_other(void *argument)
{
    HOLDS(ks_alloc(other, SMALL, NULL));
    return argument;
}

/*
 * The third key has the first one's slot; the heap that the thread had there may be its heap for the other key. It is still its own
 * afterwards: another thread gets one for itself.
 */
static void enter_third(void)
{
    pthread_t thread;
    struct ks_key_stats s;
    HOLDS(ks_alloc(third, SMALL, NULL));
    HOLDS(pthread_create(&thread, NULL, enter_other, NULL) == 0 && pthread_join(thread, NULL) == 0);
    HOLDS(ks_key_stats(other, &s) == KS_OK && s.heaps == 2);
}

static void end_entries(void)
{
    HOLDS(allocated[0] == KS_OK && ks_key_check(other) == KS_OK);
    HOLDS(ks_key_destroy(other) == KS_OK && ks_key_destroy(third) == KS_OK);
    end_destroyed();
}

/* ------------------------------------------------------------------ slots */

static ks_key_t keys[4];

/* Three slots lie in the pool. */
static void begin_with_slots(void)
{
    begin();
    ks_key_t some[3];
    for (size_t i = 0; i < COUNT(some); i++)
        HOLDS(ks_key_create(NULL, &some[i]) == KS_OK);
    for (size_t i = 0; i < COUNT(some); i++)
        HOLDS(ks_key_destroy(some[i]) == KS_OK);
}

static void create_one(void)
{
    HOLDS(ks_key_create(NULL, &keys[0]) == KS_OK);
}

/* The pool's first member is its first again, and the second is none any more. */
static void create_two_and_destroy_one(void)
{
    HOLDS(ks_key_create(NULL, &keys[1]) == KS_OK && ks_key_create(NULL, &keys[2]) == KS_OK);
    HOLDS(ks_key_destroy(keys[1]) == KS_OK);
}

/* Each live key has a slot of its own, in which it lives on. */
static void end_slots(void)
{
    HOLDS(ks_key_create(NULL, &keys[1]) == KS_OK && ks_key_create(NULL, &keys[3]) == KS_OK);
    for (size_t i = 0; i < COUNT(keys); i++)
        HOLDS(ks_alloc(keys[i], SMALL, NULL));
    for (size_t i = 0; i < COUNT(keys); i++)
        HOLDS(ks_key_destroy(keys[i]) == KS_OK);
    HOLDS(ks_leaks() == 0);
    end_live();
}

static const struct scenario all[] = {
    {"a thread enters a key that is destroyed",
     begin,
     {{.act = allocate_first, .after = the_key_is_gone}, {.act = destroy_second}},
     end_entry_and_destroy,
     "operation reference enter new publish leave orphan retire reclaim destroy key release ",
     .preemptions = 3},
    {"a thread at work, its key is destroyed",
     begin,
     {{.prepare = prepare_big, .act = allocate_first, .after = the_key_is_gone}, {.act = destroy_second}},
     end_entry_and_destroy,
     "operation reference enter publish leave orphan retire reclaim destroy key release ",
     .preemptions = 3},
    {"a maintenance pass, its key is destroyed",
     begin,
     {{.prepare = prepare_pass, .act = allocate_first, .after = the_key_is_gone}, {.act = destroy_second}},
     end_entry_and_destroy,
     "operation leave orphan retire reclaim destroy key release give ",
     .preemptions = 2},
    {"a thread ends, its key is destroyed",
     begin,
     {{.prepare = prepare_small, .act = nothing, .leaves = true}, {.act = destroy_second}},
     end_exit_and_destroy,
     "operation reference leave orphan retire reclaim destroy key release ",
     .preemptions = 4},
    {"a key is destroyed twice",
     begin,
     {{0}, {.act = destroy_second, .after = nothing_is_left}, {.prepare = prepare_small, .act = destroy_third}},
     end_two_destroys,
     "reference leave orphan retire reclaim destroy key release ",
     .preemptions = 3},
    {"a sleeper's key is purged and destroyed",
     begin,
     {{.act = purge_second, .after = nothing_is_left}, {.act = destroy_third}, {.prepare = prepare_big}},
     end_purge_and_destroy,
     "reference leave orphan retire reclaim destroy key release ",
     .preemptions = 4},
    {"a thread enters, its key is purged and destroyed",
     begin,
     {{.prepare = prepare_big, .act = allocate_first, .after = the_key_is_gone},
      {.act = purge_second},
      {.act = destroy_third}},
     end_purge_and_destroy,
     "leave orphan retire reclaim destroy key publish ",
     .preemptions = 3},
    {"a thread ends, its key is purged and destroyed",
     begin,
     {{.prepare = prepare_big, .act = nothing, .leaves = true}, {.act = purge_second}, {.act = destroy_third}},
     end_purge_and_destroy,
     "leave orphan retire reclaim destroy key ",
     .preemptions = 3},
    {"a sleeper's block is freed, its key is destroyed",
     begin_collecting,
     {{.prepare = prepare_big}, {.act = free_and_flush_second, .after = the_key_is_gone}, {.act = destroy_third}},
     end_free_and_destroy,
     "operation free add send take publish leave orphan retire reclaim destroy key release ",
     .preemptions = 3},
    {"a block is freed, its heap is another key's",
     begin_collecting,
     {{.prepare = prepare_big, .act = destroy_create_and_fill}, {.act = free_and_flush_second}},
     end_heap_reuse,
     "free add send take accept reclaim retire release new ",
     .preemptions = 4,
     .covered = heap_was_handed_on},
    {"an old handle meets a new key in its slot",
     begin,
     {{.act = allocate_small_first}, {.act = destroy_create_and_allocate}},
     end_slot_reuse,
     "operation reference enter new publish retire destroy create key release ",
     .preemptions = 3},
    {"a thread's heap of a destroyed key is its heap for another",
     begin_with_other,
     {{.prepare = prepare_small, .act = allocate_from_other, .after = enter_third}, {.act = destroy_and_create_third}},
     end_entries,
     "operation new publish leave retire destroy key release ",
     .preemptions = 2},
    {"keys are created and destroyed at once",
     begin_with_slots,
     {{.act = create_one}, {.act = create_two_and_destroy_one}},
     end_slots,
     "pool create destroy release ",
     .preemptions = UNBOUNDED},
};

const struct scenarios end_scenarios = {all, COUNT(all)};
