#include "table.h"

#include <string.h>

enum { BUCKETS_FIRST = 256 };

DWORD table_open(struct flow_table *table, HEXPERTKEY key, size_t record_bytes)
{
    DWORD error;
    *table = (struct flow_table){.key = key, .mask = BUCKETS_FIRST - 1, .record_bytes = record_bytes};
    TAILQ_INIT(&table->idle);
    table->buckets = ExpertAllocMemory(key, BUCKETS_FIRST * sizeof *table->buckets, &error);
    if (table->buckets)
        memset(table->buckets, 0, BUCKETS_FIRST * sizeof *table->buckets);
    return error;
}

void table_close(struct flow_table *table)
{
    ExpertFreeMemory(table->key, table->buckets);
}

static bool same_end(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && !memcmp(a->address, b->address, sizeof a->address);
}

static bool is_of(const struct record *record, const struct packet *packet, unsigned direction)
{
    return record->protocol == packet->protocol && record->version == packet->version && record->vlan == packet->vlan &&
           same_end(&record->ends[direction], &packet->source) &&
           same_end(&record->ends[!direction], &packet->destination);
}

struct record *table_find(struct flow_table *table, const struct packet *packet, unsigned *direction)
{
    uint64_t hash = decode_hash(packet);
    for (struct record *record = table->buckets[hash & table->mask]; record; record = record->next) {
        if (record->hash != hash)
            continue;
        for (*direction = 0; *direction < 2; ++*direction)
            if (is_of(record, packet, *direction))
                return record;
    }
    return NULL;
}

/* Twice the buckets; where there is no memory for them, chains get longer instead. */
static void table_grow(struct flow_table *table)
{
    size_t buckets = (table->mask + 1) * 2;
    struct record **grown = ExpertAllocMemory(table->key, buckets * sizeof *grown, NULL);
    if (!grown)
        return;
    memset(grown, 0, buckets * sizeof *grown);
    for (size_t i = 0; i <= table->mask; i++)
        for (struct record *record = table->buckets[i], *next; record; record = next) {
            next = record->next;
            record->next = grown[record->hash & (buckets - 1)];
            grown[record->hash & (buckets - 1)] = record;
        }
    ExpertFreeMemory(table->key, table->buckets);
    table->buckets = grown;
    table->mask = buckets - 1;
}

struct record *table_add(struct flow_table *table, const struct packet *packet, int64_t time, DWORD *error)
{
    struct record *record = ExpertAllocMemory(table->key, table->record_bytes, error);
    if (!record)
        return NULL;
    memset(record, 0, table->record_bytes);
    record->hash = decode_hash(packet);
    record->first = record->last = time;
    record->ends[0] = packet->source;
    record->ends[1] = packet->destination;
    record->vlan = packet->vlan;
    record->version = packet->version;
    record->protocol = packet->protocol;
    if (table->count++ > table->mask)
        table_grow(table);
    struct record **bucket = &table->buckets[record->hash & table->mask];
    record->next = *bucket;
    *bucket = record;
    TAILQ_INSERT_TAIL(&table->idle, record, idle);
    return record;
}

void table_touch(struct flow_table *table, struct record *record, int64_t time)
{
    record->last = time;
    TAILQ_REMOVE(&table->idle, record, idle);
    TAILQ_INSERT_TAIL(&table->idle, record, idle);
}

DWORD table_remove(struct flow_table *table, struct record *record)
{
    struct record **link = &table->buckets[record->hash & table->mask];
    while (*link != record)
        link = &(*link)->next;
    *link = record->next;
    TAILQ_REMOVE(&table->idle, record, idle);
    table->count--;
    return (DWORD)ExpertFreeMemory(table->key, record);
}
