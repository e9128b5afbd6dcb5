#include "refill.h"

#include "depot.h"
#include "key.h"
#include "large.h"
#include "quarantine.h"
#include "returns.h"

#define EVENTS_A_TICK 64 /* what waits to be sent goes by the key's own number, key.flush */
#define GIVEN_A_TICK  16 /* magazines of each class, slabs, large blocks */
#define GIVEN_AT_ONCE 4  /* slabs above what the key retains, at each slow path */
/* Magazines of a class in a depot, at the most: where blocks are small, more of them would cost as much as the blocks. */
#define DEPOT_LEAST  256
#define DEPOT_PART   128 /* and so many more for each KiB of the class's blocks */
#define CARVED_FIRST 16  /* blocks of a slab */

/* C6.5. */
void heap_relieve(struct heap *heap)
{
    struct thread *thread = thread_self;
    heap_settle(heap, 0);
    orphans_settle(thread, heap->key);
    /* What the others held for this thread has come home by then. */
    if (key_has_retain(heap->key) && others_relieve(thread, heap))
        heap_settle(heap, 0);
    /* Whatever else is free is on its way: whoever has some of it sends it at once from now on. */
    store_relaxed(&heap->hungry, 1u);
}

/* ------------------------------------------------------------------ ticks */

static uint32_t at_most(uint64_t surplus, uint32_t most)
{
    return surplus < most ? (uint32_t)surplus : most;
}

/* Of the surplus, and of large blocks that were dropped. */
static void asides_give(struct heap *heap, uint64_t surplus)
{
    slab_give_aside(heap, at_most(surplus, GIVEN_A_TICK));
    large_give_aside(heap, GIVEN_A_TICK);
}

/*
 * What the depots and the asides have not needed since the last tick is surplus (Bonwick and Adams, Magazines and Vmem,
 * 2001). It goes a few at a time, so that no operation pays for a whole burst, or for all that a reset has dropped.
 */
static void heap_trim(struct thread *thread, struct heap *heap)
{
    uint32_t kept = heap->key->paranoid ? QUARANTINE : 0;
    uint64_t least = heap->key->retain_least;
    for (uint32_t class = 0; class < CLASS_LARGE; ++class) {
        struct shelf *shelf = &heap->shelves[class];
        depot_trim(thread, heap, class, at_most(shelf->depot_low > kept ? shelf->depot_low - kept : 0, GIVEN_A_TICK));
        shelf->depot_low = shelf->depot_count;
    }
    asides_give(heap, heap->aside_low > least ? heap->aside_low - least : 0);
    heap->aside_low = heap->aside_count;
}

/*
 * A heap that has seen no slow path since it was last visited is settled, once; what resets drop afterwards goes a few slabs at
 * each visit. C6.6.
 */
static void heap_drain(struct thread *thread, struct heap *heap)
{
    heap_catch_up(thread, heap);
    if (heap->settled == heap->events && !heap->boxes && stack_is_empty(&heap->returns)) {
        asides_give(heap, heap_aside_above(heap, heap->key->retain_least));
        return;
    }
    if (heap->visited == heap->events) {
        heap_settle(heap, heap->key->retain_least);
        heap->settled = heap->events;
    } else {
        outboxes_send(thread, heap, 0);
        returns_take(thread, heap);
        heap->visited = heap->events;
    }
}

/* The entry whose turn it is, which is not that of the heap at work; NULL when there is no other. */
static struct entry *thread_next_entry(struct thread *thread, const struct heap *working)
{
    struct entry *entry = NULL;
    for (int tries = 0; tries < 2; tries++) {
        entry = thread->cursor ? entry_at(thread, thread->cursor) : entry_first(thread);
        thread->cursor = entry->next;
        if (entry->heap != working)
            return entry;
    }
    return NULL;
}

/*
 * The thread's other heaps are drained in turn, because it may never come back to them. The one at work is left
 * alone: its operation goes on, and would go on with a heap that has been reclaimed if the key is destroyed by now.
 */
static void thread_visit_next(struct thread *thread, const struct heap *working)
{
    struct entry *entry = thread_next_entry(thread, working);
    struct heap *heap = entry ? heap_of_entry(thread, entry) : NULL;
    if (!heap)
        return;
    if (key_is_live(heap->key, heap->handle))
        heap_drain(thread, heap);
    else
        entry_let_go(thread, entry);
}

static SLOW_PATH void heap_tick(struct thread *thread, struct heap *heap)
{
    heap_trim(thread, heap);
    thread_visit_next(thread, heap);
}

/* A slow path of the heap. */
static void heap_event(struct thread *thread, struct heap *heap)
{
    ++heap->events;
    if (unlikely(heap->boxes) && heap->events % heap->key->flush == 0)
        outboxes_send(thread, heap, heap->key->flush);
    if (unlikely(heap->aside_count > heap->key->retain_most))
        slab_give_aside(heap, at_most(heap_aside_above(heap, heap->key->retain_most), GIVEN_AT_ONCE));
    if (unlikely(heap->events % EVENTS_A_TICK == 0))
        heap_tick(thread, heap);
}

void heap_beat(struct heap *heap, struct bin *bin)
{
    struct thread *thread = thread_self;
    bin_renew(bin);
    heap_event(thread, heap);
    thread_visit_next(thread, heap);
}

void heap_send(struct thread *thread, struct heap *heap, struct outbox *box)
{
    outbox_send(thread, heap, box);
    heap_event(thread, heap);
}

/* ------------------------------------------------------------------ magazines in and out of bins */

static void bin_keep_empty(struct thread *thread, struct bin *bin, struct magazine *empty)
{
    if (!empty)
        return;
    if (bin->spare)
        magazine_put(thread, empty);
    else
        bin->spare = empty;
}

/* The spare or the first of the depot, or NULL. */
static struct magazine *heap_next_full(struct heap *heap, uint32_t class)
{
    struct bin *bin = &heap->bins[class];
    struct magazine *magazine = bin->spare;
    if (heap->key->paranoid)
        return quarantine_take(heap, class);
    if (!magazine || !magazine->count) {
        magazine = TAILQ_FIRST(&bin->depot);
        return magazine ? depot_remove(bin, &heap->shelves[class], magazine) : NULL;
    }
    bin->spare = NULL;
    owner_add(&bin->parked, -(uint64_t)magazine->count);
    return magazine;
}

/* Freers read the word at each block: it is written only when it changes. C6.5. */
static void heap_is_fed(struct heap *heap)
{
    if (heap->hungry)
        store_relaxed(&heap->hungry, 0u);
}

/* What has come home to a paranoid key waits. */
static void heap_quarantine_returned(struct thread *thread, struct heap *heap, uint32_t class)
{
    struct slot slots[MAGAZINE_SLOTS];
    uint32_t count;
    returns_take(thread, heap);
    while (returns_judge(thread, heap, class, slots, MAGAZINE_SLOTS, &count)) {
        for (uint32_t i = 0; i < count; i++)
            quarantine_put(thread, heap, class, slots[i]);
        heap_is_fed(heap);
    }
}

/* Fills an empty magazine with what has come home. */
static bool heap_fill_returned(struct thread *thread, struct heap *heap, uint32_t class, struct magazine *magazine)
{
    struct slot *floor = magazine_floor(magazine, heap->classes, class);
    uint32_t most = heap->classes->table[class].magazine;
    if (TAILQ_EMPTY(&heap->shelves[class].returned))
        returns_take(thread, heap);
    uint32_t count;
    while (returns_judge(thread, heap, class, floor + magazine->count, most - magazine->count, &count))
        magazine->count += count;
    if (!magazine->count)
        return false;
    heap_is_fed(heap);
    return true;
}

/*
 * A slab's first blocks are few: the heap may be reset after them. The next make up a magazine with them, so that a burst which
 * fits in one does not meet its edge each time.
 */
static uint32_t carved_at_once(uint32_t carved, uint32_t most)
{
    if (!carved)
        return most < CARVED_FIRST ? most : CARVED_FIRST;
    return carved < most ? most - carved : most;
}

/* Fills an empty magazine from the class's slabs, or from a new one. */
static bool heap_fill(struct heap *heap, uint32_t class, struct magazine *magazine, ks_status *status)
{
    struct shelf *shelf = &heap->shelves[class];
    struct slot *floor = magazine_floor(magazine, heap->classes, class);
    uint32_t most = heap->classes->table[class].magazine;
    struct slab *slab = TAILQ_FIRST(&shelf->partial);
    if (slab) {
        magazine->count = slab_unshelve(heap, slab, floor, most);
        return true;
    }
    slab = shelf->carving ? shelf->carving : slab_begin(heap, class, status);
    if (!slab)
        return false;
    magazine->count = slab_carve(heap, slab, floor, carved_at_once(slab->carved, most));
    shelf->carving = slab->carved < slab->limit ? slab : NULL;
    return true;
}

/* What allocations take from now on. */
static void heap_load(struct heap *heap, uint32_t class, struct magazine *magazine)
{
    struct slot *floor = magazine_floor(magazine, heap->classes, class);
    if (heap->key->paranoid)
        slots_shuffle(heap, floor, magazine->count);
    bin_load(&heap->bins[class], magazine, floor);
}

bool heap_refill(struct heap *heap, uint32_t class, ks_status *status)
{
    struct thread *thread = thread_self;
    struct bin *bin = &heap->bins[class];
    heap_event(thread, heap);

    if (heap->key->paranoid)
        heap_quarantine_returned(thread, heap, class);
    struct magazine *empty = bin_unload(bin);
    struct magazine *magazine = heap_next_full(heap, class);
    if (magazine) {
        bin_keep_empty(thread, bin, empty);
        heap_load(heap, class, magazine);
        return true;
    }
    if (!empty)
        empty = magazine_get(thread);
    *status = KS_NO_MEMORY;
    if (!empty)
        return false;
    bool filled = heap_fill_returned(thread, heap, class, empty) || heap_fill(heap, class, empty, status);
    if (filled)
        heap_load(heap, class, empty);
    else
        bin_keep_empty(thread, bin, empty);
    return filled;
}

/* To the depot; what that cannot keep goes to the slabs, the cold end first. */
static void heap_park(struct thread *thread, struct heap *heap, uint32_t class, struct magazine *full)
{
    struct shelf *shelf = &heap->shelves[class];
    depot_push(&heap->bins[class], shelf, full);
    if (shelf->depot_count > DEPOT_LEAST + DEPOT_PART * (size_t)heap->classes->table[class].bytes / MAGAZINE_SIZE)
        depot_trim(thread, heap, class, 1);
}

/* C0.1. */
void heap_overflow(struct heap *heap, uint32_t class, struct slot slot)
{
    struct thread *thread = thread_self;
    struct bin *bin = &heap->bins[class];
    struct magazine *full = bin_unload(bin);
    struct magazine *empty = bin->spare && !bin->spare->count ? bin->spare : magazine_get(thread);
    if (!empty) {
        if (full)
            bin_load(bin, full, magazine_floor(full, heap->classes, class));
        slab_shelve(heap, slot);
        return;
    }
    if (bin->spare && bin->spare != empty)
        heap_park(thread, heap, class, bin->spare);
    bin->spare = full;
    if (full)
        owner_add(&bin->parked, full->count);
    bin_load(bin, empty, magazine_floor(empty, heap->classes, class));
    *bin->top = slot;
    store_relaxed(&bin->top, bin->top + 1);
    heap_event(thread, heap);
}
