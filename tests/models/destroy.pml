/*
 * The end of a key, while others look at it by the same or by older handles, and the next key in its slot.
 *
 * Models lib/core/key.c:key_take, key_reference, key_retain, key_release; lib/api/key.c:ks_key_create, ks_key_destroy;
 * lib/core/heap.c:heap_take, heap_new; lib/core/ownership.c:heap_enter, heap_of_thread, entry_is_true, entry_release,
 * heap_part, heap_retire, heap_publish, heap_dead, heap_leave; lib/core/reclaim.c:heap_lock, heap_is_idle, heap_ask,
 * reclaim_begin, heaps_reclaim.
 *
 * Asserts
 *   - a thread with a reference to the key of a handle finds that key in the slot until it gives the reference back
 *   - a slot is put in the pool once for each key, when nobody has a reference and its heaps are reclaimed
 *   - a heap is reclaimed once and recycled once for each key; a thread that uses one finds it to be of its key
 *   - of several destroys of one handle, one wins
 *   - in the end, slot and heap of a destroyed key are free; a live key has a reference for itself and its heap
 *
 * Abstracted: one slot, two keys in it one after the other; one heap structure, which is recycled too; one thread that
 * allocates by either handle, one that only looks at a key, two that destroy. Memory is sequentially consistent, and a
 * membarrier always works. Only destroys reclaim heaps; purges beside them are in adoption.pml.
 *
 * The mutations:
 */
/* MUTATION look_once: the handle is not compared again under the reference; the slot has changed hands in between */
/* MUTATION revive: a reference is taken from a count of 0; the slot is in the pool, and is put there once more */
/* MUTATION destroy_plain: control is looked at and stored, not exchanged; two destroys give back one reference */
/* MUTATION destroy_bare: a destroy has only the reference that the live key had; it reclaims heaps of the next key */
/* MUTATION heap_bare: a heap has no reference; the slot is recycled before the heap is reclaimed */
/* MUTATION slot_first: the slot is put in the pool before its heaps are; their list is the next key's by then */
/* MUTATION reclaim_unseen: the reclaimer looks at the owner before the flag only; a heap is reclaimed twice */

/* UNREACHED User "heap_free = 1": where it fails to get a reference, nobody can have reclaimed its heap */

#define NONE      0
#define LOCKED    1
#define USER      2 /* the address of the thread that allocates */
#define RECLAIMED 8

#define KEYS 2

/* the slot; a handle is the incarnation */
byte control = 1;
byte refs = 1;
byte incarnation = 1;
bool heaps; /* the heap is on the key's list */
bool slot_free;

/* the heap */
byte owner;
byte heap_handle;
bool heap_free = true;

/* the thread that allocates */
bool busy;
byte table; /* the handle in its table */

/* What a program knows: the newest handle. */
byte given = 1;

/* For the assertions. */
byte lookers, reclaimed, finished;
byte destroyed[KEYS + 1];

#define LOOK(h) assert(incarnation == (h) && !slot_free)

/* key_release. The thread that takes the last reference is alone with the slot. */
inline release()
{
    atomic { assert(refs > 0); refs--; last = (refs == 0) } /* fetch_sub(&key->refs, 1) */
    if
    :: last ->
        last = false;
#ifdef MUTATE_slot_first
        atomic { slot_free = true };
#endif
        if
        :: heaps ->
            /* key_recycle_heap */
            atomic {
                assert(owner == RECLAIMED && reclaimed == 1 && !heap_free);
                reclaimed = 0;
                heap_free = true
            }
        :: !heaps
        fi;
#ifndef MUTATE_slot_first
        d_step {
            assert(refs == 0 && control == 0 && lookers == 0 && !slot_free);
            slot_free = true /* pool_push(&free_slots, ...) */
        }
#endif
        skip
    :: !last
    fi
}

/* The same by a caller that keeps another reference. */
#ifdef MUTATE_destroy_bare
#define release_one() release()
#else
inline release_one()
{
    d_step {
        assert(refs > 1);
        refs--
    }
}
#endif

/* key_retain: fetch_add(&key->refs, 1) */
inline retain()
{
    d_step {
        assert(refs > 0);
        refs++
    }
}

inline reference(h)
{
    referenced = false;
    if
    :: control != h /* key_reference: load_relaxed(&key->control) */
    :: else ->
        /* key_reference: cas(&key->refs, refs -> refs + 1), but not from 0 */
        atomic {
            if
#ifdef MUTATE_revive
            :: true -> refs++; referenced = true
#else
            :: refs != 0 -> refs++; referenced = true
            :: else
#endif
            fi
        }
        if
        :: !referenced
        :: referenced ->
            /* key_reference: key_is_live */
            atomic {
                if
#ifdef MUTATE_look_once
                :: true -> lookers++
#else
                :: control == h -> lookers++
                :: else -> referenced = false
#endif
                fi
            }
            if
            :: referenced -> LOOK(h)
            :: !referenced -> release()
            fi
        fi
    fi
}

inline dereference(h)
{
    d_step {
        LOOK(h);
        lookers--
    }
    release()
}

inline retire()
{
    d_step {
        assert(reclaimed == 0 && !heap_free);
        reclaimed++ /* heap_reclaim */
    }
    owner = RECLAIMED; /* heap_retire: store_release(&heap->owner, RECLAIMED) */
#ifndef MUTATE_heap_bare
    release_one()
#endif
    skip
}

/* heap_part, with the heap's handle. There is one thread, so no other takes the heap: see adoption.pml. */
inline part()
{
    x = owner; /* load_acquire(&heap->owner) */
    do
    :: (x & ~LOCKED) != USER -> break
    :: x == (USER | LOCKED) ->
        /* cas(T|LOCKED -> LOCKED) */
        atomic {
            if
            :: owner == x -> owner = LOCKED; break
            :: else -> x = owner
            fi
        }
    :: x == USER ->
        retain();
        if
        :: control != heap_handle -> retire() /* key_is_live */
        :: else ->
            /* cas(T -> NONE) */
            atomic {
                if
                :: owner == x -> owner = NONE
                :: else
                fi
            }
            if
            :: control != heap_handle -> /* key_is_live */
                /* cas(NONE -> T) */
                atomic {
                    if
                    :: owner == NONE -> owner = USER; x = RECLAIMED
                    :: else
                    fi
                }
                if
                :: x == RECLAIMED -> retire()
                :: else
                fi
            :: else
            fi
        fi;
        release();
        x = owner
    od;
    x = 0
}

/* What one call of the thread does; entry_release is expanded once, for the three places that call it. */
#define DEAD  1
#define LOST  2
#define LEAVE 3

active proctype User()
{
    byte x, from, calls, h;
    bool referenced, last, named;
next:
    if
    :: calls == 2 -> goto leave
    :: calls < 2 -> atomic { calls++; h = (calls == 1 -> 1 : given) }
    fi;
    busy = true; /* thread_begin */
    if
    :: table == h -> goto use /* heap_current: load_relaxed(&entry->handle) */
    :: else
    fi;
    /* heap_enter */
    reference(h);
    if
    :: !referenced && named && heap_handle == h -> from = DEAD; goto give_up /* heap_dead: heap_leave */
    :: !referenced && !(named && heap_handle == h) -> goto done
    :: referenced && named && owner == USER && heap_handle == h /* heap_of_thread: load_acquire(&heap->owner) */
    :: referenced && named && !(owner == USER && heap_handle == h) -> from = LOST; goto give_up
    :: referenced && !named
    fi;
join:
    if
    :: named
    :: !named ->
        /* heap_take: pool_pop(&free_heaps) */
        atomic {
            if
            :: heap_free -> heap_free = false; named = true
            :: else
            fi
        }
        if
        :: named ->
            heap_handle = h; /* heap_new: store_relaxed(&heap->handle, handle) */
            owner = USER; /* heap_new: store_relaxed(&heap->owner, T) */
#ifndef MUTATE_heap_bare
            retain(); /* heap_new: key_retain */
#endif
            heaps = true /* heap_new: cas(&key->heaps, ...) */
        :: !named
        fi
    fi;
    if
    :: !named -> goto entered
    :: named
    fi;
    table = h; /* heap_publish: store_ordered(published, handle) */
    if
    :: control != h -> table = 0; from = DEAD; goto give_up /* heap_publish: key_is_live; heap_dead */
    :: else
    fi;
    if
    :: owner == USER /* heap_publish: load_ordered(&heap->owner) */
    :: else -> table = 0
    fi;
entered:
    dereference(h);
    referenced = false;
use:
    if
    :: named ->
        /* What the operation does to the heap. */
        d_step {
            LOOK(h);
            assert(heap_handle == h && (owner & ~LOCKED) == USER && reclaimed == 0)
        }
    :: !named
    fi;
done:
    busy = false; /* thread_end */
    goto next;
leave:
    busy = true; /* thread_exit */
    if
    :: named -> from = LEAVE; goto give_up
    :: !named
    fi;
left:
    busy = false;
    finished++;
    goto end;
give_up:
    /* entry_release */
    x = owner; /* entry_is_true: load_acquire(&heap->owner) */
    table = 0; /* entry_forget: store_relaxed(&entry->handle, 0) */
    named = false;
    if
    :: (x & ~LOCKED) == USER -> part()
    :: else -> x = 0
    fi;
    if
    :: from == LOST -> from = 0; goto join
    :: from == DEAD -> from = 0
    :: from == LEAVE -> from = 0; goto left
    fi;
    if
    :: referenced -> goto entered
    :: !referenced -> goto done
    fi;
end:
    skip
}

/* ks_key_reset and the like, for their looking at the key. */
active proctype Looker()
{
    bool referenced, last;
    reference(1);
    if
    :: referenced -> dereference(1)
    :: !referenced
    fi;
    finished++
}

/* heaps_reclaim, for a key that is destroyed */
inline heaps_reclaim()
{
    if
    :: !heaps /* load_ordered(&key->heaps) */
    :: heaps ->
        x = owner; /* heap_lock: load_acquire(&heap->owner) */
        if
        :: x == RECLAIMED || x & LOCKED
        :: else ->
            /* heap_lock: cas(T -> T|LOCKED, NONE -> LOCKED) */
            atomic {
                if
                :: owner == x -> owner = x | LOCKED; locked = true
                :: else
                fi
            }
            if
            :: locked -> table = 0 /* heap_lock: store_ordered(&entry->handle, 0) */
            :: !locked
            fi
        fi;
        if
        :: !locked
        :: locked && x == NONE
        :: locked && x != NONE && !busy -> /* heap_is_idle: load_acquire(&owner->busy) */
#ifndef MUTATE_reclaim_unseen
            if
            :: owner == RECLAIMED -> locked = false /* heap_is_idle: load_acquire(&heap->owner) */
            :: else
            fi;
#endif
            skip
        :: else ->
            /* heap_ask: cas(T|LOCKED -> T) */
            atomic {
                if
                :: owner == (USER | LOCKED) -> owner = USER; locked = false
                :: owner == RECLAIMED -> locked = false
                :: owner == LOCKED /* its owner has given it up */
                fi
            }
        fi;
        x = 0;
        if
        :: locked -> locked = false; retire()
        :: !locked
        fi
    fi
}

/* ks_key_destroy, by the first handle or by the newest */
active [2] proctype Destroy()
{
    byte x, h;
    bool referenced, last, won, locked;
    if
    :: h = 1
    :: h = given
    fi;
    reference(h);
    if
    :: !referenced -> goto end
    :: referenced
    fi;
    /* cas(&key->control, handle -> 0) */
#ifdef MUTATE_destroy_plain
    won = (control == h);
    if
    :: won -> control = 0
    :: !won
    fi;
#else
    atomic {
        if
        :: control == h -> control = 0; won = true
        :: else
        fi
    }
#endif
    if
    :: !won
    :: won ->
        d_step { destroyed[h]++; assert(destroyed[h] == 1) }
        release_one(); /* the reference that the live key had */
#ifdef MUTATE_destroy_bare
        dereference(h);
#endif
        if
        :: heaps -> table = 0 /* handles_clear */
        :: !heaps
        fi;
        LOOK(h);
        heaps_reclaim()
    fi;
#ifdef MUTATE_destroy_bare
    if
    :: won -> goto end
    :: !won
    fi;
#endif
    dereference(h);
end:
    finished++
}

/* ks_key_create, once more in the same slot */
active proctype Create()
{
    if
    :: atomic { slot_free -> slot_free = false } /* slot_take: pool_pop(&free_slots) */
        incarnation++; /* key_take */
        heaps = false;
        refs = 1; /* key_take: store_release(&key->refs, 1) */
        control = incarnation; /* ks_key_create: store_ordered(&key->control, handle) */
        given = incarnation
    :: finished == 4 /* no slot is free yet, and none will be */
    fi;
    finished == 4;
    if
    :: control == 0 -> assert(refs == 0 && slot_free && heap_free && reclaimed == 0)
    :: else ->
        assert(!slot_free && lookers == 0 && reclaimed == 0 && (heap_free || owner == NONE));
#ifndef MUTATE_heap_bare
        assert(refs == 1 + (!heap_free))
#endif
    fi
}
