/*
 * An expert fails, and its threads are stopped: a lane's, which reads frames, and one that the expert has begun itself. Either may not
 * even have begun. Then the key is dropped, and the watchdog reads in the place of a lane that does not give its frames back any more.
 *
 * Models tools/host/guests.c:guest_call, guest_signal, guests_stop; tools/host/contain.c:on_stop; tools/host/interface.c:ExpertGetFrame;
 * tools/host/lane.c:lane_main, lane_claim; tools/host/watchdog.c:is_stopped, is_lost, lanes_take_over.
 *
 * Asserts
 *   - when the key is dropped, no code of the expert runs, unless a thread could not be stopped in time
 *   - one thread at a time reads the lane's frames, and none after the watchdog has begun to
 *   - a lane that is given up is one whose thread could not be stopped
 *   - in the end somebody has read the lane to its end
 *
 * Abstracted: a guest that is unwound, one that is parked after it, and one that returns of its own accord are all one: it runs the
 * expert's code no more. A deaf one heeds no signal, or too late. `inside` is in a store buffer until the processor or a membarrier
 * empties it; all else is sequentially consistent.
 *
 * The mutations:
 */
/* MUTATION call_blind: a guest does not look whether its expert has failed; it begins behind the back of who stops them */
/* MUTATION call_early: it looks before it can be seen; it fails in between */
/* MUTATION begin_unawaited: a lane that has yet to begin is not waited for; it is taken for one that could not be stopped */
/* MUTATION barrier_not: no membarrier; a thread is not seen inside that reads the lane */
/* MUTATION inside_late: a thread says that it is inside after it has looked whether the expert has failed */
/* MUTATION claim_not: a thread that is stopped after all reads on while the watchdog does */

#define OUTSIDE 0
#define RUNNING 1

#define LANE  0
#define BEGUN 1

byte state[2];
bool in_expert[2]; /* code of the expert runs */
bool deaf[2];
bool asked[2];
bool failed, dropped, gave_up;

/* the lane */
bool inside, inside_seen;
bool has_returned, claimed, over;
byte readers;

inline read_lane()
{
    d_step { readers++; assert(readers == 1) };
    readers--
}

/* lane_enter, check_expert, seek_frame, lane_leave */
inline get_frame()
{
#ifdef MUTATE_inside_late
    if
    :: !failed ->
        inside = true;
#else
    inside = true;
    if
    :: !failed ->
#endif
        read_lane()
    :: else
    fi;
    atomic { inside = false; inside_seen = false } /* release */
}

inline begin(guest)
{
#ifdef MUTATE_call_early
    is_called = !failed;
    state[guest] = RUNNING;
#else
    state[guest] = RUNNING;
    is_called = !failed;
#endif
#ifdef MUTATE_call_blind
    is_called = true;
#endif
    if
    :: is_called -> atomic { in_expert[guest] = true; assert(!dropped || gave_up) }
    :: else
    fi
}

inline end_call(guest)
{
    in_expert[guest] = false;
    state[guest] = OUTSIDE
}

/* lane_main */
proctype Lane()
{
    bool is_called, first;
    begin(LANE);
    do
    :: is_called -> get_frame()
    :: !is_called || (asked[LANE] && !deaf[LANE]) -> break /* on_stop: guest_unwind */
    :: break                                               /* it returns, or is stopped late */
    od;
    end_call(LANE);
    has_returned = true;
    atomic { first = !claimed; claimed = true };
#ifdef MUTATE_claim_not
    first = true;
#endif
    if
    :: first -> read_lane(); over = true
    :: else
    fi
}

/* begun_main */
proctype Begun()
{
    bool is_called;
    begin(BEGUN);
    if
    :: !is_called || (asked[BEGUN] && !deaf[BEGUN])
    :: true
    fi;
    end_call(BEGUN)
}

/* UNREACHED Processor "-end-": a store buffer empties at any time */
proctype Processor()
{
end:
    do
    :: inside != inside_seen -> inside_seen = inside
    od
}

inline stop(guest)
{
    if
    :: state[guest] == RUNNING -> running = true; asked[guest] = true
    :: else
    fi
}

/* failed_look, again and again */
proctype Watchdog()
{
    bool running, stopped;
    failed = true; /* failure_settle, on any thread */
    do
    :: !stopped ->
        running = false;
        stop(LANE);
        stop(BEGUN);
        if
#ifdef MUTATE_begin_unawaited
        :: !running -> stopped = true
#else
        :: !running && has_returned -> stopped = true
#endif
        :: running && (deaf[LANE] || deaf[BEGUN]) -> stopped = true; gave_up = true /* GRACE_DEAF */
        :: else
        fi
    :: stopped -> break
    od;
    atomic {
        dropped = true; /* expert_drop */
        assert(!in_expert[LANE] || gave_up);
        assert(!in_expert[BEGUN] || gave_up)
    };
    do
    :: over -> break
    :: !over && state[LANE] == RUNNING ->
#ifndef MUTATE_barrier_not
        inside_seen = inside; /* is_lost: membarrier */
#endif
        if
        :: !inside_seen ->
            atomic {
                if
                :: !claimed -> claimed = true; assert(gave_up)
                :: else -> goto again
                fi
            };
            d_step { readers++; assert(readers == 1) };
            d_step { readers--; over = true }
        :: else
        fi;
again:
        skip
    :: !over && state[LANE] != RUNNING -> (over || state[LANE] == RUNNING)
    od
}

init {
    atomic {
        if
        :: deaf[LANE] = true
        :: deaf[BEGUN] = true
        :: skip
        fi;
        run Lane();
        run Begun();
        run Processor();
        run Watchdog()
    }
}
