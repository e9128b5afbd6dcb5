/* uthash takes its memory where `table` is in scope. A record that finds no memory for its bucket is not added. */
#define HASH_NONFATAL_OOM          1
#define uthash_malloc(bytes)       ExpertAllocMemory(table->key, bytes, NULL)
#define uthash_free(memory, bytes) ExpertFreeMemory(table->key, memory)
#include "table.h"

#include <string.h>

#define SECONDS ((int64_t)1000000)

static const int64_t idle_timeout = 300 * SECONDS;
static const int64_t removal_timeout = 600 * SECONDS;

void table_open(struct flow_table *table)
{
    TAILQ_INIT(&table->idle);
}

/* False where the packet's source is the second end. */
static bool key_of(const struct packet *packet, struct record_key *key)
{
    bool swapped = memcmp(&packet->source, &packet->destination, sizeof packet->source) > 0;
    memset(key, 0, sizeof *key);
    key->ends[swapped] = packet->source;
    key->ends[!swapped] = packet->destination;
    key->vlan = packet->vlan;
    key->version = packet->version;
    key->protocol = packet->protocol;
    return swapped;
}

static struct record *table_add(struct flow_table *table, const struct record_key *key, unsigned hash, DWORD *error)
{
    struct record *record = ExpertAllocMemory(table->key, table->record_bytes, error);
    if (!record)
        return NULL;
    memset(record, 0, table->record_bytes);
    record->key = *key;
    HASH_ADD_BYHASHVALUE(hh, table->records, key, sizeof record->key, hash, record);
    if (!record->hh.tbl) {
        *error = NMERR_OUT_OF_MEMORY;
        ExpertFreeMemory(table->key, record);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&table->idle, record, idle);
    return record;
}

static DWORD table_remove(struct flow_table *table, struct record *record)
{
    DWORD error = table->end(table, record);
    if (error)
        return error;
    HASH_DELETE(hh, table->records, record);
    TAILQ_REMOVE(&table->idle, record, idle);
    return (DWORD)ExpertFreeMemory(table->key, record);
}

static DWORD table_expire(struct flow_table *table, int64_t clock)
{
    DWORD error = NMERR_SUCCESS;
    struct record *record;
    while (!error && (record = TAILQ_FIRST(&table->idle)) && clock - record->touched > removal_timeout)
        error = table_remove(table, record);
    return error;
}

static void record_begin(struct record *record, bool swapped, uint32_t number, int64_t time)
{
    record->swapped = swapped;
    record->number = number;
    record->first = record->previous = time;
}

/* Frames that the host held back come behind later ones: the flow goes on from those. */
static void record_touch(struct record *record, uint32_t number, int64_t time)
{
    if ((int32_t)(number - record->number) > 0) {
        record->number = number;
        record->previous = time;
    }
    if (time < record->first)
        record->first = time;
}

/* Times come from files: their difference may be anything. */
static bool later_by(int64_t time, int64_t than, int64_t by)
{
    return time > than && (uint64_t)time - (uint64_t)than > (uint64_t)by;
}

/* Ends the record where the time of its packets does, and begins it anew. The connection goes on if it was not idle. */
static DWORD record_time_out(struct flow_table *table, struct record *record, const EXPERTFRAMEDESCRIPTOR *descriptor,
                             bool swapped)
{
    int64_t time = descriptor->pFrame->TimeStamp;
    bool idle = later_by(time, record->previous, idle_timeout);
    if (!idle && !(table->longest && later_by(time, record->first, table->longest)))
        return NMERR_SUCCESS;
    DWORD error = table->end(table, record);
    if (idle)
        record->connection = (struct connection){0};
    else if (swapped != record->swapped)
        connection_swap(&record->connection);
    record_begin(record, swapped, descriptor->FrameNumber, time);
    return error;
}

/* What the packet is to the record's TCP connection; ends the record that another connection begins in. */
static DWORD follow_connection(struct flow_table *table, const EXPERTFRAMEDESCRIPTOR *descriptor, struct place *place)
{
    struct record *record = place->record;
    const struct packet *packet = descriptor->lpPropertyTable;
    place->event = connection_follow(&record->connection, packet, place->direction);
    DWORD error = NMERR_SUCCESS;
    if (place->event == CONNECTION_DOUBT) {
        record->doubted = descriptor->pFrame->TimeStamp;
    } else if (place->event == CONNECTION_SPLIT) {
        record->first = record->doubted;
    } else if (place->event == CONNECTION_NEW) {
        error = table->end(table, record);
        connection_begin(&record->connection, packet, place->direction);
        record_begin(record, record->swapped, descriptor->FrameNumber, descriptor->pFrame->TimeStamp);
    }
    if (record->connection.opener) {
        record->swapped = !record->swapped;
        place->direction = !place->direction;
        place->swapped = true;
        connection_swap(&record->connection);
    }
    return error;
}

/* The packet's record, which begins with it where there is none that goes on. */
static struct record *record_for(struct flow_table *table, const EXPERTFRAMEDESCRIPTOR *descriptor, bool *swapped,
                                 DWORD *error)
{
    const struct packet *packet = descriptor->lpPropertyTable;
    unsigned hash = (unsigned)(decode_hash(packet) >> 32); /* the low bits have chosen the thread */
    struct record_key key;
    struct record *record;
    *swapped = key_of(packet, &key);
    HASH_FIND_BYHASHVALUE(hh, table->records, &key, sizeof key, hash, record);
    if (record) {
        *error = record_time_out(table, record, descriptor, *swapped);
        return record;
    }
    record = table_add(table, &key, hash, error);
    if (record)
        record_begin(record, *swapped, descriptor->FrameNumber, descriptor->pFrame->TimeStamp);
    return record;
}

DWORD table_place(struct flow_table *table, const EXPERTFRAMEDESCRIPTOR *descriptor, struct place *place)
{
    const struct packet *packet = descriptor->lpPropertyTable;
    bool swapped;
    DWORD error = table_expire(table, packet->clock);
    struct record *record = error ? NULL : record_for(table, descriptor, &swapped, &error);
    if (error)
        return error;
    *place = (struct place){.record = record, .direction = swapped != record->swapped, .event = CONNECTION_SAME};
    if (packet->segment)
        error = follow_connection(table, descriptor, place);
    record->touched = packet->clock;
    TAILQ_REMOVE(&table->idle, record, idle);
    TAILQ_INSERT_TAIL(&table->idle, record, idle);
    record_touch(record, descriptor->FrameNumber, descriptor->pFrame->TimeStamp);
    return error;
}

DWORD table_close(struct flow_table *table)
{
    DWORD error = NMERR_SUCCESS;
    struct record *record;
    while (!error && (record = TAILQ_FIRST(&table->idle)))
        error = table_remove(table, record);
    return error;
}
