/*
 * Remote frees of a slab that changes: it begins anew with another class, passes to another heap, or its key is reset
 * meanwhile. An entry carries the slab's epoch, a message the tag of the heap that it is for.
 *
 * Models lib/core/slab.c:slab_begin_epoch, slab_begin_same, slab_carve, slab_give; lib/core/remote.h:remote_find,
 * batch_add; lib/core/remote.c:batch_open, batch_send, batches_drop, queue_take, entry_good, entry_accept;
 * lib/core/validate.c:validate, carved_status; lib/core/reset.c:heap_catch_up, heap_drop; lib/api/key.c:ks_key_reset.
 *
 * Asserts
 *   - a free that is accepted ends the allocation that the freeing thread saw at the address, which no other free has
 *     ended
 *   - a free that is refused or thrown away is one too many, or of a block that a reset has dropped: no legal one is
 *     lost
 *   - a free that the owner reports was one too many: frees of what a reset has dropped are not reported
 *   - only the owner of a slab writes to its groups
 *   - in the end, a block is out if and only if no remote free saw its last allocation
 *
 * One slab with one group, of one or two blocks. At P lies the first block of class A, and the second one of class B;
 * at Q lies the first one of class B, and no block of class A: so an address is one bit or another, and a bit is one
 * address or another. A thread frees P or Q at any time. Three programs: the slab is used again in its heap; it passes
 * from one heap to another; its key is reset (in this one, at P only). An allocation is one step: what it does in turn
 * is in entries.pml. Each message has one entry. What reset and heap do about the handle is in publish.pml.
 *
 * The mutations:
 */
/* MUTATION no_epoch: the owner does not compare the epoch; the bit is another block's by now */
/* MUTATION epoch_late: the freeing thread reads the epoch last; it goes with what was read of the epoch before */
/* MUTATION epoch_early: the owner raises the epoch first; after it, fields of the epoch before are read */
/* MUTATION join_any_epoch: a block joins an entry of an earlier epoch; a legal free is refused */
/* MUTATION no_carved: the index is not compared with `carved`; bits of a group that is not begun are set */
/* MUTATION no_message_tag: the message's tag is not compared; a free of what a reset has dropped is reported */
/* MUTATION no_slab_tag: the owner does not compare the slab's tag; it writes to another heap's group */
/* MUTATION given_unmarked: a slab is given back with its tag; the last owner takes it for its own still */
/* MUTATION any_generation: a batch is opened for a later generation; it is discarded, and a legal free with it */
/* MUTATION stale_at_once: a block of a later generation is refused; the thread must catch up, and look again */

#define ALLOCATIONS 2

/* Addresses, classes, and bits. */
#define P 0
#define Q 1
#define A 0
#define B 1
#define NOWHERE 2
#define INDEX(k, at) ((k) == B -> 1 - (at) : ((at) == P -> 0 : NOWHERE))
#define BLOCKS(k)    ((k) == A -> 1 : 2)
#define ALL(k)       ((k) == A -> 1 : 3)
#define BIT(i)       (1 << (i))

/* The key. */
byte generation;
#define FREER 2
bool handle[3]; /* in the tables of the owners, 0 and 1, and of the freeing thread */

/* The heaps. A tag is the incarnation * 2 | the heap. */
#define HEAPS        2
#define HEAP_OF(tag) ((tag) & 1)
#define GIVEN        16
#define NO_TAG       0
byte heap_tag[HEAPS];
byte heap_generation[HEAPS];

/* The slab, and the word of its group. */
byte tag;
byte epoch = 1;
byte class;
byte carved;
byte free, clock;
byte born[2];
bool in_arena;
bool anew; /* it has begun anew: it does so once */

/*
 * Messages of one entry: tag, epoch, stamp, mask, and by bit the allocation that was out at the address when the program
 * called, and when the word was read.
 */
chan queue[HEAPS] = [4] of { byte, byte, byte, byte, byte, byte, byte, byte };

/* For the assertions. */
#define NOBODY HEAPS
byte owner;       /* of the slab */
byte allocations; /* counts */
byte now[2];      /* by bit: the allocation that is out */
/* Bit n: the allocation n was ended by a free; dropped by a reset; seen by a remote free that was called during it. */
byte ended, dropped, seen;
byte pending;
bool finished; /* the freeing thread has */
bool gives, resets; /* the programs */

#define HAS(set, n)     ((set) >> (n) & 1)
#define ONE_TOO_MANY(n) ((n) == 0 || HAS(ended, n))
#define NOT_OWED(n)     (ONE_TOO_MANY(n) || HAS(dropped, n))

/* ------------------------------------------------------------------ the freeing thread */

inline clear_entry()
{
    e_epoch = 0;
    e_stamp = 0;
    e_mask = 0;
    e_began[0] = 0;
    e_began[1] = 0;
    e_found[0] = 0;
    e_found[1] = 0
}

inline send()
{
    if
    :: e_mask ->
        queue[HEAP_OF(batch)]!batch,e_epoch,e_stamp,e_mask,e_began[0],e_found[0],e_began[1],e_found[1];
        clear_entry()
    :: else
    fi
}

/* heap_catch_up, with batches_drop, and heap_publish: publish.pml shows that no reset is overlooked. */
inline freer_catches_up()
{
    atomic {
        if
        :: known != generation -> /* load_ordered(&key->generation) */
            known = generation;
            assert(!(e_mask & 1) || NOT_OWED(e_began[0]));
            assert(!(e_mask & 2) || NOT_OWED(e_began[1]));
            pending = pending - (e_mask & 1) - (e_mask >> 1);
            batch = NO_TAG;
            clear_entry()
        :: else
        fi
    }
    atomic { handle[FREER] = (known == generation) }
}

#ifdef MUTATE_join_any_epoch
#define SAME_EPOCH true
#else
#define SAME_EPOCH (e_epoch == e)
#endif

#define OPEN (e_mask && SAME_EPOCH && e_stamp == c)

#ifdef MUTATE_epoch_late
#define EPOCH_FIRST
#define EPOCH_LAST } e = epoch; atomic {
#else
#define EPOCH_FIRST e = epoch; /* load_acquire(&slab->epoch) */
#define EPOCH_LAST
#endif

/* remote_find: load_relaxed of the group's word, both halves at once */
inline look()
{
    w = free & BIT(i);
    c = clock;
    f = (INDEX(class, at) == i && !w -> now[i] : 0);
    seen = (f == n -> seen | 1 << f : seen)
}

/* batch_add: nobody else sees anything of it but the message. */
inline validate()
{
    if
    :: w -> assert(NOT_OWED(n)) /* KS_DOUBLE_FREE */
    :: !w && OPEN && e_mask & BIT(i) -> assert(e_found[i] == n || NOT_OWED(n)) /* KS_DOUBLE_FREE */
    :: else ->
        if
        :: !OPEN -> send(); e_epoch = e; e_stamp = c
        :: OPEN
        fi;
        e_mask = e_mask | BIT(i);
        e_began[i] = n;
        e_found[i] = f;
        pending++
    fi
}

#ifdef MUTATE_no_carved
#define CARVED(i) true
#else
#define CARVED(i) ((i) < carved) /* load_relaxed(&slab->carved) */
#endif

#ifdef MUTATE_any_generation
#define OF_GENERATION(home) true
#else
#define OF_GENERATION(home) (heap_generation[home] == known) /* load_acquire(&home->generation) */
#endif

#ifdef MUTATE_stale_at_once
#define BEHIND false
#else
#define BEHIND (generation != known) /* load_ordered(&key->generation) */
#endif

proctype Freer(byte frees)
{
    byte known; /* the generation of the thread's heap */
    byte at, n; /* the address, and its allocation when the program called */
    byte t, e, i, w, c; /* what was read: tag, epoch, index, the block's bit, the clock */
    byte f; /* the allocation at that time */
    byte batch; /* the tag that it is open for */
    byte e_epoch, e_stamp, e_mask, e_began[2], e_found[2]; /* the open entry */
    do
    :: atomic {
            frees > 0 ->
            frees--;
            if
            :: at = P
            :: !resets -> at = Q
            fi;
            i = INDEX(class, at);
            n = (i == NOWHERE -> 0 : now[i]);
            i = 0;
            if
            :: handle[FREER] /* load_relaxed(&entry->handle) */
            :: !handle[FREER] -> freer_catches_up()
            fi
        }
again:
        t = tag; /* load_acquire(&slab->tag) */
        if
        :: t & GIVEN -> goto refused
        :: t == batch
        :: else ->
            /* carved_status, before batch_open */
            if
            :: heap_tag[HEAP_OF(t)] != t -> goto refused /* load_relaxed(&home->tag): KS_STALE */
            :: else
            fi;
            if
            :: OF_GENERATION(HEAP_OF(t)) -> atomic { send(); batch = t }
            :: else ->
                if
                :: BEHIND -> freer_catches_up(); goto again
                :: !BEHIND -> goto refused /* KS_STALE */
                fi
            fi
        fi;
        EPOCH_FIRST
        /* The address is no block's first byte, or its index: load_relaxed(&slab->reciprocal). */
        i = INDEX(class, at);
        if
        :: i == NOWHERE -> goto refused /* KS_BAD_BLOCK */
        :: else
        fi;
        if
        :: CARVED(i)
        :: else -> goto refused /* KS_STALE */
        fi;
        atomic {
            look();
            EPOCH_LAST
            validate();
            /* A message is sent when it is full, flushed or too old. */
            if
            :: true
            :: send()
            fi;
            goto done
        }
refused:
        atomic {
            assert(NOT_OWED(n));
done:
            at = 0;
            n = 0;
            t = 0;
            e = 0;
            i = 0;
            w = 0;
            c = 0;
            f = 0
        }
    :: atomic { frees == 0 -> send(); known = 0; batch = 0; finished = true; break }
    od
}

/* ------------------------------------------------------------------ the owners */

/* heap_catch_up, with heap_drop, and heap_publish */
inline owner_catches_up()
{
    if
    :: known != generation ->
        known = generation; /* load_ordered(&key->generation) */
        atomic {
            now[0] = 0;
            now[1] = 0;
            heap_tag[me] = heap_tag[me] + 2 /* heap_reincarnate: store_relaxed(&heap->tag, ...) */
        }
        heap_generation[me] = known; /* store_relaxed(&heap->generation, ...) */
        aside = aside || owner == me
    :: else
    fi;
    atomic { handle[me] = (known == generation) }
}

#define OWN_STORE assert(owner == me)

/* slab_begin_epoch; slab_begin_same, where nothing but the epoch changes */
inline begin_anew(k)
{
    aside = false;
    anew = true;
#ifdef MUTATE_epoch_early
    epoch++;
#endif
    class = k; /* store_relaxed(&slab->reciprocal, ...) */
    carved = 0; /* store_relaxed(&slab->carved, 0) */
#ifndef MUTATE_epoch_early
    epoch++; /* store_release(&slab->epoch, ...) */
#endif
    tag = heap_tag[me] /* store_release(&slab->tag, ...) */
}

/* slab_carve */
inline carve()
{
    clock++; /* store_relaxed(&group->clock, ...) */
    atomic { born[0] = 0; born[1] = 0; free = ALL(class) } /* store_relaxed(&group->free, ...) */
    carved = BLOCKS(class) /* store_release(&slab->carved, ...) */
}

/* bin_take */
inline allocate(x)
{
    d_step {
        OWN_STORE;
        assert(free & BIT(x) && !now[x] && x < carved);
        allocations++;
        now[x] = allocations;
        if
        :: known != generation -> dropped = dropped | 1 << allocations
        :: else
        fi;
        clock++;
        born[x] = clock;
        free = free & ~BIT(x)
    }
}

/* validate_owner, validate_own, group_free */
inline free_local(x)
{
    tag == heap_tag[me];
    d_step {
        if
        :: x < carved && !(free & BIT(x)) ->
            OWN_STORE;
            assert(now[x]);
            seen = seen | 1 << now[x];
            ended = ended | 1 << now[x];
            now[x] = 0;
            free = free | BIT(x)
        :: else -> assert(owner != me || !now[x])
        fi
    }
}

/* entry_refuse: a double free, or one whose call has met the reset, and found another block */
#define REFUSED(n, f) assert(ONE_TOO_MANY(n) || ((n) != (f) && NOT_OWED(n)))

#ifdef MUTATE_no_message_tag
#define SAME_TAG true
#else
#define SAME_TAG (t == heap_tag[me])
#endif

#ifdef MUTATE_no_slab_tag
#define OWN_SLAB true
#define LOADS    } atomic {
#else
#define OWN_SLAB (tag == heap_tag[me]) /* load_relaxed(&slab->tag) */
#define LOADS
#endif

#ifdef MUTATE_no_epoch
#define OF_EPOCH true
#else
#define OF_EPOCH (epoch == e)
#endif

/* All bits but one that was handed out again since. */
#define NOT_LATER(x) (born[x] > s -> ~BIT(x) : ~0)

/* Whether each free was right to be accepted, or refused. */
inline accept_bit(x)
{
    if
    :: good & BIT(x) ->
        assert(f[x] && now[x] == f[x]);
        ended = ended | 1 << f[x];
        now[x] = 0
    :: m & BIT(x) && !(good & BIT(x)) -> REFUSED(n[x], f[x]) /* KS_DOUBLE_FREE, reported */
    :: else
    fi
}

/*
 * queue_take, entry_accept. Only the owner writes to its slabs, so what it compares is one step; but not where it
 * compares no tag, and the slab is another heap's.
 */
inline accept()
{
    atomic {
        queue[me]?t,e,s,m,n[0],f[0],n[1],f[1];
        if
        :: !SAME_TAG ->
            assert(!(m & 1) || NOT_OWED(n[0]));
            assert(!(m & 2) || NOT_OWED(n[1]));
            goto taken
        :: SAME_TAG && !(OWN_SLAB && OF_EPOCH) -> goto refused
        :: else
        fi;
        good = (clock == s -> m : m & NOT_LATER(0) & NOT_LATER(1));
        LOADS
        good = good & ~free;
refused:
        accept_bit(0);
        accept_bit(1);
        if
        :: good -> OWN_STORE; free = free | good
        :: else
        fi;
taken:
        pending = pending - (m & 1) - (m >> 1);
        t = 0;
        e = 0;
        s = 0;
        m = 0;
        good = 0;
        n[0] = 0;
        n[1] = 0;
        f[0] = 0;
        f[1] = 0
    }
}

proctype Owner(byte me)
{
    byte known; /* the generation of the heap */
    byte t, e, s, m, n[2], f[2]; /* a message */
    byte good;
    bool aside; /* the slab is to begin anew */
    do
    :: handle[me] -> /* an operation: load_relaxed(&entry->handle) */
        if
        :: atomic { in_arena && !anew -> in_arena = false; owner = me; aside = true } /* arena_take */
        :: owner == me && aside && !anew -> begin_anew(A)
        :: !resets && owner == me && aside && !anew -> begin_anew(B)
        :: gives && owner == me && aside ->
            /* slab_give */
#ifndef MUTATE_given_unmarked
            tag = tag | GIVEN;
#endif
            atomic { aside = false; owner = NOBODY; in_arena = true } /* arena_give */
        :: owner == me && !aside && !carved -> carve()
        :: owner == me && !aside && carved && free & 1 && allocations < ALLOCATIONS -> allocate(0)
        :: owner == me && !aside && carved && free & 2 && allocations < ALLOCATIONS -> allocate(1)
        :: owner == me && !aside && carved && free == ALL(class) -> aside = true
        :: free_local(0)
        :: free_local(1)
        :: nempty(queue[me]) -> accept()
        :: atomic { finished && empty(queue[me]) -> break }
        fi
    :: !handle[me] -> owner_catches_up()
    od
}

/* ks_key_reset */
proctype Reset()
{
    d_step {
        generation++; /* fetch_add(&key->generation, 1) */
        dropped = dropped | (2 << allocations) - 1
    }
    /* handles_clear: store_ordered(&entry->handle, 0) */
    handle[0] = false;
    handle[FREER] = false
}

init {
    byte x;
    atomic {
        heap_tag[0] = 2;
        heap_tag[1] = 3;
        handle[0] = true;
        handle[1] = true;
        handle[FREER] = true;
        tag = heap_tag[0];
        if
        :: class = A; run Freer(2)
        :: class = B; run Freer(2)
        :: class = A; run Freer(1); run Owner(1); gives = true
        :: class = B; run Freer(1); run Owner(1); gives = true
        :: class = A; run Freer(2); run Reset(); resets = true
        fi;
        carved = BLOCKS(class);
        free = ALL(class);
        run Owner(0)
    }
    _nr_pr == 1;
    d_step {
        assert(!pending);
        x = 0;
        do
        :: x == carved || tag & GIVEN || tag != heap_tag[HEAP_OF(tag)] -> break
        :: else ->
            assert((now[x] != 0) == !(free & BIT(x)));
            assert(!now[x] || !HAS(seen, now[x]) || HAS(dropped, now[x]));
            x++
        od;
        x = 0
    }
}
