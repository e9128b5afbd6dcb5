/*
 * Which TCP connection a segment is of, where several use the same addresses and ports one after another.
 *
 * A SYN with another number than the one that opened the connection begins another one; so does a SYN+ACK with another
 * number that answers no SYN that was seen. docs/flows.md has the whole rule as a table, and its reasons.
 */
#ifndef EXPERTS_CONNECTION_H
#define EXPERTS_CONNECTION_H

#include "packet.h"

/* TCP's largest window: what lies further ahead or behind is of another connection. */
enum { WINDOW_MOST = 1 << 30 };

/*
 * What is known of one side's sequence numbers, from its own segments and from what the other side acknowledges.
 *
 * low <= start where opened, until the stream is longer than WINDOW_MOST; low <= high
 */
struct side {
    bool known : 1;        /* `low` and `high` are good */
    bool opened : 1;       /* `start` is good: a SYN of this side was seen, or a SYN+ACK that answers it */
    bool asked : 1;        /* opened by a SYN without ACK */
    bool answering : 1;    /* has acknowledged anything */
    bool confirmed : 1;    /* the other side has acknowledged `start` */
    bool reached : 1;      /* `acknowledged` is good */
    bool twice : 1;        /* `first_start` is good */
    bool fin : 1;          /* has sent FIN */
    uint32_t start;        /* number of the first byte */
    uint32_t asked_end;    /* behind the data in the SYN */
    uint32_t first_start;  /* of another answer to the same SYN, before the one that counts */
    uint32_t low;          /* the lowest number that is of this connection */
    uint32_t high;         /* behind the highest */
    uint32_t acknowledged; /* the highest number that the other side has acknowledged */
};

/* The numbers of the connection before, by which its late segments are known. */
struct side_range {
    bool known;
    uint32_t low;
    uint32_t high;
};

/* A SYN or SYN+ACK that may have opened another connection: what follows tells. */
enum doubt {
    DOUBT_NONE,
    DOUBT_SYN,    /* from the side that was asked: it opens the same connection from its end, or one of its own */
    DOUBT_ANSWER, /* a SYN+ACK to another SYN than the one that was seen: stray, or of a connection whose SYN was not */
    DOUBT_AGAIN,  /* a SYN with the same number when the connection has ended: sent again, or of another one */
};

struct connection {
    struct side sides[2];
    struct side_range before[2];
    bool begun;
    bool reset;
    uint8_t opener;          /* the side that sent the first segment of it, where another one was before */
    uint8_t doubt;           /* enum doubt */
    uint8_t was_doubt;       /* that this connection began with */
    uint8_t doubted;         /* the side whose segment is in doubt */
    uint32_t doubted_start;  /* DOUBT_ANSWER: behind its number, */
    uint32_t doubted_answer; /* and what it acknowledges */
};

enum connection_event {
    CONNECTION_SAME,  /* a segment of the connection */
    CONNECTION_STRAY, /* one that cannot be of its streams: of a connection before, or forged */
    CONNECTION_DOUBT, /* one that may have begun another connection; CONNECTION_SPLIT follows if it has */
    CONNECTION_NEW,   /* the first one of another connection: nothing is changed, connection_begin follows */
    CONNECTION_SPLIT, /* the segment in doubt was the first of another connection, and the structure is for that one */
};

/* Takes the next segment, from side `direction`. Only packets whose `segment` is set. */
enum connection_event connection_follow(struct connection *connection, const struct packet *packet, unsigned direction);

/* After CONNECTION_NEW: the structure is for the connection that the segment begins. */
void connection_begin(struct connection *connection, const struct packet *packet, unsigned direction);

/* What was side 1 is side 0, and the other way round: after connection_begin and CONNECTION_SPLIT, where `opener` is 1. */
void connection_swap(struct connection *connection);

#endif
