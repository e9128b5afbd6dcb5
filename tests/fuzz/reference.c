#include "reference.h"

#include "account.h"
#include "entries.h"
#include "slabs.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reference reference;

static uint16_t sorted[BLOCKS_MOST]; /* blocks_used of them, by address */

/* ------------------------------------------------------------------ failing */

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "operation %" PRIu32 ", %s: ", reference.operation, reference.name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

void expect_status(const char *what, ks_status got, ks_status expected)
{
    if (got != expected)
        fail("%s: expected %s, got %s", what, ks_strerror(expected), ks_strerror(got));
}

void expect_number(const char *what, uint64_t got, uint64_t expected)
{
    if (got != expected)
        fail("%s: expected %" PRIu64 ", got %" PRIu64, what, expected, got);
}

void reference_start(void)
{
    memset(reference.blocks, 0, reference.slots_used * sizeof *reference.blocks);
    reference.operation = reference.serial = 0;
    reference.keys_count = reference.heaps_count = 0;
    reference.slots_used = reference.blocks_used = 0;
    reference.name = "start";
    reference.input++;
}

/* ------------------------------------------------------------------ heaps */

static uint32_t heap_adopt(uint32_t key)
{
    /* The newest first, as the key's list has them. */
    for (uint32_t i = reference.heaps_count; i-- > 0;)
        if (reference.heaps[i].key == key && reference.heaps[i].holder == NOBODY)
            return i;
    if (reference.heaps_count == HEAPS_MOST)
        fail("too many heaps");
    reference.heaps[reference.heaps_count] = (struct heap){.key = key};
    reference.keys[key].heaps++;
    return reference.heaps_count++;
}

uint32_t heap_of(uint32_t thread, uint32_t key)
{
    for (uint32_t i = 0; i < reference.heaps_count; i++)
        if (reference.heaps[i].key == key && reference.heaps[i].holder == thread)
            return i;
    return HEAPS_MOST;
}

uint32_t heap_enter(uint32_t thread, uint32_t key)
{
    uint32_t heap = heap_of(thread, key);
    if (heap == HEAPS_MOST) {
        heap = heap_adopt(key);
        reference.heaps[heap].holder = thread;
    }
    return heap;
}

void heaps_abandon(uint32_t thread)
{
    for (uint32_t i = 0; i < reference.heaps_count; i++) {
        struct heap *heap = &reference.heaps[i];
        if (heap->holder != thread)
            continue;
        heap->holder = NOBODY;
        entries_sent(i);
        heap->touched_at = reference.operation;
    }
}

void heaps_end(uint32_t key)
{
    for (uint32_t i = 0; i < reference.heaps_count; i++)
        if (reference.heaps[i].key == key)
            reference.heaps[i] = (struct heap){.key = KEYS_MOST, .holder = NOBODY};
}

void heaps_touch(uint32_t thread)
{
    for (uint32_t i = 0; i < reference.heaps_count; i++)
        if (reference.heaps[i].holder == thread)
            reference.heaps[i].touched_at = reference.operation;
}

void heaps_touch_key(uint32_t key, bool all)
{
    for (uint32_t i = 0; i < reference.heaps_count; i++)
        if (reference.heaps[i].key == key && (all || reference.heaps[i].holder == NOBODY))
            reference.heaps[i].touched_at = reference.operation;
}

/* ------------------------------------------------------------------ the sorted table */

/* The first block, in address order, that starts above the address. */
static uint32_t sorted_above(const void *address)
{
    uint32_t low = 0;
    uint32_t high = reference.blocks_used;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (reference.blocks[sorted[middle]].start <= (const char *)address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct block *block_at(const void *address)
{
    uint32_t above = sorted_above(address);
    if (!above)
        return NULL;
    struct block *block = &reference.blocks[sorted[above - 1]];
    return (const char *)address < block->start + block->usable ? block : NULL;
}

struct block *block_in_order(uint32_t i)
{
    return i < reference.blocks_used ? &reference.blocks[sorted[i]] : NULL;
}

static void sorted_remove(uint32_t place)
{
    reference.blocks[sorted[place]].used = false;
    reference.blocks_used--;
    memmove(&sorted[place], &sorted[place + 1], (reference.blocks_used - place) * sizeof *sorted);
}

static struct block *sorted_insert(char *start)
{
    uint32_t slot = 0;
    if (reference.slots_used < BLOCKS_MOST)
        slot = reference.slots_used++;
    else
        while (reference.blocks[slot].used)
            slot++;
    uint32_t place = sorted_above(start);
    memmove(&sorted[place + 1], &sorted[place], (reference.blocks_used - place) * sizeof *sorted);
    sorted[place] = (uint16_t)slot;
    reference.blocks_used++;
    return &reference.blocks[slot];
}

uint32_t blocks_room(uint32_t wanted)
{
    for (uint32_t place = reference.blocks_used; place-- > 0 && reference.blocks_used + wanted > BLOCKS_MOST;) {
        enum state state = reference.blocks[sorted[place]].state;
        if (state == FREE || state == DROPPED) {
            slab_forget(&reference.blocks[sorted[place]]);
            sorted_remove(place);
        }
    }
    uint32_t room = BLOCKS_MOST - reference.blocks_used;
    return wanted < room ? wanted : room;
}

/* ------------------------------------------------------------------ blocks */

/* Whoever works in the key may look after a heap that is nobody's. */
bool block_is_surely_away(const struct block *block)
{
    const struct heap *home = &reference.heaps[block->heap];
    return block->state == AWAY && home->holder != NOBODY && home->touched_at < block->freed_at;
}

/* What a new block covers is no longer to be found by its address. */
static void blocks_cover(const char *start, size_t usable)
{
    struct block *old;
    if ((old = block_at(start)) == NULL) {
        uint32_t above = sorted_above(start);
        old = above < reference.blocks_used ? &reference.blocks[sorted[above]] : NULL;
    }
    while (old && old->start < start + usable) {
        if (old->state == LIVE || block_is_surely_away(old))
            fail("%p of %zu bytes overlaps %p of %zu bytes, which is not free", (const void *)start, usable,
                 (void *)old->start, old->usable);
        uint32_t place = sorted_above(old->start) - 1;
        sorted_remove(place);
        old = place < reference.blocks_used ? &reference.blocks[sorted[place]] : NULL;
    }
}

struct block *block_add(uint32_t thread, uint32_t key, void *start, size_t usable, uint32_t class, bool large)
{
    blocks_cover(start, usable);
    struct block *block = sorted_insert(start);
    *block = (struct block){
        .start = start,
        .usable = usable,
        .key = key,
        .heap = heap_enter(thread, key),
        .class = class,
        .state = LIVE,
        .large = large,
        .used = true,
    };
    slab_use(block);
    struct count *count = &reference.keys[key].counts[class];
    count->allocated++;
    count->live++;
    count->live_bytes += usable;
    return block;
}

static void block_end(struct block *block, enum state state)
{
    struct count *count = &reference.keys[block->key].counts[block->class];
    count->live--;
    count->live_bytes -= block->usable;
    slab_leave(block);
    block->state = state;
    block->freed_at = reference.operation;
}

/*
 * Of all frees of one block that are accepted one counts: the owner's, which takes effect at once, else the first to get
 * home.
 */
void block_freed(struct block *block, uint32_t thread)
{
    bool local = reference.heaps[block->heap].holder == thread;
    if (block->state == AWAY)
        account_excess(block->key, block);
    else
        block_end(block, AWAY);
    if (local) {
        block->state = FREE;
        reference.keys[block->key].counts[block->class].freed_local++;
    } else {
        entry_add(thread, block);
    }
}

void blocks_drop(uint32_t key, bool counted)
{
    for (uint32_t i = 0; i < reference.slots_used; i++) {
        struct block *block = &reference.blocks[i];
        if (!block->used || block->key != key)
            continue;
        struct count *count = &reference.keys[key].counts[block->class];
        bool out = counted && (block->state == LIVE || block->state == AWAY);
        count->dropped_least += out && (block->state == LIVE || block_is_surely_away(block));
        count->dropped_most += out;
        if (block->state == LIVE)
            block_end(block, DROPPED);
        block->state = DROPPED;
    }
}

void blocks_settle(uint32_t key)
{
    for (uint32_t i = 0; i < reference.slots_used; i++)
        if (reference.blocks[i].used && reference.blocks[i].key == key && reference.blocks[i].state == AWAY)
            reference.blocks[i].state = FREE;
}

/* ------------------------------------------------------------------ judgement */

static uint32_t judge_in_place(uint32_t key, const struct block *block)
{
    /* What a destroyed key has left is nobody's. */
    if (block->key != key)
        return reference.keys[block->key].live ? ONLY(KS_WRONG_KEY) : ONLY(KS_BAD_BLOCK);
    switch (block->state) {
    case LIVE:
        return ONLY(KS_OK);
    case AWAY:
        return block_is_surely_away(block) ? ONLY(KS_OK) : ONLY(KS_OK) | ONLY(KS_DOUBLE_FREE);
    case FREE:
        return ONLY(KS_DOUBLE_FREE);
    default:
        return ONLY(KS_STALE);
    }
}

uint32_t judge(uint32_t key, const void *address, struct block **block)
{
    *block = block_at(address);
    if (!*block)
        return slab_judge(key, address);
    bool in_place = block_is_in_place(*block);
    /* A block that is not home keeps its slab as it is. */
    if ((*block)->start == address && (in_place || block_is_surely_away(*block)))
        return judge_in_place(key, *block);
    if ((*block)->start == address && (*block)->state == AWAY && (*block)->key == key)
        return ONLY(KS_OK) | ONLY(KS_DOUBLE_FREE) | slab_judge(key, address);
    return in_place ? ONLY(KS_BAD_BLOCK) : slab_judge(key, address);
}
