#include "entries.h"

#include "slabs.h"

/* The last one from a heap to another. */
struct entry {
    uint32_t input; /* the entry is of an earlier one otherwise */
    struct group group;
    uint32_t mask; /* at least what is in the library's */
    uint32_t sure; /* at most */
    size_t held;   /* at most, in bytes, of all that waits for this home */
};

static struct entry entries[HEAPS_MOST][HEAPS_MOST];

/* A heap's last free for another: what followed on it may have made the heap send. */
static struct {
    uint32_t input, operation, home;
} last[HEAPS_MOST];

static struct entry *entry_of(uint32_t heap, uint32_t home)
{
    struct entry *entry = &entries[heap][home];
    if (entry->input != reference.input)
        *entry = (struct entry){.input = reference.input};
    return entry;
}

/* Whether nothing can have happened to the entry since it was last added to. */
static bool is_latest(uint32_t heap, uint32_t home)
{
    return last[heap].input == reference.input && last[heap].home == home &&
           reference.operation - last[heap].operation <= 1;
}

enum joins block_joins(uint32_t thread, const struct block *block)
{
    uint32_t heap = heap_of(thread, block->key);
    if (heap == HEAPS_MOST || block->large || block->state != AWAY)
        return JOINS_NOT;
    uint32_t bit;
    struct group group = block_group(block, &bit);
    const struct entry *entry = entry_of(heap, block->heap);
    if (!(entry->mask & bit) || !groups_are_equal(entry->group, group))
        return JOINS_NOT;
    return entry->sure & bit && is_latest(heap, block->heap) ? JOINS : MAY_JOIN;
}

/* A home that may have been short of memory is sent everything at once. */
void entry_add(uint32_t thread, const struct block *block)
{
    uint32_t heap = heap_of(thread, block->key);
    const struct key *key = &reference.keys[block->key];
    struct entry *entry = entry_of(heap, block->heap);
    if (block->large || block->usable >= key->outbox) {
        *entry = (struct entry){.input = reference.input};
        return;
    }
    uint32_t bit;
    struct group group = block_group(block, &bit);
    if (!groups_are_equal(entry->group, group)) {
        entry->group = group;
        entry->mask = 0;
    }
    if (!is_latest(heap, block->heap))
        entry->sure = 0;
    entry->mask |= bit;
    entry->sure = (entry->sure & entry->mask) | bit;
    entry->held += block->usable;
    if (key->quota || entry->held >= key->outbox) {
        entry->sure = 0;
        entry->held = key->outbox - 1;
    }
    last[heap].input = reference.input;
    last[heap].operation = reference.operation;
    last[heap].home = block->heap;
}

void entries_sent(uint32_t heap)
{
    for (uint32_t home = 0; home < reference.heaps_count; home++)
        entries[heap][home] = (struct entry){.input = reference.input};
}

void entries_sent_by(uint32_t thread)
{
    for (uint32_t heap = 0; heap < reference.heaps_count; heap++)
        if (reference.heaps[heap].holder == thread)
            entries_sent(heap);
}

void entries_sent_in(uint32_t key)
{
    for (uint32_t heap = 0; heap < reference.heaps_count; heap++)
        if (reference.heaps[heap].key == key)
            entries_sent(heap);
}

void entries_doubt(uint32_t home)
{
    for (uint32_t heap = 0; heap < reference.heaps_count; heap++)
        entry_of(heap, home)->sure = 0;
}
