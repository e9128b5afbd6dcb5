/*
 * A purge that meets a thread which looks after sleepers' heaps, and has just locked the one in question: that thread may do less than
 * the purge wants, so the purge leaves a request, and one of the two sees what the other has done.
 *
 * Models lib/core/reclaim.c:heap_lock, heap_lock_or_ask, heap_ask, heap_unlock, heap_trim_asleep, heaps_reclaim;
 * lib/core/ownership.c:heap_enter.
 *
 * Asserts that a purge is served: when all is over the heap has been trimmed as it wanted, at once where the owner sleeps all the time, and
 * by the owner's next call at the latest where it does not.
 *
 * Memory is sequentially consistent: every step here is an exchange, or a load or a store in the one total order. Who may work on a locked
 * heap, and that the flag tells, is purge.pml's.
 *
 * The mutations:
 */
/* MUTATION wanted_unread: who has locked the heap does not look for a request; a sleeper's heap stays as it is */
/* MUTATION read_early: it looks before it unlocks the heap; the request comes in between */
/* MUTATION tried_once: the purge does not try the lock again; the heap was unlocked, and looked at, before its request */
/* MUTATION asked_late: the purge tries again before its request; the heap is unlocked, and looked at, in between */

bool locked;
bool wanted;
bool due;    /* what the purge wants has not been done since */
bool asleep; /* the owner makes no call */
byte over;

/* heap_lock: cas(T -> T|LOCKED) */
inline try(got)
{
    atomic {
        if
        :: !locked -> locked = true; got = true
        :: locked
        fi
    }
}

/* heaps_reclaim, for the one heap */
inline reclaim(got)
{
    try(got);
    if
    :: got
    :: !got ->
#ifndef MUTATE_asked_late
        wanted = true; /* heap_lock_or_ask: store_ordered(&heap->wanted) */
#endif
#ifndef MUTATE_tried_once
        try(got);
#endif
#ifdef MUTATE_asked_late
        wanted = true;
#endif
        skip
    fi;
    if
    :: got ->
        if
        :: due = false /* reclaim_end: heap_trim */
        :: !asleep -> wanted = true /* heap_ask: store_ordered(&heap->wanted) */
        fi;
        locked = false; /* heap_unlock, heap_ask: cas(T|LOCKED -> T) */
        got = false
    :: !got
    fi
}

proctype Purger()
{
    bool got;
    due = true;
    reclaim(got);
    over++
}

/* heap_trim_asleep */
proctype Neighbour()
{
    bool got, read;
    try(got);
    if
    :: got ->
#ifdef MUTATE_read_early
        read = wanted;
#endif
        locked = false; /* some slabs were given back, or the owner is at work */
        got = false;
#ifndef MUTATE_read_early
        read = wanted; /* load_ordered(&heap->wanted) */
#endif
#ifdef MUTATE_wanted_unread
        read = false;
#endif
        if
        :: read -> reclaim(got)
        :: !read
        fi
    :: !got
    fi;
    over++
}

/* Calls at any time, and when all is quiet. */
proctype Owner()
{
    bool last;
    do
    :: last -> break
    :: !last ->
        if
        :: over == 2 -> last = true
        :: !asleep
        fi;
        if
        :: !asleep && !locked && wanted -> wanted = false; due = false /* heap_enter: store_ordered(&heap->wanted, 0), heap_trim */
        :: else
        fi
    od;
    assert(!due)
}

init {
    atomic {
        if
        :: asleep = true
        :: asleep = false
        fi;
        run Purger();
        run Neighbour();
        run Owner()
    }
}
