/*
 * Purge against an owner that wakes up: the purger works on the heap of a thread that it has seen outside every
 * operation, though that thread raises and lowers its flag by plain stores.
 *
 * Models lib/thread.h:thread_begin, thread_end; lib/holder.c:heap_current, heap_enter, heap_of_thread, entry_is_true,
 * entry_let_go, heap_let_go, heap_adopt, heap_publish, heap_shut, heap_is_left_alone, heap_visit_begin, heap_visit_end,
 * heap_open, heaps_visit; lib/heap.c:heap_new.
 *
 * A handle that was published before the heap was shut is cleared by whoever shuts it. One that is published later
 * would not be: so the owner looks for SHUT after it has published, and withdraws. Then no call that begins after the
 * barrier gets past the slow path until the heap is open again, and the flag says all.
 *
 * Asserts
 *   - at most one thread works on a heap at once
 *   - a purger that works on a heap sees everything that the holder wrote: none of it is in the holder's store buffer
 *   - a purge that has shut a heap and left it to its holder is served: when all is quiet and the holder has made one
 *     more call, the heap has been settled since it was shut
 *
 * Memory is x86-TSO: the owner's plain stores go through a first-in first-out buffer that empties at any time;
 * locked instructions (exchanges, stores in the one total order) wait until it is empty, and the owner reads its own
 * buffer first. A membarrier is an instant at which the buffer is empty. It may be refused: then nobody counts as
 * outside.
 *
 * Abstracted: one owner; one purger, and beside it another or two resets, whose own buffers do not matter, because they
 * write by locked instructions only; the key stays live (adoption.pml and destroy.pml are about its end); two heaps:
 * a call that would need a third is refused; the buffer holds four stores.
 *
 * The mutations:
 */
/* MUTATION no_membarrier: the owner's flag is in its buffer while the purger reads that it is down; two work at once */
/* MUTATION flag_unread: a cleared handle is enough for the purger; the owner is inside an operation since before */
/* MUTATION handle_left: shutting does not clear the handle; the owner's next call is on its fast path */
/* MUTATION holder_unchecked: an owner that finds its handle gone goes on with the heap that its table names */
/* MUTATION publish_blind: the owner does not look for SHUT after publishing; its next call is on its fast path */
/* MUTATION handle_as_sign: the same, and the purger takes a handle that is set for the owner's sign instead; a reset
   clears the handle that the owner has just read on its fast path, its flag still in its buffer */
/* MUTATION wanted_after_open: the request is made when the heap is open again; the owner has looked for it too early */
/* MUTATION wanted_late: the owner takes back the request after the work; one that came meanwhile is lost */
/* MUTATION wanted_plain: the request is taken back by a plain store, which lands on the next purger's request */
/* MUTATION busy_early: the flag is lowered before the last store of the operation; the purger does not see that one */

#define CALLS 2

#define NONE  0
#define SHUT  1
#define OWNER 2 /* T: the owner's address */

#define HEAPS   2
#define NO_HEAP 2

#define HANDLE 1

/* Shared memory. */
bool busy;
byte handle = HANDLE; /* the owner's table entry, that both heaps name */
byte holder[HEAPS] = OWNER; /* the second is made later */
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

inline let_go(h)
{
    x = holder[h]; /* heap_let_go: load_acquire(&heap->holder) */
    do
    :: (x & ~SHUT) != OWNER -> break
    :: else ->
        /* heap_let_go: cas(T -> NONE, T|SHUT -> SHUT) */
        atomic {
            FLUSHED;
            if
            :: holder[h] == x -> holder[h] = x & SHUT; break
            :: else -> x = holder[h]
            fi
        }
    od
}

inline join()
{
    if
    :: named != NO_HEAP ->
        x = holder[named]; /* heap_of_entry: load_acquire(&heap->holder) */
        if
#ifdef MUTATE_holder_unchecked
        :: true
#else
        :: x == OWNER
        :: else ->
            old = named;
            named = NO_HEAP;
            x = holder[old]; /* entry_let_go: entry_is_true */
            d_step { nfull(buffer) -> buffer!CLEAR(0); clear_buffered = true } /* entry_forget: store_relaxed */
            if
            :: (x & ~SHUT) == OWNER -> let_go(old)
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
            :: holder[index] == NONE -> /* heap_adopt: load_relaxed(&heap->holder) */
                /* heap_adopt: cas(NONE -> T) */
                atomic {
                    FLUSHED;
                    if
                    :: holder[index] == NONE -> holder[index] = OWNER; named = index
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
            /* heap_new: store_relaxed(&heap->holder, T); cas(&key->heaps, ...) */
            atomic { FLUSHED; holder[heaps_count] = OWNER; named = heaps_count; heaps_count++ }
        :: named == NO_HEAP && heaps_count == HEAPS
        fi
    fi
}

/* The work that a purger has asked for. */
inline settle(h)
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
            :: holder[named] == OWNER /* heap_publish: load_ordered(&heap->holder) */
            :: else -> handle = 0 /* heap_publish: store_ordered(published, 0); the operation goes on without */
            fi;
#endif
            if
            :: served_buffered != named && wanted[named] -> /* heap_enter: load_relaxed(&heap->wanted) */
#ifdef MUTATE_wanted_late
                settle(named);
#endif
#ifdef MUTATE_wanted_plain
                d_step { nfull(buffer) -> buffer!SERVED(named); served_buffered = named }
#else
                atomic { FLUSHED; wanted[named] = false } /* heap_enter: store_ordered(&heap->wanted, 0) */
#endif
#ifndef MUTATE_wanted_late
                settle(named)
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

/* heap_is_left_alone */
inline look(h)
{
    x = holder[h] & ~SHUT; /* load_acquire(&heap->holder) */
    if
    :: x == NONE -> alone = true
    :: x != NONE && !barrier -> alone = false
    :: x != NONE && barrier ->
#ifdef MUTATE_flag_unread
        alone = (handle == 0);
#else
        alone = !busy; /* load_acquire(&holder->busy) */
#endif
#ifdef MUTATE_handle_as_sign
        if
        :: alone -> alone = (handle == 0)
        :: !alone
        fi
#endif
    fi;
    x = 0
}

proctype Purger()
{
    byte h, count, x;
    bool shut[HEAPS];
    bool barrier, alone;
    count = heaps_count; /* heaps_visit: load_ordered(&key->heaps) */
    do
    :: h == count -> break
    :: else ->
        x = holder[h]; /* heap_shut: load_acquire(&heap->holder) */
        if
        :: x & SHUT -> skip
        :: else ->
            /* heap_shut: cas(T -> T|SHUT, NONE -> SHUT) */
            atomic {
                if
                :: holder[h] == x ->
                    holder[h] = x | SHUT;
                    shut[h] = true;
                    requests[h] = requests[h] | (1 << _pid)
                :: else
                fi
            }
#ifndef MUTATE_handle_left
            if
            :: shut[h] && x != NONE -> handle = 0 /* heap_shut: store_ordered(&entry->handle, 0) */
            :: else
            fi
#endif
        fi;
        x = 0;
        h++
    od;
    /* heaps_visit: platform_barrier_everywhere */
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
    :: h < count && !shut[h] -> h++
    :: h < count && shut[h] ->
        look(h);
        if
        :: alone
        :: !alone ->
#ifndef MUTATE_wanted_after_open
            wanted[h] = true; /* heap_visit_begin: store_ordered(&heap->wanted, 1) */
#endif
#if defined(MUTATE_publish_blind) || defined(MUTATE_handle_as_sign)
            handle = 0; /* so that the request at least is not overlooked */
#endif
            /* heap_visit_begin: cas(T|SHUT -> T); SHUT alone: the owner has let go, and the heap is this thread's */
            atomic {
                if
                :: holder[h] == (OWNER | SHUT) -> holder[h] = OWNER; shut[h] = false
                :: else -> assert(holder[h] == SHUT)
                fi
            }
#ifdef MUTATE_wanted_after_open
            wanted[h] = true;
#endif
            skip
        fi;
        h++
    od;
    h = 0;
    do
    :: h == count -> break
    :: h < count && !shut[h] -> h++
    :: h < count && shut[h] ->
        /* heap_visit_end: heap_settle */
        work_begin(h);
        assert(buffered[h] == 0);
        requests[h] = 0;
        work_end(h);
        /* heap_open: cas(T|SHUT -> T, SHUT -> NONE) */
        holder[h] = holder[h] & ~SHUT;
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
