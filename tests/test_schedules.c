/*
 * Every order of the steps of two or three threads that meet in a protocol: see schedule.h; the scenarios are in schedules/. Whatever the
 * order, the statuses are among those that the interface names, every block is accounted for, no heap of a destroyed key is left behind,
 * and the invariants hold. Needs a build with -Dcheck=true.
 *
 *     test_schedules [--more] [SCENARIO...]
 *
 * --more allows a preemption more in each scenario that bounds them.
 */
#include "schedules/common.h"

#include <sched.h>

static const struct scenarios *const kinds[] = {
    &entry_scenarios, &last_scenarios,   &slab_scenarios,   &reset_scenarios,
    &end_scenarios,   &thread_scenarios, &memory_scenarios, &check_scenarios,
};

static bool is_wanted(const char *name, int count, char **names)
{
    for (int i = 0; i < count; i++)
        if (strstr(name, names[i]))
            return true;
    return count == 0;
}

static unsigned long run(const struct scenario *scenario)
{
    scenario_name = scenario->name;
    struct exploration seen = explore(scenario);
    printf("%8lu schedules of up to %2u steps: %s\n", seen.schedules, seen.longest, scenario->name);
    HOLDS(!scenario->covered || scenario->covered());
    if (seen.diverged)
        printf("%8lu of them went another way under the same choices\n", seen.diverged);
    fflush(stdout);
    return seen.schedules;
}

/* One thread runs at a time: on one processor, none has to be woken on another, which takes twice as long. */
static void stay_on_this_processor(void)
{
    cpu_set_t processors;
    CPU_ZERO(&processors);
    CPU_SET((size_t)sched_getcpu(), &processors);
    sched_setaffinity(0, sizeof processors, &processors);
}

int main(int argc, char **argv)
{
    stay_on_this_processor();
    bool more = argc > 1 && !strcmp(argv[1], "--more");
    unsigned long schedules = 0;
    ks_sleep_set(KS_SLEEP_NEVER);
    size_t scenarios = 0;
    for (size_t kind = 0; kind < COUNT(kinds); kind++)
        for (size_t i = 0; i < kinds[kind]->count; i++) {
            struct scenario scenario = kinds[kind]->all[i];
            if (!is_wanted(scenario.name, argc - 1 - more, argv + 1 + more))
                continue;
            if (more && scenario.preemptions != UNBOUNDED)
                scenario.preemptions++;
            schedules += run(&scenario);
            scenarios++;
        }
    printf("%lu schedules in %zu scenarios\n", schedules, scenarios);
    return 0;
}
