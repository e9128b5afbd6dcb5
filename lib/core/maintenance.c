#include "core/maintenance.h"

#include "core/key.h"
#include "core/large.h"
#include "core/reset.h"

#define PASS_SLOW_PATHS 64 /* batches go by the key's own number, key.flush */
#define WINDOW_PASSES   64 /* in which memory that is free must have been needed once, to stay */
#define GIVEN_A_PASS    16 /* slabs, and large blocks */
#define LOOKED_A_PASS   4  /* slabs that may be empty */
#define GIVEN_AT_ONCE   4  /* slabs above what the key retains, at each slow path */
#define LOOKED_AT_ONCE  8  /* slabs, there */
#define ASLEEP_MS       64 /* after which another thread gives back what a heap does not use */

/* The hint is set when everything else has been tried (C6.5). */
void heap_make_room(struct heap *heap)
{
    struct thread *thread = thread_self;
    heap_trim(heap, 0, TRIM_ALL);
    orphans_trim(thread, heap->key);
    /* The others have sent what they held for this thread by then. */
    if (key_has_retain(heap->key) && others_trim(thread, heap))
        heap_trim(heap, 0, TRIM_ALL);
    /* Whatever else is free is in other threads' batches, which are sent as soon as they read the hint. */
    store_relaxed(&heap->low_memory, 1u);
}

static uint64_t at_most(uint64_t surplus, uint64_t most)
{
    return surplus < most ? surplus : most;
}

/* Of the surplus, and of large blocks that were dropped. */
static void surplus_give(struct heap *heap, uint64_t surplus)
{
    slabs_give_empty(heap, at_most(surplus, GIVEN_A_PASS));
    large_give_dropped(heap, GIVEN_A_PASS);
}

/* Classes that have not been allocated from in the last window hold on to no group. */
static void idle_summarize(struct heap *heap)
{
    for (uint64_t left = heap->used & ~((uint64_t)1 << CLASS_LARGE); left; left &= left - 1) {
        uint32_t class = (uint32_t)__builtin_ctzl(left);
        const struct bin *bin = &heap->bins[class];
        struct supply *supply = &heap->supplies[class];
        uint64_t allocated = bin->target - bin->countdown;
        if (allocated == supply->seen)
            class_summarize(heap, class);
        supply->seen = allocated;
    }
}

/*
 * Empty slabs that a whole window has not needed are surplus (Bonwick and Adams, Magazines and Vmem, 2001). A window is long enough that a
 * program which fills and empties its heap in turn keeps it.
 */
static void heap_end_window(struct heap *heap)
{
    uint64_t least = heap->key->retain_least;
    heap->surplus = heap->empty_low > least ? heap->empty_low - least : 0;
    heap->empty_low = heap->empty_count;
    idle_summarize(heap);
}

/* What is surplus goes a few at a time, so that no operation pays for a whole burst, or for all that a reset has dropped. */
static void heap_give_surplus(struct heap *heap)
{
    uint64_t given = at_most(at_most(heap->surplus, heap->empty_count), GIVEN_A_PASS);
    slabs_find_empty(heap, LOOKED_A_PASS);
    heap->surplus -= given;
    surplus_give(heap, given);
    if (++heap->passes % WINDOW_PASSES == 0)
        heap_end_window(heap);
}

/*
 * A heap that has had no slow path since its last visit is trimmed, once; what resets drop afterwards goes back a
 * few slabs at each visit (C6.6).
 */
static void heap_visit(struct thread *thread, struct heap *heap)
{
    heap_catch_up(thread, heap);
    if (heap->trimmed == heap->slow_paths && !heap->batches_open && stack_is_empty(&heap->queue)) {
        surplus_give(heap, heap_empty_above(heap, heap->key->retain_least));
        return;
    }
    if (heap->visited == heap->slow_paths) {
        heap_trim(heap, heap->key->retain_least, TRIM_ALL);
    } else {
        batches_send(thread, heap, 0);
        remote_take(thread, heap);
        heap->visited = heap->slow_paths;
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
 * The thread's other heaps are visited in turn, because it may never come back to them. The one at work is left
 * alone: its operation goes on, and would go on with a heap that has been reclaimed if the key is destroyed by now.
 */
static void thread_visit_next(struct thread *thread, const struct heap *working)
{
    struct entry *entry = thread_next_entry(thread, working);
    struct heap *heap = entry ? heap_of_entry(thread, entry) : NULL;
    if (!heap)
        return;
    if (key_is_live(heap->key, heap->handle)) {
        heap_visit(thread, heap);
        neighbours_trim(thread, heap, 1, ASLEEP_MS);
    } else {
        entry_release(thread, entry);
    }
}

static SLOW_PATH void heap_maintain(struct thread *thread, struct heap *heap)
{
    heap_give_surplus(heap);
    neighbours_trim(thread, heap, 1, ASLEEP_MS);
    thread_visit_next(thread, heap);
}

/* The key has a size to retain: what is empty above it goes at once. */
static SLOW_PATH void heap_retain(struct heap *heap)
{
    slabs_find_empty(heap, LOOKED_AT_ONCE);
    slabs_give_empty(heap, at_most(heap_empty_above(heap, heap->key->retain_most), GIVEN_AT_ONCE));
}

/* Other threads tell by the count whether the owner sleeps (C6.8). */
void heap_slow_path(struct thread *thread, struct heap *heap)
{
    const struct key *key = heap->key;
    store_relaxed(&heap->slow_paths, heap->slow_paths + 1);
    if (unlikely(heap->batches_open) && heap->slow_paths % key->flush == 0)
        batches_send(thread, heap, key->flush);
    if (unlikely(key_has_retain(key)))
        heap_retain(heap);
    if (unlikely(heap->slow_paths % PASS_SLOW_PATHS == 0))
        heap_maintain(thread, heap);
}

/* Looks at the ages of the bin's group, as each end of a countdown does (C7.4). */
void heap_pass(struct heap *heap, struct bin *bin)
{
    struct thread *thread = thread_self;
    bin_renew(bin);
    if (born_is_due(bin->group))
        born_cut(bin->group);
    heap_slow_path(thread, heap);
    heap_maintain(thread, heap);
}

void heap_send(struct thread *thread, struct heap *heap, struct batch *batch)
{
    batch_send(thread, heap, batch);
    heap_slow_path(thread, heap);
}
