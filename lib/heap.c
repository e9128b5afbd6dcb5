#include "heap.h"

#include "depot.h"
#include "key.h"
#include "large.h"
#include "pool.h"
#include "returns.h"
#include "stretch.h"

#define HEAPS_STEP ((size_t)64 << 10)

struct heap *heaps;

static struct stretch stretch;
static struct pool free_heaps;
uint32_t heaps_used; /* any, atomic: the first that was never used; 0 is no heap */

static_assert(HEAPS_MAX - 1 == TAG_INDEX_MASK, "a tag's index names any heap");
static_assert(sizeof(struct heap) / CACHE_LINE % 2 == 1, "neighbouring heaps' bins fall in different cache sets");

/* ------------------------------------------------------------------ birth and death */

static uint32_t index_of(const struct heap *heap)
{
    return (uint32_t)(heap - heaps);
}

/* C0.5. */
static void heap_recycle(struct heap *heap)
{
    pool_push(&free_heaps, index_of(heap));
}

bool heap_start(void)
{
    if (!stretch_start(&stretch, window_share(HEAPS_MAX * sizeof *heaps), HEAPS_STEP))
        return false;
    heaps = (struct heap *)stretch.base;
    heaps_used = 1;
    free_heaps = (struct pool){
        .members = (char *)heaps,
        .stride = sizeof *heaps,
        .link_offset = offsetof(struct heap, pool_link),
    };
    key_recycle_heap = heap_recycle;
    return true;
}

/* C0.2, C8.4. */
static struct heap *heap_take(void)
{
    uint32_t index = pool_pop(&free_heaps);
    if (index)
        return &heaps[index];
    /* Readable before it is counted: a child that is forked in between looks at every heap that is. */
    index = load_relaxed(&heaps_used);
    do {
        if (!stretch_reach(&stretch, (index + 1) * sizeof *heaps))
            return NULL;
    } while (!cas(&heaps_used, &index, index + 1));
    struct heap *heap = &heaps[index];
    /* A freer may have the tag from a slab before the heap is on any list. */
    store_relaxed(&heap->tag, (uint64_t)index);
    return heap;
}

/* From now on nothing of the old incarnation is taken for ours: slabs, and magazines that are still to come. C3.4.
 */
static void heap_reincarnate(struct heap *heap)
{
    store_relaxed(&heap->tag, heap->tag + TAG_INDEX_MASK + 1);
}

/* An empty heap of the key, in the hands of `thread`, and on the key's list for good. C3.5. */
struct heap *heap_new(struct thread *thread, struct key *key, ks_key_t handle)
{
    struct heap *heap = heap_take();
    if (!heap)
        return NULL;
    heap_reincarnate(heap);
    store_relaxed(&heap->handle, handle);
    heap->key = key;
    heap->classes = key->classes;
    store_relaxed(&heap->wanted, 0u);
    store_relaxed(&heap->hungry, 0u);
    heap->arena_bytes = 0;
    heap->large_allocated = heap->large_out = heap->large_dropped = 0;
    heap->large_sent = heap->large_received = 0;
    heap->aside_count = heap->aside_low = 0;
    heap->random = key->seed ^ heap->tag;
    heap->events = heap->visited = heap->settled = 0;
    heap->timed = heap->events - 1;
    TAILQ_INIT(&heap->slabs);
    TAILQ_INIT(&heap->large);
    TAILQ_INIT(&heap->aside);
    TAILQ_INIT(&heap->aside_large);
    for (uint32_t class = 0; class < CLASS_LIMIT; ++class) {
        struct bin *bin = &heap->bins[class];
        *bin = (struct bin){.top = magazine_none, .floor = magazine_none, .credit = BEAT, .due = BEAT};
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
    POINT("new: not listed yet");
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
 * and rewound when they are used again. C3.4.
 */
static void heap_rewind(struct thread *thread, struct heap *heap, uint64_t generation)
{
    uint64_t slabs = 0;
    for (uint32_t class = 0; class < CLASS_LIMIT; ++class) {
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
    POINT("rewind: old tag");
    heap_reincarnate(heap);
    POINT("rewind: new tag");
    store_relaxed(&heap->generation, generation);
    store_relaxed(&heap->hungry, 0u);
}

/* ------------------------------------------------------------------ giving memory back */

/* What came back in a class goes to its slabs, a large block to the arena. */
static void heap_receive(struct thread *thread, struct heap *heap, uint32_t class)
{
    struct slot slots[MAGAZINE_SLOTS];
    uint32_t count;
    while (returns_judge(thread, heap, class, slots, MAGAZINE_SLOTS, &count))
        for (uint32_t i = 0; i < count; i++)
            if (class == CLASS_LARGE)
                large_release(heap, slots[i].block);
            else
                slab_shelve(heap, slots[i]);
}

void heap_receive_large(struct heap *heap)
{
    struct thread *thread = thread_self;
    returns_take(thread, heap);
    heap_receive(thread, heap, CLASS_LARGE);
}

/* C3.2. */
void heap_catch_up(struct thread *thread, struct heap *heap)
{
    uint64_t generation = load_ordered(&heap->key->generation);
    if (heap->generation != generation)
        heap_rewind(thread, heap, generation);
}

void heap_settle(struct heap *heap, uint64_t kept)
{
    struct thread *thread = thread_self;
    heap_catch_up(thread, heap);
    outboxes_close(thread, heap);
    returns_take(thread, heap);
    for (uint32_t class = 0; class < CLASS_LIMIT; ++class) {
        struct bin *bin = &heap->bins[class];
        struct shelf *shelf = &heap->shelves[class];
        heap_receive(thread, heap, class);
        if (class == CLASS_LARGE)
            continue;
        struct magazine *loaded = bin_unload(bin);
        if (loaded)
            depot_shelve(thread, heap, loaded, class);
        if (bin->spare) {
            owner_add(&bin->parked, -(uint64_t)bin->spare->count);
            depot_shelve(thread, heap, bin->spare, class);
        }
        bin->spare = NULL;
        depot_trim(thread, heap, class, shelf->depot_count);
    }
    large_give_aside(heap, UINT64_MAX);
    slab_give_aside(heap, heap_aside_above(heap, kept));
}

void heap_reclaim(struct thread *thread, struct heap *heap)
{
    heap_rewind(thread, heap, heap->generation);
    returns_take(thread, heap);
    large_give_aside(heap, UINT64_MAX);
    slab_give_aside(heap, UINT64_MAX);
}
