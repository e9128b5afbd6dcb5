/*
 * Functions of the C library that the program defines itself: experts, which are bound to the program's names first, get these. On
 * threads that are no expert's they do what they always do.
 */
#include "contain.h"
#include "host.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INTERPOSED __attribute__((visibility("default")))

/* The next definition of a name, which is the C library's, or that of what stands before it. */
#define REAL(name)                                                                                                     \
    static __typeof__(name) *real;                                                                                     \
    if (!real)                                                                                                         \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

/* ------------------------------------------------------------------ threads */

int real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    REAL(pthread_create);
    return real(thread, attributes, start, argument);
}

INTERPOSED int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes,
                              void *(*start)(void *), void *restrict argument)
{
    if (guest_is_contained())
        return guest_begin_thread(host_guest, thread, attributes, start, argument);
    return real_pthread_create(thread, attributes, start, argument);
}

int real_pthread_sigmask(int how, const sigset_t *set, sigset_t *before)
{
    REAL(pthread_sigmask);
    return real(how, set, before);
}

/* An expert that blocks all signals is stopped all the same. */
INTERPOSED int pthread_sigmask(int how, const sigset_t *restrict set, sigset_t *restrict before)
{
    sigset_t kept;
    sigset_t ours;
    if (!guest_is_contained() || !set || how == SIG_UNBLOCK)
        return real_pthread_sigmask(how, set, before);
    kept = *set;
    contain_signals(&ours);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (sigismember(&ours, number) == 1)
            sigdelset(&kept, number);
    return real_pthread_sigmask(how, &kept, before);
}

INTERPOSED int sigprocmask(int how, const sigset_t *restrict set, sigset_t *restrict before)
{
    int error = pthread_sigmask(how, set, before);
    if (error)
        errno = error;
    return error ? -1 : 0;
}

/* ------------------------------------------------------------------ ends */

/* An expert that ends the program, or a thread that is the host's, has failed. */
static void guest_exit(const char *name, int status)
{
    struct guest *guest = host_guest;
    struct expert *expert = guest->expert;
    if (failure_claim(expert, guest)) {
        struct walk walk = {0};
        walk_stack(&expert->module, (uintptr_t)__builtin_return_address(0), &walk);
        expert->calls = walk.calls;
        expert->failure.detail = status;
        snprintf(expert->failure.text, sizeof expert->failure.text, "called %s(%d)", name, status);
        failure_settle(expert, FAILURE_EXIT);
    }
    watchdog_wake();
    if (atomic_load(&guest->state) != GUEST_RUNNING)
        guest_park(guest);
    guest_unwind(guest);
}

INTERPOSED void exit(int status)
{
    if (guest_is_contained())
        guest_exit("exit", status);
    REAL(exit);
    real(status);
    __builtin_unreachable();
}

INTERPOSED void _exit(int status)
{
    if (guest_is_contained())
        guest_exit("_exit", status);
    REAL(_exit);
    real(status);
    __builtin_unreachable();
}

INTERPOSED void _Exit(int status)
{
    _exit(status);
}

INTERPOSED void quick_exit(int status)
{
    if (guest_is_contained())
        guest_exit("quick_exit", status);
    REAL(quick_exit);
    real(status);
    __builtin_unreachable();
}

/* A thread that the expert has begun may end so, and one that the host has may not. */
INTERPOSED void pthread_exit(void *result)
{
    if (guest_is_contained() && !host_guest->is_begun)
        guest_exit("pthread_exit", 0);
    REAL(pthread_exit);
    real(result);
    __builtin_unreachable();
}
