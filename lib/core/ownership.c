#include "core/ownership.h"

#include "classes/tables.h"
#include "core/key.h"
#include "core/reclaim.h"
#include "core/reset.h"
#include "memory/range.h"

/* Acquire: what a reclaimer has done to the heap is visible when it has unlocked it (C4.1). */
static bool heap_is_owned_by(struct heap *heap, const struct thread *thread)
{
    return load_acquire(&heap->owner) == (uintptr_t)thread;
}

/* The end of a heap of a destroyed key, by its owner or the thread that has locked it (C4.6). */
void heap_retire(struct thread *thread, struct heap *heap)
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
void orphan_reclaim(struct thread *thread, struct heap *heap)
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
 * have ended before it; under a quota whoever would take those heaps over meanwhile might be refused. A paranoid key's blocks wait
 * on, for whoever takes the heap over.
 */
static void heap_end(struct thread *thread, struct heap *heap)
{
    if (heap->key->checks && !key_has_retain(heap->key)) {
        batches_close(thread, heap);
        return;
    }
    heap_trim(heap, 0, TRIM_ALL);
    if (!heap->key->quota)
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
