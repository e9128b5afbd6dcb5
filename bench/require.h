/* A bench that did not do its work has no result: it ends the program and says why. */
#ifndef BENCH_REQUIRE_H
#define BENCH_REQUIRE_H

#include <cstdio>
#include <cstdlib>

namespace bench
{

[[noreturn, gnu::cold, gnu::noinline]] inline void fail(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    abort();
}

inline void require(bool holds, const char *what)
{
    if (!holds) [[unlikely]]
        fail(what);
}

} // namespace bench

#endif
