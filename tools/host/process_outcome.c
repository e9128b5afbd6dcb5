/* How an expert's process has ended: by what it has said itself, else by what the host and the kernel know. */
#include "process.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

void process_find_place(const struct process *process, struct failure *failure)
{
    unsigned found = 0;
    for (unsigned t = 0; t < process->reader.count; t++) {
        const struct ring_place *place = &process->page->places[t];
        if (atomic_load(&place->state) != PLACE_HOLDING)
            continue;
        uint32_t label = atomic_load(&place->label);
        failure->thread = found++ ? 0 : t + 1;
        if (label > failure->frame && label <= host_numbered(process->expert->host))
            failure->frame = label;
    }
}

static bool is_fault(int signal)
{
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL || signal == SIGABRT ||
           signal == SIGTRAP || signal == SIGSYS;
}

/* By what waitpid(2) says of a process that has not said it itself. */
static struct failure failure_by_status(const struct process *process, int status)
{
    struct failure failure = {0};
    process_find_place(process, &failure);
    if (WIFEXITED(status)) {
        failure.kind = FAILURE_EXIT;
        failure.detail = WEXITSTATUS(status);
        snprintf(failure.text, sizeof failure.text, "its process ended with status %d", failure.detail);
    } else if (is_fault(WTERMSIG(status))) {
        failure.kind = FAILURE_SIGNAL;
        failure.detail = WTERMSIG(status);
        snprintf(failure.text, sizeof failure.text, "SIG%s, of which its process died", sigabbrev_np(failure.detail));
    } else {
        failure.kind = FAILURE_DIED;
        failure.detail = status;
        const char *name = sigabbrev_np(WTERMSIG(status));
        snprintf(failure.text, sizeof failure.text, "its process was killed: SIG%s", name ? name : "?");
    }
    return failure;
}

/* What the page says, made safe to be printed. */
static struct failure failure_told(const struct outcome *outcome)
{
    struct failure failure = outcome->failure;
    failure.text[FAILURE_TEXT - 1] = '\0';
    if (failure.depth > FAILURE_DEPTH)
        failure.depth = FAILURE_DEPTH;
    for (uint32_t i = 0; i < failure.depth; i++)
        failure.backtrace[i][FAILURE_CALL - 1] = '\0';
    if (failure.kind > FAILURE_DIED)
        failure.kind = FAILURE_DIED;
    return failure;
}

static void take_stats(struct expert *expert, const struct outcome *outcome, bool is_told)
{
    expert->is_gone = !is_told;
    expert->stats = (struct ks_key_stats){0};
    expert->stats_after = (struct ks_key_stats){0};
    if (is_told) {
        expert->stats = outcome->stats;
        expert->stats_after = outcome->stats_after;
        expert->reset_us = outcome->reset_us;
        expert->host->unsaved |= outcome->unsaved;
    }
    snprintf(expert->stats.name, sizeof expert->stats.name, "%s", expert->name);
    if (expert->stats.class_count > KS_CLASSES_MAX)
        expert->stats.class_count = 0;
}

struct failure process_outcome(struct process *process, int status)
{
    struct expert *expert = process->expert;
    const struct outcome *outcome = &process->page->outcome;
    bool is_told = atomic_load(&outcome->told) == TOLD_OUTCOME;
    take_stats(expert, outcome, is_told);
    if (is_told)
        return failure_told(outcome);
    return process->cause.kind != FAILURE_NONE ? process->cause : failure_by_status(process, status);
}
