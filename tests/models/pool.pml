/*
 * The stack of indices that heaps, key slots and chains of messages are recycled through.
 *
 * Models lib/base/pool.h:pool_push and pool_pop.
 *
 * Asserts
 *   - a member that is popped was in the pool: no two threads have the same one
 *   - in the end every member is in the pool once, or in the hands of one thread: none is lost
 *
 * Abstracted: three members; two threads with a few operations each, of which a thread may hold all members at
 * once. The version counts as far as these operations can raise it, so that it does not wrap, as 36 bits do not
 * within one pop. A member's content is left out: the exchange orders it.
 *
 * The mutations:
 */
/* MUTATION no_version: the exchange compares the index alone; a member popped and pushed back meanwhile passes (ABA) */
/* MUTATION link_late: the link is written when the member is on the stack already; what lies below is lost */
/* MUTATION plain_push: the head is stored without comparing; a change between load and store is lost */
/* MUTATION plain_pop: the head is stored without comparing; two threads have one member */

#define THREADS    2
#define MEMBERS    3
#define OPERATIONS 4

#define IN_POOL 0

/* version * 8 | index of the top member, 0 for none */
byte head;
byte link[MEMBERS + 1];

/* Where a member is: IN_POOL, or in the hands of thread number `hands`. For the assertions only. */
byte hands[MEMBERS + 1];
byte finished;

#define INDEX(h) ((h) & 7)

#ifdef MUTATE_no_version
#define NEXT(h, index) (index)
#else
#define NEXT(h, index) ((((h) >> 3) + 1) << 3 | (index))
#endif

inline take()
{
    h = head; /* pool_pop: load_acquire(&pool->head) */
    do
    :: INDEX(h) == 0 -> break
    :: else ->
        below = link[INDEX(h)]; /* pool_pop: load_relaxed(pool_link(...)), of a member that may be gone */
        /* pool_pop: cas(&pool->head, &head, next) */
#ifdef MUTATE_plain_pop
        atomic {
            if
            :: true ->
#else
        atomic {
            if
            :: head != h -> h = head
            :: else ->
#endif
                head = NEXT(h, below);
                assert(hands[INDEX(h)] == IN_POOL);
                hands[INDEX(h)] = _pid;
                break
            fi
        }
    od;
    h = 0;
    below = 0
}

inline give(member)
{
    atomic {
        hands[member] = IN_POOL;
        h = head /* pool_push: load_relaxed(&pool->head) */
    }
    do
    ::
#ifndef MUTATE_link_late
        link[member] = INDEX(h); /* pool_push: store_relaxed(pool_link(...)) */
#endif
        /* pool_push: cas(&pool->head, &head, next) */
        atomic {
            if
#ifdef MUTATE_plain_push
            :: true ->
#else
            :: head != h -> h = head
            :: else ->
#endif
                head = NEXT(h, member);
                break
            fi
        }
    od;
#ifdef MUTATE_link_late
    link[member] = INDEX(h);
#endif
    h = 0
}

proctype Thread()
{
    byte h, below, left = OPERATIONS;
    do
    :: left == 0 -> break
    :: left > 0 ->
        left--;
        if
        :: take()
        :: hands[1] == _pid -> give(1)
        :: hands[2] == _pid -> give(2)
        :: hands[3] == _pid -> give(3)
        fi
    od;
    finished++
}

init {
    byte member, count;
    atomic {
        link[1] = 2;
        link[2] = 3;
        head = 1;
        count = 0;
        do
        :: count < THREADS -> run Thread(); count++
        :: else -> break
        od
    }
    finished == THREADS;
    d_step {
        count = 0;
        member = INDEX(head);
        do
        :: member == 0 -> break
        :: else ->
            assert(hands[member] == IN_POOL && count < MEMBERS);
            count++;
            member = link[member]
        od;
        member = 1;
        do
        :: member > MEMBERS -> break
        :: else ->
            if
            :: hands[member] != IN_POOL -> count++
            :: else
            fi;
            member++
        od;
        assert(count == MEMBERS)
    }
}
