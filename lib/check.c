/*
 * The invariants of model.h, walked: ks_key_check. For test suites: it reads private fields of every heap, so
 * no other thread may be inside a call on the key.
 */
#include "keyslab/keyslab.h"

#if KS_CHECK

#include "heap.h"
#include "key.h"
#include "magazine.h"
#include "slab.h"

#include <stdio.h>

#define HOLDS(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "keyslab: %s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                           \
            return false;                                                                                              \
        }                                                                                                              \
    } while (0)

static size_t offset_of(const void *block)
{
    return (size_t)((const char *)block - range.base);
}

/* A free block of the heap: its slab is the heap's, of the class, and the state, which the slot names, says free. */
static bool check_free_block(const struct heap *heap, uint32_t class, struct slot slot)
{
    const void *block = slot.block;
    HOLDS(offset_of(block) < range.high);
    const struct slab *slab = arena_slab(offset_of(block));
    uint32_t index;
    HOLDS(slab->tag == heap->tag);
    HOLDS(slab->class == class);
    HOLDS(class_index(offset_of(block) & (SLAB_BYTES - 1), slab->reciprocal, &index));
    HOLDS(index < slab->carved);
    HOLDS(slot.state == slab->states + index);
    HOLDS(!(*slot.state & STATE_LIVE));
    return true;
}

static bool check_magazine(const struct heap *heap, uint32_t class, struct magazine *magazine)
{
    struct slot *floor = magazine_floor(magazine, heap->classes, class);
    HOLDS(magazine->count <= heap->classes->table[class].magazine);
    for (uint32_t i = 0; i < magazine->count; i++)
        if (!check_free_block(heap, class, floor[i]))
            return false;
    return true;
}

static bool check_bin(const struct heap *heap, uint32_t class, uint64_t *held)
{
    const struct bin *bin = &heap->bins[class];
    const struct shelf *shelf = &heap->shelves[class];
    HOLDS(bin->top >= bin->floor);
    HOLDS(bin->credit > 0 && bin->credit <= BEAT && bin->due % BEAT == 0);
    for (const struct slot *slot = bin->floor; slot < bin->top; slot++)
        if (!check_free_block(heap, class, *slot))
            return false;
    uint64_t parked = 0;
    if (bin->spare) {
        parked += bin->spare->count;
        if (!check_magazine(heap, class, bin->spare))
            return false;
    }
    uint32_t count = 0;
    struct magazine *magazine;
    TAILQ_FOREACH (magazine, &bin->depot, link) {
        HOLDS(magazine->count > 0);
        parked += magazine->count;
        count++;
        if (!check_magazine(heap, class, magazine))
            return false;
    }
    HOLDS(bin->parked == parked);
    HOLDS(shelf->depot_count == count);
    HOLDS(shelf->depot_low <= count);
    *held = parked + (uint64_t)(bin->top - bin->floor);
    return true;
}

struct sums {
    uint64_t carved, shelved, live, slabs;
};

/* Live states, and bits of the bitmap, of one slab. */
static bool check_slab(const struct heap *heap, const struct slab *slab, struct sums *sums)
{
    HOLDS(slab->tag == heap->tag);
    HOLDS(slab->handle == heap->handle);
    HOLDS(slab->class < CLASS_LIMIT);
    HOLDS(slab->carved <= slab->limit && slab->limit <= slab->capacity);
    HOLDS(slab->limit * slab->block_bytes <= (slab->guard ? slab->guard : slab->taken));
    HOLDS(slab->guard < slab->taken && (!slab->guard || heap->key->paranoid));
    HOLDS(slab->class == CLASS_LARGE || slab->taken == heap->key->slab_bytes);
    HOLDS(slab->shelved <= slab->carved);
    uint64_t live = 0;
    for (uint32_t i = 0; i < slab->capacity; i++) {
        HOLDS(i < slab->carved || !(slab->states[i] & STATE_LIVE));
        live += slab->states[i] & STATE_LIVE;
    }
    HOLDS(live + slab->shelved <= slab->carved);
    sums[slab->class].carved += slab->carved;
    sums[slab->class].shelved += slab->shelved;
    sums[slab->class].live += live;
    sums[slab->class].slabs++;
    return true;
}

static bool check_partial(const struct shelf *shelf, uint32_t class)
{
    const struct slab *slab;
    TAILQ_FOREACH (slab, &shelf->partial, shelf) {
        HOLDS(slab->class == class);
        HOLDS(slab->shelved > 0);
    }
    return true;
}

static bool check_outboxes(const struct heap *heap)
{
    uint32_t accounts[OUTBOXES] = {0};
    size_t bytes[OUTBOXES] = {0};
    uint32_t open = 0;
    for (const struct outbox *box = heap->outboxes; box < heap->outboxes + OUTBOXES; box++) {
        if (!box->tag) {
            HOLDS(!box->top && !box->floor && !box->limit);
            continue;
        }
        HOLDS(box->room > 0 && box->room <= heap->classes->table[box->class].magazine);
        HOLDS(box->floor <= box->top && box->top < box->limit && box->limit == box->floor + box->room);
        bytes[box->tag % OUTBOXES] += (box->room - 1) * (size_t)heap->classes->table[box->class].bytes;
        accounts[box->tag % OUTBOXES]++;
        open++;
    }
    for (uint32_t i = 0; i < OUTBOXES; i++)
        HOLDS(heap->accounts[i] == accounts[i] && bytes[i] <= heap->key->outbox_bytes);
    HOLDS(heap->boxes == open);
    return true;
}

static bool check_heap(const struct heap *heap)
{
    struct sums sums[CLASS_LIMIT] = {0};
    uint64_t bytes = 0;
    uint64_t aside = 0;
    const struct slab *slab;
    TAILQ_FOREACH (slab, &heap->slabs, link) {
        if (!check_slab(heap, slab, sums))
            return false;
        bytes += slab->taken;
    }
    TAILQ_FOREACH (slab, &heap->large, link) {
        if (!check_slab(heap, slab, sums))
            return false;
        bytes += slab->taken;
    }
    TAILQ_FOREACH (slab, &heap->aside, link) {
        bytes += slab->taken;
        aside++;
    }
    TAILQ_FOREACH (slab, &heap->aside_large, link)
        bytes += slab->taken;
    if (!check_outboxes(heap))
        return false;
    HOLDS(heap->aside_count == aside);
    HOLDS(heap->arena_bytes == bytes);

    for (uint32_t class = 0; class < CLASS_LIMIT; ++class) {
        const struct shelf *shelf = &heap->shelves[class];
        uint64_t held;
        if (!check_bin(heap, class, &held) || !check_partial(shelf, class))
            return false;
        HOLDS(shelf->carved == sums[class].carved);
        HOLDS(shelf->shelved == sums[class].shelved);
        HOLDS(shelf->slabs == sums[class].slabs);
        HOLDS(shelf->carved == held + shelf->shelved + sums[class].live);
    }
    return true;
}

static bool check_key(struct key *key)
{
    uint64_t bytes = 0;
    for (struct heap *heap = key->heaps; heap; heap = heap->key_next) {
        if (!check_heap(heap))
            return false;
        bytes += heap->arena_bytes;
    }
    HOLDS(key->charged == bytes);
    HOLDS(key->charged_peak >= bytes);
    return true;
}

ks_status ks_key_check(ks_key_t handle)
{
    struct key *key = key_reference(handle);
    if (!key)
        return KS_BAD_KEY;
    bool whole = check_key(key);
    key_release(key);
    return whole ? KS_OK : KS_BAD_BLOCK;
}

#else

ks_status ks_key_check(ks_key_t handle)
{
    (void)handle;
    return KS_INVALID;
}

#endif
