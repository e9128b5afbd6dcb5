/*
 * The way home of a block that another thread frees, with double frees and a reset on the way.
 *
 * Models lib/returns.h:outbox_put; lib/returns.c:outbox_send, returns_take, block_is_good, returns_judge;
 * lib/platform.h:stack_push, stack_take_all; lib/slab.h:state_hand_out, state_take_back; lib/slab.c:slab_start_life,
 * slab_carve; lib/heap.c:heap_rewind; lib/judge.h:judge_local; lib/lifetime.c:ks_key_reset.
 *
 * Asserts
 *   - a block is handed out only when the program does not have it, and is in a magazine once
 *   - a free that is accepted at home ends the allocation that the freer found, and no other: each is freed once
 *   - a free that is refused is one too many: the allocation that the freer found was ended by another free, or
 *     is not the one that the program had when it called
 *   - each magazine that is pushed comes home once, and one for an earlier incarnation leaves nothing there
 *   - in the end: carved == held + out
 *
 * Abstracted: one heap, one slab of one block. A magazine that travels has one block: what is in one magazine is
 * judged one after the other in any case. Two threads free the block once each; one reset. The owner allocates,
 * frees, and lets an empty slab begin a new life. A state counts to 255 and the lives to 256 before they come round,
 * here to fewer than ten.
 *
 * The mutations:
 */
/* MUTATION no_state: the state does not travel; a late second free ends the next allocation of the block */
/* MUTATION no_life: the slab's life does not travel; a late second free meets a young block with the same state */
/* MUTATION life_late: the life is read after the state; it is that of the next life already */
/* MUTATION no_tag: magazines for an earlier incarnation are judged; frees of what the reset dropped are refused */
/* MUTATION unjudged: blocks that come home keep their state; a second free puts the block in the magazine twice */
/* MUTATION push_plain: the queue's head is stored without comparing; a magazine is lost */
/* MUTATION take_plain: the queue is read and emptied in two steps; a magazine pushed in between is lost */
/* MUTATION tag_early: the slab shows the new tag before its states are fresh; an old state travels to the new life */

#define FREERS 2
#define CALLS  6

/* the key */
byte generation;
bool handle = true; /* in the owner's table */

/* the heap */
byte heap_tag = 1;
byte returns; /* the number of the first magazine in the queue, 0 for none */

/* the slab */
byte slab_tag = 1;
byte life;
byte state;

/* The magazines that travel, one of each freer, by its number. */
typedef magazine {
    byte next, tag, state, life, found, began
};
magazine magazines[FREERS + 1];

/* For the assertions. */
bool with_program;
byte allocation; /* counts: which allocation of the block is the latest */
byte ended; /* bit n: the allocation n was ended by a free */
byte pushed, arrived, finished;

#define LIVE(s) ((s) & 1)

#ifdef MUTATE_no_state
#define SAME_STATE(m) LIVE(state)
#else
#define SAME_STATE(m) (state == magazines[m].state)
#endif

#ifdef MUTATE_no_life
#define SAME_LIFE(m) true
#else
#define SAME_LIFE(m) (life == magazines[m].life)
#endif

inline come_back()
{
    d_step {
        assert(with_program);
        with_program = false;
        ended = ended | (1 << allocation);
        assert(!held);
        held = true
    }
}

/* returns_take and returns_judge */
inline come_home()
{
#ifdef MUTATE_take_plain
    m = returns;
    returns = 0;
#else
    atomic { m = returns; returns = 0 } /* stack_take_all: swap(&stack->head, NULL) */
#endif
    do
    :: m == 0 -> break
    :: else ->
        arrived++;
        if
#ifndef MUTATE_no_tag
        :: magazines[m].tag != heap_tag -> skip /* returns_take: magazine_put */
        :: magazines[m].tag == heap_tag ->
#else
        :: true ->
#endif
            /* block_is_good. Only the owner writes to its slab: one step. */
            atomic {
                if
                :: slab_tag == heap_tag && SAME_STATE(m) && SAME_LIFE(m) ->
                    assert(magazines[m].found == allocation);
                    come_back();
#ifndef MUTATE_unjudged
                    state++ /* state_take_back */
#endif
                :: else ->
                    /* report_refused(KS_DOUBLE_FREE) */
                    assert(ended & (1 << magazines[m].found) || magazines[m].began != magazines[m].found)
                fi
            }
        fi;
        d_step {
            done = m;
            m = magazines[done].next;
            magazines[done].next = 0;
            magazines[done].tag = 0;
            magazines[done].state = 0;
            magazines[done].life = 0;
            magazines[done].found = 0;
            magazines[done].began = 0;
            done = 0
        }
    od
}

/* heap_rewind */
inline rewind()
{
    d_step {
        held = false;
        carved = false;
        aside = true;
        with_program = false
    }
    heap_tag++ /* heap_reincarnate: store_relaxed(&heap->tag, ...) */
}

/* slab_start_life */
inline slab_begin()
{
#ifdef MUTATE_tag_early
    slab_tag = heap_tag;
#endif
    life++; /* store_relaxed(&slab->life, ...) */
    state = 0; /* states_start */
#ifndef MUTATE_tag_early
    slab_tag = heap_tag; /* store_relaxed(&slab->tag, heap->tag) */
#endif
    aside = false
}

inline refill()
{
    come_home();
    if
    :: held
    :: !held && aside -> slab_begin()
    :: !held && !aside
    fi;
    if
    :: !held && !carved -> d_step { held = true; carved = true } /* slab_carve */
    :: else
    fi
}

/* bin_pop, and state_hand_out */
inline pop()
{
    d_step {
        assert(!with_program && !LIVE(state));
        held = false;
        allocation++;
        with_program = true;
        state++
    }
}

/* judge_local, heap_free_local */
inline free_local()
{
    atomic {
        if
        :: slab_tag == heap_tag && LIVE(state) ->
            come_back();
            state++ /* state_take_back */
        :: else
        fi
    }
}

active proctype Owner()
{
    byte calls, known, m, done;
    bool held, carved, aside;
    do
    :: calls == CALLS -> break
    :: calls < CALLS ->
        calls++;
        if
        :: handle /* heap_current: load_relaxed(&entry->handle) */
        :: !handle ->
            /* heap_enter, heap_publish; publish.pml shows that no reset is overlooked */
            if
            :: known != generation -> known = generation; rewind()
            :: else
            fi;
            atomic { handle = (known == generation) }
        fi;
        if
        :: atomic { with_program -> free_local() }
        :: held -> pop()
        :: !held -> refill()
        /* The slab is empty: slab_shelve sets it aside, and it is taken again. */
        :: held -> d_step { held = false; carved = false } slab_begin()
        fi
    od;
    finished == FREERS + 1;
    come_home();
    assert(pushed == arrived);
    assert(carved == held + with_program)
}

/* A thread that frees a block of the owner's. The program may have freed it already. */
active [FREERS] proctype Freer()
{
    byte tag, s, l, head, began;
    if
    :: atomic { allocation -> began = allocation }
    :: goto end
    fi;
    tag = slab_tag; /* free_to_outbox: load_relaxed(&slab->tag) */
#ifndef MUTATE_life_late
    l = life; /* outbox_put: load_relaxed(&slab->life) */
#endif
    /* free_to_outbox: load_relaxed(state) */
    atomic {
        s = state;
        magazines[_pid].found = allocation
    }
    if
    :: !LIVE(s) -> magazines[_pid].found = 0; goto end /* refused at once */
    :: else
    fi;
#ifdef MUTATE_life_late
    l = life;
#endif
    d_step {
        magazines[_pid].tag = tag;
        magazines[_pid].state = s;
        magazines[_pid].life = l;
        magazines[_pid].began = began;
        pushed++
    }
    head = returns; /* stack_push: load_relaxed(&stack->head) */
    do
    ::
        magazines[_pid].next = head;
        /* stack_push: cas(&stack->head, &head, entry) */
        atomic {
            if
#ifdef MUTATE_push_plain
            :: true -> returns = _pid; break
#else
            :: returns == head -> returns = _pid; break
            :: else -> head = returns
#endif
            fi
        }
    od;
end:
    skip;
    d_step { tag = 0; s = 0; l = 0; head = 0; began = 0; finished++ }
}

/* ks_key_reset */
active proctype Reset()
{
    generation++; /* fetch_add(&key->generation, 1) */
    handle = false; /* handles_clear: store_ordered(&entry->handle, 0) */
    finished++
}
