/*
 * Remote frees in one epoch of a slab: what a freeing thread reads, which frees share an entry, and which of them the
 * owner accepts, while blocks are allocated, freed by the owner, and freed twice by anybody.
 *
 * Models lib/core/remote.h:remote_find, batch_add; lib/core/remote.c:batch_send, entry_good, entry_accept;
 * lib/core/group.h:group_tick, born_set, group_leave, group_free, blocks_kept; lib/core/heap.h:bin_take, bin_take_run;
 * lib/core/slab.c:slab_carve; lib/core/validate.c:block_waits; lib/checks/quarantine.c:waiting_add, waiting_free.
 *
 * Asserts
 *   - a free that is accepted ends the allocation that the freeing thread saw, which no other free has ended
 *   - a free that is refused is one too many: the block was not out when the program called, or another free has ended
 *     that allocation, or is in the same thread's open entry
 *   - a free that returned KS_OK is accepted or reported, once
 *   - no bit beyond the blocks that exist is ever set, and a block is handed out only while it is free
 *   - in the end, a block is out if and only if no remote free saw its last allocation
 *
 * Any thread may free any block at any time, and one beyond the last: the program is arbitrary. Messages arrive in any
 * order, each with one entry; the entries of one message are accepted one after the other in any case. The clock counts
 * by 1 and does not wrap: ages.pml is about that. Slabs that begin anew, and resets, are in epochs.pml, the queue in
 * messages.pml. Only the owner reads `born`, so it is written in one step with `free`.
 *
 * Three programs: two freeing threads and two blocks; the same in a paranoid key, where a freed block waits before it
 * is free; one freeing thread and two groups, of which the second, with one block, is carved meanwhile.
 *
 * The mutations:
 */
/* MUTATION no_born: an allocation does not note the clock; a late second free ends the next allocation */
/* MUTATION no_comparison: the owner does not compare `born`; a late second free ends the next allocation */
/* MUTATION no_tick: an allocation does not raise the clock; a late second free ends the next allocation */
/* MUTATION free_first: `free` is stored before the clock; a free in between sees the block out, at an older clock */
/* MUTATION no_mask: the owner accepts what is free already; a block is freed twice, and nothing is reported */
/* MUTATION no_waiting: the owner accepts what waits in quarantine; a block is freed twice, and nothing is reported */
/* MUTATION join_any_clock: a block joins an entry of an older clock; a legal free is refused */
/* MUTATION join_any_group: a block joins another group's entry; another block is freed */
/* MUTATION join_twice: a bit that is in the entry already is set once more; a double free is never reported */
/* MUTATION two_loads: `free` is read before the clock; the clock is that of the block's next allocation */
/* MUTATION no_carved: the index is not compared with `carved`; a bit beyond the last block is set */
/* MUTATION carved_rounded: `carved` counts whole groups; a bit beyond the last block is set */

#define MESSAGES 4
#define LOCALS   1 /* frees by the owner */

#define BLOCKS   3 /* block 3 would be in the second group, and does not exist */
#define GROUP(b) ((b) >> 1)
#define BIT(b)   (1 << ((b) & 1))

/* The slab. Its second group is not carved yet. */
byte limit; /* blocks that exist */
byte carved = 2;
byte free[2], clock[2];
byte born[BLOCKS + 1];
bool paranoid;
byte waiting; /* of the first group: blocks in quarantine */

/* Messages of one entry; each freeing thread has its own, one for each free. */
typedef entry {
    byte group, stamp, mask;
    byte began[2], found[2] /* by bit: the allocation when the program called, and when the word was read */
}
entry messages[MESSAGES];

/* For the assertions, by block. */
byte allocation[BLOCKS + 1]; /* counts */
bool out[BLOCKS + 1];
byte ended[BLOCKS + 1]; /* bit n: the allocation n was ended by a free */
byte seen[BLOCKS + 1];  /* bit n: a remote free saw the allocation n */
byte pending;
byte freers;

#define ONE_TOO_MANY(b, n) ((n) == 0 || ended[b] & (1 << (n)))

inline end_allocation(b)
{
    assert(b < BLOCKS && out[b]);
    out[b] = false;
    ended[b] = ended[b] | 1 << allocation[b]
}

/* ------------------------------------------------------------------ freeing threads */

inline send()
{
    if
    :: e.mask ->
        d_step {
            messages[next].group = e.group;
            messages[next].stamp = e.stamp;
            messages[next].began[0] = e.began[0];
            messages[next].began[1] = e.began[1];
            messages[next].found[0] = e.found[0];
            messages[next].found[1] = e.found[1];
            messages[next].mask = e.mask;
            next++;
            e.group = 0;
            e.stamp = 0;
            e.mask = 0;
            e.began[0] = 0;
            e.began[1] = 0;
            e.found[0] = 0;
            e.found[1] = 0
        }
    :: else
    fi
}

#ifdef MUTATE_join_any_clock
#define SAME_CLOCK true
#else
#define SAME_CLOCK (e.stamp == c)
#endif

#ifdef MUTATE_join_any_group
#define SAME_GROUP true
#else
#define SAME_GROUP (e.group == GROUP(b))
#endif

#ifdef MUTATE_join_twice
#define IN_ENTRY false
#else
#define IN_ENTRY (e.mask & BIT(b))
#endif

#define OPEN (e.mask && SAME_GROUP && SAME_CLOCK)

#if defined(MUTATE_no_carved)
#define CARVED true
#elif defined(MUTATE_carved_rounded)
#define CARVED (GROUP(b) <= GROUP(carved - 1))
#else
#define CARVED (b < carved) /* load_relaxed(&slab->carved) */
#endif

#ifdef MUTATE_two_loads
#define SECOND_LOAD } atomic { c = clock[GROUP(b)];
#else
#define SECOND_LOAD
#endif

/* remote_find: load_relaxed of the group's word, both halves at once */
inline look()
{
    w = free[GROUP(b)] & BIT(b);
    c = clock[GROUP(b)];
    f = allocation[b];
    seen[b] = (w -> seen[b] : seen[b] | 1 << f)
}

/* batch_add: nobody else sees anything of it but the message. */
inline validate()
{
    if
    :: w -> assert(ONE_TOO_MANY(b, n)) /* KS_DOUBLE_FREE */
    :: !w && OPEN && IN_ENTRY -> assert(e.found[b & 1] == n || ONE_TOO_MANY(b, n)) /* KS_DOUBLE_FREE */
    :: else ->
        if
        :: OPEN
        :: !OPEN -> send(); e.group = GROUP(b); e.stamp = c
        fi;
        e.mask = e.mask | BIT(b);
        e.began[b & 1] = n;
        e.found[b & 1] = f;
        pending++
    fi
}

proctype Freer(byte next, frees)
{
    byte b, n; /* the block, and its allocation when the program called */
    byte w, c, f; /* the block's bit and the clock, as they were read; the allocation at that time */
    entry e; /* the open one */
    do
    :: atomic {
            frees > 0 ->
            frees--;
            if
            :: b = 0
            :: b = 1
            :: limit == BLOCKS -> b = 2
            :: limit == BLOCKS -> b = 3
            fi;
            n = (out[b] -> allocation[b] : 0)
        }
        if
        :: !CARVED -> assert(ONE_TOO_MANY(b, n)) /* KS_STALE, KS_BAD_BLOCK */
        :: CARVED ->
            if
            :: paranoid -> atomic { look() } w = w | (waiting & BIT(b)) /* block_waits */
            :: else
            fi;
            atomic {
                if
                :: paranoid
                :: else -> look()
                fi;
                SECOND_LOAD
                validate();
                /* The message is sent when it is full, flushed, or too old. */
                if
                :: true
                :: send()
                fi
            }
        fi;
        atomic { b = 0; n = 0; f = 0; w = 0; c = 0 }
    :: atomic { frees == 0 -> send(); next = 0; freers--; break }
    od
}

/* ------------------------------------------------------------------ the owner */

#ifdef MUTATE_free_first
#define CLOCK(g) (clock[g] + 1)
#else
#define CLOCK(g) clock[g]
#endif

/* bin_take; bin_take_run, where the clock rises once for all blocks */
inline allocate(g, bits)
{
#if !defined(MUTATE_no_tick) && !defined(MUTATE_free_first)
    clock[g]++; /* group_tick: store_relaxed(&group->clock, ...) */
#endif
    d_step {
        b = 2 * g;
        do
        :: b == 2 * g + 2 -> break
        :: else ->
            if
            :: bits & BIT(b) ->
                assert(free[g] & BIT(b) && !out[b] && b < BLOCKS);
                allocation[b]++;
                out[b] = true;
#ifndef MUTATE_no_born
                born[b] = CLOCK(g)
#endif
            :: else
            fi;
            b++
        od;
        b = 0;
        free[g] = free[g] & ~(bits) /* group_leave: store_release(&group->free, ...) */
    }
#ifdef MUTATE_free_first
    clock[g]++
#endif
}

#define NOT_FREE(b) (!(free[GROUP(b)] & BIT(b)) && !(GROUP(b) == 0 && waiting & BIT(b)))

/* group_free; a block of a paranoid key waits first: waiting_add. */
inline set_free(g, bits)
{
    if
    :: paranoid -> waiting = waiting | (bits)
    :: else -> free[g] = free[g] | (bits) /* store_relaxed(&group->free, ...) */
    fi
}

inline free_local(x)
{
    d_step {
        if
        :: x < carved && NOT_FREE(x) ->
            seen[x] = seen[x] | 1 << allocation[x];
            end_allocation(x);
            set_free(GROUP(x), BIT(x))
        :: else -> assert(!out[x])
        fi
    }
}

/* waiting_free */
inline leave_quarantine(x)
{
    waiting = waiting & ~BIT(x); /* store_relaxed(waiting, ...) */
    free[0] = free[0] | BIT(x) /* group_free: store_relaxed(&group->free, ...) */
}

#if defined(MUTATE_no_mask)
#define ACCEPTABLE(b) true
#elif defined(MUTATE_no_waiting)
#define ACCEPTABLE(b) (!(free[GROUP(b)] & BIT(b)))
#else
#define ACCEPTABLE(b) NOT_FREE(b)
#endif

#ifdef MUTATE_no_comparison
#define NOT_LATER(b) true
#else
#define NOT_LATER(b) (messages[m].stamp == clock[GROUP(b)] || born[b] <= messages[m].stamp)
#endif

/* entry_good and entry_refuse, for one bit of an entry */
inline accept_bit(x)
{
    b = 2 * messages[m].group + x;
    if
    :: !(messages[m].mask & BIT(x))
    :: messages[m].mask & BIT(x) && ACCEPTABLE(b) && NOT_LATER(b) ->
        assert(messages[m].found[x] == allocation[b]);
        end_allocation(b);
        good = good | BIT(b);
        pending--
    :: else ->
        assert(ONE_TOO_MANY(b, messages[m].began[x])); /* KS_DOUBLE_FREE, reported */
        pending--
    fi
}

/* entry_accept: only the owner writes to what is compared, so it is one step, with one store that others see. */
inline accept(number)
{
    d_step {
        messages[number].mask ->
        m = number;
        good = 0;
        accept_bit(0);
        accept_bit(1);
        b = messages[m].group;
        set_free(b, good);
        messages[m].group = 0;
        messages[m].stamp = 0;
        messages[m].mask = 0;
        messages[m].began[0] = 0;
        messages[m].began[1] = 0;
        messages[m].found[0] = 0;
        messages[m].found[1] = 0;
        m = 0;
        good = 0;
        b = 0
    }
}

/* slab_carve: the second group begins anew. */
inline carve()
{
    clock[1]++; /* store_relaxed(&group->clock, ...) */
    atomic { born[2] = 0; free[1] = BIT(2) } /* store_relaxed(&group->free, ...) */
    carved = BLOCKS /* store_release(&slab->carved, ...) */
}

#define LOWEST(w) ((w) & 1 -> 1 : 2)
#define ALL_TAKEN (!messages[0].mask && !messages[1].mask && !messages[2].mask && !messages[3].mask)

proctype Owner(byte allocs)
{
    byte locals, b, m, good;
    do
    :: allocs > 0 && free[0] -> allocs--; allocate(0, LOWEST(free[0]))
    :: paranoid && allocs > 0 && free[0] & 2 -> allocs--; allocate(0, 2)
    :: allocs > 1 && free[0] == 3 -> allocs = allocs - 2; allocate(0, 3)
    :: allocs > 0 && free[1] && carved == BLOCKS -> allocs--; allocate(1, 1)
    :: carved < limit -> carve()
    :: locals < LOCALS -> locals++; free_local(0)
    :: locals < LOCALS -> locals++; free_local(1)
    :: locals < LOCALS && limit == BLOCKS -> locals++; free_local(2)
    :: waiting & 1 -> leave_quarantine(0)
    :: waiting & 2 -> leave_quarantine(1)
    :: accept(0)
    :: accept(1)
    :: accept(2)
    :: accept(3)
    :: !freers && ALL_TAKEN -> break
    od;
    assert(!pending && free[0] < 4 && free[1] < 2);
    d_step {
        b = 0;
        do
        :: b == carved -> break
        :: else ->
            assert(out[b] == NOT_FREE(b));
            assert(!allocation[b] || out[b] == !(seen[b] & 1 << allocation[b]));
            b++
        od;
        b = 0
    }
}

init {
    atomic {
        free[0] = 3;
        limit = 2;
        if
        :: freers = 2; run Freer(0, 2); run Freer(2, 1)
        :: freers = 2; run Freer(0, 1); run Freer(2, 1); paranoid = true
        :: freers = 1; run Freer(0, 3); limit = BLOCKS
        fi;
        run Owner(3)
    }
}
