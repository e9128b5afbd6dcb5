/*
 * SIGINT, SIGTERM and SIGHUP.
 *
 * A program that has nothing to say when it is interrupted dies of the signal, at once, wherever it is: nothing has to be cleaned up,
 * since files are put in their place whole (output.h), copies of inputs and configs that are tried have no name (input_path.h, search.c),
 * and child processes die with their parent (child.c). One that has a report catches the signals while it works, and ends soon, with
 * its report, after the first. A second one, half a second later or more, ends the program at once; so does a first one after the
 * work. Signals that were ignored when the program began stay ignored.
 */
#ifndef TOOLS_INTERRUPT_H
#define TOOLS_INTERRUPT_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Written by the handlers only. */
extern atomic_int interrupt_signal; /* the first that came; 0 for none */
extern atomic_int interrupt_ticks;  /* tenths of a second since then */

enum {
    INTERRUPT_LATE = 20,    /* ticks: who has not finished by now is not waited for */
    INTERRUPT_GIVE_UP = 80, /* the program ends without its report */
};

/*
 * The work begins. `stop` may be NULL; it is called in the handler of the first signal and ten times a second from then on, so that a
 * read or a wait that began just before the signal ends, too, with EINTR.
 */
void interrupt_catch(void (*stop)(void));

/* While something is printed in the middle of the work: writes are not cut short. */
void interrupt_restarts(bool restarts);

/* The work has ended, what follows is the report: writes are not cut short, and nothing is given up. */
void interrupt_report(void);

static inline bool interrupted(void)
{
    return atomic_load_explicit(&interrupt_signal, memory_order_relaxed);
}

static inline bool interrupt_is_late(void)
{
    return atomic_load_explicit(&interrupt_ticks, memory_order_relaxed) >= INTERRUPT_LATE;
}

/* 128 and the signal where one came, as a shell tells it; else `status`. */
int interrupt_status(int status);

/* Dies of the signal that came: there is nothing to report. */
_Noreturn void interrupt_die(void);

/* All signals are blocked in between: threads that begin there leave them to this one, and files are put in their place undisturbed. */
void interrupt_block(sigset_t *before);
void interrupt_unblock(const sigset_t *before);

#endif
