/* The command line: ours first, Google Benchmark's are left for it. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "plan.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace bench
{

/* What follows NAME= in an argument, NULL where it is another option. */
inline const char *option_value(const char *argument, const char *name)
{
    size_t length = strlen(name);
    return !strncmp(argument, name, length) && argument[length] == '=' ? argument + length + 1 : nullptr;
}

/* Takes its own arguments out of `arguments`, and sets how long Google Benchmark repeats a row. */
inline Plan plan_from(std::vector<char *> &arguments, std::string &min_time)
{
    Plan plan;
    std::vector<char *> others{arguments.front()};
    for (size_t i = 1; i < arguments.size(); i++) {
        if (!strcmp(arguments[i], "--quick"))
            plan.quick = true;
        else if (const char *seconds = option_value(arguments[i], "--seconds"))
            plan.seconds = atof(seconds);
        else if (const char *sizes = option_value(arguments[i], "--sizes"))
            plan.sizes = sizes;
        else if (const char *capture = option_value(arguments[i], "--capture"))
            plan.capture = capture;
        else if (const char *file = option_value(arguments[i], "--print-sizes"))
            plan.print_sizes = file;
        else
            others.push_back(arguments[i]);
    }
    if (plan.seconds <= 0) {
        fprintf(stderr, "bench: --seconds: a number above 0 is expected\n");
        exit(2);
    }
    min_time = "--benchmark_min_time=" + std::to_string(plan.seconds);
    others.push_back(min_time.data());
    arguments = others;
    return plan;
}

} // namespace bench

#endif
