/* The expert's side of a process of its own: the host's lanes for one expert, with what it finds sent home. */
#include "process.h"

#include "command.h"
#include "input_path.h"
#include "origin.h"

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

void process_send_settings(const EXPERTCONFIG *config)
{
    message_begin(&sender.message, MESSAGE_SETTINGS);
    message_put(&sender.message, config, config->RawConfigLength);
    if (!message_send(&sender.message, sender.socket))
        host_fatal("sending a configuration", KS_NO_MEMORY);
}

/* Release: whoever sees the version even before and after (acquire, in take_status) has seen it whole. */
void process_tell_status(struct expert *expert)
{
    struct process_page *page = expert->process->page;
    uint32_t version = atomic_load_explicit(&page->status_version, memory_order_relaxed);
    atomic_store_explicit(&page->status_version, version | 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    page->status = expert->status;
    atomic_store_explicit(&page->status_version, (version | 1) + 1, memory_order_release);
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
    const struct expert *asked = process->expert;
    char *path = asked->path;
    unsigned lanes_count = asked->lanes_count;
    struct expert *expert = &host->experts[0];
    *expert = (struct expert){
        .host = host,
        .path = path,
        .lanes_count = lanes_count,
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .process = process,
        .is_apart = true,
    };
    snprintf(expert->name, sizeof expert->name, "%s", base_name(path));
    host->experts_count = 1;
    host->isolate = false;
    host->show = NULL;
    process->expert = expert;
    return expert;
}

/* What the expert has printed goes out. Without the streams' locks, which a thread may have that has failed. */
static _Noreturn void end(int status)
{
    fcloseall();
    _exit(status);
}

/* Where there is no configuration yet, there are no bytes. */
static void await_settings(struct expert *expert, const struct go *go)
{
    size_t size = go->settings_size;
    void *bytes = size ? malloc(size) : NULL;
    expert->settings = (struct settings){.path = go->settings, .bytes = bytes, .size = size};
    if (size && (!bytes || recv(sender.socket, bytes, size, MSG_WAITALL) != (ssize_t)size))
        _exit(EXIT_FAILED);
}

/* Waits until the run begins. */
static void await_go(struct host *host, struct expert *expert)
{
    static struct go go;
    if (recv(sender.socket, &go, sizeof go, MSG_WAITALL) != sizeof go)
        _exit(EXIT_FAILED);
    expert->fail_at = go.fail_at;
    host->sharers = go.sharers;
    if (*go.settings)
        await_settings(expert, &go);
    snprintf(expert->name, sizeof expert->name, "%s", go.name);
}

/* Release: the host believes the rest where it sees that it is told. */
static void tell_outcome(const struct expert *expert, struct outcome *outcome)
{
    outcome->failure = expert->failure;
    outcome->stats = expert->stats;
    outcome->stats_after = expert->stats_after;
    outcome->reset_us = expert->reset_us;
    outcome->unsaved = expert->host->unsaved;
    atomic_store_explicit(&outcome->told, TOLD_OUTCOME, memory_order_release);
}

void process_run(struct host *host, struct process *process, pid_t parent)
{
    struct process_page *page = process->page;
    sender.socket = process->socket;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent || !ring_protect(&host->ring) ||
        (host->origin && !origin_protect(host->origin)))
        _exit(EXIT_FAILED);
    leave_others(host, process);
    struct expert *expert = host_of_one(host, process);
    if (!expert_load(expert)) {
        atomic_store(&page->outcome.told, TOLD_REFUSED);
        end(EXIT_FAILED);
    }
    page->info = expert->info;
    say_ready();
    await_go(host, expert);
    host_start(host);
    experts_wait(host);
    expert_finish(expert);
    tell_outcome(expert, &page->outcome);
    if (!host_is_stuck(host))
        dlclose(expert->library);
    end(EXIT_DONE);
}
