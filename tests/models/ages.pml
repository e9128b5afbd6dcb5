/*
 * The age of an allocation: `born` has 16 bits of the clock. It is moved up before a block could seem younger than it
 * is, and an entry is compared with it only as far as ages are known.
 *
 * Models lib/core/group.h:group_tick, born_set, born_is_due, blocks_kept; lib/core/group.c:born_cut;
 * lib/core/heap.c:bin_load; lib/core/maintenance.c:heap_pass.
 *
 * Asserts
 *   - a legal free is accepted, however often the group was allocated from since the block was handed out and since the
 *     remote free read the clock, even if the 32 bits of the difference have wrapped
 *   - a free of an allocation that is over is refused while the block's present allocation is younger than the limit,
 *     however old the stamp is
 *   - `born` is 0 if and only if the block was not handed out in this epoch of the slab
 *
 * One block; its neighbours are allocated without end, and each time the clock rises by 2. The group is looked at when
 * it becomes current, which may be at any time, and when its bin's countdown is renewed, which is after 1,024
 * allocations at the latest. The constants are the library's in proportion, 7 bits for 16:
 *
 *                                       library     here
 *     `born`, modulo                    0x10000     128
 *     a window comes every              0x8000      64
 *     a window is wide                  0x800       4
 *     the clock rises between looks     0x800       4
 *     `born` is moved up to the age     0x4000      32
 *     ages are compared up to           0x4000      32
 *
 * The search has no other bound; a difference stops counting when it is beyond what is compared.
 *
 * The mutations:
 */
/* MUTATION not_moved: `born` stays as it is; the age wraps, and a legal free is refused */
/* MUTATION window_narrow: the window is half as wide; the clock jumps over it, and the age wraps */
/* MUTATION looks_rare: a group is not looked at when it becomes current; its clock passes the window, as above */
/* MUTATION compared_further: the limit is above the age that `born` is moved up to; a legal free is refused */
/* MUTATION compared_less: the limit is half as high; a free ends the allocation after the one that it was for */
/* MUTATION accepted_old: an old stamp is not compared; the same */
/* MUTATION even: the clock is even; `born` of a live block is 0, is not moved up, and the age wraps */

/* UNREACHED Group "-end-": it is allocated from without end */

#define MODULUS 128 /* of `born` */
#define PERIOD  64
#define AGE     32
#define GAP     4

#ifdef MUTATE_window_narrow
#define WINDOW 2
#else
#define WINDOW 4
#endif

#if defined(MUTATE_compared_further)
#define LIMIT (AGE + 2)
#elif defined(MUTATE_compared_less)
#define LIMIT (AGE / 2)
#else
#define LIMIT AGE
#endif

#ifdef MUTATE_accepted_old
#define LEAST(d) (d < LIMIT -> d : 0)
#else
#define LEAST(d) (d < LIMIT -> d : LIMIT)
#endif

#define MANY (AGE + 4) /* where the difference stops counting */

#ifdef MUTATE_even
#define FIRST 0
#else
#define FIRST 1
#endif

/* The group. */
byte clock; /* modulo MODULUS */
byte born;
bool live;   /* the block is out */
byte risen;  /* how far the clock has, since the last look */

/* An entry with the block's bit. */
bool pending;
byte difference; /* of clock and stamp; MANY: at least that */

/* For the assertions. */
bool handed_out; /* in this epoch */
byte age;        /* of the block's last allocation; AGE: at least that */
bool later;      /* the block was handed out again since the remote free read the clock */

#define AGE_OF(born) ((clock + MODULUS - (born)) % MODULUS)

inline rise()
{
    clock = (clock + 2) % MODULUS;
    risen = risen + 2;
    if
    :: age < AGE -> age = age + 2
    :: else
    fi;
    if
    :: pending && difference < MANY -> difference = difference + 2
    :: else
    fi
}

#ifdef MUTATE_not_moved
#define MOVE_UP skip
#else
#define MOVE_UP born = (clock + MODULUS - AGE) % MODULUS
#endif

/* A look at the group. */
inline bound_ages()
{
    assert(handed_out == (born != 0));
    if
    :: clock % PERIOD < WINDOW && born != 0 && AGE_OF(born) > AGE -> MOVE_UP
    :: else
    fi;
    risen = 0
}

/* The 32 bits of the difference wrap after 2^31 allocations from the group; then it may be any. */
inline accept()
{
    if
    :: d = difference
    :: difference == MANY -> d = 0
    :: difference == MANY -> d = AGE / 2
    :: difference == MANY -> d = AGE - 2
    fi;
    if
    :: live && AGE_OF(born) >= LEAST(d) ->
        assert(!later || d < difference || age >= AGE);
        live = false
    :: else -> assert(!live || later)
    fi;
    d = 0;
    difference = 0;
    later = false;
    pending = false
}

active proctype Group()
{
    byte d;
    clock = FIRST;
    do
    :: clock < MODULUS - 2 -> clock = clock + 2
    :: break
    od;
    do
    :: atomic { risen < GAP -> rise() } /* a neighbour is allocated */
    :: atomic {
            !live && risen < GAP ->
            rise();
            born = clock;
            age = 0;
            live = true;
            handed_out = true;
            later = pending
        }
    :: atomic { live -> live = false } /* freed by the owner, or by another remote free */
    :: atomic { live && !pending -> pending = true } /* a remote free reads the word */
    :: atomic { pending -> accept() }
    :: atomic { true -> bound_ages() } /* the group becomes current, or the countdown is renewed */
#ifdef MUTATE_looks_rare
    :: atomic { risen = 0 }
#endif
    od
}
