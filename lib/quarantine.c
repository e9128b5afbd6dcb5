#include "quarantine.h"

#include "depot.h"
#include "magazine.h"
#include "report.h"
#include "slab.h"
#include "thread.h"

#include <string.h>

#define POISON_BYTE 0xdb
#define POISON_WORD ((uint64_t)0xdbdbdbdbdbdbdbdb)

/* ------------------------------------------------------------------ pattern */

void poison_fill(const struct heap *heap, uint32_t class, const struct slot *slots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        memset(slots[i].block, POISON_BYTE, heap->classes->table[class].bytes);
}

static bool is_poisoned(const uint64_t *words, size_t bytes)
{
    uint64_t differs = 0;
    for (size_t i = 0; i < bytes / sizeof *words; i++)
        differs |= words[i] ^ POISON_WORD;
    return !differs;
}

/* One that has not been out in this life of its slab was never filled. */
void poison_check(struct heap *heap, uint32_t class, struct slot slot)
{
    size_t bytes = heap->classes->table[class].bytes;
    if (*slot.state == STATE_FRESH || is_poisoned(slot.block, bytes))
        return;
    report_damaged(thread_self, heap, slot.block, bytes);
}

/* ------------------------------------------------------------------ order */

/* Steele, Lea and Flood: Fast splittable pseudorandom number generators, 2014. Any seed will do. */
static uint64_t random_next(uint64_t *state)
{
    uint64_t word = *state += 0x9e3779b97f4a7c15;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
    word = (word ^ word >> 27) * 0x94d049bb133111eb;
    return word ^ word >> 31;
}

/* Fisher and Yates. The upper word of a product is below its factor, and as evenly spread as 2^64 allows. */
void slots_shuffle(struct heap *heap, struct slot *slots, uint32_t count)
{
    for (uint32_t left = count; left > 1; left--) {
        uint32_t chosen = (uint32_t)((unsigned __int128)random_next(&heap->random) * left >> 64);
        struct slot last = slots[left - 1];
        slots[left - 1] = slots[chosen];
        slots[chosen] = last;
    }
}

/* ------------------------------------------------------------------ waiting */

/* The magazine that frees fill, with room; NULL without memory. */
static struct magazine *filling(struct thread *thread, struct heap *heap, uint32_t class)
{
    struct bin *bin = &heap->bins[class];
    if (bin->spare && bin->spare->count < heap->classes->table[class].magazine)
        return bin->spare;
    struct magazine *empty = magazine_get(thread);
    if (!empty)
        return NULL;
    if (bin->spare)
        depot_push(bin, &heap->shelves[class], bin->spare);
    bin->spare = empty;
    return empty;
}

void quarantine_put(struct thread *thread, struct heap *heap, uint32_t class, struct slot slot)
{
    struct magazine *magazine = filling(thread, heap, class);
    if (!magazine) {
        slab_shelve(heap, slot);
        return;
    }
    magazine_floor(magazine, heap->classes, class)[magazine->count++] = slot;
    owner_add(&heap->bins[class].parked, 1);
}

struct magazine *quarantine_take(struct heap *heap, uint32_t class)
{
    struct bin *bin = &heap->bins[class];
    struct shelf *shelf = &heap->shelves[class];
    if (shelf->depot_count <= QUARANTINE)
        return NULL;
    return depot_remove(bin, shelf, TAILQ_LAST(&bin->depot, magazine_list));
}
