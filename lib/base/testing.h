/*
 * What builds with -Dcheck=true add for test suites: faults, schedule points, simulated threads and NUMA nodes, and a census of
 * what destroyed keys have left. None of it is compiled otherwise.
 */
#ifndef LIB_TESTING_H
#define LIB_TESTING_H

#include "keyslab/keyslab.h"

/*
 * Faults. The calls to the outside in platform.c that may fail count down, and the one that reaches zero fails: the
 * `calls`-th from now, once; 0 for none.
 */
KS_API void ks_fault_after(long calls);

/* How many calls are left until one fails; 0 when it has failed, or none was to. */
KS_API long ks_fault_left(void);

/*
 * Schedule points. Between the steps of each protocol the library calls the hook, where one is set, with the name of the
 * step that has just been made, "protocol: step". The hook may keep the thread waiting; it may not call the library.
 */
typedef void ks_point_hook(const char *point);
KS_API void ks_point_set(ks_point_hook *hook);

/*
 * Simulated threads: the calling thread goes on as another one; the result is which it was. NULL is one that the
 * library has not seen yet. ks_thread_leave does what the end of a thread does, for the one that is being simulated.
 */
KS_API void *ks_thread_switch(void *thread);
KS_API void ks_thread_leave(void);

/* The calling thread is on this NUMA node, whatever the system says; KS_NODE_OF_SYSTEM: where it really is. */
#define KS_NODE_OF_SYSTEM (-1)
KS_API void ks_node_set(int node);

/* When a heap counts as one whose owner sleeps, for threads that look after the others' heaps. */
enum ks_sleep { KS_SLEEP_BY_CLOCK, KS_SLEEP_ALWAYS, KS_SLEEP_NEVER };
KS_API void ks_sleep_set(enum ks_sleep sleep);

/* Heaps of destroyed keys that nobody has reclaimed yet. No other thread may be inside a call. */
KS_API size_t ks_leaks(void);

#endif
