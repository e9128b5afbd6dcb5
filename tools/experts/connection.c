#include "connection.h"

#include <string.h>

/* How far segments of a connection may overtake one another. */
enum { OVERTAKING_MOST = 1 << 16 };

/* How far `a` is behind `b` in sequence space, negative when it is before. */
static int32_t after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

static bool between(uint32_t number, uint32_t low, uint32_t high)
{
    return after(number, low) >= 0 && after(number, high) <= 0;
}

/* ------------------------------------------------------------------ what is known of a side */

static void side_open(struct side *side, uint32_t start, uint32_t length)
{
    side->known = side->opened = true;
    side->start = side->low = start;
    side->asked_end = side->high = start + length;
}

static void side_learn(struct side *side, uint32_t low, uint32_t high)
{
    if (!side->known) {
        side->known = true;
        side->low = low;
        side->high = high;
    }
    if (!side->opened && after(low, side->low) < 0)
        side->low = low;
    if (after(high, side->high) > 0)
        side->high = high;
    if (after(side->high, side->low) > WINDOW_MOST)
        side->low = side->high - WINDOW_MOST;
}

/* One whose SYN comes behind other segments. */
static void side_open_late(struct side *side, uint32_t start, uint32_t length)
{
    uint32_t high = side->known ? side->high : start;
    uint32_t asked_end = side->asked && side->start == start ? side->asked_end : start;
    side_open(side, start, length);
    side_learn(side, start, high);
    if (after(asked_end, side->asked_end) > 0)
        side->asked_end = asked_end;
}

static bool near_front(const struct side *side, uint32_t number)
{
    return side->known && between(number, side->low - 1, side->high + OVERTAKING_MOST);
}

/* Of two answers to one SYN the one that is acknowledged counts, and until then the second. */
static void side_confirm(struct side *side, uint32_t acknowledgement)
{
    if (!side->opened || side->confirmed)
        return;
    if (side->twice && acknowledgement == side->first_start)
        side_open(side, side->first_start, 0);
    side->confirmed = near_front(side, acknowledgement) && after(acknowledgement, side->start) >= 0;
}

/* What acknowledges a SYN names its number, or is of a connection before. */
static void side_acknowledge(struct side *side, uint32_t acknowledgement)
{
    side_confirm(side, acknowledgement);
    if (side->opened && !side->confirmed)
        return;
    if (!side->reached || after(acknowledgement, side->acknowledged) > 0)
        side->acknowledged = acknowledgement;
    side->reached = true;
    side_learn(side, acknowledgement, acknowledgement);
}

/* Whether a SYN with this start is the one that opened the side. An answer to a SYN that was not seen may acknowledge
 * data in it. */
static bool side_opened_by(const struct side *side, uint32_t start, uint32_t length)
{
    return side->start == start || (!side->asked && !side->answering && between(side->start, start, start + length));
}

/* Whether a SYN that comes late lies right before what is known of its side. */
static bool side_fits(const struct side *side, uint32_t start, uint32_t length)
{
    return side->known && between(side->low, start, start + length);
}

/* Whether the side's SYN has not been answered by anything that could be told. */
static bool side_waits(const struct side *side)
{
    return side->asked && !side->answering;
}

/* ------------------------------------------------------------------ another connection */

static void connection_restart(struct connection *connection)
{
    struct connection old = *connection;
    *connection = (struct connection){0};
    for (unsigned i = 0; i < 2; i++)
        connection->before[i] = (struct side_range){old.sides[i].known, old.sides[i].low, old.sides[i].high};
}

void connection_begin(struct connection *connection, const struct packet *packet, unsigned direction)
{
    connection_restart(connection);
    connection_follow(connection, packet, direction);
    connection->opener = (uint8_t)direction;
}

/* What is known of the side whose segment was in doubt, where that began another connection. */
static struct side doubted_side(const struct connection *connection)
{
    const struct side *old = &connection->sides[connection->doubted];
    struct side side = {.asked = connection->doubt == DOUBT_AGAIN, .answering = connection->doubt == DOUBT_ANSWER};
    if (connection->doubt == DOUBT_SYN)
        return *old;
    side_open(&side, connection->doubted_start, side.asked ? old->asked_end - old->start : 0);
    return side;
}

static enum connection_event connection_split(struct connection *connection, const struct packet *packet,
                                              unsigned direction)
{
    unsigned doubted = connection->doubted;
    struct side side = doubted_side(connection);
    enum doubt doubt = connection->doubt;
    uint32_t answer = connection->doubted_answer;
    connection_restart(connection);
    connection->begun = true;
    connection->before[doubted].known = false;
    connection->sides[doubted] = side;
    if (doubt == DOUBT_ANSWER)
        side_open(&connection->sides[!doubted], answer, 0);
    connection_follow(connection, packet, direction);
    connection->opener = (uint8_t)doubted;
    connection->was_doubt = (uint8_t)doubt;
    return CONNECTION_SPLIT;
}

static enum connection_event connection_doubt(struct connection *connection, enum doubt doubt,
                                              const struct packet *packet, unsigned direction)
{
    connection->doubt = (uint8_t)doubt;
    connection->doubted = (uint8_t)direction;
    connection->doubted_start = packet->sequence + 1;
    connection->doubted_answer = packet->acknowledgement;
    return CONNECTION_DOUBT;
}

static bool connection_ended(const struct connection *connection)
{
    return connection->reset || (connection->sides[0].fin && connection->sides[1].fin);
}

/* ------------------------------------------------------------------ SYN */

static enum connection_event open_by_syn(struct connection *connection, const struct packet *packet, unsigned direction)
{
    struct side *side = &connection->sides[direction];
    side_open_late(side, packet->sequence + 1, packet->payload_length);
    side->asked = true;
    return CONNECTION_SAME;
}

static enum connection_event follow_syn(struct connection *connection, const struct packet *packet, unsigned direction)
{
    struct side *side = &connection->sides[direction];
    uint32_t start = packet->sequence + 1;
    uint32_t length = packet->payload_length;
    if (!connection->begun)
        return open_by_syn(connection, packet, direction);
    if (side->opened) {
        if (!side_opened_by(side, start, length))
            return CONNECTION_NEW;
        if (connection_ended(connection)) {
            side->asked = true;
            return connection_doubt(connection, DOUBT_AGAIN, packet, direction);
        }
        return open_by_syn(connection, packet, direction);
    }
    if (side_fits(side, start, length))
        return open_by_syn(connection, packet, direction);
    if (!side_waits(&connection->sides[!direction]))
        return CONNECTION_NEW;
    /* What the side has sent before it asked was of no connection: the start of a split handshake, or of one before. */
    side->known = false;
    open_by_syn(connection, packet, direction);
    return connection_doubt(connection, DOUBT_SYN, packet, direction);
}

/* ------------------------------------------------------------------ SYN+ACK */

static bool answers(const struct side *asking, const struct packet *packet)
{
    return asking->asked && between(packet->acknowledgement, asking->start, asking->asked_end);
}

static enum connection_event open_by_answer(struct connection *connection, const struct packet *packet,
                                            unsigned direction)
{
    struct side *side = &connection->sides[direction];
    struct side *other = &connection->sides[!direction];
    if (!side_fits(side, packet->sequence + 1, packet->payload_length))
        side->known = false;
    side_open_late(side, packet->sequence + 1, packet->payload_length);
    side->answering = true;
    if (!other->opened && (!other->known || other->low == packet->acknowledgement))
        side_open_late(other, packet->acknowledgement, 0);
    side_acknowledge(other, packet->acknowledgement);
    connection->doubt = DOUBT_NONE;
    return CONNECTION_SAME;
}

/* An answer with another number than the side has. */
static enum connection_event follow_other_answer(struct connection *connection, const struct packet *packet,
                                                 unsigned direction)
{
    struct side *side = &connection->sides[direction];
    if (!answers(&connection->sides[!direction], packet))
        return CONNECTION_NEW;
    if (connection->doubt == DOUBT_SYN && connection->doubted != direction)
        return connection_split(connection, packet, direction);
    if (side->confirmed)
        return CONNECTION_STRAY;
    uint32_t first = side->start;
    open_by_answer(connection, packet, direction);
    side->twice = true;
    side->first_start = first;
    return CONNECTION_SAME;
}

static enum connection_event follow_answer(struct connection *connection, const struct packet *packet,
                                           unsigned direction)
{
    struct side *side = &connection->sides[direction];
    struct side *other = &connection->sides[!direction];
    uint32_t start = packet->sequence + 1;
    if (!connection->begun)
        return open_by_answer(connection, packet, direction);
    if (connection->doubt == DOUBT_AGAIN && connection->doubted != direction && answers(other, packet))
        return connection_split(connection, packet, direction);
    if (side->opened && side_opened_by(side, start, packet->payload_length)) {
        side->answering = true;
        side_acknowledge(other, packet->acknowledgement);
        if (connection->doubt == DOUBT_SYN && connection->doubted != direction)
            connection->doubt = DOUBT_NONE;
        return CONNECTION_SAME;
    }
    if (side->opened)
        return follow_other_answer(connection, packet, direction);
    if (answers(other, packet))
        return open_by_answer(connection, packet, direction);
    if (other->asked)
        return connection_doubt(connection, DOUBT_ANSWER, packet, direction);
    if (!side_fits(side, start, packet->payload_length))
        return CONNECTION_NEW;
    return open_by_answer(connection, packet, direction);
}

/* ------------------------------------------------------------------ RST, and all others */

/* A reset that is believed ends the connection; a forged one need not have the right number. */
static enum connection_event follow_reset(struct connection *connection, const struct packet *packet,
                                          unsigned direction)
{
    const struct side *side = &connection->sides[direction];
    if (side->known && between(packet->sequence, side->low, side->high + OVERTAKING_MOST))
        connection->reset = true;
    return CONNECTION_SAME;
}

static bool in_range(const struct side_range *range, uint32_t number)
{
    return range->known && between(number, range->low - 1, range->high + OVERTAKING_MOST);
}

/* A segment of the connection before: it has numbers of that one, and does not go on from where this one is. */
static bool is_late(const struct connection *connection, const struct packet *packet, unsigned direction)
{
    bool acknowledges = packet->flags & TCP_ACK;
    const struct side *other = &connection->sides[!direction];
    if (!in_range(&connection->before[direction], packet->sequence))
        return false;
    if (acknowledges && connection->before[!direction].known &&
        !in_range(&connection->before[!direction], packet->acknowledgement))
        return false;
    return !near_front(&connection->sides[direction], packet->sequence) ||
           (acknowledges && other->known && !near_front(other, packet->acknowledgement));
}

static bool in_window(const struct side *side, uint32_t first, uint32_t last)
{
    if (!side->known)
        return true;
    uint32_t low = side->opened ? side->low - 1 : side->high - WINDOW_MOST;
    return after(last, low) >= 0 && after(first, side->high) <= WINDOW_MOST;
}

/* What follows a segment in doubt: whether it was of another connection. */
static bool follows_doubt(struct connection *connection, const struct packet *packet, unsigned direction)
{
    const struct side *side = &connection->sides[direction];
    bool acknowledges = packet->flags & TCP_ACK;
    if (connection->doubt == DOUBT_AGAIN)
        return false;
    if (connection->doubt == DOUBT_SYN) {
        if (direction == connection->doubted || !acknowledges)
            return false;
        if (!near_front(side, packet->sequence))
            return packet->acknowledgement == connection->doubted_start;
        connection->doubt = DOUBT_NONE;
        return false;
    }
    if (direction == connection->doubted)
        return packet->sequence == connection->doubted_start;
    return acknowledges && packet->sequence == connection->doubted_answer &&
           packet->acknowledgement == connection->doubted_start;
}

static enum connection_event follow_segment(struct connection *connection, const struct packet *packet,
                                            unsigned direction)
{
    struct side *side = &connection->sides[direction];
    struct side *other = &connection->sides[!direction];
    bool acknowledges = packet->flags & TCP_ACK;
    uint32_t last = packet->sequence + packet->payload_length;
    if (connection->doubt && follows_doubt(connection, packet, direction))
        return connection_split(connection, packet, direction);
    if (is_late(connection, packet, direction))
        return CONNECTION_STRAY;
    if (acknowledges)
        side_confirm(other, packet->acknowledgement);
    bool inside =
        in_window(side, packet->sequence, last) &&
        (!acknowledges || !other->opened || in_window(other, packet->acknowledgement, packet->acknowledgement));
    if (!inside && packet->payload_length && side->known && connection_ended(connection))
        return CONNECTION_NEW;
    if (!inside)
        return CONNECTION_STRAY;
    side_learn(side, packet->sequence, last);
    if (acknowledges) {
        side->answering = true;
        side_acknowledge(other, packet->acknowledgement);
    }
    side->fin |= (packet->flags & TCP_FIN) != 0;
    if (packet->payload_length)
        connection->reset = false;
    return CONNECTION_SAME;
}

enum connection_event connection_follow(struct connection *connection, const struct packet *packet, unsigned direction)
{
    enum connection_event event;
    if (packet->flags & TCP_RST)
        event = follow_reset(connection, packet, direction);
    else if (!(packet->flags & TCP_SYN))
        event = follow_segment(connection, packet, direction);
    else if (packet->flags & TCP_ACK)
        event = follow_answer(connection, packet, direction);
    else
        event = follow_syn(connection, packet, direction);
    connection->begun = true;
    return event;
}

void connection_swap(struct connection *connection)
{
    struct side side = connection->sides[0];
    struct side_range range = connection->before[0];
    connection->sides[0] = connection->sides[1];
    connection->sides[1] = side;
    connection->before[0] = connection->before[1];
    connection->before[1] = range;
    connection->doubted = !connection->doubted;
    connection->opener = 0;
}
