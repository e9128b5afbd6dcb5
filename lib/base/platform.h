/*
 * Everything that comes from outside the library: atomics, Concurrency Kit, thread-local storage, and the
 * system. No other file names them, but for platform.c, which is this header's code, jemalloc.c, extents.c, compiler.h, which lib/trace
 * has without the rest, and those that read the config file or write traces; so that ThreadSanitizer can be given C11 atomics
 * instead of ck's inline assembly, which it cannot see, and so that tests can make each call to the outside fail.
 */
#ifndef LIB_PLATFORM_H
#define LIB_PLATFORM_H

#include "base/compiler.h"

#include <assert.h>
#include <ck_pr.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ------------------------------------------------------------------ machine */

/* Fetches a line that the caller is about to write to; any address is harmless. */
#define prefetch_for_write(address) ck_pr_rfo(address)

static_assert(sizeof(void *) == 8, "keyslab packs pointers, handles and states into 64-bit words");
static_assert(sizeof(size_t) == 8, "keyslab packs pointers, handles and states into 64-bit words");

/* ------------------------------------------------------------------ test builds */

#if defined(KS_CHECK) && KS_CHECK

/* One call to the outside: counts down, and is to fail when the count reaches zero. See testing.h. */
bool fault_is_due(void);
void point_reached(const char *name);

/* The NUMA node that a test wants the thread to be on. */
bool node_is_set(unsigned *node);

#define FAULT()            unlikely(fault_is_due())
#define POINT(name)        point_reached(name)
#define CHECKED(statement) statement

#else

#define FAULT()            false
#define CHECKED(statement) ((void)0)
#define POINT(name)                                                                                                    \
    do {                                                                                                               \
    } while (0)

#endif

/* ------------------------------------------------------------------ atomics */

#define load_relaxed(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define load_ordered(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define store_ordered(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define fetch_add(p, v)     __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define fetch_sub(p, v)     __atomic_fetch_sub((p), (v), __ATOMIC_SEQ_CST)
#define swap(p, v)          __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define cas(p, expected, new)                                                                                          \
    __atomic_compare_exchange_n((p), (expected), (new), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

/*
 * A counter that one thread writes and any thread reads: no locked instruction. Its writer reads it plainly,
 * here as elsewhere: nobody else could change it, and the compiler may use it from memory.
 */
#define owner_add(p, v) store_relaxed((p), *(p) + (v))

/*
 * The same by one, and a comparison, as one instruction each, which the compiler would not make of them. A count down tells when
 * it has come to 0.
 */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)

FAST_PATH bool equals_relaxed(const uint64_t *p, uint64_t value)
{
    bool equal;
    __asm__("cmpq %1, %2" : "=@cce"(equal) : "m"(*p), "r"(value));
    return equal;
}

FAST_PATH bool is_below_relaxed(const uint64_t *limit, uint64_t value)
{
    bool below;
    __asm__("cmpq %1, %2" : "=@ccb"(below) : "m"(*limit), "r"(value));
    return below;
}

/* Of a word that is not 0; the compiler would extend the result once more. */
FAST_PATH size_t lowest_bit(uint32_t word)
{
    size_t bit;
    __asm__("rep bsfl %1, %k0" : "=r"(bit) : "r"(word) : "cc");
    return bit;
}

FAST_PATH void owner_increment(uint64_t *count)
{
    __asm__("incq %0" : "+m"(*count) : : "cc");
}

FAST_PATH bool owner_decrement(uint64_t *count)
{
    bool zero;
    __asm__("decq %0" : "+m"(*count), "=@ccz"(zero));
    return zero;
}

#else

static inline bool equals_relaxed(const uint64_t *p, uint64_t value)
{
    return load_relaxed(p) == value;
}

static inline bool is_below_relaxed(const uint64_t *limit, uint64_t value)
{
    return value < load_relaxed(limit);
}

static inline size_t lowest_bit(uint32_t word)
{
    return (size_t)__builtin_ctz(word);
}

static inline void owner_increment(uint64_t *count)
{
    store_relaxed(count, *count + 1);
}

static inline bool owner_decrement(uint64_t *count)
{
    store_relaxed(count, *count - 1);
    return !*count;
}

#endif

/* Keeps the compiler, and only the compiler, from moving memory operations across. */
#define fence_compiler() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* ------------------------------------------------------------------ the return queue's stack */

#if defined(__SANITIZE_THREAD__)

typedef struct platform_entry {
    struct platform_entry *next;
} platform_entry;

typedef struct platform_stack {
    struct platform_entry *head;
} platform_stack;

/* The same algorithm as ck_stack_push_upmc and ck_stack_batch_pop_upmc, in atomics that the sanitizer can
 * see. */
static inline void stack_push(platform_stack *stack, platform_entry *entry)
{
    platform_entry *head = load_relaxed(&stack->head);
    do
        entry->next = head;
    while (!cas(&stack->head, &head, entry));
}

static inline platform_entry *stack_take_all(platform_stack *stack)
{
    return swap(&stack->head, NULL);
}

#else

#include <ck_stack.h>

typedef ck_stack_entry_t platform_entry;
typedef ck_stack_t platform_stack;

/*
 * Many pushers, one taker of everything: the only pair of ck_stack operations that is used on a stack,
 * because batch_pop_mpmc of 0.7.1 is unsafe against ABA and must not be mixed in. ck's push has a store fence
 * only: the release fence also orders the pusher's earlier loads on weakly ordered machines, and is free on
 * x86.
 */
static inline void stack_push(platform_stack *stack, platform_entry *entry)
{
    ck_pr_fence_release();
    ck_stack_push_upmc(stack, entry);
}

static inline platform_entry *stack_take_all(platform_stack *stack)
{
    platform_entry *entries = ck_stack_batch_pop_upmc(stack);
    ck_pr_fence_acquire();
    return entries;
}

#endif

static inline bool stack_is_empty(const platform_stack *stack)
{
    return load_relaxed(&stack->head) == NULL;
}

/* ------------------------------------------------------------------ threads */

/* `at_exit(value)` runs when a thread that called platform_at_exit(value) ends. */
bool platform_exit_hook(void (*at_exit)(void *));
bool platform_at_exit(void *value);

/* `child` runs in the child of each fork, in its only thread. */
bool platform_fork_hook(void (*child)(void));

/* Runs `start` once in the process, and lets callers go on only when it has run. */
enum platform_once { ONCE_LIBRARY, ONCE_CONFIG, ONCE_TRACE, ONCES };
void platform_once(enum platform_once which, void (*start)(void));

/* Lets another thread run, where one waits for the processor. */
void platform_yield(void);

/* The same for any thread, also one of lower priority. */
void platform_pause(void);

/* A line to standard error: one write, which allocates nothing. */
void platform_log(const char *line, size_t length);

/* ------------------------------------------------------------------ the system's memory
 *
 * What the system answers is in each call's result; the program's errno stays as it was.
 */

#define PAGE ((size_t)4096)

/*
 * Chooses a window: addresses of which none is mapped, and where the system will map nothing of its own accord. It maps none of
 * them, so that no limit counts them. NULL where there is no room for so many.
 *
 * The kernel places mappings side by side, downwards from the top of a gap or, in the legacy layout, upwards from its bottom. The window is
 * the middle of a gap of terabytes that the kernel has chosen, so that it is far from both ends, misses whatever has a fixed place (a
 * sanitizer's shadow memory, a language's heap), and is as random as any mapping.
 */
void *platform_window(size_t bytes);

/*
 * Maps zeroed pages, readable and writable, at this address, where nothing is mapped: MAPPED_TAKEN where something is. They do not
 * count as memory before they are touched, but where vm.overcommit_memory is 2.
 */
enum platform_mapped { MAPPED, MAPPED_TAKEN, MAPPED_REFUSED };
enum platform_mapped platform_map_at(void *start, size_t bytes);

/* Takes the access to such pages away and gives it back; their contents stay. False where the system refuses. */
bool platform_protect(void *start, size_t bytes);
bool platform_unprotect(void *start, size_t bytes);

/* Maps zeroed pages; NULL where the system refuses. */
void *platform_map(size_t bytes);

/* Unmaps what platform_map or platform_map_at has mapped, where no other thread looks at it. False where the system refuses. */
bool platform_unmap(void *start, size_t bytes);

/* Drops the contents of pages that can be written to. They read as zero afterwards. False where the system refuses. */
bool platform_discard(void *start, size_t bytes);

/*
 * Has memory backed by huge pages from their first touch on, wherever it covers whole ones. A system that has none backs it as
 * ever.
 */
#define HUGE_PAGE ((size_t)2 << 20)
void platform_advise_huge(void *start, size_t bytes);

/*
 * Every thread of the process passes a full fence: membarrier(2), private and expedited. False where the
 * system refuses; the caller must then leave the work to the threads themselves.
 */
bool platform_barrier_everywhere(void);

unsigned platform_processors(void);

/* A random word; 0 where the system has none at once. */
uint64_t platform_random(void);

/* Of a clock that never steps back, and is read without a system call. */
int64_t platform_milliseconds(void);

/* The number of the process: less than 2^22, and another one in the child of a fork. */
uint32_t platform_process(void);

/* The NUMA node that the calling thread runs on at this moment: getcpu(2), without a system call. 0 where the system does not say. */
unsigned platform_node(void);

#endif
