#include "interrupt.h"

#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MICROSECONDS = 100000, SIGNAL_STATUS = 128 };

#define SAME_SECONDS 0.5 /* timeout(1) sends its signal twice: to the program, and to its group */

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

enum { SIGNALS = sizeof signals / sizeof *signals };

atomic_int interrupt_signal;
atomic_int interrupt_ticks;

static void (*stop_work)(void);
static double first_at;
static bool caught[SIGNALS];

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void set_ticks(int microseconds)
{
    const struct timeval tick = {.tv_usec = microseconds};
    setitimer(ITIMER_REAL, &(struct itimerval){.it_interval = tick, .it_value = tick}, NULL);
}

static void on_signal(int number)
{
    int error = errno;
    int none = 0;
    if (atomic_compare_exchange_strong(&interrupt_signal, &none, number)) {
        first_at = seconds_now();
        if (stop_work)
            stop_work();
        set_ticks(TICK_MICROSECONDS);
    } else if (seconds_now() - first_at > SAME_SECONDS) {
        signal(number, SIG_DFL);
        raise(number);
    }
    errno = error;
}

static void on_tick(int number)
{
    static const char text[] = ": interrupted, and still waiting for the input or an expert: ends without a report\n";
    (void)number;
    int error = errno;
    if (atomic_fetch_add(&interrupt_ticks, 1) + 1 >= INTERRUPT_GIVE_UP) {
        const char *name = program_invocation_short_name;
        if (write(STDERR_FILENO, name, strlen(name)) > 0 && write(STDERR_FILENO, text, sizeof text - 1) > 0)
            errno = error;
        _exit(interrupt_status(EXIT_FAILED));
    }
    if (stop_work)
        stop_work();
    errno = error;
}

static struct sigaction action_for(void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaddset(&action.sa_mask, SIGALRM);
    for (int i = 0; i < SIGNALS; i++)
        sigaddset(&action.sa_mask, signals[i]);
    return action;
}

void interrupt_catch(void (*stop)(void))
{
    const struct sigaction tick = action_for(on_tick, 0);
    const struct sigaction action = action_for(on_signal, 0);
    stop_work = stop;
    sigaction(SIGALRM, &tick, NULL);
    for (int i = 0; i < SIGNALS; i++) {
        struct sigaction before;
        sigaction(signals[i], NULL, &before);
        caught[i] = before.sa_handler != SIG_IGN;
        if (caught[i])
            sigaction(signals[i], &action, NULL);
    }
}

void interrupt_restarts(bool restarts)
{
    const struct sigaction action = action_for(on_signal, restarts ? SA_RESTART : 0);
    for (int i = 0; i < SIGNALS; i++)
        if (caught[i])
            sigaction(signals[i], &action, NULL);
}

void interrupt_report(void)
{
    sigset_t before;
    interrupt_block(&before);
    const struct sigaction action = action_for(interrupted() ? on_signal : SIG_DFL, SA_RESTART);
    set_ticks(0);
    stop_work = NULL;
    for (int i = 0; i < SIGNALS; i++)
        if (caught[i])
            sigaction(signals[i], &action, NULL);
    interrupt_unblock(&before);
}

int interrupt_status(int status)
{
    return interrupted() ? SIGNAL_STATUS + atomic_load(&interrupt_signal) : status;
}

void interrupt_die(void)
{
    int number = atomic_load(&interrupt_signal);
    signal(number, SIG_DFL);
    raise(number);
    _exit(SIGNAL_STATUS + number);
}

void interrupt_block(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

void interrupt_unblock(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}
