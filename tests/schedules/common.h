/* What the scenarios of test_schedules share: a key, its blocks, what became of the calls, and the usual actors and endings. */
#ifndef TESTS_SCHEDULES_COMMON_H
#define TESTS_SCHEDULES_COMMON_H

#include "../schedule.h"
#include "base/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define SLAB         ((size_t)256 << 10)
#define SMALL        ((size_t)64)

/* Scenarios of one kind. */
struct scenarios {
    const struct scenario *all;
    size_t count;
};

extern const struct scenarios entry_scenarios, last_scenarios, slab_scenarios, reset_scenarios, end_scenarios,
    thread_scenarios, memory_scenarios, check_scenarios;

extern const char *scenario_name;

#define HOLDS(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s: %s:%d: %s\n", scenario_name, __FILE__, __LINE__, #condition);                         \
            schedule_print();                                                                                          \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static inline bool among(ks_status status, ks_status a, ks_status b)
{
    return status == a || status == b;
}

/* ------------------------------------------------------------------ the key, its blocks, and what became of the calls */

extern ks_key_t key;
extern size_t big; /* bytes of blocks of which four make a group, which fills a slab */
extern void *blocks[512];
extern void *taken[ACTORS];
extern ks_status freed[ACTORS], allocated[ACTORS], ended[ACTORS]; /* KS_INVALID: not called */

void begin(void);
void begin_with(const struct ks_key_options *options);
void begin_collecting(void); /* blocks that are freed for others wait for a flush */
void begin_small(void);      /* one slab */
void begin_paranoid(void);

/* The statistics, which balance. */
struct ks_key_stats stats_now(void);

/* The key has nothing left but what is live, and nothing at all after a reset. Its statistics before that. */
struct ks_key_stats end_live(void);
void end_destroyed(void);

/* ------------------------------------------------------------------ what actors do */

void prepare_small(void); /* blocks[0] */
void prepare_big(void);   /* blocks[0] to blocks[3]; their group is empty: the next allocation looks into the queue */

void allocate(int actor, size_t size);
void allocate_first(void);
void allocate_second(void);
void allocate_small_first(void);
void allocate_small_second(void);
void allocate_and_free(void);
void free_by(int actor, void *block); /* freed[actor] is the first refusal */
void free_first(void);
void free_second(void);
void free_third(void);
void free_and_flush_second(void);
void free_and_flush_third(void);
void reset_key(void);
void purge_second(void);
void purge_third(void);
void destroy_second(void);
void destroy_third(void);
void nothing(void);

/* With its next call a thread gives back what it has of the destroyed key. */
void a_dead_key_is_refused(void);

/* The last one that does. */
void the_key_is_gone(void);

/* Whoever calls after a reset calls in the new generation. */
void a_new_block_lives(void);

/*
 * The first actor's allocation, of which it is noted what had been answered before it: a block that was freed for the last time before
 * somebody was given it is his.
 */
void note_answers(void);
void allocate_noted(size_t size);
void allocate_noted_first(void);
bool was_answered(int actor); /* before that allocation began */
bool allocation_began(void);

/*
 * By the first actor when all have acted: what is on its way comes home, and no block that is handed out now is one of those that live,
 * or has been handed out now. blocks[from] up to blocks[4] live; so does the noted allocation's, where nobody freed its address while it
 * was made, or later.
 */
void more_blocks_differ(int from);
void more_blocks_differ_from_three(void);

#endif
