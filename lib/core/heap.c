#include "core/heap.h"

#include "core/key.h"
#include "core/large.h"
#include "core/reset.h"

#include "base/pool.h"
#include "base/stretch.h"

#define HEAPS_STEP ((size_t)64 << 10)

struct heap *heaps;

static struct stretch stretch;
static struct pool free_heaps;
uint32_t heaps_used; /* any, atomic: the first that was never used; 0 is no heap */

static_assert(HEAPS_MAX - 1 == TAG_INDEX_MASK, "a tag's index names any heap");
static_assert(sizeof(struct heap) / RECENTS_BYTES % 2 == 1, "neighbouring heaps' bins fall in different cache sets");
static_assert(CLASS_LIMIT <= 64, "heap.used has a bit for each class");

/* ------------------------------------------------------------------ birth and death */

static uint32_t index_of(const struct heap *heap)
{
    return (uint32_t)(heap - heaps);
}

/* Into the pool of heap structures (C0.5). */
void heap_recycle(struct heap *heap)
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
    return true;
}

/* From the pool, else one that was never used (C8.4); its structure stays for ever (C0.2). */
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
    /* Another thread may have the tag from a slab before the heap is on any list. */
    store_relaxed(&heap->tag, (uint64_t)index);
    return heap;
}

static void bin_start(struct heap *heap, uint32_t class)
{
    heap->bins[class] = (struct bin){
        .group = &group_none,
        .top = recents_start(heap, class),
        .countdown = PASS_ALLOCATIONS,
        .target = PASS_ALLOCATIONS,
        .block_bytes = heap->classes->table[class].bytes,
    };
}

static void supply_start(struct supply *supply)
{
    *supply = (struct supply){0};
    TAILQ_INIT(&supply->partial);
    TAILQ_INIT(&supply->waiting);
}

/* Complete, with an owner and its entry, before it is on the key's list (C3.5). */
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
    store_relaxed(&heap->low_memory, 0u);
    heap->arena_bytes = 0;
    heap->large_allocated = heap->large_out = heap->large_dropped = 0;
    heap->large_sent = heap->large_received = 0;
    heap->empty_count = heap->empty_low = heap->surplus = 0;
    heap->passes = 0;
    heap->random = key->seed ^ heap->tag;
    heap->visited = 0;
    store_relaxed(&heap->slow_paths, 0u);
    store_relaxed(&heap->trimmed, 0u);
    store_relaxed(&heap->idle_mark, 0u);
    store_relaxed(&heap->idle_since, platform_milliseconds());
    heap->neighbour = heap;
    heap->timed = heap->slow_paths - 1;
    heap->used = 0;
    heap->exchanged = false;
    heap->batches_open = 0;
    TAILQ_INIT(&heap->slabs);
    TAILQ_INIT(&heap->large);
    TAILQ_INIT(&heap->empty);
    TAILQ_INIT(&heap->dropped_large);
    TAILQ_INIT(&heap->pending);
    for (uint32_t batch = 0; batch < BATCHES; batch++)
        heap->batches[batch].tag = BATCH_CLOSED;
    for (uint32_t class = 0; class < CLASSES; ++class) {
        bin_start(heap, class);
        supply_start(&heap->supplies[class]);
    }
    store_relaxed(&heap->generation, load_acquire(&key->generation));
    store_ordered(&heap->entry, thread_entry(thread, handle));
    store_relaxed(&heap->owner, (uintptr_t)thread);
    key_retain(key);
    POINT("new: not listed yet");
    heap->key_next = load_relaxed(&key->heaps);
    while (!cas(&key->heaps, &heap->key_next, heap))
        ;
    return heap;
}

/* ------------------------------------------------------------------ groups of a bin */

/* The first lines of free blocks, which other threads wrote to last and the program will write to next. */
static void bin_prefetch(const struct bin *bin)
{
    for (uint32_t left = bin->group->free; left; left &= left - 1)
        prefetch_for_write(bin->base + (size_t)__builtin_ctz(left) * bin->block_bytes);
}

void bin_load(struct bin *bin, struct group *group, uintptr_t base)
{
    last_forget();
    bin_set(bin, group, base & ~RECENT_REMOTE);
    if (born_is_due(group))
        born_cut(group);
    if (base & RECENT_REMOTE)
        bin_prefetch(bin);
}

void heap_carve(struct heap *heap, struct slab *slab)
{
    uint32_t group = slab_carve(heap, slab);
    bin_load(&heap->bins[slab->class], slab_group(slab, group), group_base(slab, group));
    heap->supplies[slab->class].carving = slab->carved < slab->limit ? slab : NULL;
}

/* A group of which the first block is known goes into its slab's summary. */
static void group_summarize(struct heap *heap, const char *base)
{
    size_t offset = (size_t)(base - range.base);
    struct slab *slab = slab_at(offset);
    uint32_t index;
    class_index(offset & (SLAB_BYTES - 1), slab->reciprocal, &index);
    slab_summarize(heap, slab, group_of(index));
}

/* The `count` that have become recent first. */
static void recents_summarize(struct heap *heap, uint32_t class, size_t count)
{
    struct bin *bin = &heap->bins[class];
    struct recent *floor = recents_floor(heap, class);
    for (size_t i = 0; i < count; i++)
        group_summarize(heap, (const char *)(floor[i].base & ~RECENT_REMOTE));
    bin->top -= count;
    for (struct recent *recent = floor; recent < bin->top; recent++)
        *recent = recent[count];
}

void recents_spill(struct heap *heap, uint32_t class)
{
    recents_summarize(heap, class, (RECENTS + 1) / 2);
}

static void group_push_recent(struct heap *heap, const struct slab *slab, uint32_t number, uintptr_t remote)
{
    struct bin *bin = heap_bin(heap, slab->bin);
    struct group *group = slab_group(slab, number);
    uintptr_t base = group_base(slab, number) | remote;
    if (bin_push_recent(bin, group, base))
        return;
    recents_spill(heap, slab->class);
    bin_push_recent(bin, group, base);
}

void heap_group_freed(struct heap *heap, const struct slab *slab, uint32_t number)
{
    if (heap_bin(heap, slab->bin)->group != slab_group(slab, number))
        group_push_recent(heap, slab, number, 0);
}

void heap_free_remote(struct heap *heap, struct slab *slab, uint32_t number, uint32_t blocks)
{
    struct group *group = slab_group(slab, number);
    uint64_t before = group->word;
    bool was_empty = !(uint32_t)before;
    group_free(group, before, blocks);
    slab->is_shared = true;
    if (heap_bin(heap, slab->bin)->group == group)
        return;
    bool is_whole = group->free == group_blocks(slab, number);
    if (is_whole && (was_empty || slab_leave_summary(heap, slab, number)))
        group_push_recent(heap, slab, number, RECENT_REMOTE);
    else if (was_empty)
        slab_summarize(heap, slab, number);
}

void class_summarize(struct heap *heap, uint32_t class)
{
    struct bin *bin = &heap->bins[class];
    recents_summarize(heap, class, (size_t)(bin->top - recents_floor(heap, class)));
    if (bin->group->free)
        group_summarize(heap, bin->base);
    bin->group = &group_none;
    last_forget();
}

/* ------------------------------------------------------------------ giving memory back */

/*
 * The next operation of the owner finds no handle, and notes that the heap is trimmed no more, whatever it does to it (C6.8). The table may be
 * that of an owner who has ended: then it costs the thread that has it now one slow path (C3.3).
 */
static void heap_set_trimmed(struct heap *heap)
{
    store_ordered(&load_ordered(&heap->entry)->handle, (ks_key_t)0);
    store_relaxed(&heap->trimmed, heap->slow_paths);
}

void heap_trim(struct heap *heap, uint64_t kept, uint64_t most)
{
    struct thread *thread = thread_self;
    heap_catch_up(thread, heap);
    batches_close(thread, heap);
    remote_take(thread, heap);
    if (heap->key->checks)
        heap->key->checks->release(heap);
    for (uint64_t left = heap->used & ~((uint64_t)1 << CLASS_LARGE); left; left &= left - 1)
        class_summarize(heap, (uint32_t)__builtin_ctzl(left));
    slabs_find_empty(heap, UINT64_MAX);
    large_give_dropped(heap, most);
    uint64_t surplus = heap_empty_above(heap, kept);
    slabs_give_empty(heap, surplus < most ? surplus : most);
    if (surplus <= most && TAILQ_EMPTY(&heap->dropped_large))
        heap_set_trimmed(heap);
}
