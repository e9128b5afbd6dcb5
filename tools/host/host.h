/*
 * A host for experts: loads them, feeds each flow to the same thread of each expert, and owns their keys.
 *
 * The capture thread copies each frame into a block of the key `frames` and collects it in a burst for one
 * lane of each expert; a lane is one thread of one expert with its ring. The expert that is done with a frame
 * last frees it, so that every frame goes home across threads.
 */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include "capture/captured.h"
#include "clock.h"
#include "experts/packet.h"
#include "fragments.h"
#include "history.h"
#include "seek.h"

#include <ck_ring.h>
#include <keyslab/keyslab.h>
#include <keyslab/netmon.h>
#include <pthread.h>
#include <stdatomic.h>

enum { BURST = 32, RING = 256, LANES_MOST = 64, NAME_BYTES = 64, EVENT_COLUMNS = 12, PROBLEMS_KEPT = 10 };

/* A frame as it lies in its block. */
struct frame {
    _Atomic uint32_t readers; /* experts that still have to look at it */
    uint32_t number;
    struct frame *next;   /* while it waits for the first fragment of its datagram */
    struct packet packet; /* what the experts get as its property table */
    FRAME data;
};

struct burst {
    uint32_t count;
    struct frame *frames[BURST];
};

struct lane {
    struct expert *expert;
    pthread_t thread;
    /* capture thread */
    struct burst *filling;
    /* the lane's own thread */
    struct burst *reading;
    uint32_t position;
    struct frame *current;
    void *done[BURST];
    uint32_t done_count;
    bool ran_well;
    struct seek seek;
    /* between them */
    ck_ring_t ring;
    ck_ring_buffer_t slots[RING];
};

/* What an expert has submitted, copied. Texts are NULL where the column holds a number. */
struct event {
    char *name;
    unsigned columns;
    char *titles[EVENT_COLUMNS];
    char *texts[EVENT_COLUMNS];
    double numbers[EVENT_COLUMNS];
    double bytes; /* the number of that title, once they are sorted */
};

struct expert {
    struct host *host;
    char name[NAME_BYTES]; /* of the key too: as Register says, with #2 and so on where it is taken */
    unsigned threads;      /* lanes */
    void *library;
    EXPERTENUMINFO info;
    EXPERTCONFIG *config;
    ks_key_t key;
    struct lane *lanes;
    uint64_t fail_at; /* frame number, 0 for never */
    atomic_bool failed;
    bool broken;           /* a thread of it returned FALSE of its own accord */
    pthread_mutex_t mutex; /* events and problem */
    struct expert_filter *filters;
    struct event *events;
    size_t events_count;
    char problem[EXPERTSTRINGLENGTH];
    /* after the run */
    struct ks_key_stats stats;       /* before the reset */
    struct ks_key_stats stats_after; /* after reset and purge */
    double reset_us;
};

struct problem {
    uint64_t frame;
    const char *text;
};

struct host {
    const char *source;
    unsigned threads; /* of an expert that is not told its own number */
    size_t experts_count;
    struct expert *experts;
    ks_key_t key; /* frames */
    struct clock clock;
    struct fragments fragments;
    struct history *history; /* NULL where frames cannot be asked for again */
    struct ks_key_stats stats;
    struct ks_key_stats stats_after;
    double reset_us;
    atomic_bool capture_ended;
    atomic_uint_fast64_t frames;
    uint64_t bytes;
    uint64_t refused; /* frames without memory */
    uint64_t problems_count;
    struct problem problems[PROBLEMS_KEPT];
    double seconds;
};

/* Makes room for so many experts, once. */
void host_reserve(struct host *host, size_t experts);

/*
 * Loads an expert by the name of one that comes with keyslab, or by path; behind it may stand its number of threads:
 * "flows:4". False after a complaint.
 */
bool host_load(struct host *host, const char *name);

/* Makes the expert of that name fail at a frame. False where there is none. */
bool host_fail(struct host *host, const char *name, uint64_t frame);

/* Starts the experts' threads; false after a complaint. The options are of frames by number; their key is the host's to set. */
bool host_start(struct host *host, const struct capture *capture, struct history_options options);

/* Hands one frame to every expert. Only the capture thread. */
void host_frame(struct host *host, const struct captured *captured);

/* Sends what is collected: after the last frame, and when none has come for a while. Only the capture thread.
 */
void host_flush(struct host *host);

/* The frames to come are of another time: sends what waits for fragments that they have none of. Only the capture thread. */
void host_settle(struct host *host);

/* No more frames: waits until the experts have seen all of them and have returned. */
void host_drain(struct host *host);

/* After host_drain: whether every frame got to every expert, and no expert gave up; else says so. */
bool host_ran_well(const struct host *host);

/* Takes the statistics, then resets and purges every key. */
void host_finish(struct host *host);

/* Destroys the keys and unloads the experts. */
void host_close(struct host *host);

/* ------------------------------------------------------------------ for the interface that experts call */

/* The host whose experts have been started; NULL before. */
extern struct host *host_running;

/* The lane that the calling thread is, NULL for other threads. */
extern _Thread_local struct lane *host_lane;

/* The lane's next frame, after releasing the one before; NULL at the end. */
struct frame *lane_next(struct lane *lane);

/* What a lane's thread runs: the expert, then what it has left unread. */
void *lane_main(void *lane);

/* One turn of a wait: spins at first, then yields, then sleeps. `*spins` is 0 before the first. */
void wait_a_little(unsigned *spins);

/* Hands a frame that is decoded to a lane of every expert; `host` is a struct host. Only the capture thread. */
void frame_deliver(void *host, struct frame *frame);

/* Blocks that were taken for frames that did not come. Only the capture thread. */
void stashes_free(struct host *host);

/* Whether the host can keep such an event; keeps a copy of one that it can. Any thread of the expert. */
bool event_is_known(const NMEVENTDATA *data);
void event_keep(struct expert *expert, const NMEVENTDATA *data);
void events_free(struct expert *expert);

/* Terminates the expert's key, once. */
void expert_fail(struct expert *expert);

/* Ends the program after a complaint: the host itself has no memory. */
void host_fatal(const char *what, ks_status status);

#endif
