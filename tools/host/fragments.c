/* uthash takes its memory where `fragments` is in scope. A datagram that finds no memory for its bucket is not added. */
#define HASH_NONFATAL_OOM          1
#define uthash_malloc(bytes)       ks_alloc(fragments->key, bytes, NULL)
#define uthash_free(memory, bytes) ks_free(fragments->key, memory)
#include "fragments.h"

#include "host.h"

#include <string.h>
#include <uthash.h>

enum { DATAGRAMS_MOST = 16384, HELD_MOST = 4096, HELD_BYTES_MOST = 16 << 20, RANGES_MOST = 16 };

#define SECONDS ((int64_t)1000000)

struct range {
    uint32_t from;
    uint32_t to;
};

struct datagram_key {
    uint8_t source[16];
    uint8_t destination[16];
    uint32_t id;
    uint16_t vlan;
    uint8_t version;
    uint8_t protocol;
};

/*
 * The fragments of one identification. `first` stays when all of a datagram has come: what comes then is of the next
 * datagram, or there twice.
 */
struct datagram {
    UT_hash_handle hh;
    TAILQ_ENTRY(datagram) order;
    struct datagram_key key;
    int64_t begun; /* time of its first fragment to come, microseconds */
    int64_t clock; /* the capture's clock then */
    bool known;    /* `first` is good */
    bool open;     /* and of the datagram whose fragments come now */
    struct packet first;
    uint32_t total; /* length, 0 before the last fragment has come */
    unsigned ranges_count;
    struct range ranges[RANGES_MOST]; /* what has come, in order and apart from one another */
    struct frame *held;               /* in the order in which they came */
    struct frame **held_end;
};

static int64_t timeout_of(const struct datagram *datagram)
{
    /* Linux waits as long: ipfrag_time, ip6frag_time. */
    return (datagram->key.version == 4 ? 30 : 60) * SECONDS;
}

void fragments_open(struct fragments *fragments, ks_key_t key, void (*deliver)(void *context, struct frame *frame),
                    void *context)
{
    *fragments = (struct fragments){.key = key, .deliver = deliver, .context = context};
    TAILQ_INIT(&fragments->waiting);
    TAILQ_INIT(&fragments->passing);
}

/* ------------------------------------------------------------------ what has come of a datagram */

/* Ranges that touch become one. Where there are too many, the datagram is never whole: it ends by its time. */
static void datagram_cover(struct datagram *datagram, struct range piece)
{
    struct range *ranges = datagram->ranges;
    unsigned kept = 0;
    for (unsigned i = 0; i < datagram->ranges_count; i++) {
        if (ranges[i].to < piece.from || ranges[i].from > piece.to) {
            ranges[kept++] = ranges[i];
            continue;
        }
        if (ranges[i].from < piece.from)
            piece.from = ranges[i].from;
        if (ranges[i].to > piece.to)
            piece.to = ranges[i].to;
    }
    if (kept < RANGES_MOST)
        ranges[kept++] = piece;
    datagram->ranges_count = kept;
}

static void datagram_count(struct datagram *datagram, const struct fragment *fragment)
{
    datagram_cover(datagram, (struct range){fragment->offset, fragment->offset + fragment->length});
    if (!fragment->more)
        datagram->total = fragment->offset + fragment->length;
}

static bool datagram_is_whole(const struct datagram *datagram)
{
    return datagram->total && datagram->ranges_count == 1 && datagram->ranges[0].from == 0 &&
           datagram->ranges[0].to >= datagram->total;
}

/* The next datagram of the same identification. */
static void datagram_begin(struct datagram *datagram, const struct frame *frame)
{
    datagram->begun = frame->data.TimeStamp;
    datagram->clock = frame->packet.clock;
    datagram->total = 0;
    datagram->ranges_count = 0;
}

/* ------------------------------------------------------------------ delivering and holding */

static bool same_flow(const struct packet *a, const struct packet *b)
{
    return a->version == b->version && a->protocol == b->protocol && a->vlan == b->vlan &&
           !memcmp(&a->source, &b->source, sizeof a->source) &&
           !memcmp(&a->destination, &b->destination, sizeof a->destination);
}

/* Makes a later fragment a packet of the first one's flow. */
static void fragment_follow(struct packet *packet, const struct packet *first)
{
    const struct fragment *fragment = &packet->fragment;
    packet->version = first->version;
    packet->protocol = first->protocol;
    packet->vlan = first->vlan;
    packet->ethertype = first->ethertype;
    packet->source = first->source;
    packet->destination = first->destination;
    packet->layer_count = first->layer_count;
    memcpy(packet->layers, first->layers, sizeof packet->layers);
    if (!first->payload)
        return;
    packet->payload = fragment->at;
    packet->payload_captured = fragment->captured;
    packet->payload_length = fragment->length;
    packet->segment = first->segment;
    if (!first->segment)
        return;
    /* Where the first fragment's headers would lie in the stream. */
    uint32_t base = first->sequence - (first->payload - first->fragment.at);
    if (first->flags & TCP_SYN)
        base++;
    packet->sequence = base + fragment->offset;
}

static void datagram_deliver(struct fragments *fragments, const struct datagram *datagram, struct frame *frame)
{
    if (datagram->known && packet_is_later_fragment(&frame->packet))
        fragment_follow(&frame->packet, &datagram->first);
    fragments->deliver(fragments->context, frame);
}

static void datagram_move(struct fragments *fragments, struct datagram *datagram, bool was_waiting)
{
    TAILQ_REMOVE(was_waiting ? &fragments->waiting : &fragments->passing, datagram, order);
    TAILQ_INSERT_TAIL(datagram->held ? &fragments->waiting : &fragments->passing, datagram, order);
}

static void datagram_hold(struct fragments *fragments, struct datagram *datagram, struct frame *frame)
{
    bool was_waiting = datagram->held;
    if (!was_waiting) {
        datagram->held_end = &datagram->held;
        datagram_begin(datagram, frame);
    }
    frame->next = NULL;
    *datagram->held_end = frame;
    datagram->held_end = &frame->next;
    fragments->held++;
    fragments->held_bytes += frame->data.nBytesAvail;
    datagram_count(datagram, &frame->packet.fragment);
    if (!was_waiting)
        datagram_move(fragments, datagram, false);
}

/* Delivers what is held, in order. */
static void datagram_release(struct fragments *fragments, struct datagram *datagram)
{
    struct frame *frame = datagram->held;
    if (!frame)
        return;
    datagram->held = NULL;
    datagram_move(fragments, datagram, true);
    while (frame) {
        struct frame *next = frame->next;
        fragments->held--;
        fragments->held_bytes -= frame->data.nBytesAvail;
        datagram_deliver(fragments, datagram, frame);
        frame = next;
    }
}

/* ------------------------------------------------------------------ the table */

static void datagram_remove(struct fragments *fragments, struct datagram *datagram)
{
    datagram_release(fragments, datagram);
    TAILQ_REMOVE(&fragments->passing, datagram, order);
    HASH_DELETE(hh, fragments->table, datagram);
    ks_status status = ks_free(fragments->key, datagram);
    if (status != KS_OK)
        host_fatal("freeing a datagram", status);
}

static struct datagram *oldest(struct fragments *fragments)
{
    struct datagram *passing = TAILQ_FIRST(&fragments->passing);
    return passing ? passing : TAILQ_FIRST(&fragments->waiting);
}

static struct datagram *datagram_add(struct fragments *fragments, const struct datagram_key *key,
                                     const struct frame *frame, ks_status *status)
{
    struct datagram *datagram = ks_alloc(fragments->key, sizeof *datagram, status);
    if (!datagram)
        return NULL;
    *datagram = (struct datagram){.key = *key};
    HASH_ADD(hh, fragments->table, key, sizeof datagram->key, datagram);
    if (!datagram->hh.tbl) {
        ks_free(fragments->key, datagram);
        *status = KS_NO_MEMORY;
        return NULL;
    }
    TAILQ_INSERT_TAIL(&fragments->passing, datagram, order);
    datagram_begin(datagram, frame);
    return datagram;
}

/* The one that a fragment belongs to. What the last one of the same identification has held too long is ended. */
static struct datagram *datagram_find(struct fragments *fragments, const struct frame *frame, ks_status *status)
{
    const struct fragment *fragment = &frame->packet.fragment;
    struct datagram_key key;
    memset(&key, 0, sizeof key);
    memcpy(key.source, fragment->source, sizeof key.source);
    memcpy(key.destination, fragment->destination, sizeof key.destination);
    key.id = fragment->id;
    key.vlan = fragment->vlan;
    key.version = fragment->version;
    key.protocol = fragment->protocol;
    struct datagram *datagram;
    HASH_FIND(hh, fragments->table, &key, sizeof key, datagram);
    if (datagram && frame->data.TimeStamp > datagram->begun &&
        (uint64_t)frame->data.TimeStamp - (uint64_t)datagram->begun > (uint64_t)timeout_of(datagram)) {
        datagram_remove(fragments, datagram);
        datagram = NULL;
    }
    return datagram ? datagram : datagram_add(fragments, &key, frame, status);
}

/* ------------------------------------------------------------------ fragments */

static void take_first(struct fragments *fragments, struct datagram *datagram, struct frame *frame)
{
    bool again = datagram->known && same_flow(&datagram->first, &frame->packet);
    if (!datagram->held && !(datagram->open && again)) {
        datagram_begin(datagram, frame);
        datagram_move(fragments, datagram, false);
    }
    datagram->first = frame->packet;
    datagram->known = datagram->open = true;
    datagram_count(datagram, &frame->packet.fragment);
    fragments->deliver(fragments->context, frame);
    datagram_release(fragments, datagram);
}

static void take_later(struct fragments *fragments, struct datagram *datagram, struct frame *frame)
{
    if (!datagram->open) {
        datagram_hold(fragments, datagram, frame);
        return;
    }
    datagram_count(datagram, &frame->packet.fragment);
    datagram_deliver(fragments, datagram, frame);
}

ks_status fragments_take(struct fragments *fragments, struct frame *frame)
{
    ks_status status = KS_OK;
    struct datagram *datagram = datagram_find(fragments, frame, &status);
    if (!datagram)
        return status;
    if (packet_is_later_fragment(&frame->packet))
        take_later(fragments, datagram, frame);
    else
        take_first(fragments, datagram, frame);
    if (datagram_is_whole(datagram))
        datagram->open = false;
    while (fragments->held > HELD_MOST || fragments->held_bytes > HELD_BYTES_MOST)
        datagram_remove(fragments, TAILQ_FIRST(&fragments->waiting));
    while (HASH_COUNT(fragments->table) > DATAGRAMS_MOST)
        datagram_remove(fragments, oldest(fragments));
    return KS_OK;
}

static void expire(struct fragments *fragments, struct datagrams *list, int64_t clock)
{
    struct datagram *datagram;
    while ((datagram = TAILQ_FIRST(list)) && clock - datagram->clock > timeout_of(datagram))
        datagram_remove(fragments, datagram);
}

void fragments_expire(struct fragments *fragments, int64_t clock)
{
    expire(fragments, &fragments->waiting, clock);
    expire(fragments, &fragments->passing, clock);
}

void fragments_close(struct fragments *fragments)
{
    while (fragments->table)
        datagram_remove(fragments, oldest(fragments));
}
