/*
 * Deterministic schedules: up to three threads go from one schedule point of the library (lib/testing.h) to the next, one
 * at a time, and a scenario is run again and again until every order of those steps has been seen.
 *
 * Between two points a thread runs alone, so this enumerates interleavings, not reorderings of memory: for those see
 * docs/concurrency.md and tests/models.
 */
#ifndef TESTS_SCHEDULE_H
#define TESTS_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

enum { ACTORS = 3, UNBOUNDED = 1000 };

struct actor {
    void (*prepare)(void); /* before the schedule begins, one actor after another; may be NULL */
    void (*act)(void);     /* under the schedule; an actor without is asleep */
    bool leaves;           /* its thread ends under the schedule, too */
    void (*after)(void);   /* when all have acted, one actor after another; may be NULL */
};

struct scenario {
    const char *name;
    void (*begin)(void); /* in the main thread */
    struct actor actors[ACTORS];
    void (*end)(void); /* in the main thread, when the actors' threads have ended: looks at what has come of it */
    /* Which points count: the protocols before the colon, with a space behind each. */
    const char *points;
    /*
     * How often a thread may be interrupted that could have gone on. Most races need one or two (Musuvathi and Qadeer:
     * Iterative context bounding for systematic testing of multithreaded programs, 2007).
     */
    unsigned preemptions;
    bool (*covered)(void); /* whether what it is about has come about in any schedule; may be NULL */
};

struct exploration {
    unsigned long schedules;
    unsigned long diverged; /* went another way than before under the same choices: not all orders were seen */
    unsigned longest;       /* steps */
};

struct exploration explore(const struct scenario *scenario);

/* Prints the steps of the schedule at hand to standard error, for a failure. */
void schedule_print(void);

#endif
