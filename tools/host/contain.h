/*
 * Containment: an expert that fails takes neither the host nor other experts with it.
 *
 * A guest is a thread while an expert's code runs on it: a lane, the one that Register or Configure is called on, one that the
 * expert has begun itself. A guest that faults, or that is to be stopped, is unwound to where the host called the expert, by a jump out of
 * the signal's handler. Where a call was cut short whose work must not stay half done (one of keyslab, of the host, of malloc, of the
 * loader), it is parked: it sleeps for ever, with all signals blocked, and touches nothing again. Nothing that an expert holds is
 * released by either; its key is what is taken back. tests/models/guests.pml is a model of who sees what of whom.
 */
#ifndef HOST_CONTAIN_H
#define HOST_CONTAIN_H

#include "failure.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct expert;
struct lane;

enum guest_state {
    GUEST_OUTSIDE, /* runs the host's code only */
    GUEST_RUNNING, /* the expert has been called */
    GUEST_PARKED,
    GUEST_ENDED, /* what it still runs are destructors of the thread's data */
};

struct guest {
    struct expert *expert;
    struct lane *lane;  /* NULL for others */
    struct guest *next; /* of the expert's, under the lock of guests.c */
    struct guest *previous;
    pthread_t thread;
    uint32_t number; /* of the expert's threads, from 1 */
    bool is_begun;   /* by the expert itself */
    atomic_int state;
    /* A signal is on its way, or single steps are taken: until it is false again `rest` and `rested` are the handler's, then the sender's. */
    atomic_bool is_asked;
    unsigned rest;     /* turns of stopping that it is left alone for */
    unsigned rested;   /* the last number of them */
    atomic_int insist; /* enum insist: how it is stopped */
    atomic_int found;  /* enum whereabouts, when it was last asked */
    sigjmp_buf begin;  /* where the host called the expert */
    sigjmp_buf again;  /* where a fault handler goes on that faults itself */
    volatile sig_atomic_t handling;
    volatile sig_atomic_t steps; /* left to go one by one until it may be unwound; 0 where it goes on as ever */
    pid_t task;                  /* as the kernel numbers it */
    char *stack;                 /* its lowest byte */
    char *base;                  /* the page of the call: the expert's frames are below */
    void *alternate;             /* stack of handlers */
};

enum insist {
    INSIST_NOT,    /* it is only asked where it is */
    INSIST_UNWIND, /* where it may be unwound */
    INSIST_STEP,   /* out of a call that must not be cut short it goes by single steps until it may */
    INSIST_PARK,   /* and elsewhere it is parked where it may not */
};

enum whereabouts {
    FOUND_NOT_YET,
    FOUND_IN_EXPERT,
    FOUND_IN_HOST, /* or in keyslab: these are not the expert's fault, and end by themselves */
};

enum { WALK_MOST = 64 };

/* Calls of a thread, the innermost first, as a handler finds them: addresses, named when the expert has been stopped. */
struct calls {
    unsigned count;
    void *at[FAILURE_DEPTH];
};

/* What a fault's handler keeps. */
struct fault {
    int signal;
    int code; /* siginfo_t.si_code */
    uintptr_t address;
    unsigned long access; /* the processor's error code; 0 where it is not known */
    bool overflow;        /* of the stack */
    const char *exception;
};

/* Addresses that belong to one thing. */
struct span {
    uintptr_t start;
    uintptr_t end;
};

static inline bool span_has(const struct span *span, uintptr_t address)
{
    return address - span->start < span->end - span->start;
}

/* The guest that the calling thread is, or NULL. */
extern _Thread_local struct guest *host_guest;

/* Whether the calling thread is a guest, and not in a child that an expert has forked. */
bool guest_is_contained(void);

/* Handlers, and what they need to know of the program; once in a process, and again in the child of a fork. */
void contain_begin(void);

/* ------------------------------------------------------------------ guests.c */

/*
 * Calls the expert: false where it was unwound, or has failed before. The guest's expert, lane and number are set; it is the calling thread's from
 * here until guest_leave.
 */
bool guest_call(struct guest *guest, void (*function)(void *), void *argument);
void guest_leave(struct guest *guest);

/* Calls it on a thread of its own, and stops it after `seconds`, 0 for never. False where it failed, which the expert then has noted. */
bool guest_call_aside(struct expert *expert, void (*function)(void *), void *argument, double seconds);

/* Asks a guest where it is: its `found` says so soon. */
void guest_ask(struct guest *guest);

/* Another turn of stopping the expert's threads; how many are still to be stopped. Repeated each millisecond or so. */
unsigned guests_stop(struct expert *expert, enum insist insist);

/* Whether threads run that the expert has begun itself; whether any of them has not ended for good. */
bool guests_run(struct expert *expert);
bool guests_remain(struct expert *expert);

/* ------------------------------------------------------------------ for guests.c, contain.c and interpose.c */

/* Back to where the host called the expert. Not where guest_may_leave is false. */
_Noreturn void guest_unwind(struct guest *guest);

/* Sleeps for ever. */
_Noreturn void guest_park(struct guest *guest);

/* The signal that stops guests. */
int contain_signal(void);

/* Those that no guest may block: faults, and the one above. */
void contain_signals(sigset_t *set);

/* pthread_create and pthread_sigmask as they are without interpose.c. */
int real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);
int real_pthread_sigmask(int how, const sigset_t *set, sigset_t *before);

/* A thread of an expert begins another one. */
int guest_begin_thread(struct guest *parent, pthread_t *thread, const pthread_attr_t *attributes,
                       void *(*start)(void *), void *argument);

/* ------------------------------------------------------------------ walk.c */

/* What is known of a stack, from a certain address on. */
struct walk {
    struct calls calls;
    bool found;   /* a call of the expert's own code */
    bool in_host; /* before that, one of the host or of keyslab */
    bool in_lock; /* one of malloc or the loader, whose locks the thread may hold */
    bool in_loader;
};

/* Notes the addresses of the program, the library, the loader and malloc. */
void walk_begin(void);

/* The addresses of the shared object that has this function or object. */
struct span walk_span(const void *address);

/* Takes one call into account, and the calling thread's stack from `at` outwards. For handlers. */
void walk_call(const struct span *module, uintptr_t address, struct walk *walk);
void walk_stack(const struct span *module, uintptr_t at, struct walk *walk);

#endif
