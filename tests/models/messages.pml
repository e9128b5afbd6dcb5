/*
 * The message queue of a heap: freers push messages, the owner takes all of them at once, and gives them back to the
 * pool from which the freers take theirs.
 *
 * Models lib/base/platform.h:stack_push, stack_take_all (Concurrency Kit's push_upmc and batch_pop_upmc);
 * lib/core/remote.c:batch_send, queue_take; lib/core/message.c:message_get, message_put.
 *
 * Asserts
 *   - each message that is pushed arrives once, with what was written to it before
 *   - a message is in one place: in the pool, in one freer's hands, in the queue, or in the owner's hands
 *
 * Abstracted: two freers with two sends each; three messages, so that the one that a freer has read as the head may be
 * taken, used again and pushed by another before the exchange, which succeeds then, and is right. The pool's operations
 * are one step: that it gives a message to one thread is in pool.pml. What the owner does with the content is in
 * entries.pml.
 *
 * The mutations:
 */
/* MUTATION push_plain: the queue's head is stored without comparing; a message is lost */
/* MUTATION link_late: the link is written when the message is in the queue already; what lies below is lost */
/* MUTATION fill_late: the content is written when the message is in the queue already; the owner reads the old one */
/* MUTATION take_plain: the queue is read and emptied in two steps; a message pushed in between is lost */
/* MUTATION next_late: the link is read when the message is in the pool already; it is in another queue by then */

#define FREERS   2
#define SENDS    2
#define MESSAGES 3

byte head; /* of the queue: the number of a message, 0 for none */
byte next[MESSAGES + 1];
byte content[MESSAGES + 1];

/* For the assertions. */
bool in_pool[MESSAGES + 1];
byte sent, arrived; /* bits: what was sent, and what has arrived */
byte finished;

inline push()
{
#ifndef MUTATE_fill_late
    content[m] = now;
#endif
    top = head; /* stack_push: load_relaxed(&stack->head) */
    do
    ::
#ifndef MUTATE_link_late
        next[m] = top;
#endif
        /* stack_push: cas(&stack->head, &top, entry) */
        atomic {
            if
#ifdef MUTATE_push_plain
            :: true -> head = m; sent = sent | 1 << now; break
#else
            :: head == top -> head = m; sent = sent | 1 << now; break
            :: else -> top = head
#endif
            fi
        }
    od;
#ifdef MUTATE_link_late
    next[m] = top;
#endif
#ifdef MUTATE_fill_late
    content[m] = now;
#endif
    top = 0
}

active [FREERS] proctype Freer()
{
    byte sends, m, top, now;
    do
    :: sends == SENDS -> break
    :: sends < SENDS ->
        /* message_get */
        if
        :: atomic { in_pool[1] -> m = 1; in_pool[1] = false }
        :: atomic { in_pool[2] -> m = 2; in_pool[2] = false }
        :: atomic { in_pool[3] -> m = 3; in_pool[3] = false }
        fi;
        atomic { sends++; now = _pid * SENDS + sends }
        push();
        atomic { m = 0; now = 0 }
    od;
    finished++
}

inline take()
{
#ifdef MUTATE_take_plain
    m = head;
    head = 0;
#else
    atomic { m = head; head = 0 } /* stack_take_all: swap(&stack->head, NULL) */
#endif
    do
    :: m == 0 -> break
    :: else ->
#ifndef MUTATE_next_late
        below = next[m];
#endif
        d_step {
            assert(sent & 1 << content[m] && !(arrived & 1 << content[m]));
            arrived = arrived | 1 << content[m]
        }
        /* message_put */
        d_step { assert(!in_pool[m]); content[m] = 0; in_pool[m] = true }
#ifdef MUTATE_next_late
        below = next[m];
#endif
        atomic { m = below; below = 0 }
    od
}

active proctype Owner()
{
    byte m, below;
    in_pool[1] = true;
    in_pool[2] = true;
    in_pool[3] = true;
    do
    :: head -> take()
    :: finished == FREERS && !head -> break
    od;
    assert(arrived == sent && sent == ((1 << FREERS * SENDS) - 1) << 1);
    assert(in_pool[1] && in_pool[2] && in_pool[3])
}
