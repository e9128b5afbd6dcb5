#include "schedule.h"

#include "base/testing.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 4096, POINTS = 1024 };

/* One place where the schedule had a choice. Options: to go on, then the other threads that can, in order. */
struct step {
    unsigned choice;
    unsigned options;
    int actor;         /* who was chosen */
    const char *point; /* where the one before had got to */
};

/* Written by the thread whose turn it is, and by the main thread while no other runs. */
static struct {
    const struct scenario *scenario;
    struct step steps[STEPS];
    unsigned depth;
    unsigned known; /* steps whose choice is given */
    unsigned preemptions;
    bool diverged;
    bool running[ACTORS];
    sem_t turn[ACTORS];
    sem_t done;
} schedule;

static __thread int self = -1; /* which actor; -1 outside of the schedule */
static pthread_key_t ending;

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore))
        ;
}

/* Who goes on at this step: the current actor first, where it can and there is a choice. */
static unsigned options_of(int current, int *options)
{
    unsigned count = 0;
    bool goes_on = current >= 0 && schedule.running[current];
    if (goes_on)
        options[count++] = current;
    if (goes_on && schedule.preemptions >= schedule.scenario->preemptions)
        return count;
    for (int i = 0; i < ACTORS; i++)
        if (schedule.running[i] && i != current)
            options[count++] = i;
    return count;
}

static int choose(int current, const char *point)
{
    int options[ACTORS];
    unsigned count = options_of(current, options);
    if (!count)
        return -1;
    if (schedule.depth == STEPS) {
        fprintf(stderr, "schedule: more than %d steps: %s\n", STEPS, schedule.scenario->name);
        abort();
    }
    struct step *step = &schedule.steps[schedule.depth];
    bool known = schedule.depth < schedule.known;
    if (known && step->options != count)
        schedule.diverged = true;
    if (!known || step->choice >= count)
        step->choice = 0;
    step->options = count;
    step->actor = options[step->choice];
    step->point = point;
    schedule.depth++;
    if (current >= 0 && schedule.running[current] && step->actor != current)
        schedule.preemptions++;
    return step->actor;
}

/* Hands the turn to whoever is chosen; back when it is this actor's again. */
static void yield(int current, const char *point)
{
    int next = choose(current, point);
    if (next == current)
        return;
    if (next < 0)
        sem_post(&schedule.done);
    else
        sem_post(&schedule.turn[next]);
    if (current >= 0 && schedule.running[current])
        wait_for(&schedule.turn[current]);
}

static bool protocol_counts(const char *point)
{
    char protocol[32];
    size_t length = strcspn(point, ":");
    snprintf(protocol, sizeof protocol, "%.*s ", (int)length, point);
    return strstr(schedule.scenario->points, protocol) != NULL;
}

/* What the scenario says of the points that have been met, by the addresses of their names. */
static struct {
    const char *point;
    bool counts;
} known_points[POINTS];

static bool counts(const char *point)
{
    size_t place = (uintptr_t)point % POINTS;
    while (known_points[place].point && known_points[place].point != point)
        place = (place + 1) % POINTS;
    if (!known_points[place].point) {
        known_points[place].counts = protocol_counts(point);
        known_points[place].point = point;
    }
    return known_points[place].counts;
}

static void at_point(const char *point)
{
    if (self >= 0 && counts(point))
        yield(self, point);
}

static void actor_ends(void)
{
    int actor = self;
    self = -1;
    schedule.running[actor] = false;
    yield(actor, "end");
}

/* Runs after the library's own exit hook: glibc takes the keys in the order of their creation. */
static void thread_ending(void *value)
{
    (void)value;
    actor_ends();
}

static void *actor_main(void *argument)
{
    int number = (int)(size_t)argument;
    const struct actor *actor = &schedule.scenario->actors[number];
    if (actor->prepare)
        actor->prepare();
    sem_post(&schedule.done);
    wait_for(&schedule.turn[number]);
    if (actor->act) {
        self = number;
        if (actor->leaves)
            pthread_setspecific(ending, schedule.steps);
        actor->act();
        if (actor->leaves)
            return NULL;
        actor_ends();
        wait_for(&schedule.turn[number]);
    }
    if (actor->after)
        actor->after();
    sem_post(&schedule.done);
    return NULL;
}

static bool exists(const struct actor *actor)
{
    return actor->act || actor->prepare;
}

static void run_once(const struct scenario *scenario)
{
    pthread_t threads[ACTORS];
    schedule.depth = schedule.preemptions = 0;
    schedule.diverged = false;
    scenario->begin();
    for (int i = 0; i < ACTORS; i++) {
        schedule.running[i] = false;
        if (!exists(&scenario->actors[i]))
            continue;
        if (pthread_create(&threads[i], NULL, actor_main, (void *)(size_t)i))
            abort();
        wait_for(&schedule.done);
    }
    for (int i = 0; i < ACTORS; i++)
        schedule.running[i] = scenario->actors[i].act != NULL;
    ks_point_set(at_point);
    yield(-1, "begin");
    wait_for(&schedule.done);
    ks_point_set(NULL);
    for (int i = 0; i < ACTORS; i++) {
        const struct actor *actor = &scenario->actors[i];
        if (!exists(actor))
            continue;
        if (!actor->act || !actor->leaves) {
            sem_post(&schedule.turn[i]);
            wait_for(&schedule.done);
        }
        pthread_join(threads[i], NULL);
    }
    scenario->end();
}

/* The next schedule in depth-first order: the last step that has another option takes it. */
static bool advance(void)
{
    while (schedule.depth > 0) {
        struct step *step = &schedule.steps[schedule.depth - 1];
        if (step->choice + 1 < step->options) {
            step->choice++;
            schedule.known = schedule.depth;
            return true;
        }
        schedule.depth--;
    }
    return false;
}

struct exploration explore(const struct scenario *scenario)
{
    static bool started;
    if (!started) {
        /* The first key of the process makes the library set its exit hook. */
        ks_key_t key;
        if (ks_key_create(NULL, &key) != KS_OK || ks_key_destroy(key) != KS_OK)
            abort();
        pthread_key_create(&ending, thread_ending);
        sem_init(&schedule.done, 0, 0);
        for (int i = 0; i < ACTORS; i++)
            sem_init(&schedule.turn[i], 0, 0);
        started = true;
    }
    struct exploration result = {0};
    schedule.scenario = scenario;
    schedule.known = 0;
    memset(known_points, 0, sizeof known_points);
    do {
        run_once(scenario);
        result.schedules++;
        result.diverged += schedule.diverged;
        if (schedule.depth > result.longest)
            result.longest = schedule.depth;
    } while (advance());
    return result;
}

void schedule_print(void)
{
    for (unsigned i = 0; i < schedule.depth; i++)
        fprintf(stderr, "%*s%d%s%s\n", 30 * schedule.steps[i].actor, "", schedule.steps[i].actor, " after ",
                schedule.steps[i].point);
}
