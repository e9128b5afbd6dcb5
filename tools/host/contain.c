#include "contain.h"

#include "host.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

enum { FAULTS = sizeof faults / sizeof *faults };

/* Beyond a stack's end: as far as one call may reach in one step. */
#define OVERFLOW_REACH ((uintptr_t)1 << 20)
#define OVERFLOW_NEAR  ((uintptr_t)8 << 10)

/* More than most calls take. One that takes longer goes on at its own speed for a while, twice as long each time. */
enum { STEPS_MOST = 1000, REST_MOST = 64 };

_Thread_local struct guest *host_guest;

static pid_t process;

int contain_signal(void)
{
    return SIGRTMIN + 7;
}

void contain_signals(sigset_t *set)
{
    sigemptyset(set);
    for (int i = 0; i < FAULTS; i++)
        sigaddset(set, faults[i]);
    sigaddset(set, contain_signal());
}

/* ------------------------------------------------------------------ what was interrupted */

static uintptr_t context_at(const void *context)
{
#if defined(__x86_64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.pc;
#endif
}

static uintptr_t context_stack(const void *context)
{
#if defined(__x86_64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.sp;
#endif
}

/* The caller of what is no code: a call of a bad pointer leaves the place to return to, and nothing else to go by. */
static uintptr_t context_caller(const void *context)
{
#if defined(__x86_64__)
    return *(const uintptr_t *)context_stack(context) - 1;
#elif defined(__aarch64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.regs[30] - 1;
#endif
}

static unsigned long context_access(const void *context)
{
#if defined(__x86_64__)
    enum { PAGE_FAULT = 14 };
    const greg_t *registers = ((const ucontext_t *)context)->uc_mcontext.gregs;
    return registers[REG_TRAPNO] == PAGE_FAULT ? (unsigned long)registers[REG_ERR] : 0;
#else
    (void)context;
    return 0;
#endif
}

/* A walk over a stack that is broken may fault itself: then what was found up to there is what is known. */
static void walk_guest(struct guest *guest, const void *context, bool fetched, struct walk *walk)
{
    guest->handling = true;
    if (!sigsetjmp(guest->again, 0)) {
        if (!fetched) {
            walk_stack(&guest->expert->module, context_at(context), walk);
        } else {
            walk_call(&guest->expert->module, context_at(context), walk);
            walk_call(&guest->expert->module, context_caller(context), walk);
        }
    }
    guest->handling = false;
}

/* ------------------------------------------------------------------ leaving */

void guest_unwind(struct guest *guest)
{
    siglongjmp(guest->begin, 1);
}

/* The frames below the call are nobody's any more; but for those of a call of keyslab, which others may look at. */
static void drop_stack(const struct guest *guest)
{
    char here;
    bool is_in_it = (uintptr_t)&here - (uintptr_t)guest->stack < (uintptr_t)(guest->base - guest->stack);
    if (!is_in_it && guest->base > guest->stack && !ks_thread_is_inside())
        madvise(guest->stack, (size_t)(guest->base - guest->stack), MADV_DONTNEED);
}

void guest_park(struct guest *guest)
{
    sigset_t all;
    sigfillset(&all);
    real_pthread_sigmask(SIG_SETMASK, &all, NULL);
    drop_stack(guest);
    atomic_store(&guest->state, GUEST_PARKED);
    watchdog_wake();
    for (;;)
        syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
}

/* ------------------------------------------------------------------ faults */

bool guest_is_contained(void)
{
    return host_guest && getpid() == process;
}

/* Not one that another process has sent, which means the whole program. */
static bool is_contained(const siginfo_t *info)
{
    return guest_is_contained() && (info->si_code > 0 || info->si_pid == process);
}

/* As if there were no handler: a fault comes again at once. */
static void fault_of_program(int number, const siginfo_t *info)
{
    signal(number, SIG_DFL);
    if (info->si_code <= 0)
        raise(number);
}

static bool is_overflow(const struct guest *guest, int number, uintptr_t address, const void *context)
{
    uintptr_t end = (uintptr_t)guest->stack;
    return number == SIGSEGV && address - (end - OVERFLOW_REACH) < OVERFLOW_REACH + OVERFLOW_NEAR &&
           context_stack(context) - (end - OVERFLOW_REACH) < OVERFLOW_REACH + OVERFLOW_NEAR;
}

/* The type of an exception that nobody has caught: its name is the second word of what describes it. */
static const char *exception_of(const struct guest *guest, int number)
{
    if (number != SIGABRT || !guest->expert->exception_type)
        return NULL;
    const char *const *type = guest->expert->exception_type();
    return type ? type[1] : NULL;
}

static void fault_note(struct guest *guest, int number, const siginfo_t *info, const void *context,
                       const struct walk *walk)
{
    struct expert *expert = guest->expert;
    if (!failure_claim(expert, guest))
        return;
    uintptr_t address = info->si_code > 0 ? (uintptr_t)info->si_addr : 0;
    expert->fault = (struct fault){
        .signal = number,
        .code = info->si_code,
        .address = address,
        .access = info->si_code > 0 ? context_access(context) : 0,
        .overflow = info->si_code > 0 && is_overflow(guest, number, address, context),
        .exception = exception_of(guest, number),
    };
    expert->calls = walk->calls;
    expert->failure.detail = number;
    failure_settle(expert, expert->fault.exception ? FAILURE_EXCEPTION : FAILURE_SIGNAL);
}

/* ------------------------------------------------------------------ single steps
 *
 * A guest that spends its time in calls of keyslab, the host, malloc or the loader is hardly ever found outside of them: it goes on
 * step by step until the call has returned.
 */
static void guest_step(struct guest *guest, void *context, int steps)
{
#if defined(__x86_64__)
    enum { TRAP_FLAG = 0x100 };
    greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];
    *flags = steps ? *flags | TRAP_FLAG : *flags & ~(greg_t)TRAP_FLAG;
    guest->steps = steps;
#else
    (void)guest, (void)context, (void)steps;
#endif
}

/* Whether the fault is the step that was asked for; does not return where the guest may be unwound. */
static bool is_step(struct guest *guest, int number, const siginfo_t *info, void *context)
{
    struct walk walk = {0};
    if (number != SIGTRAP || info->si_code != TRAP_TRACE || !guest->steps)
        return false;
    bool is_over = !--guest->steps || atomic_load(&guest->state) != GUEST_RUNNING;
    if (!is_over && (!span_has(&guest->expert->module, context_at(context)) || ks_thread_is_inside()))
        return true;
    guest_step(guest, context, 0);
    walk_guest(guest, context, false, &walk);
    if (!is_over && !walk.in_lock)
        guest_unwind(guest);
    guest->rest = guest->rested = guest->rested < REST_MOST ? 2 * guest->rested + 1 : REST_MOST;
    atomic_store(&guest->is_asked, false);
    return true;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    struct guest *guest = host_guest;
    if (!is_contained(info)) {
        fault_of_program(number, info);
        return;
    }
    if (is_step(guest, number, info, context))
        return;
    guest_step(guest, context, 0);
    if (guest->handling)
        siglongjmp(guest->again, 1);
    struct walk walk = {0};
    bool fetched = info->si_code > 0 && (uintptr_t)info->si_addr == context_at(context) && number == SIGSEGV;
    walk_guest(guest, context, fetched, &walk);
    fault_note(guest, number, info, context, &walk);
    watchdog_wake();
    if (atomic_load(&guest->state) != GUEST_RUNNING || ks_thread_is_inside() || walk.in_host || walk.in_lock) {
        guest->expert->holds_loader |= walk.in_loader;
        guest_park(guest);
    }
    guest_unwind(guest);
}

/* ------------------------------------------------------------------ stopping */

/* Where a time limit has found it: those calls are the report's. */
static void note_calls(const struct guest *guest, const struct walk *walk)
{
    struct expert *expert = guest->expert;
    if (expert->blamed == guest && !expert->calls.count)
        expert->calls = walk->calls;
}

/*
 * A guest inside of keyslab or the host may have locks there, which everybody needs: it is never parked, and goes on until it is
 * out. So does one inside of malloc or the loader, but for one that does not come out.
 */
static void stop_guest(struct guest *guest, const struct walk *walk, bool is_inside, void *context)
{
    int insist = atomic_load(&guest->insist);
    note_calls(guest, walk);
    if (walk->found && !is_inside && !walk->in_lock)
        guest_unwind(guest);
    if ((is_inside || walk->in_lock) && insist >= INSIST_STEP && !guest->steps)
        guest_step(guest, context, STEPS_MOST);
    if (is_inside || insist < INSIST_PARK)
        return;
    guest->expert->holds_loader |= walk->in_loader;
    guest_park(guest);
}

/* As long as it returns, the signal is sent again: one at a time, between which the guest goes on. Any system call that the guest waits in ends with EINTR. */
static void on_stop(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    int error = errno;
    struct guest *guest = host_guest;
    if (!guest_is_contained() || atomic_load(&guest->state) != GUEST_RUNNING)
        return;
    struct walk walk = {0};
    walk_guest(guest, context, false, &walk);
    bool is_inside = ks_thread_is_inside() || walk.in_host;
    atomic_store(&guest->found, is_inside ? FOUND_IN_HOST : FOUND_IN_EXPERT);
    if (atomic_load(&guest->expert->failed))
        stop_guest(guest, &walk, is_inside, context);
    if (!guest->steps)
        atomic_store(&guest->is_asked, false);
    errno = error;
}

/* ------------------------------------------------------------------ */

void contain_begin(void)
{
    if (process == getpid())
        return;
    process = getpid();
    walk_begin();
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    /* A fault inside the handler comes back to it. */
    for (int i = 0; i < FAULTS; i++)
        sigdelset(&action.sa_mask, faults[i]);
    action.sa_flags |= SA_NODEFER;
    for (int i = 0; i < FAULTS; i++)
        sigaction(faults[i], &action, NULL);
    struct sigaction stop = action;
    stop.sa_sigaction = on_stop;
    sigaddset(&stop.sa_mask, contain_signal());
    stop.sa_flags &= ~SA_NODEFER;
    sigaction(contain_signal(), &stop, NULL);
}
