/*
 * The end of a thread: its heap waits on the key's list, the next thread that enters the key takes it over, while
 * others push to its queue, purge, settle orphans, or destroy the key.
 *
 * Models lib/holder.c:heap_enter, heap_of_thread, entry_is_true, entry_let_go, heap_let_go, heap_retire, heaps_leave,
 * heap_adopt, heap_publish, heap_dead, heap_shut, heap_is_left_alone, heap_visit_begin, heap_visit_end, heap_open,
 * heaps_visit, orphans_settle; lib/heap.c:heap_reclaim; lib/lifetime.c:ks_key_destroy; lib/key.c:key_reference,
 * key_retain, key_release; lib/returns.c:returns_take, outbox_send (the push).
 *
 * Asserts
 *   - at most one thread works on the heap at once, and none after it has been recycled
 *   - a reference is added only where there is one already
 *   - when all threads are gone, the heap of a destroyed key has been reclaimed once and recycled once, and no
 *     reference is left; that of a live key is held by nobody
 *   - each magazine pushed is in the queue still, or was taken once; after the end of the key the queue has only
 *     what was pushed later than the heap was reclaimed
 *
 * Abstracted: one heap, which a first thread holds at the beginning, and a second thread may adopt; where it finds
 * nothing to adopt it makes a heap of its own, which is left out. Memory is sequentially consistent, and a membarrier
 * always works: the owner's flag in its store buffer is purge.pml's matter. A recycled heap is at once the
 * orphan of another key, which is the worst that can become of it.
 *
 * The mutations:
 */
/* MUTATION let_go_blind: who lets go does not look at the key afterwards; a destroy has just left the heap to it */
/* MUTATION let_go_unreferenced: who lets go has no reference meanwhile; it takes the orphan of another key */
/* MUTATION retain_early: the reference is added before SHUT is ruled out; the visitor has given back the last one */
/* MUTATION leave_silent: an ending thread does not let go of its heap; nobody reclaims or adopts it */
/* MUTATION adopt_plain: the adopter stores its address without comparing; two threads hold one heap */
/* MUTATION shut_plain: the visitor stores SHUT without comparing; it shuts a heap that has changed hands */
/* MUTATION open_blind: a visitor that finds that the owner has let go opens the heap, and does not visit it */
/* MUTATION reclaim_unseen: the visitor looks at the holder before the flag only; the holder has reclaimed in between */
/* MUTATION visit_once: a purge does not look at the key afterwards; a destroy has left it the heap that was shut */
/* MUTATION open_once: who opens a heap to nobody does not look at the key afterwards; a destroy has just left it */
/* MUTATION reclaim_shallow: reclaiming does not take the queue; its magazines are lost */

#define NONE      0
#define SHUT      1
#define FIRST     2 /* the address of the first thread */
#define SECOND    4
#define RECLAIMED 8
#define VISITOR   16 /* a visitor that takes an orphan back, from where it does not come back */

#define HANDLE 1

/* Visitors. */
#define PURGE   1 /* ks_key_purge */
#define ORPHANS 2 /* an allocation in a third thread that was refused; it has a reference by its own heap */
#define DESTROY 3 /* ks_key_destroy; that only one gets that far is destroy.pml's matter */

#define DESTROY_VISITS 2

/* key */
byte control = HANDLE;
byte refs = 2; /* the live key's and the heap's */

/* heap; its table entry is the one of the thread that it names */
byte holder = FIRST;
byte entry = FIRST;
byte returns; /* how many magazines are in the queue */
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

/* Settling, and whatever else its holder does to a heap. */
inline work()
{
    work_begin();
    atomic { taken = taken + returns; returns = 0 } /* returns_take: stack_take_all */
    work_end()
}

/* key_release: fetch_sub(&key->refs, 1). Who takes the last one recycles the heap, and nobody looks any more. */
inline release()
{
    d_step {
        assert(refs > 0);
        refs--;
        if
        :: refs == 0 ->
            assert(control == 0 && holder == RECLAIMED && !worked_on);
            recycled++;
            holder = NONE
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
    atomic { taken = taken + returns; returns = 0; reclaimed++ } /* heap_reclaim: returns_take */
#else
    reclaimed++;
#endif
    work_end();
    holder = RECLAIMED; /* heap_retire: store_release(&heap->holder, RECLAIMED) */
    release()
}

/*
 * heap_let_go. Once it has seen its own address without SHUT inside an operation, the heap is the thread's until it
 * says otherwise, and so is the heap's reference to the key.
 */
inline let_go()
{
#ifdef MUTATE_retain_early
    retain();
    retained = true;
#endif
    x = holder; /* load_acquire(&heap->holder) */
    do
    :: (x & ~SHUT) != me -> break
    :: x == (me | SHUT) ->
        /* cas(T|SHUT -> SHUT) */
        atomic {
            if
            :: holder == x -> holder = SHUT; break
            :: else -> x = holder
            fi
        }
    :: x == me ->
#ifndef MUTATE_let_go_unreferenced
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
            :: holder == x -> holder = NONE; x = NONE
            :: else -> x = holder
            fi
        }
        if
        :: x != NONE
        :: else ->
#ifndef MUTATE_let_go_blind
            if
            :: control == HANDLE /* key_is_live */
            :: else ->
                /* cas(NONE -> T) */
                atomic {
                    if
                    :: holder == NONE -> holder = me; x = me
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

inline entry_let_go()
{
    x = holder; /* entry_is_true: load_acquire(&heap->holder) */
    handle[me] = 0; /* entry_forget: store_relaxed(&entry->handle, 0) */
    named = false;
    if
    :: (x & ~SHUT) == me -> let_go()
    :: else -> x = 0
    fi
}

/* heap_join, where the table names no heap. One to adopt is taken if there is one. */
inline adopt()
{
    if
    :: holder == NONE -> /* heap_adopt: load_relaxed(&heap->holder) */
        /* heap_adopt: cas(NONE -> T) */
        atomic {
            if
#ifdef MUTATE_adopt_plain
            :: true -> holder = me; named = true
#else
            :: holder == NONE -> holder = me; named = true
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
        :: holder == me /* heap_publish: load_ordered(&heap->holder) */
        :: else -> handle[me] = 0
        fi
    fi
}

/* Letting go stands there once, at the end, for the three places that it is called from. */
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
    /* heap_of_thread: load_acquire(&heap->holder) */
    :: referenced && named && holder != me -> from = LOST; goto give_up
    :: referenced && named && holder == me
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
    /* heaps_leave */
    if
    :: named ->
        if
        :: holder == me -> work() /* heap_of_entry: load_acquire(&heap->holder); outboxes_send */
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
    entry_let_go();
    if
    :: from == LOST -> from = 0; goto join
    :: from == DEAD -> from = 0; goto entered
    :: from == LEAVE -> from = 0; goto left
    fi;
end:
    skip
}

/* heap_shut */
inline shut_heap()
{
    x = holder; /* load_acquire(&heap->holder) */
    if
    :: x == RECLAIMED || x & SHUT
    :: else ->
        /* cas(T -> T|SHUT, NONE -> SHUT) */
        atomic {
            if
#ifdef MUTATE_shut_plain
            :: true -> holder = x | SHUT; shut = true
#else
            :: holder == x -> holder = x | SHUT; shut = true
            :: else
#endif
            fi
        }
        if
        :: shut && x != NONE ->
            x = entry; /* load_ordered(&heap->entry) */
            handle[x] = 0 /* store_ordered(&entry->handle, 0) */
        :: else
        fi
    fi;
    x = 0
}

/* heap_visit_begin; `shut` stays where the heap is this thread's to work on */
inline look(barrier)
{
    x = holder & ~SHUT; /* heap_is_left_alone: load_acquire(&heap->holder) */
    if
    :: x == NONE
    :: x == RECLAIMED -> shut = false
    :: x == FIRST || x == SECOND || x == VISITOR ->
        if
        :: barrier && x != VISITOR && !busy[x] -> /* heap_is_left_alone: load_acquire(&holder->busy) */
#ifndef MUTATE_reclaim_unseen
            /* Its last operation may have found the key destroyed: load_acquire(&heap->holder), again. */
            if
            :: holder == RECLAIMED -> shut = false
            :: else
            fi;
#endif
            skip
        :: else ->
            wanted = true; /* store_ordered(&heap->wanted, 1) */
            /* cas(T|SHUT -> T) */
            atomic {
                if
                :: holder == (x | SHUT) -> holder = x; shut = false
#ifdef MUTATE_open_blind
                :: holder == SHUT -> holder = NONE; shut = false
#else
                :: holder == SHUT /* its owner has let go: the heap is this thread's */
#endif
                :: holder == RECLAIMED -> shut = false
                fi
            }
        fi
    fi;
    x = 0
}

/* heap_visit_end */
inline visit()
{
    if
    :: control == HANDLE -> /* key_is_live */
        work();
        atomic { holder = holder & ~SHUT; x = holder } /* heap_open: cas(T|SHUT -> T, SHUT -> NONE) */
#ifndef MUTATE_open_once
        /* orphan_reclaim */
        if
        :: x != NONE || control == HANDLE /* key_is_live */
        :: else ->
            /* cas(NONE -> T) */
            atomic {
                if
                :: holder == NONE -> holder = VISITOR; x = VISITOR
                :: else
                fi
            }
            if
            :: x == VISITOR -> retire()
            :: else
            fi
        fi;
#endif
        x = 0
    :: else ->
        retire()
    fi;
    shut = false
}

/* heaps_visit, and orphans_settle, which shuts only what nobody holds, and does without the barrier */
inline heaps_visit(orphans)
{
    do
    ::
        live = (control == HANDLE); /* key_is_live */
        if
        :: !orphans || holder == NONE -> shut_heap() /* orphans_settle: load_relaxed(&heap->holder) */
        :: else
        fi;
        if
        :: shut -> look(!orphans)
        :: !shut
        fi;
        if
        :: shut -> visit()
        :: !shut
        fi;
        if
#ifdef MUTATE_visit_once
        :: kind == PURGE -> break
#endif
        :: kind == ORPHANS -> break
        :: !live || control == HANDLE -> break /* key_is_live */
        :: else
        fi
    od
}

proctype Visitor(byte kind)
{
    byte x, visits;
    bool referenced, shut, live;
    if
    :: kind == DESTROY ->
        retain();
        referenced = true;
        control = 0; /* cas(&key->control, handle -> 0) */
        release();
        x = entry; /* handles_clear: load_ordered(&heap->entry) */
        handle[x] = 0; /* handles_clear: store_ordered(&entry->handle, 0) */
        x = 0;
        visits = DESTROY_VISITS
    :: else ->
        reference();
        visits = 1
    fi;
    if
    :: !referenced
    :: referenced ->
        do
        :: visits == 0 || (kind == DESTROY && refs == 1) -> break /* heaps_remain: load_acquire(&key->refs) */
        :: else ->
            visits--;
            heaps_visit((kind == ORPHANS))
        od;
        release()
    fi;
    finished++
}

/* outbox_send: a freer in another thread. */
proctype Pusher()
{
    atomic { returns++; pushed++; pushed_late = pushed_late + (reclaimed > 0) }
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
        :: run Thread(FIRST, true); run Thread(SECOND, false); run Visitor(DESTROY); run Pusher(); destroys = true
        :: run Thread(FIRST, true); run Thread(SECOND, false); run Visitor(PURGE); run Pusher()
        :: run Thread(FIRST, true); run Thread(SECOND, false); run Visitor(ORPHANS); finished++
        :: run Thread(FIRST, true); run Visitor(PURGE); run Visitor(DESTROY); finished++; destroys = true
        :: run Thread(FIRST, true); run Visitor(ORPHANS); run Visitor(DESTROY); finished++; destroys = true
        :: run Visitor(PURGE); run Visitor(DESTROY); finished = 2; destroys = true
        fi
    }
    finished == 4;
    assert(pushed == taken + returns);
    if
    :: destroys -> assert(reclaimed == 1 && recycled == 1 && refs == 0); assert(returns <= pushed_late)
    :: !destroys -> assert(reclaimed == 0 && recycled == 0 && refs == 2); assert(holder == NONE)
    fi
}
