#include "core/reclaim.h"

#include "base/testing.h"
#include "core/key.h"

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

/*
 * Until it comes by its own heap. Under a quota an owner who wakes meanwhile, and has to change heaps, would be refused what is just being
 * given back (C6.8).
 */
void neighbours_trim(struct thread *thread, struct heap *heap, uint32_t count, int64_t asleep)
{
    if (heap->key->checks || heap->key->quota)
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
