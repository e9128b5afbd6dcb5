/* Failures: who fails first, and what the report says of it. */
#include "host.h"

#include "command.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *failure_name(enum failure_kind kind)
{
    static const char *const names[] = {
        [FAILURE_NONE] = "none",           [FAILURE_PRETENDED] = "pretended", [FAILURE_GAVE_UP] = "gave_up",
        [FAILURE_REFUSED] = "refused",     [FAILURE_SIGNAL] = "signal",       [FAILURE_EXIT] = "exit",
        [FAILURE_EXCEPTION] = "exception", [FAILURE_TIME] = "time",           [FAILURE_IGNORED] = "ignored",
        [FAILURE_QUOTA] = "quota",         [FAILURE_MISUSE] = "misuse",       [FAILURE_LEFT] = "left",
        [FAILURE_DIED] = "died",
    };
    size_t index = (size_t)kind;
    return index < sizeof names / sizeof *names ? names[index] : "unknown";
}

/* ------------------------------------------------------------------ failing */

/* In handlers, too. */
bool failure_claim(struct expert *expert, const struct guest *guest)
{
    if (atomic_exchange(&expert->claimed, true))
        return false;
    bool is_its = guest && guest->expert == expert;
    expert->blamed = is_its ? guest : NULL;
    expert->failure.thread = is_its ? guest->number : 0;
    expert->failure.frame = is_its && guest->lane ? atomic_load(&guest->lane->at) : 0;
    return true;
}

void failure_settle(struct expert *expert, enum failure_kind kind)
{
    expert->failure.kind = kind;
    atomic_store(&expert->failed, true);
}

void expert_fail(struct expert *expert, const struct guest *guest, enum failure_kind kind, int detail,
                 const char *format, ...)
{
    va_list arguments;
    if (!failure_claim(expert, guest))
        return;
    va_start(arguments, format);
    vsnprintf(expert->failure.text, sizeof expert->failure.text, format, arguments);
    va_end(arguments);
    expert->failure.detail = detail;
    failure_settle(expert, kind);
    if (expert->key)
        ks_key_terminate(expert->key);
    watchdog_wake();
}

/* ------------------------------------------------------------------ what happened */

static const char *access_text(const struct fault *fault)
{
    enum { WRITE = 2, FETCH = 16 }; /* of a page fault's error code, x86-64 */
    if (fault->access & FETCH)
        return "jumped to";
    if (fault->access & WRITE)
        return "wrote to";
    return fault->access ? "read from" : "touched";
}

static const char *code_text(const struct fault *fault)
{
    switch (fault->signal) {
    case SIGFPE:
        return fault->code == FPE_INTDIV ? "divided by zero" : "arithmetic error";
    case SIGILL:
        return "no instruction";
    case SIGTRAP:
        return "trap";
    case SIGSYS:
        return "system call that is not allowed";
    default:
        return "fault";
    }
}

static void fault_text(const struct fault *fault, char *text, size_t size)
{
    char name[32];
    const char *abbreviation = sigabbrev_np(fault->signal);
    snprintf(name, sizeof name, "SIG%s", abbreviation ? abbreviation : "?");
    if (fault->signal == SIGABRT)
        snprintf(text, size, "%s: called abort", name);
    else if (fault->code <= 0)
        snprintf(text, size, "%s: raised by itself", name);
    else if (fault->overflow)
        snprintf(text, size, "%s: stack overflow", name);
    else if (fault->signal == SIGSEGV && fault->code == SI_KERNEL)
        snprintf(text, size, "%s: touched an address that no memory can have", name);
    else if (fault->signal == SIGSEGV || fault->signal == SIGBUS)
        snprintf(text, size, "%s: %s %#lx", name, access_text(fault), (unsigned long)fault->address);
    else
        snprintf(text, size, "%s: %s at %#lx", name, code_text(fault), (unsigned long)fault->address);
}

/* The C++ library's own function, where the expert has brought it. */
static void exception_text(const struct expert *expert, char *text, size_t size)
{
    char *(*demangle)(const char *, char *, size_t *, int *);
    int status;
    const char *mangled = expert->fault.exception;
    *(void **)&demangle = dlsym(expert->library, "__cxa_demangle");
    char *plain = demangle ? demangle(mangled, NULL, NULL, &status) : NULL;
    snprintf(text, size, "an exception was not caught: %s", plain ? plain : mangled);
    free(plain);
}

/* ------------------------------------------------------------------ where */

static void call_text(const struct expert *expert, void *address, char *text, size_t size)
{
    Dl_info info;
    /* dladdr takes the loader's lock. */
    if (expert->holds_loader || !dladdr(address, &info) || !info.dli_fname) {
        snprintf(text, size, "%p", address);
        return;
    }
    const char *file = base_name(info.dli_fname);
    if (info.dli_sname)
        snprintf(text, size, "%.60s+%#zx (%.40s)", info.dli_sname, (size_t)((char *)address - (char *)info.dli_saddr),
                 file);
    else
        snprintf(text, size, "%.60s+%#zx", file, (size_t)((char *)address - (char *)info.dli_fbase));
}

void failure_describe(struct expert *expert)
{
    struct failure *failure = &expert->failure;
    if (failure->kind == FAILURE_EXCEPTION)
        exception_text(expert, failure->text, sizeof failure->text);
    else if (failure->kind == FAILURE_SIGNAL)
        fault_text(&expert->fault, failure->text, sizeof failure->text);
    failure->depth = expert->calls.count;
    for (unsigned i = 0; i < expert->calls.count; i++)
        call_text(expert, expert->calls.at[i], failure->backtrace[i], sizeof failure->backtrace[i]);
}
