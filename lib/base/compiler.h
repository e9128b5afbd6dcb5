/* What the compiler is told: with the library's allocator, and with its traces, which know nothing else of it. */
#ifndef LIB_COMPILER_H
#define LIB_COMPILER_H

#define FAST_PATH     static inline __attribute__((always_inline))
#define SLOW_PATH     __attribute__((noinline, cold))
#define likely(x)     __builtin_expect(!!(x), 1)
#define unlikely(x)   __builtin_expect(!!(x), 0)
#define assume(x)     ((x) ? (void)0 : __builtin_unreachable())
#define CACHE_LINE    64
#define CACHE_ALIGNED __attribute__((aligned(CACHE_LINE)))

/*
 * One load from the thread register instead of a call. The 8 bytes fit the room that the loader keeps for
 * libraries that are opened late.
 */
#define THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))

#endif
