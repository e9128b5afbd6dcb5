#include "core/ownership.h"

#include "base/testing.h"
#include "classes/tables.h"
#include "core/key.h"
#include "memory/range.h"

/* heap.owner, see ownership.h: the lowest bits of a thread's address are free. */
#define OWNER_NONE      ((uintptr_t)0)
#define OWNER_LOCKED    ((uintptr_t)1)
#define OWNER_RECLAIMED ((uintptr_t)2)
#define OWNER_LOST      ((uintptr_t)4)

/* Acquire: what a reclaimer has done to the heap is visible when it has unlocked it (C4.1). */
static bool heap_is_owned_by(struct heap *heap, const struct thread *thread)
{
    return load_acquire(&heap->owner) == (uintptr_t)thread;
}

/* The end of a heap of a destroyed key, by its owner or the thread that has locked it (C4.6). */
static void heap_retire(struct thread *thread, struct heap *heap)
{
    struct key *key = heap->key;
    heap_reclaim(thread, heap);
    POINT("retire: reclaimed");
    store_release(&heap->owner, OWNER_RECLAIMED);
    POINT("retire: said so");
    key_release(key);
}

/* The handle first, so that the next operation takes the slow path (C3.1). */
static void entry_forget(struct thread *thread, struct entry *entry)
{
    store_relaxed(&entry->handle, (ks_key_t)0);
    entry->heap = NULL;
    if (thread->cursor == entry_index(thread, entry))
        thread->cursor = entry->next;
    entry_unlink(thread, entry);
}

/*
 * A heap that has just lost its owner. A destroy that saw an owner a moment ago has left the heap to it, so the key
 * is looked at after that moment: either the destroy finds the heap without an owner, or this thread finds the key
 * destroyed. The caller has a reference to the key (C4.3).
 */
static void orphan_reclaim(struct thread *thread, struct heap *heap)
{
    uintptr_t none = OWNER_NONE;
    POINT("orphan: nobody's");
    if (!key_is_live(heap->key, heap->handle) && cas(&heap->owner, &none, (uintptr_t)thread))
        heap_retire(thread, heap);
}

/* A heap that the thread owns, inside an operation, so that no reclaimer works on it (C4.3). */
static void heap_release(struct thread *thread, struct heap *heap)
{
    struct key *key = heap->key;
    key_retain(key);
    uintptr_t owner = (uintptr_t)thread;
    POINT("leave: key seen");
    while (!cas(&heap->owner, &owner, owner & OWNER_LOCKED))
        ;
    if (!(owner & OWNER_LOCKED))
        orphan_reclaim(thread, heap);
    key_release(key);
}

/*
 * The owner releases the heap; of a destroyed key it is reclaimed. Where another thread has locked it, LOCKED alone
 * says that the owner does not come back: a failed exchange means that the other has unlocked or reclaimed the heap
 * in between. Once this thread has seen it unlocked, nobody else reclaims it: a thread that locks it now sees this
 * operation (C4.3).
 */
static void heap_part(struct thread *thread, struct heap *heap)
{
    uintptr_t owner = load_acquire(&heap->owner);
    POINT("leave: owner seen");
    while (owner == ((uintptr_t)thread | OWNER_LOCKED))
        if (cas(&heap->owner, &owner, OWNER_LOCKED))
            return;
    if (owner != (uintptr_t)thread)
        return;
    if (key_is_live(heap->key, heap->handle))
        heap_release(thread, heap);
    else
        heap_retire(thread, heap);
}

/*
 * The heap that an entry names may have been reclaimed while the thread was outside every operation, and may
 * serve another key or thread by now: it is this thread's only if it still says so (C4.7).
 */
static bool entry_is_true(struct thread *thread, struct entry *entry)
{
    struct heap *heap = entry->heap;
    assert(heap); /* it is on the thread's list */
    uintptr_t owner = load_acquire(&heap->owner) & ~OWNER_LOCKED;
    return owner == (uintptr_t)thread && thread_entry(thread, load_relaxed(&heap->handle)) == entry;
}

void entry_release(struct thread *thread, struct entry *entry)
{
    struct heap *heap = entry->heap;
    bool held = entry_is_true(thread, entry);
    POINT("leave: entry read");
    entry_forget(thread, entry);
    if (held)
        heap_part(thread, heap);
}

struct heap *heap_of_entry(struct thread *thread, struct entry *entry)
{
    return entry_is_true(thread, entry) && heap_is_owned_by(entry->heap, thread) ? entry->heap : NULL;
}

/*
 * What a key retains is for threads that go on. Blocks that the thread has sent just now may have been the last ones of threads that
 * have ended before it. A paranoid key's blocks wait on, for whoever takes the heap over.
 */
static void heap_end(struct thread *thread, struct heap *heap)
{
    if (heap->key->checks && !key_has_retain(heap->key)) {
        batches_close(thread, heap);
        return;
    }
    heap_trim(heap, 0, TRIM_ALL);
    orphans_trim(thread, heap->key);
}

void heaps_release(struct thread *thread)
{
    struct entry *entry;
    while ((entry = entry_first(thread))) {
        struct heap *heap = heap_of_entry(thread, entry);
        if (heap)
            heap_end(thread, heap);
        entry_release(thread, entry);
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
    entry_release(thread, entry);
    return NULL;
}

/* One exchange takes a heap that nobody owns, with what is in its queue (C4.2). */
static struct heap *heap_adopt(struct thread *thread, struct key *key, ks_key_t handle)
{
    for (struct heap *heap = load_acquire(&key->heaps); heap; heap = heap->key_next) {
        uintptr_t none = OWNER_NONE;
        if (load_relaxed(&heap->owner) == OWNER_NONE && cas(&heap->owner, &none, (uintptr_t)thread)) {
            POINT("adopt: taken");
            store_ordered(&heap->entry, thread_entry(thread, handle));
            heap->timed = heap->slow_paths - 1;
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

/* The complement of the handle, which no handle is equal to (C13.1). */
static ks_key_t handle_published(const struct key *key, ks_key_t handle)
{
    return key->trace ? HANDLE_TRACED(handle) : handle;
}

/*
 * Publishes the handle in the thread's table, and looks at the key again after that: a reset, terminate or destroy
 * changes the key first and clears the handle after that, so either it clears this one or the change shows here
 * (C3.2). So does a reclaimer, which locks the heap first: this operation goes on, but the next one has to take the
 * slow path again (C5.1).
 */
static ks_status heap_publish(struct thread *thread, struct key *key, struct heap *heap)
{
    ks_key_t *published = &heap->entry->handle;
    for (;;) {
        heap_catch_up(thread, heap);
        store_relaxed(&heap->trimmed, heap->slow_paths - 1);
        if (thread->leaving || key->checks || load_ordered(&key->terminated))
            return load_ordered(&key->terminated) ? KS_TERMINATED : KS_OK;
        POINT("publish: caught up");
        store_ordered(published, handle_published(key, heap->handle));
        POINT("publish: handle stored");
        bool live = key_is_live(key, heap->handle);
        bool same = live && !load_ordered(&key->terminated) && load_ordered(&key->generation) == heap->generation;
        POINT("publish: looked again");
        if (same && load_ordered(&heap->owner) == (uintptr_t)thread)
            return KS_OK;
        store_ordered(published, (ks_key_t)0);
        if (same || !live)
            return live ? KS_OK : KS_BAD_KEY;
    }
}

/* The entry may name a heap that is of another key by now (C4.7). */
void heap_leave(struct thread *thread, ks_key_t handle)
{
    struct entry *entry = thread_entry(thread, handle);
    if (entry->heap && load_relaxed(&entry->heap->handle) == handle)
        entry_release(thread, entry);
}

/* A destroyed key may have left this thread a heap to reclaim. */
static SLOW_PATH struct heap *heap_dead(ks_key_t handle, ks_status *status)
{
    if (thread_self != &thread_nobody && KEY_INDEX(handle))
        heap_leave(thread_self, handle);
    *status = KS_BAD_KEY;
    return NULL;
}

/* Registers, joins, publishes, and does what a reclaimer has asked for (C5.2); of a traced key see C13.1. */
struct heap *heap_enter(ks_key_t handle, ks_status *status)
{
    last_forget();
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
        heap_trim(heap, wanted == WANTED_TRIMMED ? key->retain_least : 0, TRIM_ALL);
    }
    key_release(key);
    return heap;
}

/* ------------------------------------------------------------------ other threads' heaps */

/* Locks a heap that has no owner, or whose owner may be asleep (C4.4). */
static bool heap_lock(struct thread *thread, struct heap *heap)
{
    uintptr_t owner = load_ordered(&heap->owner);
    if (owner == OWNER_RECLAIMED || owner == OWNER_LOST || owner & OWNER_LOCKED || owner == (uintptr_t)thread)
        return false;
    if (!cas(&heap->owner, &owner, owner | OWNER_LOCKED))
        return false;
    store_relaxed(&heap->reclaimer, thread);
    POINT("reclaim: locked");
    if (owner != OWNER_NONE)
        store_ordered(&load_ordered(&heap->entry)->handle, (ks_key_t)0);
    return true;
}

/* A heap that has lost its owner meanwhile is looked at as by a thread that leaves it (C4.5). */
static void heap_unlock(struct thread *thread, struct heap *heap)
{
    CHECKED(store_relaxed(&heap->worker, NULL));
    store_relaxed(&heap->reclaimer, NULL);
    uintptr_t owner = load_acquire(&heap->owner);
    while (!cas(&heap->owner, &owner, owner & ~OWNER_LOCKED))
        ;
    if (owner == OWNER_LOCKED)
        orphan_reclaim(thread, heap);
}

/*
 * After heap_lock and the barrier: whether the owner is outside every operation. An operation that began
 * before the barrier shows its flag, or is over; one that begins later finds no handle, takes the slow path, and
 * finds the heap locked. The one that is over may have reclaimed the heap, of a destroyed key, before it saw that it is
 * locked: so the owner is looked at after the flag (C5.1).
 */
static bool heap_is_idle(struct heap *heap, bool barrier)
{
    uintptr_t owner = load_acquire(&heap->owner) & ~OWNER_LOCKED;
    POINT("reclaim: owner seen");
    if (owner == OWNER_NONE)
        return true;
    if (!barrier || owner == OWNER_RECLAIMED || load_acquire(&((struct thread *)owner)->busy))
        return false;
    POINT("reclaim: flag is down");
    return load_acquire(&heap->owner) != OWNER_RECLAIMED;
}

/*
 * The owner of a locked heap is inside an operation. It is asked to do the work, which it finds in heap_enter,
 * where its next operation has to go. True where it has released the heap meanwhile, which is this thread's after
 * all (C5.2).
 */
static bool heap_ask(struct thread *thread, struct heap *heap, enum wanted wanted)
{
    POINT("reclaim: not idle");
    if (wanted != WANTED_NOT)
        store_ordered(&heap->wanted, (uint32_t)wanted);
    POINT("reclaim: asked");
    store_relaxed(&heap->reclaimer, NULL);
    uintptr_t owner = load_acquire(&heap->owner);
    while (owner & OWNER_LOCKED && owner != OWNER_LOCKED && !cas(&heap->owner, &owner, owner & ~OWNER_LOCKED))
        ;
    if (owner != OWNER_LOCKED)
        return false;
    store_relaxed(&heap->reclaimer, thread);
    return true;
}

/* Whether this thread may work on a heap that it has locked (C5.1). */
static bool reclaim_begin(struct thread *thread, struct heap *heap, bool barrier, enum wanted wanted)
{
    bool idle = heap_is_idle(heap, barrier) || heap_ask(thread, heap, wanted);
    if (idle)
        CHECKED(store_relaxed(&heap->worker, thread));
    return idle;
}

/* Trims or retires a heap that this thread has locked (C5.3). */
static void reclaim_end(struct thread *thread, struct heap *heap, enum wanted wanted, uint64_t most)
{
    if (key_is_live(heap->key, heap->handle)) {
        bool orphan = load_relaxed(&heap->owner) == OWNER_LOCKED;
        heap_trim(heap, wanted == WANTED_TRIMMED && !orphan ? heap->key->retain_least : 0, most);
        POINT("reclaim: trimmed");
        heap_unlock(thread, heap);
    } else {
        CHECKED(store_relaxed(&heap->worker, NULL));
        store_relaxed(&heap->reclaimer, NULL);
        heap_retire(thread, heap);
    }
}

#define EACH_LOCKED(heap, key, thread)                                                                                 \
    for (struct heap *heap = load_ordered(&(key)->heaps); heap; heap = heap->key_next)                                 \
        if (load_relaxed(&heap->reclaimer) == (thread))

/*
 * A reclaimer that has the heap may do less than is wanted: it looks at the request when it has unlocked it, and this thread looks at the
 * lock when it has made the request (C6.8).
 */
static void heap_lock_or_ask(struct thread *thread, struct heap *heap, enum wanted wanted)
{
    if (heap_lock(thread, heap) || load_relaxed(&heap->owner) == (uintptr_t)thread)
        return;
    POINT("reclaim: not locked");
    store_ordered(&heap->wanted, (uint32_t)wanted);
    POINT("reclaim: another asked");
    heap_lock(thread, heap);
}

/* Locks all that can be locked, one barrier for all, then the work; again if the key was destroyed meanwhile (C5.3). */
void heaps_reclaim(struct thread *thread, struct key *key, ks_key_t handle, enum wanted wanted)
{
    bool live;
    do {
        live = key_is_live(key, handle);
        for (struct heap *heap = load_ordered(&key->heaps); heap; heap = heap->key_next)
            heap_lock_or_ask(thread, heap, wanted);
        POINT("reclaim: all locked");
        bool barrier = platform_barrier_everywhere();
        EACH_LOCKED (heap, key, thread)
            if (reclaim_begin(thread, heap, barrier, wanted) && live)
                batches_close(thread, heap);
        POINT("reclaim: queues filled");
        /* What they held for each other is in their queues now. */
        EACH_LOCKED (heap, key, thread)
            reclaim_end(thread, heap, wanted, TRIM_ALL);
        /* A destroy that came meanwhile found heaps locked by this thread, and left them to it. */
    } while (live && !key_is_live(key, handle));
}

/* Only heaps whose owners were outside every operation can be taken over (C10.1). */
void heaps_inherit(const struct thread *self)
{
    range_inherit();
    for (uint32_t index = 1; index < load_acquire(&heaps_used); index++) {
        struct heap *heap = &heaps[index];
        uintptr_t owner = load_acquire(&heap->owner);
        struct thread *thread = (struct thread *)(owner & ~OWNER_LOCKED);
        bool locked = owner & OWNER_LOCKED;
        if (owner == OWNER_NONE || owner == OWNER_RECLAIMED || owner == OWNER_LOST || (thread == self && !locked))
            continue;
        store_release(&heap->owner, locked || load_acquire(&thread->busy) ? OWNER_LOST : OWNER_NONE);
    }
}

/* Read while no thread is inside an operation (C4.1). */
bool heap_is_left_behind(struct heap *heap)
{
    uintptr_t owner = load_acquire(&heap->owner);
    if (owner == OWNER_RECLAIMED)
        return heap->arena_bytes > 0;
    return owner != OWNER_LOST && !key_is_live(heap->key, heap->handle);
}

/* Whether a trim would find nothing to do: a hint (C6.8). */
static bool heap_is_trimmed(struct heap *heap)
{
    return load_relaxed(&heap->trimmed) == load_relaxed(&heap->slow_paths) && stack_is_empty(&heap->queue) &&
           load_relaxed(&heap->generation) == load_relaxed(&heap->key->generation);
}

/* Locks heaps without an owner one by one, and unlocks each when it is trimmed (C4.5). */
void orphans_trim(struct thread *thread, struct key *key)
{
    for (struct heap *heap = load_ordered(&key->heaps); heap; heap = heap->key_next)
        if (load_relaxed(&heap->owner) == OWNER_NONE && !heap_is_trimmed(heap) && heap_lock(thread, heap) &&
            reclaim_begin(thread, heap, false, WANTED_EMPTIED))
            reclaim_end(thread, heap, WANTED_EMPTIED, TRIM_ALL);
}

#define ASLEEP_BYTES   ((uint64_t)1 << 20) /* what a heap may keep that is not worth a barrier */
#define TRIMMED_ASLEEP 64u /* slabs, and large blocks: what an operation may be made to give back for another thread */

#if KS_CHECK

static enum ks_sleep sleep_set; /* any, atomic */

/* C6.8: as hints, it may be read late. */
void ks_sleep_set(enum ks_sleep sleep)
{
    store_relaxed(&sleep_set, sleep);
}

#endif

/* Whether the owner has had no slow path for so long, and has enough: hints, that more than one thread may write (C6.8). */
static bool heap_is_asleep(struct heap *heap, int64_t milliseconds)
{
    CHECKED(if (load_relaxed(&sleep_set) != KS_SLEEP_BY_CLOCK) return load_relaxed(&sleep_set) == KS_SLEEP_ALWAYS);
    if (load_relaxed(&heap->arena_bytes) - load_relaxed(&heap->large_out) < ASLEEP_BYTES)
        return false;
    uint32_t mark = load_relaxed(&heap->slow_paths);
    int64_t now = platform_milliseconds();
    bool same = load_relaxed(&heap->idle_mark) == mark;
    if (same && now - load_relaxed(&heap->idle_since) < milliseconds)
        return false;
    store_relaxed(&heap->idle_since, now);
    store_relaxed(&heap->idle_mark, mark);
    return same;
}

/*
 * A purge of one heap, that asks nothing of an owner who turns out to be at work. A purge or a destroy that came meanwhile has left the heap
 * to this thread (C6.8).
 */
static void heap_trim_asleep(struct thread *thread, struct heap *heap, bool orphan)
{
    struct key *key = heap->key;
    ks_key_t handle = heap->handle;
    if (!heap_lock(thread, heap))
        return;
    bool barrier = !orphan && platform_barrier_everywhere();
    if (reclaim_begin(thread, heap, barrier, WANTED_NOT))
        reclaim_end(thread, heap, WANTED_TRIMMED, TRIMMED_ASLEEP);
    uint32_t wanted = load_ordered(&heap->wanted);
    if (wanted != WANTED_NOT || !key_is_live(key, handle))
        heaps_reclaim(thread, key, handle, wanted == WANTED_TRIMMED ? WANTED_TRIMMED : WANTED_EMPTIED);
}

/* The next heap on the key's list, which goes round: new ones come in front (C6.8). */
static struct heap *heap_next(const struct heap *heap)
{
    struct heap *next = heap->neighbour->key_next;
    return next ? next : load_ordered(&heap->key->heaps);
}

/* Until it comes by its own heap (C6.8). */
void neighbours_trim(struct thread *thread, struct heap *heap, uint32_t count, int64_t asleep)
{
    if (heap->key->checks)
        return;
    while (count-- && (heap->neighbour = heap_next(heap)) != heap) {
        struct heap *other = heap->neighbour;
        bool orphan = load_relaxed(&other->owner) == OWNER_NONE;
        if (!heap_is_trimmed(other) && (orphan || heap_is_asleep(other, asleep)))
            heap_trim_asleep(thread, other, orphan);
    }
}

/* Whether a heap has empty slabs, or will have when its owner sees that the key was reset (C6.7). */
static bool heap_may_have_free(struct heap *heap)
{
    uintptr_t owner = load_relaxed(&heap->owner);
    return owner != OWNER_RECLAIMED && owner != OWNER_LOST &&
           (load_relaxed(&heap->empty_count) ||
            load_relaxed(&heap->generation) != load_relaxed(&heap->key->generation));
}

/* A hint by relaxed loads, then the work of a purge (C6.7). */
bool others_trim(struct thread *thread, const struct heap *heap)
{
    struct heap *other = load_ordered(&heap->key->heaps);
    while (other && (other == heap || !heap_may_have_free(other)))
        other = other->key_next;
    if (other)
        heaps_reclaim(thread, heap->key, heap->handle, WANTED_EMPTIED);
    return other;
}
