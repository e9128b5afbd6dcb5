#include "heap.h"

#include "key.h"
#include "large.h"
#include "pool.h"
#include "returns.h"
#include "thread.h"

/* heap.holder, see heap.h: the lowest bit of a thread's address is free. */
#define HOLDER_NONE      ((uintptr_t)0)
#define HOLDER_SHUT      ((uintptr_t)1)
#define HOLDER_RECLAIMED ((uintptr_t)2)
#define HOLDER_LOST      ((uintptr_t)4)

#define EVENTS_A_TICK    64

struct heap *heaps;

static size_t heaps_bytes;
static struct pool free_heaps;
static uint32_t next_heap; /* any, atomic: the first that was never used; 0 is no heap */

static_assert(HEAPS_MAX - 1 == TAG_INDEX_MASK, "a tag's index names any heap");
static_assert(sizeof(struct heap) / CACHE_LINE % 2 == 1, "neighbouring heaps' bins fall in different cache sets");

/* ------------------------------------------------------------------ birth and death */

static uint32_t index_of(const struct heap *heap)
{
    return (uint32_t)(heap - heaps);
}

static void heap_recycle(struct heap *heap)
{
    pool_push(&free_heaps, index_of(heap));
}

bool heap_start(void)
{
    heaps = platform_reserve(HEAPS_MAX * sizeof *heaps, 64 * sizeof *heaps, PAGE, &heaps_bytes);
    if (!heaps)
        return false;
    next_heap = 1;
    free_heaps = (struct pool){
        .members = (char *)heaps,
        .stride = sizeof *heaps,
        .link_offset = offsetof(struct heap, pool_link),
    };
    key_recycle_heap = heap_recycle;
    return true;
}

static struct heap *heap_take(void)
{
    uint32_t index = pool_pop(&free_heaps);
    if (index)
        return &heaps[index];
    index = load_relaxed(&next_heap);
    do {
        if ((index + 1) * sizeof *heaps > heaps_bytes)
            return NULL;
    } while (!cas(&next_heap, &index, index + 1));
    struct heap *heap = &heaps[index];
    if (!platform_commit(heap, sizeof *heap))
        return NULL;
    heap->tag = index;
    return heap;
}

/* From now on nothing of the old incarnation is taken for ours: slabs, and magazines that are still to come.
 */
static void heap_reincarnate(struct heap *heap)
{
    store_relaxed(&heap->tag, heap->tag + TAG_INDEX_MASK + 1);
}

/* An empty heap of the key, in the hands of `thread`, and on the key's list for good. */
static struct heap *heap_new(struct thread *thread, struct key *key, ks_key_t handle)
{
    struct heap *heap = heap_take();
    if (!heap)
        return NULL;
    heap_reincarnate(heap);
    store_relaxed(&heap->handle, handle);
    heap->key = key;
    store_relaxed(&heap->wanted, 0u);
    store_relaxed(&heap->hungry, 0u);
    heap->arena_bytes = 0;
    heap->large_allocated = heap->large_out = heap->large_dropped = 0;
    heap->large_sent = heap->large_received = 0;
    heap->aside_count = heap->aside_low = 0;
    heap->events = heap->ticks = heap->visited = 0;
    TAILQ_INIT(&heap->slabs);
    TAILQ_INIT(&heap->large);
    TAILQ_INIT(&heap->aside);
    TAILQ_INIT(&heap->aside_large);
    for (uint32_t class = 0; class < CLASS_LIMIT; class ++) {
        struct bin *bin = &heap->bins[class];
        *bin = (struct bin){.top = magazine_none, .floor = magazine_none};
        TAILQ_INIT(&bin->depot);
        struct shelf *shelf = &heap->shelves[class];
        *shelf = (struct shelf){0};
        TAILQ_INIT(&shelf->partial);
        TAILQ_INIT(&shelf->returned);
    }
    store_relaxed(&heap->generation, load_acquire(&key->generation));
    store_ordered(&heap->entry, thread_entry(thread, handle));
    store_relaxed(&heap->holder, (uintptr_t)thread);
    key_retain(key);
    heap->key_next = load_relaxed(&key->heaps);
    while (!cas(&key->heaps, &heap->key_next, heap))
        ;
    return heap;
}

/* ------------------------------------------------------------------ reset, as the holder carries it out */

static void bin_discard(struct thread *thread, struct bin *bin, struct shelf *shelf)
{
    struct magazine *loaded = bin_unload(bin);
    if (loaded)
        magazine_put(thread, loaded);
    if (bin->spare)
        magazine_put(thread, bin->spare);
    bin->spare = NULL;
    magazine_put_list(&bin->depot, shelf->depot_count);
    shelf->depot_count = shelf->depot_low = 0;
    for (struct magazine *magazine; (magazine = TAILQ_FIRST(&shelf->returned));) {
        TAILQ_REMOVE(&shelf->returned, magazine, link);
        magazine_put(thread, magazine);
    }
}

/*
 * Drops every block of the heap, at a cost that its blocks do not raise: the slabs are set aside as they are,
 * and rewound when they are used again.
 */
static void heap_rewind(struct thread *thread, struct heap *heap, uint64_t generation)
{
    uint64_t slabs = 0;
    for (uint32_t class = 0; class < CLASS_LIMIT; class ++) {
        struct bin *bin = &heap->bins[class];
        struct shelf *shelf = &heap->shelves[class];
        uint64_t held = (uint64_t)(bin->top - bin->floor) + bin->parked;
        owner_add(&shelf->dropped, shelf->carved - shelf->shelved - held);
        if (class != CLASS_LARGE)
            slabs += shelf->slabs;
        store_relaxed(&shelf->carved, (uint64_t)0);
        store_relaxed(&shelf->shelved, (uint64_t)0);
        store_relaxed(&shelf->slabs, (uint64_t)0);
        store_relaxed(&shelf->sent, (uint64_t)0);
        store_relaxed(&shelf->received, (uint64_t)0);
        store_relaxed(&bin->parked, (uint64_t)0);
        shelf->carving = NULL;
        TAILQ_INIT(&shelf->partial);
        bin_discard(thread, bin, shelf);
    }
    outboxes_discard(thread, heap);
    TAILQ_CONCAT(&heap->aside, &heap->slabs, link);
    owner_add(&heap->aside_count, slabs);
    TAILQ_CONCAT(&heap->aside_large, &heap->large, link);
    owner_add(&heap->large_dropped, heap->large_out);
    store_relaxed(&heap->large_out, (uint64_t)0);
    store_relaxed(&heap->large_sent, (uint64_t)0);
    store_relaxed(&heap->large_received, (uint64_t)0);
    heap_reincarnate(heap);
    store_relaxed(&heap->generation, generation);
    store_relaxed(&heap->hungry, 0u);
}

/* ------------------------------------------------------------------ giving memory back */

static void magazine_shelve(struct thread *thread, struct heap *heap, struct magazine *magazine, uint32_t class)
{
    void **floor = magazine_floor(magazine, class);
    for (uint32_t i = 0; i < magazine->count; i++)
        slab_shelve(heap, floor[i]);
    magazine_put(thread, magazine);
}

static void depot_push(struct bin *bin, struct shelf *shelf, struct magazine *magazine)
{
    TAILQ_INSERT_HEAD(&bin->depot, magazine, link);
    shelf->depot_count++;
}

static struct magazine *depot_remove(struct bin *bin, struct shelf *shelf, struct magazine *magazine)
{
    TAILQ_REMOVE(&bin->depot, magazine, link);
    owner_add(&bin->parked, -(uint64_t)magazine->count);
    if (--shelf->depot_count < shelf->depot_low)
        shelf->depot_low = shelf->depot_count;
    return magazine;
}

/* Shelves the `count` magazines at the cold end. */
static void depot_trim(struct thread *thread, struct heap *heap, uint32_t class, uint32_t count)
{
    struct bin *bin = &heap->bins[class];
    struct shelf *shelf = &heap->shelves[class];
    while (count--) {
        struct magazine *cold = TAILQ_LAST(&bin->depot, magazine_list);
        magazine_shelve(thread, heap, depot_remove(bin, shelf, cold), class);
    }
}

/* Judges what came back into the depot; a large block goes to the arena at once. */
static void heap_receive(struct thread *thread, struct heap *heap, uint32_t class)
{
    struct magazine *magazine;
    while ((magazine = returns_judge(thread, heap, class))) {
        if (class == CLASS_LARGE) {
            if (magazine->count)
                large_release(heap, *magazine_floor(magazine, class));
            magazine_put(thread, magazine);
        } else if (magazine->count) {
            owner_add(&heap->bins[class].parked, magazine->count);
            depot_push(&heap->bins[class], &heap->shelves[class], magazine);
        } else {
            magazine_put(thread, magazine);
        }
    }
}

void heap_receive_large(struct heap *heap)
{
    struct thread *thread = thread_self;
    returns_take(thread, heap);
    heap_receive(thread, heap, CLASS_LARGE);
}

static void heap_catch_up(struct thread *thread, struct heap *heap)
{
    uint64_t generation = load_ordered(&heap->key->generation);
    if (heap->generation != generation)
        heap_rewind(thread, heap, generation);
}

void heap_settle(struct heap *heap)
{
    struct thread *thread = thread_self;
    heap_catch_up(thread, heap);
    outboxes_send(thread, heap, 0);
    returns_take(thread, heap);
    for (uint32_t class = 0; class < CLASS_LIMIT; class ++) {
        struct bin *bin = &heap->bins[class];
        struct shelf *shelf = &heap->shelves[class];
        heap_receive(thread, heap, class);
        if (class == CLASS_LARGE)
            continue;
        struct magazine *loaded = bin_unload(bin);
        if (loaded)
            magazine_shelve(thread, heap, loaded, class);
        if (bin->spare) {
            owner_add(&bin->parked, -(uint64_t)bin->spare->count);
            magazine_shelve(thread, heap, bin->spare, class);
        }
        bin->spare = NULL;
        depot_trim(thread, heap, class, shelf->depot_count);
    }
    large_give_aside(heap, UINT64_MAX);
    slab_give_aside(heap, UINT64_MAX);
}

/* Everything goes, and the heap with it: its key is destroyed. */
static void heap_reclaim(struct thread *thread, struct heap *heap)
{
    struct key *key = heap->key;
    heap_rewind(thread, heap, heap->generation);
    returns_take(thread, heap);
    large_give_aside(heap, UINT64_MAX);
    slab_give_aside(heap, UINT64_MAX);
    store_release(&heap->holder, HOLDER_RECLAIMED);
    key_release(key);
}

/* ------------------------------------------------------------------ who holds a heap */

static bool heap_is_held_by(struct heap *heap, const struct thread *thread)
{
    return load_acquire(&heap->holder) == (uintptr_t)thread;
}

static void entry_forget(struct thread *thread, struct entry *entry)
{
    store_relaxed(&entry->handle, (ks_key_t)0);
    entry->heap = NULL;
    if (thread->cursor == entry)
        thread->cursor = LIST_NEXT(entry, link);
    LIST_REMOVE(entry, link);
}

/*
 * The holder lets go; a heap of a destroyed key is reclaimed on the way. Where another thread has shut it,
 * that one is told that nobody comes back. A failed exchange means that the other has shut, opened or
 * reclaimed it in between.
 */
static void heap_let_go(struct thread *thread, struct heap *heap)
{
    if (heap_is_held_by(heap, thread) && !key_is_live(heap->key, heap->handle)) {
        heap_reclaim(thread, heap);
        return;
    }
    uintptr_t holder = load_acquire(&heap->holder);
    while ((holder & ~HOLDER_SHUT) == (uintptr_t)thread && !cas(&heap->holder, &holder, holder & HOLDER_SHUT))
        ;
}

/*
 * The heap that an entry names may have been reclaimed while the thread was outside every operation, and may
 * serve another key or thread by now: it is this thread's only if it still says so.
 */
static bool entry_is_true(struct thread *thread, struct entry *entry)
{
    struct heap *heap = entry->heap;
    uintptr_t holder = load_acquire(&heap->holder) & ~HOLDER_SHUT;
    return holder == (uintptr_t)thread && thread_entry(thread, load_relaxed(&heap->handle)) == entry;
}

static void entry_let_go(struct thread *thread, struct entry *entry)
{
    struct heap *heap = entry->heap;
    bool held = entry_is_true(thread, entry);
    entry_forget(thread, entry);
    if (held)
        heap_let_go(thread, heap);
}

struct heap *heap_of_entry(struct thread *thread, struct entry *entry)
{
    return entry_is_true(thread, entry) && heap_is_held_by(entry->heap, thread) ? entry->heap : NULL;
}

void heaps_leave(struct thread *thread)
{
    struct entry *entry;
    while ((entry = LIST_FIRST(&thread->entries))) {
        struct heap *heap = heap_of_entry(thread, entry);
        if (heap)
            outboxes_send(thread, heap, 0);
        entry_let_go(thread, entry);
    }
}

struct heap *heap_of_thread(struct thread *thread, ks_key_t handle)
{
    struct entry *entry = thread_entry(thread, handle);
    if (!entry->heap)
        return NULL;
    struct heap *heap = heap_of_entry(thread, entry);
    if (heap && heap->handle == handle)
        return heap;
    entry_let_go(thread, entry);
    return NULL;
}

static struct heap *heap_adopt(struct thread *thread, struct key *key, ks_key_t handle)
{
    for (struct heap *heap = load_acquire(&key->heaps); heap; heap = heap->key_next) {
        uintptr_t none = HOLDER_NONE;
        if (load_relaxed(&heap->holder) == HOLDER_NONE && cas(&heap->holder, &none, (uintptr_t)thread)) {
            store_ordered(&heap->entry, thread_entry(thread, handle));
            return heap;
        }
    }
    return NULL;
}

static struct heap *heap_join(struct thread *thread, struct key *key, ks_key_t handle)
{
    struct heap *heap = heap_of_thread(thread, handle);
    if (heap)
        return heap;
    heap = heap_adopt(thread, key, handle);
    if (!heap)
        heap = heap_new(thread, key, handle);
    if (!heap)
        return NULL;
    struct entry *entry = thread_entry(thread, handle);
    entry->heap = heap;
    LIST_INSERT_HEAD(&thread->entries, entry, link);
    return heap;
}

/*
 * Publishes the handle in the thread's table. Published first, looked at again after: a reset, terminate or
 * destroy changes the key first and clears the handle after that, so either it clears this one or the change
 * shows here.
 */
static ks_status heap_publish(struct thread *thread, struct key *key, struct heap *heap)
{
    ks_key_t *published = &heap->entry->handle;
    for (;;) {
        heap_catch_up(thread, heap);
        if (thread->leaving || load_ordered(&key->terminated))
            return load_ordered(&key->terminated) ? KS_TERMINATED : KS_OK;
        store_ordered(published, heap->handle);
        bool live = key_is_live(key, heap->handle);
        if (live && !load_ordered(&key->terminated) && load_ordered(&key->generation) == heap->generation)
            return KS_OK;
        store_ordered(published, (ks_key_t)0);
        if (!live)
            return KS_BAD_KEY;
    }
}

void heap_give_up(struct thread *thread, ks_key_t handle)
{
    struct entry *entry = thread_entry(thread, handle);
    if (entry->heap && load_relaxed(&entry->heap->handle) == handle)
        entry_let_go(thread, entry);
}

/* A destroyed key may have left this thread a heap to reclaim. */
static SLOW_PATH struct heap *heap_dead(ks_key_t handle, ks_status *status)
{
    if (thread_self != &thread_nobody)
        heap_give_up(thread_self, handle);
    *status = KS_BAD_KEY;
    return NULL;
}

struct heap *heap_enter(ks_key_t handle, ks_status *status)
{
    struct key *key = key_reference(handle);
    if (!key)
        return heap_dead(handle, status);

    struct thread *thread = thread_register();
    struct heap *heap = thread ? heap_join(thread, key, handle) : NULL;
    *status = heap ? heap_publish(thread, key, heap) : KS_NO_MEMORY;
    if (*status == KS_BAD_KEY)
        heap = heap_dead(handle, status);
    if (heap && load_relaxed(&heap->wanted)) {
        store_relaxed(&heap->wanted, 0u);
        heap_settle(heap);
    }
    key_release(key);
    return heap;
}

/* ------------------------------------------------------------------ other threads' heaps */

/* Takes a heap that nobody holds, or closes it to a holder who may be asleep. */
static bool heap_shut(struct thread *thread, struct heap *heap)
{
    uintptr_t holder = load_acquire(&heap->holder);
    if (holder == HOLDER_RECLAIMED || holder == HOLDER_LOST || holder & HOLDER_SHUT || holder == (uintptr_t)thread)
        return false;
    if (!cas(&heap->holder, &holder, holder | HOLDER_SHUT))
        return false;
    store_relaxed(&heap->visitor, thread);
    if (holder != HOLDER_NONE)
        store_ordered(&load_ordered(&heap->entry)->handle, (ks_key_t)0);
    return true;
}

static void heap_open(struct heap *heap)
{
    store_relaxed(&heap->visitor, NULL);
    uintptr_t holder = load_acquire(&heap->holder);
    while (!cas(&heap->holder, &holder, holder & ~HOLDER_SHUT))
        ;
}

/*
 * After heap_shut and the barrier: whether the holder is outside every operation. An operation that began
 * before the barrier shows its flag, or is over, and then what it wrote into its table shows; one that begins
 * later finds the handle cleared, takes the slow path, and finds the heap shut.
 */
static bool heap_is_left_alone(struct heap *heap, bool barrier)
{
    uintptr_t holder_word = load_acquire(&heap->holder) & ~HOLDER_SHUT;
    if (holder_word == HOLDER_NONE)
        return true;
    /* Its holder was inside an operation after all, found the key destroyed, and has reclaimed it. */
    if (holder_word == HOLDER_RECLAIMED)
        return false;
    struct thread *holder = (struct thread *)holder_word;
    return barrier && !load_acquire(&holder->busy) && !load_ordered(&load_ordered(&heap->entry)->handle);
}

/* A heap that this thread has shut, if its holder leaves it alone; else the holder is asked to do the work.
 */
static bool heap_visit_begin(struct heap *heap, bool barrier)
{
    if (heap_is_left_alone(heap, barrier))
        return true;
    store_relaxed(&heap->wanted, 1u);
    heap_open(heap);
    return false;
}

static void heap_visit_end(struct thread *thread, struct heap *heap)
{
    if (key_is_live(heap->key, heap->handle)) {
        heap_settle(heap);
        heap_open(heap);
    } else {
        store_relaxed(&heap->visitor, NULL);
        heap_reclaim(thread, heap);
    }
}

#define EACH_VISITED(heap, key, thread)                                                                                \
    for (struct heap *heap = load_ordered(&(key)->heaps); heap; heap = heap->key_next)                                 \
        if (load_relaxed(&heap->visitor) == (thread))

void heaps_visit(struct thread *thread, struct key *key, ks_key_t handle)
{
    bool live;
    do {
        live = key_is_live(key, handle);
        for (struct heap *heap = load_ordered(&key->heaps); heap; heap = heap->key_next)
            heap_shut(thread, heap);
        bool barrier = platform_barrier_everywhere();
        EACH_VISITED (heap, key, thread)
            if (heap_visit_begin(heap, barrier) && live)
                outboxes_send(thread, heap, 0);
        /* What they hold for each other is in their queues now. */
        EACH_VISITED (heap, key, thread)
            heap_visit_end(thread, heap);
        /* A destroy that came meanwhile found heaps shut by this thread, and left them to it. */
    } while (live && !key_is_live(key, handle));
}

void heaps_inherit(const struct thread *self)
{
    for (uint32_t index = 1; index < load_acquire(&next_heap); index++) {
        struct heap *heap = &heaps[index];
        uintptr_t holder = load_acquire(&heap->holder);
        struct thread *thread = (struct thread *)(holder & ~HOLDER_SHUT);
        if (holder == HOLDER_NONE || holder == HOLDER_RECLAIMED || holder == HOLDER_LOST || thread == self)
            continue;
        bool touched = holder & HOLDER_SHUT || load_acquire(&thread->busy);
        store_release(&heap->holder, touched ? HOLDER_LOST : HOLDER_NONE);
    }
}

/* Settles the heaps of the key that nobody holds: for an allocation that was refused. */
static void orphans_settle(struct thread *thread, struct key *key)
{
    for (struct heap *heap = load_ordered(&key->heaps); heap; heap = heap->key_next)
        if (load_relaxed(&heap->holder) == HOLDER_NONE && heap_shut(thread, heap) && heap_visit_begin(heap, false))
            heap_visit_end(thread, heap);
}

void heap_relieve(struct heap *heap)
{
    struct thread *thread = thread_self;
    heap_settle(heap);
    orphans_settle(thread, heap->key);
    /* Whatever else is free is on its way: whoever has some of it sends it at once from now on. */
    store_relaxed(&heap->hungry, 1u);
}

/* ------------------------------------------------------------------ ticks */

/* What the depots have not needed since the last tick is surplus (Bonwick and Adams, Magazines and Vmem,
 * 2001). */
static void heap_trim(struct thread *thread, struct heap *heap)
{
    for (uint32_t class = 0; class < CLASS_LARGE; class ++) {
        struct shelf *shelf = &heap->shelves[class];
        depot_trim(thread, heap, class, shelf->depot_low);
        shelf->depot_low = shelf->depot_count;
    }
    slab_give_aside(heap, heap->aside_low);
    heap->aside_low = heap->aside_count;
    large_give_aside(heap, LARGE_GIVEN_A_TICK);
}

/*
 * The thread's other heaps are drained in turn, because it may never come back to them; one that has seen no
 * slow path since it was last visited is settled.
 */
static void thread_visit_next(struct thread *thread)
{
    struct entry *entry = thread->cursor ? thread->cursor : LIST_FIRST(&thread->entries);
    thread->cursor = LIST_NEXT(entry, link);
    struct heap *heap = heap_of_entry(thread, entry);
    if (!heap)
        return;
    if (!key_is_live(heap->key, heap->handle)) {
        entry_let_go(thread, entry);
        return;
    }
    heap_catch_up(thread, heap);
    if (heap->visited == heap->ticks) {
        heap_settle(heap);
    } else {
        outboxes_send(thread, heap, 0);
        returns_take(thread, heap);
    }
    heap->visited = ++heap->ticks;
}

static SLOW_PATH void heap_tick(struct thread *thread, struct heap *heap)
{
    heap->events = 0;
    heap->ticks++;
    outboxes_send(thread, heap, 1);
    heap_trim(thread, heap);
    thread_visit_next(thread);
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

/* The next magazine with free blocks that needs no slab, or NULL. */
static struct magazine *heap_next_full(struct thread *thread, struct heap *heap, uint32_t class)
{
    struct bin *bin = &heap->bins[class];
    struct shelf *shelf = &heap->shelves[class];
    struct magazine *magazine = bin->spare;
    if (magazine && magazine->count) {
        bin->spare = NULL;
        owner_add(&bin->parked, -(uint64_t)magazine->count);
        return magazine;
    }
    magazine = TAILQ_FIRST(&bin->depot);
    if (magazine)
        return depot_remove(bin, shelf, magazine);
    if (TAILQ_EMPTY(&shelf->returned))
        returns_take(thread, heap);
    while ((magazine = returns_judge(thread, heap, class))) {
        if (magazine->count) {
            /* Freers read the word at each block: it is written only when it changes. */
            if (heap->hungry)
                store_relaxed(&heap->hungry, 0u);
            return magazine;
        }
        magazine_put(thread, magazine);
    }
    return NULL;
}

/* Fills an empty magazine from the class's slabs, or from a new one. */
static bool heap_fill(struct heap *heap, uint32_t class, struct magazine *magazine, ks_status *status)
{
    struct shelf *shelf = &heap->shelves[class];
    void **floor = magazine_floor(magazine, class);
    uint32_t most = classes.table[class].magazine;
    struct slab *slab = TAILQ_FIRST(&shelf->partial);
    if (slab) {
        magazine->count = slab_unshelve(heap, slab, floor, most);
        return true;
    }
    slab = shelf->carving ? shelf->carving : slab_begin(heap, class, status);
    if (!slab)
        return false;
    magazine->count = slab_carve(heap, slab, floor, most);
    shelf->carving = slab->carved < slab->capacity ? slab : NULL;
    return true;
}

bool heap_refill(struct heap *heap, uint32_t class, ks_status *status)
{
    struct thread *thread = thread_self;
    struct bin *bin = &heap->bins[class];
    if (unlikely(++heap->events == EVENTS_A_TICK))
        heap_tick(thread, heap);

    struct magazine *empty = bin_unload(bin);
    struct magazine *magazine = heap_next_full(thread, heap, class);
    if (magazine) {
        bin_keep_empty(thread, bin, empty);
        bin_load(bin, magazine, class);
        return true;
    }
    if (!empty)
        empty = magazine_get(thread);
    *status = KS_NO_MEMORY;
    if (!empty)
        return false;
    bool filled = heap_fill(heap, class, empty, status);
    if (filled)
        bin_load(bin, empty, class);
    else
        bin_keep_empty(thread, bin, empty);
    return filled;
}

void heap_overflow(struct heap *heap, uint32_t class, void *block)
{
    struct thread *thread = thread_self;
    struct bin *bin = &heap->bins[class];
    struct shelf *shelf = &heap->shelves[class];
    struct magazine *full = bin_unload(bin);
    struct magazine *empty = bin->spare && !bin->spare->count ? bin->spare : magazine_get(thread);
    if (!empty) {
        if (full)
            bin_load(bin, full, class);
        slab_shelve(heap, block);
        return;
    }
    if (bin->spare && bin->spare != empty)
        depot_push(bin, shelf, bin->spare);
    bin->spare = full;
    if (full)
        owner_add(&bin->parked, full->count);
    bin_load(bin, empty, class);
    *bin->top = block;
    store_relaxed(&bin->top, bin->top + 1);
    if (unlikely(++heap->events == EVENTS_A_TICK))
        heap_tick(thread, heap);
}
