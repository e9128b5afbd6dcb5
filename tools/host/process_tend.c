/* The host's side of experts in processes of their own: hears them, ends those that do not go on, and takes note of how they end. */
#include "process.h"

#include "interrupt.h"
#include "origin.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LATE_TICKS = INTERRUPT_LATE + 10 };

/* Milliseconds. */
enum {
    LOOK_MOST = 100, /* that a look counts for: a host that was itself stopped has not been waiting */
    GRACE = 10000,   /* on a busy machine, too, the process finds it first */
};

void process_heard(struct process *process)
{
    for (unsigned t = 0; t < process->reader.count; t++)
        process->lanes[t].unmoved = 0;
}

/* ------------------------------------------------------------------ what processes say */

static void take_info(struct expert *expert, const EXPERTENUMINFO *told)
{
    EXPERTENUMINFO *info = &expert->info;
    *info = (EXPERTENUMINFO){.Version = told->Version, .Flags = told->Flags};
    expert->is_configurable = told->pConfigProc && told->Flags & EXPERT_ENUM_FLAG_CONFIGURABLE;
    snprintf(info->szName, sizeof info->szName, "%.*s", (int)sizeof info->szName - 1, told->szName);
    snprintf(info->szVendor, sizeof info->szVendor, "%.*s", (int)sizeof info->szVendor - 1, told->szVendor);
    snprintf(info->szDescription, sizeof info->szDescription, "%.*s", (int)sizeof info->szDescription - 1,
             told->szDescription);
}

/* Of a status that is not being written: at the next look it will be there. */
static void take_status(struct process *process)
{
    struct process_page *page = process->page;
    uint32_t version = atomic_load_explicit(&page->status_version, memory_order_acquire);
    if (version == process->status_version || version & 1)
        return;
    struct status status = page->status;
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&page->status_version, memory_order_relaxed) != version)
        return;
    process->status_version = version;
    if (status_make_safe(&status))
        process->expert->status = status;
}

static bool take_event(struct expert *expert, struct content *content)
{
    NMEVENTDATA *event = content_get_event(content);
    bool is_known = event && event_is_known(event);
    if (is_known)
        event_keep(expert, event);
    free(event);
    return is_known;
}

static bool take_message(void *context, struct content *content)
{
    struct process *process = context;
    struct expert *expert = process->expert;
    process_heard(process);
    switch (content->kind) {
    case MESSAGE_READY:
        if (!expert->restarts && !process->is_ready)
            take_info(expert, &process->page->info);
        process->is_ready = true;
        if (expert->host->is_started)
            process_go(process);
        return true;
    case MESSAGE_EVENT:
        return take_event(expert, content);
    case MESSAGE_SETTINGS:
        expert->host->unsaved |= !settings_save(expert, content->at, (size_t)(content->end - content->at));
        return true;
    }
    return false;
}

/* ------------------------------------------------------------------ how processes end */

static bool restart(struct process *process)
{
    struct expert *expert = process->expert;
    struct host *host = expert->host;
    if (expert->restarts == host->restarts || interrupted() || !host->is_started)
        return false;
    expert->restarts++;
    expert->fail_at = 0;
    ring_skip_held(&host->ring, &process->reader);
    return process_spawn(process);
}

static void process_end(struct process *process, int status)
{
    struct expert *expert = process->expert;
    inbox_read(&process->inbox, process->socket, take_message, process);
    take_status(process);
    close(process->socket);
    inbox_free(&process->inbox);
    ring_remove_reader(&process->reader);
    process->id = 0;
    struct failure failure = process_outcome(process, status);
    if (failure.kind == FAILURE_NONE)
        return;
    expert->failed = true;
    expert->failure = failure;
    process->has_failed = !restart(process);
}

static void process_kill(struct process *process, enum failure_kind kind, const char *text)
{
    if (process->cause.kind != FAILURE_NONE)
        return;
    process->cause.kind = kind;
    process_find_place(process, &process->cause);
    snprintf(process->cause.text, sizeof process->cause.text, "%s", text);
    kill(process->id, SIGKILL);
}

/* ------------------------------------------------------------------ looking after them */

/* Whether the lane has something to do for which it has only so much time. */
static bool is_busy(const struct process *process, uint32_t state)
{
    const struct host *host = process->expert->host;
    if (process->is_ready && !host->is_started)
        return false;
    if (state == PLACE_DONE) {
        for (unsigned t = 0; t < process->reader.count; t++)
            if (atomic_load_explicit(&process->page->places[t].state, memory_order_relaxed) != PLACE_DONE)
                return false;
        return true;
    }
    return state != PLACE_WAITING;
}

/*
 * The process has a watchdog of its own, which can say more of what it finds. Where that is not to be heard of in twice the time,
 * it has failed with the rest.
 */
static void process_watch(struct process *process, double elapsed)
{
    double limit = process->expert->host->timeout * 1000;
    for (unsigned t = 0; limit && t < process->reader.count; t++) {
        struct lane_watch *lane = &process->lanes[t];
        const struct ring_place *place = &process->page->places[t];
        uint64_t next = atomic_load_explicit(&place->next, memory_order_relaxed);
        uint32_t state = atomic_load_explicit(&place->state, memory_order_relaxed);
        if (next != lane->next || state != lane->state || !is_busy(process, state))
            *lane = (struct lane_watch){.next = next, .state = state};
        lane->unmoved += elapsed;
        if (lane->unmoved > 2 * limit + GRACE)
            process_kill(process, FAILURE_TIME, "its process was not to be heard of any more");
    }
}

static void process_hear(struct process *process)
{
    enum inbox_result result = inbox_read(&process->inbox, process->socket, take_message, process);
    if (result == INBOX_BAD)
        process_kill(process, FAILURE_DIED, "its process sent what is no message");
    /* It ends by itself, unless it has closed the connection for another reason. */
    if (result == INBOX_CLOSED)
        kill(process->id, SIGKILL);
}

static void process_tend(struct process *process, bool is_readable, double elapsed)
{
    int status;
    if (is_readable)
        process_hear(process);
    if (process->reader.is_broken)
        process_kill(process, FAILURE_DIED, "its process wrote nonsense over its place in the ring of frames");
    process_watch(process, elapsed);
    take_status(process);
    if (atomic_load_explicit(&interrupt_ticks, memory_order_relaxed) >= LATE_TICKS)
        process_kill(process, FAILURE_IGNORED, "did not end when the run was interrupted");
    if (waitpid(process->id, &status, WNOHANG) == process->id)
        process_end(process, status);
}

void processes_tend(struct host *host, int milliseconds)
{
    struct pollfd *sockets = host->sockets;
    for (size_t i = 0; i < host->experts_count; i++)
        sockets[i] = (struct pollfd){
            .fd = process_is_alive(&host->experts[i]) ? host->experts[i].process->socket : -1,
            .events = POLLIN,
        };
    if (poll(sockets, host->experts_count, milliseconds) < 0)
        memset(sockets, 0, host->experts_count * sizeof *sockets);
    double now = milliseconds_now();
    double elapsed = now - host->tended < LOOK_MOST ? now - host->tended : LOOK_MOST;
    host->tended = now;
    origin_send(host->origin);
    if (interrupt_is_late())
        ring_cut_short(&host->ring);
    for (size_t i = 0; i < host->experts_count; i++)
        if (process_is_alive(&host->experts[i]))
            process_tend(host->experts[i].process, sockets[i].revents, elapsed);
}
