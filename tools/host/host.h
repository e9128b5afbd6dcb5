/*
 * A host for experts: loads them, feeds each flow to the same thread of each expert, and owns their keys.
 *
 * The capture thread copies each frame into a block of the key `frames` and collects it in a burst for one
 * lane of each expert; a lane is one thread of one expert with its ring. The expert that is done with a frame
 * last frees it, so that every frame goes home across threads.
 *
 * With --isolate each expert is in a process of its own, and all frames are in one ring that the processes share: process.h.
 */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include "capture/captured.h"
#include "clock.h"
#include "contain.h"
#include "event.h"
#include "experts/packet.h"
#include "failure.h"
#include "fragments.h"
#include "frame_ring.h"
#include "history.h"
#include "seek.h"
#include "settings.h"
#include "status.h"

#include <ck_ring.h>
#include <keyslab/keyslab.h>
#include <keyslab/netmon.h>
#include <pthread.h>
#include <stdatomic.h>

struct pollfd;
struct process;

enum { BURST = 32, STASHES = 64, RING = 256, LANES_MOST = 64, NAME_BYTES = 64, PROBLEMS_KEPT = 10 };

/* A frame as it lies in its block. */
struct frame {
    _Atomic uint32_t readers; /* experts that still have to look at it; 0 in the ring of processes */
    uint32_t number;
    struct frame *next;   /* while it waits for the first fragment of its datagram */
    struct packet packet; /* what the experts get as its property table */
    FRAME data;
};

/* Blocks of one size, taken a burst at a time, for the frames to come. */
struct stash {
    size_t size;
    size_t count;
    void *blocks[BURST];
};

/* Of a thread that makes frames. */
struct stashes {
    struct stash all[STASHES];
};

/* The frame as a capture gives it; its bytes are the frame's own. */
static inline struct captured frame_captured(const struct frame *frame)
{
    return (struct captured){
        .time = frame->data.TimeStamp,
        .length = frame->data.FrameLength,
        .captured = frame->data.nBytesAvail,
        .link = frame->packet.link,
        .bytes = frame->data.MacFrame,
    };
}

struct burst {
    uint32_t count;
    struct frame *frames[BURST];
};

struct lane {
    struct expert *expert;
    struct guest guest;
    pthread_t thread;
    /* capture thread */
    struct burst *filling;
    /* the lane's own thread */
    struct burst *reading;
    uint32_t position;
    struct frame *current;
    void *done[BURST];
    uint32_t done_count;
    struct seek seek;
    /* the lane's own thread; the watchdog reads it */
    _Atomic uint32_t at;    /* number of the frame that the expert looks at, 0 for none */
    _Atomic uint64_t moved; /* rises with each frame, and behind the last with each event */
    atomic_bool is_waiting; /* for frames */
    atomic_bool is_inside;  /* of ExpertGetFrame */
    atomic_bool has_ended;  /* it has been told that there are no more */
    atomic_bool has_returned;
    atomic_bool is_over; /* and nothing comes through the ring any more */
    /* by lane_claim */
    atomic_bool is_claimed;
    /* watchdog */
    bool is_taken_over;
    uint64_t seen;      /* moved */
    double unmoved;     /* milliseconds */
    double unmoved_cpu; /* of the processor's time, when it last moved */
    /* between them */
    ck_ring_t ring;
    ck_ring_buffer_t slots[RING];
    /* instead, in a process of the expert's own */
    struct ring_cursor cursor;
};

struct expert {
    struct host *host;
    char *path;            /* or the name of one that comes with keyslab */
    char name[NAME_BYTES]; /* of the key too: as Register says, with #2 and so on where it is taken */
    unsigned copies;       /* experts that would have the same name */
    void *library;
    EXPERTENUMINFO info;
    bool is_configurable;
    struct settings settings;
    EXPERTCONFIG *config;
    ks_key_t key;
    unsigned lanes_count;
    struct lane *lanes;
    uint64_t fail_at;      /* frame number, 0 for never */
    pthread_mutex_t mutex; /* events, filters, status and problem */
    struct status status;
    struct expert_filter *filters;
    struct event_kind *_Atomic event_kinds;
    struct event *events;
    size_t events_count;
    char problem[EXPERTSTRINGLENGTH];
    /* containment */
    struct span module;                         /* the expert's code */
    const char *const *(*exception_type)(void); /* __cxa_current_exception_type, where it is C++ */
    struct guest *guests;                       /* under the lock of guests.c */
    atomic_uint threads;                        /* that there have been */
    atomic_bool claimed;                        /* by the first failure, which then fills in what follows */
    struct failure failure;
    struct fault fault;
    struct calls calls;
    const struct guest *blamed;
    atomic_bool failed;
    bool holds_loader; /* a parked thread may have the loader's lock */
    bool is_stuck;     /* a thread of it is parked, or could not be stopped: the expert is not unloaded */
    /* watchdog; times are milliseconds */
    double stopping;  /* since it has failed */
    double insisting; /* since its threads are sent signals */
    double left_for;  /* since Run has returned, while a thread runs that it has begun */
    double quota_unseen;
    bool is_stopped;
    atomic_bool is_dropped; /* its key has been reset */
    /* after the run, or when it has failed */
    struct ks_key_stats stats;       /* before the reset */
    struct ks_key_stats stats_after; /* after reset and purge */
    double reset_us;
    /* with --isolate */
    struct process *process;
    bool is_apart; /* this process is the expert's own */
    bool is_gone;  /* its process has ended without its statistics */
    unsigned restarts;
};

/* Of a run that reports again and again; the number is 0 for others. Times are microseconds since 1970. */
struct period {
    uint64_t number;
    int64_t from;
    int64_t to;
};

struct problem {
    uint64_t frame;
    const char *text;
};

struct host {
    const char *source;
    unsigned threads; /* of an expert that is not told its own number */
    double timeout;   /* seconds for a frame and to return, 0 for any */
    uint64_t quota;   /* bytes, of each expert; 0 for the default, HOST_NO_QUOTA */
    bool is_strict;   /* misuse is a failure */
    bool was_stuck;   /* when it was closed */
    size_t readers;   /* experts that are given frames */
    size_t experts_count;
    struct expert *experts;
    ks_key_t key;           /* frames */
    struct stashes stashes; /* of the capture thread */
    struct clock clock;
    struct fragments fragments;
    struct origin *origin;   /* NULL where frames cannot be asked for again */
    struct history *history; /* of that, in the process that experts are in */
    atomic_bool has_refused; /* an expert that asked for a frame again */
    struct ks_key_stats stats;
    struct ks_key_stats stats_after;
    double reset_us;
    atomic_bool capture_ended;
    atomic_uint_fast64_t frames; /* of this period */
    uint64_t numbered;           /* frames of the periods before */
    uint64_t bytes;
    uint64_t refused; /* frames without memory */
    uint64_t dropped; /* by the kernel or the interface, before they could be read */
    bool unsaved;     /* a configuration could not be written */
    uint64_t problems_count;
    struct problem problems[PROBLEMS_KEPT];
    double seconds;
    /* processes */
    bool isolate;
    bool is_started;
    unsigned restarts; /* of each expert, at the most */
    unsigned sharers;  /* in an expert's process: experts that there are in all */
    uint64_t ring_bytes;
    struct frame_ring ring;
    struct pollfd *sockets;      /* one for each expert */
    unsigned untended;           /* frames since the processes were looked after */
    double tended;               /* when that was, in milliseconds */
    void (*leave_capture)(void); /* what an expert's process does about the capture; may be NULL */
    struct period period;
    void (*show)(struct host *host); /* progress; called now and then while host_drain waits. NULL for none */
};

#define HOST_NO_QUOTA UINT64_MAX

/* Makes room for so many experts, once. */
void host_reserve(struct host *host, size_t experts);

/*
 * Loads an expert by the name of one that comes with keyslab, or by path; behind it may stand its number of threads:
 * "flows:4". False after a complaint; one whose Register fails is there, and has failed.
 */
bool host_load(struct host *host, const char *name);

/* The expert of that name, NULL where there is none. */
struct expert *host_expert(const struct host *host, const char *name);

/* Makes the expert of that name fail at a frame. False where there is none. */
bool host_fail(struct host *host, const char *name, uint64_t frame);

/* How frames can be asked for again. Before experts are loaded: their processes have to know it. */
void host_remember(struct host *host, const struct history_options *options, const struct capture *capture);

/* Configures the experts and starts their threads. */
void host_start(struct host *host);

/* Hands one frame to every expert. Only the capture thread. */
void host_frame(struct host *host, const struct captured *captured);

/* Sends what is collected: after the last frame, and when none has come for a while. Only the capture thread.
 */
void host_flush(struct host *host);

/* The frames to come are of another time: sends what waits for fragments that they have none of. Only the capture thread. */
void host_settle(struct host *host);

/* No more frames: waits until the experts have seen all of them and have returned. */
void host_drain(struct host *host);

/* After host_drain: whether every frame found memory, and whether an expert has failed; says so. */
bool host_ran_well(const struct host *host);
bool host_has_failures(const struct host *host);

/* Whether experts' code is still loaded because they have failed, which must not run again when the program ends. */
bool host_is_stuck(const struct host *host);

/* Takes the statistics, then resets and purges every key that has not been. */
void host_finish(struct host *host);

/*
 * After host_finish: another period of the same run may be started, of frames that are numbered on. An expert that has
 * failed is not.
 */
void host_renew(struct host *host);

/* Frames up to now, of all periods. */
static inline uint64_t host_numbered(const struct host *host)
{
    return host->numbered + host->frames;
}

/* Destroys the keys and unloads the experts. */
void host_close(struct host *host);

/* ------------------------------------------------------------------ for the interface that experts call */

/* What experts are told of how they were started. */
EXPERTSTARTUPINFO host_startup(struct host *host);

/* The host whose experts have been started; NULL before. */
extern struct host *host_running;

/* The lane that the calling thread is, NULL for other threads. */
extern _Thread_local struct lane *host_lane;

/* The parts of a run that are one expert's, in the process that it runs in. Loading is false after a complaint. */
bool expert_load(struct expert *expert);

/*
 * Names it as Register did. Keys are found by name, in config files and in the report: no two experts of a run have the same
 * one.
 */
void expert_name(struct expert *expert);
void experts_wait(struct host *host);
void expert_finish(struct expert *expert);

/* Now and then in a wait: the progress. */
void host_show(struct host *host);

/* Whether the user has ended the run, and it should have ended by now. */
bool host_is_late(const struct host *host);

/*
 * A call that works with the lane's frames, around its look at whether the expert has failed. The other half of the fence is the watchdog's barrier, so
 * that a call costs no more than two stores. Release: who sees that the call has ended sees what it did.
 */
static inline void lane_enter(struct lane *lane)
{
    atomic_store_explicit(&lane->is_inside, true, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void lane_leave(struct lane *lane)
{
    atomic_store_explicit(&lane->is_inside, false, memory_order_release);
}

/* The lane's next frame, after releasing the one before; NULL at the end, and where the expert has failed. */
struct frame *lane_next(struct lane *lane);

/* Lets a frame go by if one is there. */
bool lane_let_go_by(struct lane *lane);

/* The expert does something that has no frame. */
void lane_moved(struct lane *lane);

/* What a lane's thread runs: the expert, then what it has left unread. */
void *lane_main(void *lane);

/* True for the first: who reads what comes behind the last that the expert has read, its thread or the watchdog. */
bool lane_claim(struct lane *lane);

/* Reads what has come, in the place of a lane whose thread cannot. Only the watchdog. */
void lane_take_over(struct lane *lane);

/* Whether Run has returned, or never will, on each of them. */
bool lanes_have_returned(const struct expert *expert);

/* By a clock that is never set. */
double milliseconds_now(void);

/* One turn of a wait: spins at first, then yields, then sleeps. `*spins` is 0 before the first. */
void wait_a_little(unsigned *spins);

/* Hands a frame that is decoded to a lane of every expert; `host` is a struct host. Only the capture thread. */
void frame_deliver(void *host, struct frame *frame);

/* A decoded copy of a frame in a block of its own; NULL without memory. Any thread, with stashes that it frees in the end. */
struct frame *frame_make(struct host *host, struct stashes *stashes, const struct captured *captured);

/* Numbers such a frame and delivers it. Only the capture thread. */
void frame_take(struct host *host, struct frame *frame, const struct captured *captured);

/* Blocks that were taken for frames that did not come. */
void stashes_free(struct host *host, struct stashes *stashes);

/* ------------------------------------------------------------------ failures */

/*
 * The first failure is the one that counts: it is claimed, then described, then settled. From then on every call of the host
 * returns NMERR_EXPERT_TERMINATE. `guest` may be NULL, or another expert's.
 */
bool failure_claim(struct expert *expert, const struct guest *guest);
void failure_settle(struct expert *expert, enum failure_kind kind);

/* All three, outside of handlers, and the key is terminated. */
void expert_fail(struct expert *expert, const struct guest *guest, enum failure_kind kind, int detail,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The text and the backtrace, when the expert's threads have been stopped. */
void failure_describe(struct expert *expert);

/* Stops the threads of an expert that has failed in Register or Configure. */
void expert_stop_all(struct expert *expert);

/* What comes before the first frame: a key with a quota, Configure, a thread for each lane. One that fails here has said so. */
void expert_make_key(struct expert *expert);
void expert_configure(struct expert *expert);
void expert_start(struct expert *expert);

/* Takes the statistics of the expert's key, then resets and purges it. */
void expert_drop(struct expert *expert);

/* Fails the expert where an allocation was refused for its quota. */
void quota_look(struct expert *expert);

void watchdog_start(struct host *host);
void watchdog_stop(void);

/* There is something to look at. In handlers, too. */
void watchdog_wake(void);

/* Ends the program after a complaint: the host itself has no memory. */
_Noreturn void host_fatal(const char *what, ks_status status);

#endif
