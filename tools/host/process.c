/* The host's side of experts in processes of their own: starts them, and gives them the frames. */
#include "process.h"

#include "command.h"
#include "input_path.h"
#include "interrupt.h"
#include "origin.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAMES_A_TURN = 1024 };

/* ------------------------------------------------------------------ beginning */

bool process_spawn(struct process *process)
{
    struct host *host = process->expert->host;
    pid_t parent = getpid();
    int ends[2];
    sigset_t before;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return false;
    process->is_ready = false;
    process->cause = (struct failure){0};
    memset(&process->page->outcome, 0, sizeof process->page->outcome);
    process_heard(process);
    ring_add_reader(&host->ring, &process->reader);
    /* What has been printed is not for the child to print again. */
    fflush(stdout);
    interrupt_block(&before);
    process->id = fork();
    process->socket = ends[process->id == 0];
    close(ends[process->id != 0]);
    if (process->id == 0)
        process_run(host, process, parent);
    interrupt_unblock(&before);
    if (process->id > 0)
        return true;
    ring_remove_reader(&process->reader);
    close(process->socket);
    process->id = 0;
    return false;
}

static struct process *process_new(struct expert *expert)
{
    struct process *process = calloc(1, sizeof *process);
    struct process_page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!process || page == MAP_FAILED)
        host_fatal("starting an expert", KS_NO_MEMORY);
    process->expert = expert;
    process->page = page;
    process->reader = (struct ring_reader){.places = page->places, .count = expert->lanes_count};
    ring_place_reader(&expert->host->ring, &process->reader);
    return process;
}

/* The expert runs as soon as it has heard what it has to know. */
void process_go(struct process *process)
{
    const struct expert *expert = process->expert;
    const struct settings *settings = &expert->settings;
    struct go go = {
        .fail_at = expert->fail_at,
        .sharers = (unsigned)expert->host->experts_count,
        .settings_size = settings->size,
    };
    snprintf(go.name, sizeof go.name, "%s", expert->name);
    snprintf(go.settings, sizeof go.settings, "%s", settings->path ? settings->path : "");
    send_all(process->socket, &go, sizeof go);
    send_all(process->socket, settings->bytes, settings->size);
}

/* ------------------------------------------------------------------ the run */

static bool is_registering(const struct expert *expert)
{
    return process_is_alive(expert) && !expert->process->is_ready;
}

static bool is_refused(const struct process *process)
{
    return !process->is_ready && atomic_load(&process->page->outcome.told) == TOLD_REFUSED;
}

bool process_load(struct expert *expert)
{
    struct host *host = expert->host;
    if (!host->ring.shared && !ring_open(&host->ring, host->ring_bytes)) {
        complain("--isolate: a ring of frames: %s", strerror(errno));
        return false;
    }
    host->sockets = reallocarray(host->sockets, host->experts_count, sizeof *host->sockets);
    if (!host->sockets)
        host_fatal("starting an expert", KS_NO_MEMORY);
    expert->process = process_new(expert);
    if (!process_spawn(expert->process)) {
        complain("expert %s: a process: %s", expert->name, strerror(errno));
        return false;
    }
    while (is_registering(expert))
        processes_tend(host, PROCESSES_LOOK);
    return !is_refused(expert->process);
}

void processes_start(struct host *host)
{
    host->is_started = true;
    for (size_t i = 0; i < host->experts_count; i++)
        if (process_is_alive(&host->experts[i])) {
            process_heard(host->experts[i].process);
            process_go(host->experts[i].process);
        }
}

struct frame *processes_reserve(struct host *host, uint64_t number, size_t bytes)
{
    unsigned spins = 0;
    struct frame *frame;
    if (!ring_can_hold(&host->ring, bytes)) {
        /* One complaint will do. */
        if (!host->refused)
            complain("%s: frame %llu: %zu bytes have no room in a ring of %llu: expected a larger one, --isolate-ring",
                     input_path_shown(host->source), (unsigned long long)number, bytes,
                     (unsigned long long)host->ring.size);
        return NULL;
    }
    while (!(frame = ring_reserve(&host->ring, bytes))) {
        wait_a_little(&spins);
        processes_tend(host, 0);
    }
    return frame;
}

/* A frame that has waited for the first fragment of its datagram. */
static struct frame *move_to_ring(struct host *host, struct frame *block)
{
    size_t bytes = sizeof *block + block->data.nBytesAvail;
    struct frame *frame = processes_reserve(host, block->number, bytes);
    if (frame)
        memcpy(frame, block, bytes);
    else
        host->refused++;
    ks_free(host->key, block);
    return frame;
}

void processes_deliver(struct host *host, struct frame *frame, uint64_t hash)
{
    if (!ring_is_reserved(&host->ring, frame))
        frame = move_to_ring(host, frame);
    if (!frame)
        return;
    ring_commit(&host->ring, hash, frame->number);
    if (++host->untended == FRAMES_A_TURN) {
        host->untended = 0;
        processes_tend(host, 0);
    }
}

void processes_flush(struct host *host)
{
    ring_publish(&host->ring);
    processes_tend(host, 0);
}

void processes_drain(struct host *host)
{
    ring_end(&host->ring);
    for (size_t i = 0; i < host->experts_count; i++)
        while (process_is_alive(&host->experts[i])) {
            processes_tend(host, PROCESSES_LOOK);
            host_show(host);
        }
    host->is_started = false;
}

static void process_renew(struct process *process)
{
    struct expert *expert = process->expert;
    if (process->has_failed)
        return;
    expert->failed = false;
    expert->failure = (struct failure){0};
    ring_place_reader(&expert->host->ring, &process->reader);
    if (process_spawn(process))
        return;
    complain("expert %s: a process: %s", expert->name, strerror(errno));
    exit(EXIT_FAILED);
}

void processes_renew(struct host *host)
{
    ring_go_on(&host->ring);
    for (size_t i = 0; i < host->experts_count; i++) {
        process_renew(host->experts[i].process);
        while (is_registering(&host->experts[i]))
            processes_tend(host, PROCESSES_LOOK);
    }
}

void process_close(struct process *process)
{
    munmap(process->page, sizeof *process->page);
    free(process);
}
