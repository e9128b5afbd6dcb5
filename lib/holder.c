#include "holder.h"

#include "key.h"
#include "range.h"
#include "returns.h"
#include "tables.h"

/* heap.holder, see holder.h: the lowest bit of a thread's address is free. */
#define HOLDER_NONE      ((uintptr_t)0)
#define HOLDER_SHUT      ((uintptr_t)1)
#define HOLDER_RECLAIMED ((uintptr_t)2)
#define HOLDER_LOST      ((uintptr_t)4)

/* C4.1. */
static bool heap_is_held_by(struct heap *heap, const struct thread *thread)
{
    return load_acquire(&heap->holder) == (uintptr_t)thread;
}

/* The end of a heap of a destroyed key, by whoever holds it or has shut it. C4.6. */
static void heap_retire(struct thread *thread, struct heap *heap)
{
    struct key *key = heap->key;
    heap_reclaim(thread, heap);
    POINT("retire: reclaimed");
    store_release(&heap->holder, HOLDER_RECLAIMED);
    POINT("retire: said so");
    key_release(key);
}

/* C3.1. */
static void entry_forget(struct thread *thread, struct entry *entry)
{
    store_relaxed(&entry->handle, (ks_key_t)0);
    entry->heap = NULL;
    if (thread->cursor == entry_index(thread, entry))
        thread->cursor = entry->next;
    entry_unlink(thread, entry);
}

/*
 * A heap that has just become nobody's. A destroy that saw it in somebody's hands a moment ago has left it to them, so
 * the key is looked at after that moment: either the destroy finds the heap free, or its mark shows here. The
 * caller has a reference to the key. C4.3.
 */
static void orphan_reclaim(struct thread *thread, struct heap *heap)
{
    uintptr_t none = HOLDER_NONE;
    POINT("orphan: nobody's");
    if (!key_is_live(heap->key, heap->handle) && cas(&heap->holder, &none, (uintptr_t)thread))
        heap_retire(thread, heap);
}

/* A heap that the thread holds, inside an operation, so that nobody else takes it from under its hands. C4.3. */
static void heap_release(struct thread *thread, struct heap *heap)
{
    struct key *key = heap->key;
    key_retain(key);
    uintptr_t holder = (uintptr_t)thread;
    POINT("leave: key seen");
    while (!cas(&heap->holder, &holder, holder & HOLDER_SHUT))
        ;
    if (!(holder & HOLDER_SHUT))
        orphan_reclaim(thread, heap);
    key_release(key);
}

/*
 * The holder lets go; a heap of a destroyed key is reclaimed on the way. Where another thread has shut it,
 * that one is told that nobody comes back: a failed exchange means that it has opened or reclaimed the heap
 * in between. Once this thread has seen it open, nobody else reclaims it: whoever shuts it now sees this operation.
 * C4.3.
 */
static void heap_let_go(struct thread *thread, struct heap *heap)
{
    uintptr_t holder = load_acquire(&heap->holder);
    POINT("leave: holder seen");
    while (holder == ((uintptr_t)thread | HOLDER_SHUT))
        if (cas(&heap->holder, &holder, HOLDER_SHUT))
            return;
    if (holder != (uintptr_t)thread)
        return;
    if (key_is_live(heap->key, heap->handle))
        heap_release(thread, heap);
    else
        heap_retire(thread, heap);
}

/*
 * The heap that an entry names may have been reclaimed while the thread was outside every operation, and may
 * serve another key or thread by now: it is this thread's only if it still says so. C4.7.
 */
static bool entry_is_true(struct thread *thread, struct entry *entry)
{
    struct heap *heap = entry->heap;
    assert(heap); /* it is on the thread's list */
    uintptr_t holder = load_acquire(&heap->holder) & ~HOLDER_SHUT;
    return holder == (uintptr_t)thread && thread_entry(thread, load_relaxed(&heap->handle)) == entry;
}

void entry_let_go(struct thread *thread, struct entry *entry)
{
    struct heap *heap = entry->heap;
    bool held = entry_is_true(thread, entry);
    POINT("leave: entry read");
    entry_forget(thread, entry);
    if (held)
        heap_let_go(thread, heap);
}

struct heap *heap_of_entry(struct thread *thread, struct entry *entry)
{
    return entry_is_true(thread, entry) && heap_is_held_by(entry->heap, thread) ? entry->heap : NULL;
}

/* What a key retains, it retains for threads that go on. */
static void heap_close(struct thread *thread, struct heap *heap)
{
    if (key_has_retain(heap->key))
        heap_settle(heap, 0);
    else
        outboxes_close(thread, heap);
}

void heaps_leave(struct thread *thread)
{
    struct entry *entry;
    while ((entry = entry_first(thread))) {
        struct heap *heap = heap_of_entry(thread, entry);
        if (heap)
            heap_close(thread, heap);
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

/* C4.2. */
static struct heap *heap_adopt(struct thread *thread, struct key *key, ks_key_t handle)
{
    for (struct heap *heap = load_acquire(&key->heaps); heap; heap = heap->key_next) {
        uintptr_t none = HOLDER_NONE;
        if (load_relaxed(&heap->holder) == HOLDER_NONE && cas(&heap->holder, &none, (uintptr_t)thread)) {
            POINT("adopt: taken");
            store_ordered(&heap->entry, thread_entry(thread, handle));
            heap->timed = heap->events - 1;
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
    entry->tuned = heap->classes == &tables_default ? NULL : heap->classes;
    entry_link(thread, entry);
    return heap;
}

/* C13.1. */
static ks_key_t handle_published(const struct key *key, ks_key_t handle)
{
    return key->trace ? HANDLE_TRACED(handle) : handle;
}

/*
 * Publishes the handle in the thread's table. Published first, looked at again after: a reset, terminate or
 * destroy changes the key first and clears the handle after that, so either it clears this one or the change
 * shows here. C3.2. So does a visitor, who shuts the heap first: this operation goes on, but the next one has to come by
 * here again. C5.1.
 */
static ks_status heap_publish(struct thread *thread, struct key *key, struct heap *heap)
{
    ks_key_t *published = &heap->entry->handle;
    for (;;) {
        heap_catch_up(thread, heap);
        if (thread->leaving || key->paranoid || load_ordered(&key->terminated))
            return load_ordered(&key->terminated) ? KS_TERMINATED : KS_OK;
        POINT("publish: caught up");
        store_ordered(published, handle_published(key, heap->handle));
        POINT("publish: handle stored");
        bool live = key_is_live(key, heap->handle);
        bool same = live && !load_ordered(&key->terminated) && load_ordered(&key->generation) == heap->generation;
        POINT("publish: looked again");
        if (same && load_ordered(&heap->holder) == (uintptr_t)thread)
            return KS_OK;
        store_ordered(published, (ks_key_t)0);
        if (same || !live)
            return live ? KS_OK : KS_BAD_KEY;
    }
}

/* C4.7. */
void heap_give_up(struct thread *thread, ks_key_t handle)
{
    struct entry *entry = thread_entry(thread, handle);
    if (entry->heap && load_relaxed(&entry->heap->handle) == handle)
        entry_let_go(thread, entry);
}

/* A destroyed key may have left this thread a heap to reclaim. */
static SLOW_PATH struct heap *heap_dead(ks_key_t handle, ks_status *status)
{
    if (thread_self != &thread_nobody && KEY_INDEX(handle))
        heap_give_up(thread_self, handle);
    *status = KS_BAD_KEY;
    return NULL;
}

/* C5.2, C13.1. */
struct heap *heap_enter(ks_key_t handle, ks_status *status)
{
    struct heap *traced = heap_current_traced(thread_self, handle);
    *status = KS_OK;
    if (traced)
        return traced;
    struct key *key = key_reference(handle);
    if (!key)
        return heap_dead(handle, status);

    struct thread *thread = thread_register();
    POINT("enter: key referenced");
    struct heap *heap = thread ? heap_join(thread, key, handle) : NULL;
    *status = heap ? heap_publish(thread, key, heap) : KS_NO_MEMORY;
    if (*status == KS_BAD_KEY)
        heap = heap_dead(handle, status);
    uint32_t wanted = heap ? load_ordered(&heap->wanted) : WANTED_NOT;
    if (wanted != WANTED_NOT) {
        store_ordered(&heap->wanted, (uint32_t)WANTED_NOT);
        heap_settle(heap, wanted == WANTED_SETTLED ? key->retain_least : 0);
    }
    key_release(key);
    return heap;
}

/* ------------------------------------------------------------------ other threads' heaps */

/* Takes a heap that nobody holds, or closes it to a holder who may be asleep. C4.4. */
static bool heap_shut(struct thread *thread, struct heap *heap)
{
    uintptr_t holder = load_acquire(&heap->holder);
    if (holder == HOLDER_RECLAIMED || holder == HOLDER_LOST || holder & HOLDER_SHUT || holder == (uintptr_t)thread)
        return false;
    if (!cas(&heap->holder, &holder, holder | HOLDER_SHUT))
        return false;
    store_relaxed(&heap->visitor, thread);
    POINT("visit: shut");
    if (holder != HOLDER_NONE)
        store_ordered(&load_ordered(&heap->entry)->handle, (ks_key_t)0);
    return true;
}

/* C4.5. */
static void heap_open(struct thread *thread, struct heap *heap)
{
    CHECKED(store_relaxed(&heap->worker, NULL));
    store_relaxed(&heap->visitor, NULL);
    uintptr_t holder = load_acquire(&heap->holder);
    while (!cas(&heap->holder, &holder, holder & ~HOLDER_SHUT))
        ;
    if (holder == HOLDER_SHUT)
        orphan_reclaim(thread, heap);
}

/*
 * After heap_shut and the barrier: whether the holder is outside every operation. An operation that began
 * before the barrier shows its flag, or is over; one that begins later finds no handle, takes the slow path, and
 * finds the heap shut. The one that is over may have reclaimed the heap, of a destroyed key, before it saw that it is
 * shut: so the holder is looked at after the flag. C5.1.
 */
static bool heap_is_left_alone(struct heap *heap, bool barrier)
{
    uintptr_t holder = load_acquire(&heap->holder) & ~HOLDER_SHUT;
    POINT("visit: holder seen");
    if (holder == HOLDER_NONE)
        return true;
    if (!barrier || holder == HOLDER_RECLAIMED || load_acquire(&((struct thread *)holder)->busy))
        return false;
    POINT("visit: flag is down");
    return load_acquire(&heap->holder) != HOLDER_RECLAIMED;
}

/*
 * The holder of a shut heap is inside an operation. It is asked to do the work, which it will see when it next comes by
 * heap_enter, as it must. True where it has let go meanwhile, and the heap is this thread's after all. C5.2.
 */
static bool heap_ask(struct thread *thread, struct heap *heap, enum wanted wanted)
{
    POINT("visit: not alone");
    store_ordered(&heap->wanted, (uint32_t)wanted);
    POINT("visit: asked");
    store_relaxed(&heap->visitor, NULL);
    uintptr_t holder = load_acquire(&heap->holder);
    while (holder & HOLDER_SHUT && holder != HOLDER_SHUT && !cas(&heap->holder, &holder, holder & ~HOLDER_SHUT))
        ;
    if (holder != HOLDER_SHUT)
        return false;
    store_relaxed(&heap->visitor, thread);
    return true;
}

/* Whether this thread may work on a heap that it has shut. C5.1. */
static bool heap_visit_begin(struct thread *thread, struct heap *heap, bool barrier, enum wanted wanted)
{
    bool alone = heap_is_left_alone(heap, barrier) || heap_ask(thread, heap, wanted);
    if (alone)
        CHECKED(store_relaxed(&heap->worker, thread));
    return alone;
}

/* C5.3. */
static void heap_visit_end(struct thread *thread, struct heap *heap, enum wanted wanted)
{
    if (key_is_live(heap->key, heap->handle)) {
        bool orphan = load_relaxed(&heap->holder) == HOLDER_SHUT;
        heap_settle(heap, wanted == WANTED_SETTLED && !orphan ? heap->key->retain_least : 0);
        POINT("visit: settled");
        heap_open(thread, heap);
    } else {
        CHECKED(store_relaxed(&heap->worker, NULL));
        store_relaxed(&heap->visitor, NULL);
        heap_retire(thread, heap);
    }
}

#define EACH_VISITED(heap, key, thread)                                                                                \
    for (struct heap *heap = load_ordered(&(key)->heaps); heap; heap = heap->key_next)                                 \
        if (load_relaxed(&heap->visitor) == (thread))

/* C5.3. */
void heaps_visit(struct thread *thread, struct key *key, ks_key_t handle, enum wanted wanted)
{
    bool live;
    do {
        live = key_is_live(key, handle);
        for (struct heap *heap = load_ordered(&key->heaps); heap; heap = heap->key_next)
            heap_shut(thread, heap);
        POINT("visit: all shut");
        bool barrier = platform_barrier_everywhere();
        EACH_VISITED (heap, key, thread)
            if (heap_visit_begin(thread, heap, barrier, wanted) && live)
                outboxes_close(thread, heap);
        POINT("visit: queues filled");
        /* What they hold for each other is in their queues now. */
        EACH_VISITED (heap, key, thread)
            heap_visit_end(thread, heap, wanted);
        /* A destroy that came meanwhile found heaps shut by this thread, and left them to it. */
    } while (live && !key_is_live(key, handle));
}

/* C10.1. */
void heaps_inherit(const struct thread *self)
{
    range_inherit();
    for (uint32_t index = 1; index < load_acquire(&heaps_used); index++) {
        struct heap *heap = &heaps[index];
        uintptr_t holder = load_acquire(&heap->holder);
        struct thread *thread = (struct thread *)(holder & ~HOLDER_SHUT);
        bool shut = holder & HOLDER_SHUT;
        if (holder == HOLDER_NONE || holder == HOLDER_RECLAIMED || holder == HOLDER_LOST || (thread == self && !shut))
            continue;
        store_release(&heap->holder, shut || load_acquire(&thread->busy) ? HOLDER_LOST : HOLDER_NONE);
    }
}

/* C4.1. */
bool heap_is_left_behind(struct heap *heap)
{
    uintptr_t holder = load_acquire(&heap->holder);
    if (holder == HOLDER_RECLAIMED)
        return heap->arena_bytes > 0;
    return holder != HOLDER_LOST && !key_is_live(heap->key, heap->handle);
}

/* C4.5. */
void orphans_settle(struct thread *thread, struct key *key)
{
    for (struct heap *heap = load_ordered(&key->heaps); heap; heap = heap->key_next)
        if (load_relaxed(&heap->holder) == HOLDER_NONE && heap_shut(thread, heap) &&
            heap_visit_begin(thread, heap, false, WANTED_EMPTIED))
            heap_visit_end(thread, heap, WANTED_EMPTIED);
}

/* Whether a heap has slabs aside, or will have when its holder sees that the key was reset. C6.7. */
static bool heap_may_give(struct heap *heap)
{
    uintptr_t holder = load_relaxed(&heap->holder);
    return holder != HOLDER_RECLAIMED && holder != HOLDER_LOST &&
           (load_relaxed(&heap->aside_count) ||
            load_relaxed(&heap->generation) != load_relaxed(&heap->key->generation));
}

/* C6.7. */
bool others_relieve(struct thread *thread, const struct heap *heap)
{
    struct heap *other = load_ordered(&heap->key->heaps);
    while (other && (other == heap || !heap_may_give(other)))
        other = other->key_next;
    if (other)
        heaps_visit(thread, heap->key, heap->handle, WANTED_EMPTIED);
    return other;
}
