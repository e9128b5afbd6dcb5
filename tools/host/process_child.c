/* The expert's side of a process of its own: the host's lanes for one expert, with what it finds sent home. */
#include "process.h"

#include "command.h"
#include "input_path.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    int socket;
    pthread_mutex_t mutex;
    struct message message;
} sender = {.mutex = PTHREAD_MUTEX_INITIALIZER};

void process_send_event(const NMEVENTDATA *event)
{
    pthread_mutex_lock(&sender.mutex);
    message_begin(&sender.message, MESSAGE_EVENT);
    message_put_event(&sender.message, event);
    bool is_sent = message_send(&sender.message, sender.socket);
    pthread_mutex_unlock(&sender.mutex);
    if (!is_sent)
        host_fatal("sending an event", KS_NO_MEMORY);
}

static void say_ready(void)
{
    message_begin(&sender.message, MESSAGE_READY);
    if (!message_send(&sender.message, sender.socket))
        _exit(EXIT_FAILED);
}

/* Nothing of what other processes write stays in reach. */
static void leave_others(struct host *host, const struct process *process)
{
    for (size_t i = 0; i < host->experts_count; i++) {
        const struct process *other = host->experts[i].process;
        if (!other || other == process)
            continue;
        munmap(other->page, sizeof *other->page);
        if (other->id)
            close(other->socket);
    }
    if (host->leave_capture)
        host->leave_capture();
    int nothing = input_path_is_standard(host->source) ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
    if (nothing >= 0)
        dup2(nothing, STDIN_FILENO);
    if (nothing > 0)
        close(nothing);
}

/* The host of one expert, whose frames are in the ring. */
static struct expert *host_of_one(struct host *host, struct process *process)
{
    struct expert *expert = &host->experts[0];
    *expert = *process->expert;
    expert->is_apart = true;
    expert->failed = false;
    expert->failure = (struct failure){0};
    expert->events = NULL;
    expert->events_count = 0;
    host->experts_count = 1;
    host->isolate = false;
    return expert;
}

static _Noreturn void end(int status)
{
    fflush(NULL);
    _exit(status);
}

static _Noreturn void end_refused(struct outcome *outcome)
{
    outcome->is_refused = true;
    end(EXIT_FAILED);
}

/* Waits until the run begins. */
static void await_go(struct expert *expert)
{
    uint64_t fail_at;
    if (recv(sender.socket, &fail_at, sizeof fail_at, MSG_WAITALL) != sizeof fail_at)
        _exit(EXIT_FAILED);
    expert->fail_at = fail_at;
}

/* Release: the host believes the rest where it sees that it is told. */
static void tell_outcome(const struct expert *expert, struct outcome *outcome)
{
    outcome->ran_well = !expert->failed && !expert->broken;
    outcome->failure = expert->failure;
    outcome->stats = expert->stats;
    outcome->stats_after = expert->stats_after;
    outcome->reset_us = expert->reset_us;
    memcpy(outcome->problem, expert->problem, sizeof outcome->problem);
    atomic_store_explicit(&outcome->is_told, true, memory_order_release);
}

void process_run(struct host *host, struct process *process, pid_t parent)
{
    struct process_page *page = process->page;
    sender.socket = process->socket;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent || !ring_protect(&host->ring))
        _exit(EXIT_FAILED);
    leave_others(host, process);
    struct expert *expert = host_of_one(host, process);
    if (!expert_load(expert))
        end_refused(&page->outcome);
    page->info = expert->info;
    say_ready();
    await_go(expert);
    if (!expert_start(expert))
        end_refused(&page->outcome);
    expert_join(expert);
    expert_finish(expert);
    tell_outcome(expert, &page->outcome);
    dlclose(expert->library);
    end(EXIT_DONE);
}
