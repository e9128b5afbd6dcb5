/*
 * The end of a thread: its heap waits on the key's list, the next thread that enters the key takes it over, while
 * others push to its queue, purge, trim orphans, or destroy the key.
 *
 * Models lib/core/ownership.c:heap_enter, heap_of_thread, entry_is_true, entry_release, heap_part, heap_retire,
 * heaps_release, heap_adopt, heap_publish, heap_dead; lib/core/reclaim.c:heap_lock, heap_is_idle, heap_ask, reclaim_begin,
 * reclaim_end, heap_unlock, heaps_reclaim, orphans_trim; lib/core/reset.c:heap_reclaim; lib/api/key.c:ks_key_destroy;
 * lib/core/key.c:key_reference, key_retain, key_release; lib/core/remote.c:remote_take, batch_send (the push).
 *
 * Asserts
 *   - at most one thread works on the heap at once, and none after it has been recycled
 *   - a reference is added only where there is one already
 *   - when all threads are gone, the heap of a destroyed key has been reclaimed once and recycled once, and no
 *     reference is left; that of a live key is held by nobody
 *   - each message that was pushed is in the queue still, or was taken once; after the end of the key the queue has only
 *     what was pushed after the heap was reclaimed
 *
 * Abstracted: one heap, which a first thread owns at the beginning, and a second thread may adopt; where it finds
 * nothing to adopt it makes a heap of its own, which is left out. Memory is sequentially consistent, and a membarrier
 * always works: the owner's flag in its store buffer is purge.pml's matter. A recycled heap is at once the orphan of
 * another key, which is the worst that can become of it.
 *
 * The mutations:
 */
/* MUTATION release_blind: a thread that gives a heap up does not look at the key again; a destroy left it the heap */
/* MUTATION release_unreferenced: a thread that gives a heap up has no reference then; it takes another key's orphan */
/* MUTATION retain_early: the reference is added before LOCKED is ruled out; the reclaimer has given back the last one */
/* MUTATION leave_silent: an ending thread does not give its heap up; nobody reclaims or adopts it */
/* MUTATION adopt_plain: the adopter stores its address without comparing; two threads own one heap */
/* MUTATION lock_plain: the reclaimer stores LOCKED without comparing; it locks a heap that has changed hands */
/* MUTATION unlock_blind: a reclaimer that finds the heap given up unlocks it, and does not work on it */
/* MUTATION reclaim_unseen: the reclaimer looks at the owner before the flag only; the owner has reclaimed in between */
/* MUTATION reclaim_once: a purge does not look at the key afterwards; a destroy has left it the heap that was locked */
/* MUTATION unlock_once: a reclaimer of an orphan does not look at the key again; a destroy has left it the heap */
/* MUTATION reclaim_shallow: reclaiming does not take the queue; its messages are lost */

#define NONE      0
#define LOCKED    1
#define FIRST     2 /* the address of the first thread */
#define SECOND    4
#define RECLAIMED 8
#define RECLAIMER   16 /* a reclaimer that takes an orphan back, and does not unlock it any more */

#define HANDLE 1

/* Reclaimers. */
#define PURGE   1 /* ks_key_purge */
#define ORPHANS 2 /* an allocation in a third thread that was refused; it has a reference by its own heap */
#define DESTROY 3 /* ks_key_destroy; that only one gets that far is destroy.pml's matter */

#define DESTROY_ROUNDS 2

/* key */
byte control = HANDLE;
byte refs = 2; /* the live key's and the heap's */

/* heap; its table entry is the one of the thread that it names */
byte owner = FIRST;
byte entry = FIRST;
byte queue; /* how many messages are in the queue */
bool wanted;

/* threads, by address */
bool busy[SECOND + 1];
byte handle[SECOND + 1];

/* For the assertions. */
bool worked_on;
byte reclaimed, recycled;
byte pushed, taken, pushed_late;
byte finished;

inline work_begin()
{
    d_step {
        assert(!worked_on);
        assert(!recycled);
        worked_on = true
    }
}

inline work_end()
{
    worked_on = false
}

/* Trimming, and whatever else its owner does to a heap. */
inline work()
{
    work_begin();
    atomic { taken = taken + queue; queue = 0 } /* remote_take: stack_take_all */
    work_end()
}

/* key_release: fetch_sub(&key->refs, 1). The thread that takes the last one recycles the heap. */
inline release()
{
    d_step {
        assert(refs > 0);
        refs--;
        if
        :: refs == 0 ->
            assert(control == 0 && owner == RECLAIMED && !worked_on);
            recycled++;
            owner = NONE
        :: else
        fi
    }
}

/* key_retain: fetch_add(&key->refs, 1) */
inline retain()
{
    d_step {
        assert(refs > 0);
        refs++
    }
}

/* key_reference */
inline reference()
{
    referenced = false;
    if
    :: control != HANDLE /* load_relaxed(&key->control) */
    :: else ->
        /* cas(&key->refs, refs -> refs + 1) */
        atomic {
            if
            :: refs != 0 -> refs++; referenced = true
            :: else
            fi
        }
        if
        :: !referenced
        :: referenced && control == HANDLE /* key_is_live */
        :: else ->
            release();
            referenced = false
        fi
    fi
}

inline retire()
{
    work_begin();
#ifndef MUTATE_reclaim_shallow
    atomic { taken = taken + queue; queue = 0; reclaimed++ } /* heap_reclaim: remote_take */
#else
    reclaimed++;
#endif
    work_end();
    owner = RECLAIMED; /* heap_retire: store_release(&heap->owner, RECLAIMED) */
    release()
}

/*
 * heap_part, heap_release. Once the thread has seen its own address without LOCKED inside an operation, the heap is its
 * own until it gives it up, and so is the heap's reference to the key.
 */
inline part()
{
#ifdef MUTATE_retain_early
    retain();
    retained = true;
#endif
    x = owner; /* load_acquire(&heap->owner) */
    do
    :: (x & ~LOCKED) != me -> break
    :: x == (me | LOCKED) ->
        /* cas(T|LOCKED -> LOCKED) */
        atomic {
            if
            :: owner == x -> owner = LOCKED; break
            :: else -> x = owner
            fi
        }
    :: x == me ->
#ifndef MUTATE_release_unreferenced
        if
        :: !retained -> retain(); retained = true
        :: retained
        fi;
#endif
        if
        :: control != HANDLE -> retire(); break /* key_is_live */
        :: else
        fi;
        /* cas(T -> NONE) */
        atomic {
            if
            :: owner == x -> owner = NONE; x = NONE
            :: else -> x = owner
            fi
        }
        if
        :: x != NONE
        :: else ->
#ifndef MUTATE_release_blind
            if
            :: control == HANDLE /* key_is_live */
            :: else ->
                /* cas(NONE -> T) */
                atomic {
                    if
                    :: owner == NONE -> owner = me; x = me
                    :: else
                    fi
                }
                if
                :: x == me -> retire()
                :: else
                fi
            fi;
#endif
            break
        fi
    od;
    if
    :: retained -> release(); retained = false
    :: !retained
    fi;
    x = 0
}

inline entry_release()
{
    x = owner; /* entry_is_true: load_acquire(&heap->owner) */
    handle[me] = 0; /* entry_forget: store_relaxed(&entry->handle, 0) */
    named = false;
    if
    :: (x & ~LOCKED) == me -> part()
    :: else -> x = 0
    fi
}

/* heap_join, where the table names no heap. One to adopt is taken if there is one. */
inline adopt()
{
    if
    :: owner == NONE -> /* heap_adopt: load_relaxed(&heap->owner) */
        /* heap_adopt: cas(NONE -> T) */
        atomic {
            if
#ifdef MUTATE_adopt_plain
            :: true -> owner = me; named = true
#else
            :: owner == NONE -> owner = me; named = true
            :: else
#endif
            fi
        }
        if
        :: named -> entry = me /* heap_adopt: store_ordered(&heap->entry, ...) */
        :: !named
        fi
    :: else
    fi
}

inline publish()
{
    handle[me] = HANDLE; /* heap_publish: store_ordered(published, handle) */
    if
    :: control != HANDLE -> handle[me] = 0; dead = true /* heap_publish: key_is_live */
    :: else ->
        if
        :: owner == me /* heap_publish: load_ordered(&heap->owner) */
        :: else -> handle[me] = 0
        fi
    fi
}

/* entry_release is expanded once, at the end, for the three places that call it. */
#define LOST  1
#define DEAD  2
#define LEAVE 3

proctype Thread(byte me; bool named)
{
    byte x, from;
    bool referenced, retained, dead;
    if
    :: true
    :: named -> goto leave /* a thread that has called before may end without another call */
    fi;
    busy[me] = true; /* thread_begin */
    if
    :: handle[me] == HANDLE -> goto use /* heap_current: load_relaxed(&entry->handle) */
    :: else
    fi;
    /* heap_enter */
    reference();
    if
    :: !referenced && named -> from = DEAD; goto give_up
    :: !referenced && !named -> goto use
    /* heap_of_thread: load_acquire(&heap->owner) */
    :: referenced && named && owner != me -> from = LOST; goto give_up
    :: referenced && named && owner == me
    :: referenced && !named
    fi;
join:
    if
    :: named
    :: !named -> adopt()
    fi;
    if
    :: named -> publish()
    :: !named
    fi;
    if
    :: dead -> dead = false; from = DEAD; goto give_up /* heap_dead */
    :: !dead && named && wanted -> wanted = false; work() /* heap_enter: store_ordered(&heap->wanted, 0) */
    :: else
    fi;
entered:
    if
    :: referenced -> release(); referenced = false
    :: !referenced
    fi;
use:
    if
    :: named -> work()
    :: !named
    fi;
    busy[me] = false; /* thread_end */
leave:
    busy[me] = true; /* thread_exit: store_relaxed(&thread->busy, 1) */
#ifndef MUTATE_leave_silent
    /* heaps_release */
    if
    :: named ->
        if
        :: owner == me -> work() /* heap_of_entry: load_acquire(&heap->owner); batches_close */
        :: else
        fi;
        from = LEAVE;
        goto give_up
    :: !named
    fi;
#endif
left:
    busy[me] = false; /* thread_release: thread_end */
    finished++;
    goto end;
give_up:
    entry_release();
    if
    :: from == LOST -> from = 0; goto join
    :: from == DEAD -> from = 0; goto entered
    :: from == LEAVE -> from = 0; goto left
    fi;
end:
    skip
}

/* heap_lock */
inline lock_heap()
{
    x = owner; /* load_acquire(&heap->owner) */
    if
    :: x == RECLAIMED || x & LOCKED
    :: else ->
        /* cas(T -> T|LOCKED, NONE -> LOCKED) */
        atomic {
            if
#ifdef MUTATE_lock_plain
            :: true -> owner = x | LOCKED; locked = true
#else
            :: owner == x -> owner = x | LOCKED; locked = true
            :: else
#endif
            fi
        }
        if
        :: locked && x != NONE ->
            x = entry; /* load_ordered(&heap->entry) */
            handle[x] = 0 /* store_ordered(&entry->handle, 0) */
        :: else
        fi
    fi;
    x = 0
}

/* reclaim_begin; `locked` stays where the heap is this thread's to work on */
inline begin(barrier)
{
    x = owner & ~LOCKED; /* heap_is_idle: load_acquire(&heap->owner) */
    if
    :: x == NONE
    :: x == RECLAIMED -> locked = false
    :: x == FIRST || x == SECOND || x == RECLAIMER ->
        if
        :: barrier && x != RECLAIMER && !busy[x] -> /* heap_is_idle: load_acquire(&owner->busy) */
#ifndef MUTATE_reclaim_unseen
            /* Its last operation may have found the key destroyed: load_acquire(&heap->owner), again. */
            if
            :: owner == RECLAIMED -> locked = false
            :: else
            fi;
#endif
            skip
        :: else ->
            wanted = true; /* store_ordered(&heap->wanted, 1) */
            /* cas(T|LOCKED -> T) */
            atomic {
                if
                :: owner == (x | LOCKED) -> owner = x; locked = false
#ifdef MUTATE_unlock_blind
                :: owner == LOCKED -> owner = NONE; locked = false
#else
                :: owner == LOCKED /* its owner has given it up: the heap is this thread's */
#endif
                :: owner == RECLAIMED -> locked = false
                fi
            }
        fi
    fi;
    x = 0
}

/* reclaim_end */
inline end()
{
    if
    :: control == HANDLE -> /* key_is_live */
        work();
        atomic { owner = owner & ~LOCKED; x = owner } /* heap_unlock: cas(T|LOCKED -> T, LOCKED -> NONE) */
#ifndef MUTATE_unlock_once
        /* orphan_reclaim */
        if
        :: x != NONE || control == HANDLE /* key_is_live */
        :: else ->
            /* cas(NONE -> T) */
            atomic {
                if
                :: owner == NONE -> owner = RECLAIMER; x = RECLAIMER
                :: else
                fi
            }
            if
            :: x == RECLAIMER -> retire()
            :: else
            fi
        fi;
#endif
        x = 0
    :: else ->
        retire()
    fi;
    locked = false
}

/* heaps_reclaim, and orphans_trim, which locks only what nobody owns, and does without the barrier */
inline heaps_reclaim(orphans)
{
    do
    ::
        live = (control == HANDLE); /* key_is_live */
        if
        :: !orphans || owner == NONE -> lock_heap() /* orphans_trim: load_relaxed(&heap->owner) */
        :: else
        fi;
        if
        :: locked -> begin(!orphans)
        :: !locked
        fi;
        if
        :: locked -> end()
        :: !locked
        fi;
        if
#ifdef MUTATE_reclaim_once
        :: kind == PURGE -> break
#endif
        :: kind == ORPHANS -> break
        :: !live || control == HANDLE -> break /* key_is_live */
        :: else
        fi
    od
}

proctype Reclaimer(byte kind)
{
    byte x, rounds;
    bool referenced, locked, live;
    if
    :: kind == DESTROY ->
        retain();
        referenced = true;
        control = 0; /* cas(&key->control, handle -> 0) */
        release();
        x = entry; /* handles_clear: load_ordered(&heap->entry) */
        handle[x] = 0; /* handles_clear: store_ordered(&entry->handle, 0) */
        x = 0;
        rounds = DESTROY_ROUNDS
    :: else ->
        reference();
        rounds = 1
    fi;
    if
    :: !referenced
    :: referenced ->
        do
        :: rounds == 0 || (kind == DESTROY && refs == 1) -> break /* heaps_remain: load_acquire(&key->refs) */
        :: else ->
            rounds--;
            heaps_reclaim((kind == ORPHANS))
        od;
        release()
    fi;
    finished++
}

/* batch_send: a freer in another thread. */
proctype Pusher()
{
    atomic { queue++; pushed++; pushed_late = pushed_late + (reclaimed > 0) }
    finished++
}

/*
 * The first thread, and two of the others at a time; the freer where two threads may take the queue in turn. In the last
 * case the first thread sleeps, and never comes back: the others have to do without it.
 */
init {
    bool destroys;
    atomic {
        handle[FIRST] = HANDLE;
        if
        :: run Thread(FIRST, true); run Thread(SECOND, false); run Reclaimer(DESTROY); run Pusher(); destroys = true
        :: run Thread(FIRST, true); run Thread(SECOND, false); run Reclaimer(PURGE); run Pusher()
        :: run Thread(FIRST, true); run Thread(SECOND, false); run Reclaimer(ORPHANS); finished++
        :: run Thread(FIRST, true); run Reclaimer(PURGE); run Reclaimer(DESTROY); finished++; destroys = true
        :: run Thread(FIRST, true); run Reclaimer(ORPHANS); run Reclaimer(DESTROY); finished++; destroys = true
        :: run Reclaimer(PURGE); run Reclaimer(DESTROY); finished = 2; destroys = true
        fi
    }
    finished == 4;
    assert(pushed == taken + queue);
    if
    :: destroys -> assert(reclaimed == 1 && recycled == 1 && refs == 0); assert(queue <= pushed_late)
    :: !destroys -> assert(reclaimed == 0 && recycled == 0 && refs == 2); assert(owner == NONE)
    fi
}
