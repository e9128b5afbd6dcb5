/*
 * Experts in processes of their own (--isolate).
 *
 * The capture thread, the only one that the host's process has, writes the frames into a ring that each expert's process can only read
 * (frame_ring.h). An expert's process is a fork that opens the expert's shared object and runs its lanes as the host does otherwise;
 * what the expert finds is sent as messages (message.h), and how it ended lies in a page that the two share. A process that ends
 * in any way is no more than a reader less.
 */
#ifndef HOST_PROCESS_H
#define HOST_PROCESS_H

#include "failure.h"
#include "frame_ring.h"
#include "host.h"
#include "message.h"

#include <limits.h>
#include <sys/types.h>

enum told {
    TOLD_NOTHING,
    TOLD_REFUSED, /* the expert was not loaded, after a complaint */
    TOLD_OUTCOME, /* what follows is whole */
};

/* How an expert has ended, as its process tells it. Believed only as far as it makes sense. */
struct outcome {
    _Atomic uint32_t told;  /* enum told */
    struct failure failure; /* FAILURE_NONE for none */
    struct ks_key_stats stats;
    struct ks_key_stats stats_after;
    double reset_us;
    bool unsaved; /* a configuration that is none */
};

/* What an expert's process waits for, and then runs. */
struct go {
    uint64_t fail_at;
    unsigned sharers;
    char name[NAME_BYTES];
    char settings[PATH_MAX]; /* file of its configuration; empty for none */
    size_t settings_size;    /* bytes of it, which follow */
};

/* Shared by the host and one expert's process, which both may write it. */
struct process_page {
    struct ring_place places[LANES_MOST];
    EXPERTENUMINFO info;             /* when it has said that it is ready */
    _Atomic uint32_t status_version; /* odd while the status is written */
    struct status status;
    struct outcome outcome;
};

/* How long a lane has been seen not to go on, in milliseconds. */
struct lane_watch {
    uint64_t next;
    uint32_t state;
    double unmoved;
};

struct process {
    struct expert *expert;
    struct process_page *page;
    struct ring_reader reader;
    pid_t id; /* 0: has ended, and is not started again */
    int socket;
    struct inbox inbox;
    bool is_ready;
    bool has_failed;         /* and is not started again */
    uint32_t status_version; /* of what the host has last taken over */
    struct failure cause;    /* what the host has ended it for */
    struct lane_watch lanes[LANES_MOST];
};

/* Starts the expert's process, and waits until it is loaded there or has failed. False after a complaint. */
bool process_load(struct expert *expert);
void process_close(struct process *process);

/* What the capture thread does instead where experts are in processes. */
void processes_start(struct host *host);

/* Hands over a frame that is decoded: one that lies in the ring, by processes_reserve, or a block, which is freed. */
void processes_deliver(struct host *host, struct frame *frame, uint64_t hash);

/* Room in the ring for the frame of that number; NULL after a complaint where the ring is too small for it. */
struct frame *processes_reserve(struct host *host, uint64_t number, size_t bytes);

void processes_flush(struct host *host);

/* No more frames: waits until each has ended. */
void processes_drain(struct host *host);

/* Another period: a new process for each expert that has not failed for good. */
void processes_renew(struct host *host);

/* ------------------------------------------------------------------ process.c, for process_tend.c */

static inline bool process_is_alive(const struct expert *expert)
{
    return expert->process && expert->process->id;
}

/* Forks it. It waits for process_go, when it is ready. */
bool process_spawn(struct process *process);
void process_go(struct process *process);

/* ------------------------------------------------------------------ process_tend.c */

enum { PROCESSES_LOOK = 20 }; /* milliseconds between two looks at them, at the most */

/* Hears what they say, for so long at the most where they say nothing, and looks after each. */
void processes_tend(struct host *host, int milliseconds);

/* Something has come of it, or its time begins now: its lanes have the whole of it. */
void process_heard(struct process *process);

/* ------------------------------------------------------------------ process_outcome.c */

/*
 * The frame and thread of the lane that was looking at one when its process ended. Of several nobody knows which it was: the last frame, and no thread
 * then.
 */
void process_find_place(const struct process *process, struct failure *failure);

/* How a life of the expert has ended, with its statistics, by the status of waitpid(2); FAILURE_NONE where it ended well. */
struct failure process_outcome(struct process *process, int status);

/* ------------------------------------------------------------------ in the expert's process */

/* Runs the expert, tells what it did, and ends. `host` is this process's copy. */
_Noreturn void process_run(struct host *host, struct process *process, pid_t parent);

/* Sends an event to the host. */
void process_send_event(const NMEVENTDATA *event);

/* Sends its configuration, which the host keeps. */
void process_send_settings(const EXPERTCONFIG *config);

/* Shows the expert's status to the host. Under the expert's mutex. */
void process_tell_status(struct expert *expert);

#endif
