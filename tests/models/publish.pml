/*
 * The handle in a thread's table against reset, terminate and destroy: a thread that changes a key clears the handle
 * after that, a thread that publishes a handle looks at the key after that, so one of them notices the other.
 *
 * Models lib/core/ownership.h:heap_current; lib/core/ownership.c:heap_enter, heap_adopt, heap_publish;
 * lib/core/heap.c:heap_new; lib/core/reset.c:heap_catch_up; lib/api/key.c:handles_clear, ks_key_reset,
 * ks_key_terminate, key_end (its first half).
 *
 * Asserts, at each use of the heap by a call of the owner
 *   - the heap is at the generation of every reset that had returned when the call began
 *   - no terminate and no destroy had returned when the call began
 *
 * Abstracted: one heap, which the owner makes, or adopts from a thread that is gone and whose table it names still; two
 * changes of the key at a time. Ownership of heaps is in purge.pml and adoption.pml. Memory is sequentially
 * consistent, because all stores to a handle that matter here are; what a plain one would do is a mutation.
 *
 * The mutations:
 */
/* MUTATION clear_first: the handle is cleared before the key is changed; an owner puts it back in between */
/* MUTATION no_generation: the owner does not look at the generation again; a reset goes unnoticed */
/* MUTATION no_terminated: the owner does not look at `terminated` again; it allocates in a terminated key */
/* MUTATION no_live: the owner does not look at `control` again; it allocates in a destroyed key */
/* MUTATION entry_late: an adopted heap names its new entry after publication; the old owner's is cleared */
/* MUTATION push_late: a new heap is put on the key's list after publication; nobody finds its entry */
/* MUTATION publish_plain: the handle is published by a plain store; it lands after the other has cleared it */

#define CALLS 3

#define HANDLE 1
#define GONE   0 /* the table entry of the thread that is gone */
#define OWN    1 /* the owner's */

/* key */
byte control = HANDLE;
byte generation;
bool terminated;
bool on_list; /* key.heaps leads to the heap */

/* The tables' entries, and the heap. */
byte handle[2];
byte heap_entry = GONE;
byte heap_generation;

/* For the assertions: what has returned. */
byte reset_returned;
bool terminate_returned, destroy_returned;
byte finished;

#ifdef MUTATE_publish_plain
bool buffered;
#define OWN_HANDLE (buffered -> HANDLE : handle[OWN])
#define DRAINED    !buffered
#else
#define OWN_HANDLE handle[OWN]
#define DRAINED    true
#endif

inline use()
{
    assert(heap_generation >= reset_before);
    assert(!terminate_before);
    assert(!destroy_before)
}

inline catch_up()
{
    g = generation; /* heap_catch_up: load_ordered(&key->generation) */
    if
    :: heap_generation != g -> heap_generation = g /* heap_drop */
    :: else
    fi
}

inline publish()
{
    do
    ::
        catch_up();
        if
        :: terminated -> refused = true; break /* heap_publish: load_ordered(&key->terminated) */
        :: else
        fi;
        /* heap_publish: store_ordered(published, heap->handle) */
#ifdef MUTATE_publish_plain
        buffered = true;
#else
        handle[OWN] = HANDLE;
#endif
#ifdef MUTATE_no_live
        live = true;
#else
        live = (control == HANDLE); /* heap_publish: key_is_live */
#endif
        if
        :: !live -> skip
#ifdef MUTATE_no_terminated
        :: live ->
#else
        :: live && terminated -> skip /* heap_publish: load_ordered(&key->terminated) */
        :: live && !terminated ->
#endif
            if
#ifdef MUTATE_no_generation
            :: true -> break
#else
            :: generation == heap_generation -> break /* heap_publish: load_ordered(&key->generation) */
            :: else
#endif
            fi
        fi;
        DRAINED;
        handle[OWN] = 0; /* heap_publish: store_ordered(published, 0) */
        if
        :: !live -> refused = true; break
        :: else
        fi
    od
}

inline join()
{
    if
    :: on_list ->
        /* heap_adopt: cas(&heap->owner, NONE -> T), then store_ordered(&heap->entry, ...) */
#ifndef MUTATE_entry_late
        heap_entry = OWN;
#endif
        skip
    :: !on_list ->
        heap_generation = generation; /* heap_new: load_acquire(&key->generation) */
        heap_entry = OWN; /* heap_new: store_ordered(&heap->entry, ...) */
#ifndef MUTATE_push_late
        on_list = true; /* heap_new: cas(&key->heaps, ...) */
#endif
        skip
    fi
}

active proctype Owner()
{
    byte calls, g, reset_before;
    bool refused, live, joined, terminate_before, destroy_before;
    do
    :: calls == CALLS || refused -> break
    :: calls < CALLS && !refused ->
        calls++;
        atomic {
            reset_before = reset_returned;
            terminate_before = terminate_returned;
            destroy_before = destroy_returned;
            if
            :: OWN_HANDLE == HANDLE -> live = true /* heap_current: load_relaxed(&entry->handle) */
            :: else -> live = false
            fi
        }
        if
        :: live -> use()
        :: !live ->
            if
            :: control != HANDLE -> refused = true /* heap_enter: key_reference */
            :: else ->
                if
                :: !joined -> join(); joined = true
                :: joined
                fi;
                publish();
#ifdef MUTATE_entry_late
                heap_entry = OWN;
#endif
#ifdef MUTATE_push_late
                on_list = true;
#endif
                if
                :: !refused -> use()
                :: refused
                fi
            fi
        fi
    od;
    finished++
}

#ifdef MUTATE_publish_plain
active proctype Buffer()
{
    do
    :: atomic { buffered -> handle[OWN] = HANDLE; buffered = false }
    :: finished == 3 && !buffered -> break
    od
}
#endif

inline handles_clear()
{
    if
    :: on_list -> /* handles_clear: load_ordered(&key->heaps) */
        e = heap_entry; /* handles_clear: load_ordered(&heap->entry) */
        handle[e] = 0 /* handles_clear: store_ordered(&entry->handle, 0) */
    :: !on_list
    fi
}

proctype Reset()
{
    byte e, mine;
    if
    :: control == HANDLE -> /* ks_key_reset: key_reference */
#ifdef MUTATE_clear_first
        handles_clear();
#endif
        atomic { generation++; mine = generation } /* ks_key_reset: fetch_add(&key->generation, 1) */
#ifndef MUTATE_clear_first
        handles_clear();
#endif
        atomic {
            if
            :: reset_returned < mine -> reset_returned = mine
            :: else
            fi
        }
    :: control != HANDLE
    fi;
    finished++
}

proctype Terminate()
{
    byte e;
    if
    :: control == HANDLE -> /* ks_key_terminate: key_reference */
        terminated = true; /* ks_key_terminate: store_ordered(&key->terminated, 1) */
        handles_clear();
        terminate_returned = true
    :: control != HANDLE
    fi;
    finished++
}

proctype Destroy()
{
    byte e;
    control = 0; /* ks_key_destroy: cas(&key->control, handle -> 0) */
    handles_clear();
    destroy_returned = true;
    finished++
}

/* Two beginnings: a heap that a thread has left behind, or none. Two changes of the key at a time. */
init {
    atomic {
        if
        :: on_list = true
        :: skip
        fi;
        if
        :: run Reset(); run Reset()
        :: run Reset(); run Terminate()
        :: run Reset(); run Destroy()
        :: run Terminate(); run Destroy()
        fi
    }
}
