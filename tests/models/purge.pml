/*
 * Purge against an owner that wakes up: the purger works on the heap of a thread that it has seen outside every
 * operation, though that thread raises and lowers its flag by plain stores.
 *
 * Models lib/core/thread.h:thread_begin, thread_end; lib/core/ownership.h:heap_current;
 * lib/core/ownership.c:heap_enter, heap_of_thread, entry_is_true, entry_release, heap_part, heap_adopt, heap_publish;
 * lib/core/reclaim.c:heap_lock, heap_is_idle, heap_ask, reclaim_begin, reclaim_end, heap_unlock, heaps_reclaim; lib/core/heap.c:heap_new.
 *
 * A handle that was published before the heap was locked is cleared by the purger that locks it. One that is published
 * later would not be: so the owner looks for LOCKED after it has published, and withdraws. Then no call that begins
 * after the barrier gets past the slow path until the heap is unlocked, and the flag says all.
 *
 * Asserts
 *   - at most one thread works on a heap at once
 *   - a purger that works on a heap sees everything that the owner wrote: none of it is in the owner's store buffer
 *   - a purge that has locked a heap and left it to its owner is served: when all is quiet and the owner has made one
 *     more call, the heap has been trimmed since it was locked
 *
 * Memory is x86-TSO: the owner's plain stores go through a first-in first-out buffer that empties at any time; locked
 * instructions (exchanges, stores in the one total order) wait until it is empty, and the owner reads its own buffer
 * first. A membarrier is an instant at which the buffer is empty. It may be refused: then nobody counts as outside.
 *
 * Abstracted: one owner; one purger, and beside it another or two resets, whose own buffers do not matter, because they
 * write by locked instructions only; the key stays live (adoption.pml and destroy.pml are about its end); two heaps: a
 * call that would need a third is refused; the buffer holds four stores.
 *
 * The mutations:
 */
/* MUTATION no_membarrier: the owner's flag is in its buffer while the purger reads that it is down; two work at once */
/* MUTATION flag_unread: a cleared handle is enough for the purger; the owner is inside an operation since before */
/* MUTATION handle_left: locking does not clear the handle; the owner's next call is on its fast path */
/* MUTATION owner_unchecked: an owner that finds its handle gone goes on with the heap that its table names */
/* MUTATION publish_blind: the owner does not look for LOCKED after publishing; its next call is on its fast path */
/* MUTATION handle_as_sign: the same, and the purger takes a handle that is set for the owner's sign instead; a reset
   clears the handle that the owner has just read on its fast path, its flag still in its buffer */
/* MUTATION wanted_after_unlock: the request is made when the heap is unlocked; the owner has looked for it too early */
/* MUTATION wanted_late: the owner takes back the request after the work; one that came meanwhile is lost */
/* MUTATION wanted_plain: the request is taken back by a plain store, which lands on the next purger's request */
/* MUTATION busy_early: the flag is lowered before the last store of the operation; the purger does not see that one */

#define CALLS 2

#define NONE  0
#define LOCKED  1
#define OWNER 2 /* T: the owner's address */

#define HEAPS   2
#define NO_HEAP 2

#define HANDLE 1

/* Shared memory. */
bool busy;
byte handle = HANDLE; /* the owner's table entry, that both heaps name */
byte owner[HEAPS] = OWNER; /* the second is made later */
bool wanted[HEAPS];
byte heaps_count = 1; /* the heaps that are on the key's list */

/* The owner's store buffer. */
mtype = { BUSY, CLEAR, DATA, SERVED };
chan buffer = [4] of { mtype, byte };
bool clear_buffered;
byte served_buffered = NO_HEAP;

/* For the assertions: who works on a heap, stores to it that are still in the buffer, purges that are not served. */
bool worked_on[HEAPS];
byte buffered[HEAPS];
byte requests[HEAPS];
byte others_finished;
bool finished;

#define FLUSHED empty(buffer)

/* A step of the hardware. */
active proctype Buffer()
{
    byte value;
    do
    :: atomic { buffer?BUSY(value) -> busy = value; value = 0 }
    :: atomic { buffer?CLEAR(value) -> handle = 0; clear_buffered = false; value = 0 }
    :: atomic { buffer?DATA(value) -> buffered[value]--; value = 0 }
#ifdef MUTATE_wanted_plain
    :: atomic { buffer?SERVED(value) -> wanted[value] = false; served_buffered = NO_HEAP; value = 0 }
#endif
    :: finished && FLUSHED -> break
    od
}

inline work_begin(h)
{
    d_step {
        assert(!worked_on[h]);
        worked_on[h] = true
    }
}

inline work_end(h)
{
    worked_on[h] = false
}

/* What the owner does to a heap, with one store to it. */
inline owner_works(h)
{
    work_begin(h);
    d_step { nfull(buffer) -> buffer!DATA(h); buffered[h]++ }
    work_end(h)
}

inline part(h)
{
    x = owner[h]; /* heap_part: load_acquire(&heap->owner) */
    do
    :: (x & ~LOCKED) != OWNER -> break
    :: else ->
        /* heap_part: cas(T -> NONE, T|LOCKED -> LOCKED) */
        atomic {
            FLUSHED;
            if
            :: owner[h] == x -> owner[h] = x & LOCKED; break
            :: else -> x = owner[h]
            fi
        }
    od
}

inline join()
{
    if
    :: named != NO_HEAP ->
        x = owner[named]; /* heap_of_entry: load_acquire(&heap->owner) */
        if
#ifdef MUTATE_owner_unchecked
        :: true
#else
        :: x == OWNER
        :: else ->
            old = named;
            named = NO_HEAP;
            x = owner[old]; /* entry_release: entry_is_true */
            d_step { nfull(buffer) -> buffer!CLEAR(0); clear_buffered = true } /* entry_forget: store_relaxed */
            if
            :: (x & ~LOCKED) == OWNER -> part(old)
            :: else
            fi;
            old = 0
#endif
        fi
    :: named == NO_HEAP
    fi;
    if
    :: named != NO_HEAP
    :: else ->
        index = heaps_count; /* heap_adopt: load_acquire(&key->heaps), the newest first */
        do
        :: named != NO_HEAP || index == 0 -> break
        :: else ->
            index--;
            if
            :: owner[index] == NONE -> /* heap_adopt: load_relaxed(&heap->owner) */
                /* heap_adopt: cas(NONE -> T) */
                atomic {
                    FLUSHED;
                    if
                    :: owner[index] == NONE -> owner[index] = OWNER; named = index
                    :: else
                    fi
                }
            :: else
            fi
        od;
        index = 0;
        if
        :: named != NO_HEAP
        :: named == NO_HEAP && heaps_count < HEAPS ->
            /* heap_new: store_relaxed(&heap->owner, T); cas(&key->heaps, ...) */
            atomic { FLUSHED; owner[heaps_count] = OWNER; named = heaps_count; heaps_count++ }
        :: named == NO_HEAP && heaps_count == HEAPS
        fi
    fi
}

/* The work that a purger has asked for. */
inline trim(h)
{
    requests[h] = 0;
    owner_works(h)
}

inline call()
{
    d_step { nfull(buffer) -> buffer!BUSY(1) } /* thread_begin: store_relaxed(&thread->busy, 1) */
    if
    :: !clear_buffered && handle == HANDLE -> skip /* heap_current: load_relaxed(&entry->handle) */
    :: else ->
        FLUSHED; /* key_reference: cas(&key->refs, ...) */
        join();
        if
        :: named != NO_HEAP ->
            atomic { FLUSHED; handle = HANDLE } /* heap_publish: store_ordered(published, handle) */
#if !defined(MUTATE_publish_blind) && !defined(MUTATE_handle_as_sign)
            if
            :: owner[named] == OWNER /* heap_publish: load_ordered(&heap->owner) */
            :: else -> handle = 0 /* heap_publish: store_ordered(published, 0); the operation goes on without */
            fi;
#endif
            if
            :: served_buffered != named && wanted[named] -> /* heap_enter: load_relaxed(&heap->wanted) */
#ifdef MUTATE_wanted_late
                trim(named);
#endif
#ifdef MUTATE_wanted_plain
                d_step { nfull(buffer) -> buffer!SERVED(named); served_buffered = named }
#else
                atomic { FLUSHED; wanted[named] = false } /* heap_enter: store_ordered(&heap->wanted, 0) */
#endif
#ifndef MUTATE_wanted_late
                trim(named)
#endif
            :: else
            fi;
            FLUSHED /* key_release: fetch_sub(&key->refs, 1) */
        :: named == NO_HEAP
        fi
    fi;
    if
    :: named != NO_HEAP ->
#ifdef MUTATE_busy_early
        d_step { nfull(buffer) -> buffer!BUSY(0) }
#endif
        owner_works(named)
    :: named == NO_HEAP
    fi;
#ifndef MUTATE_busy_early
    d_step { nfull(buffer) -> buffer!BUSY(0) } /* thread_end: store_release(&thread->busy, 0) */
#endif
    x = 0
}

/* Two resets, for what they do to the owner's table. */
proctype Reset()
{
    handle = 0; /* handles_clear: store_ordered(&entry->handle, 0) */
    handle = 0;
    others_finished++
}

active proctype Owner()
{
    byte named = 0, calls, x, old, index;
    bool last;
    do
    :: last -> break
    :: !last ->
        if
        :: calls < CALLS -> calls++
        :: others_finished == 2 && FLUSHED -> calls = CALLS; last = true /* all is quiet: one more call */
        fi;
        call()
    od;
    FLUSHED;
    assert(requests[0] == 0);
    assert(requests[1] == 0);
    finished = true
}

/* heap_is_idle */
inline look(h)
{
    x = owner[h] & ~LOCKED; /* load_acquire(&heap->owner) */
    if
    :: x == NONE -> idle = true
    :: x != NONE && !barrier -> idle = false
    :: x != NONE && barrier ->
#ifdef MUTATE_flag_unread
        idle = (handle == 0);
#else
        idle = !busy; /* load_acquire(&owner->busy) */
#endif
#ifdef MUTATE_handle_as_sign
        if
        :: idle -> idle = (handle == 0)
        :: !idle
        fi
#endif
    fi;
    x = 0
}

proctype Purger()
{
    byte h, count, x;
    bool locked[HEAPS];
    bool barrier, idle;
    count = heaps_count; /* heaps_reclaim: load_ordered(&key->heaps) */
    do
    :: h == count -> break
    :: else ->
        x = owner[h]; /* heap_lock: load_acquire(&heap->owner) */
        if
        :: x & LOCKED -> skip
        :: else ->
            /* heap_lock: cas(T -> T|LOCKED, NONE -> LOCKED) */
            atomic {
                if
                :: owner[h] == x ->
                    owner[h] = x | LOCKED;
                    locked[h] = true;
                    requests[h] = requests[h] | (1 << _pid)
                :: else
                fi
            }
#ifndef MUTATE_handle_left
            if
            :: locked[h] && x != NONE -> handle = 0 /* heap_lock: store_ordered(&entry->handle, 0) */
            :: else
            fi
#endif
        fi;
        x = 0;
        h++
    od;
    /* heaps_reclaim: platform_barrier_everywhere */
    if
#ifdef MUTATE_no_membarrier
    :: barrier = true
#else
    :: atomic { FLUSHED -> barrier = true }
#endif
    :: barrier = false
    fi;
    h = 0;
    do
    :: h == count -> break
    :: h < count && !locked[h] -> h++
    :: h < count && locked[h] ->
        look(h);
        if
        :: idle
        :: !idle ->
#ifndef MUTATE_wanted_after_unlock
            wanted[h] = true; /* heap_ask: store_ordered(&heap->wanted, 1) */
#endif
#if defined(MUTATE_publish_blind) || defined(MUTATE_handle_as_sign)
            handle = 0; /* so that the request at least is not overlooked */
#endif
            /* heap_ask: cas(T|LOCKED -> T); LOCKED alone: the owner has given the heap up, and it is this thread's */
            atomic {
                if
                :: owner[h] == (OWNER | LOCKED) -> owner[h] = OWNER; locked[h] = false
                :: else -> assert(owner[h] == LOCKED)
                fi
            }
#ifdef MUTATE_wanted_after_unlock
            wanted[h] = true;
#endif
            skip
        fi;
        h++
    od;
    h = 0;
    do
    :: h == count -> break
    :: h < count && !locked[h] -> h++
    :: h < count && locked[h] ->
        /* reclaim_end: heap_trim */
        work_begin(h);
        assert(buffered[h] == 0);
        requests[h] = 0;
        work_end(h);
        /* heap_unlock: cas(T|LOCKED -> T, LOCKED -> NONE) */
        owner[h] = owner[h] & ~LOCKED;
        h++
    od;
    h = 0;
    others_finished++
}

init {
    atomic {
        run Purger();
        if
        :: run Purger()
        :: run Reset()
        fi
    }
}
