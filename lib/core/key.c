#include "core/key.h"

#include "base/pool.h"
#include "base/stretch.h"
#include "core/heap.h"

#define KEYS_STEP ((size_t)64 << 10)

/* Slot 0 is never taken, so that no handle is 0. */
static struct key *keys;
static struct stretch stretch;
static struct pool free_slots;
static uint32_t next_slot; /* any, atomic: the first that was never taken */

bool key_start(void)
{
    if (!stretch_start(&stretch, KEYS_MAX * sizeof *keys, KEYS_STEP))
        return false;
    keys = (struct key *)stretch.base;
    next_slot = 1;
    free_slots = (struct pool){
        .members = (char *)keys,
        .stride = sizeof(struct key),
        .link_offset = offsetof(struct key, pool_link),
    };
    return true;
}

/* A slot is mapped before it is counted (C8.4). */
static uint32_t slot_take(void)
{
    uint32_t index = pool_pop(&free_slots);
    if (index)
        return index;
    uint32_t next = load_relaxed(&next_slot);
    do {
        if (next == KEYS_MAX || !stretch_reach(&stretch, (next + 1) * sizeof *keys))
            return 0;
    } while (!cas(&next_slot, &next, next + 1));
    return next;
}

/*
 * The incarnation stands in the handle's upper 43 bits and rises with each use of the slot: at a thousand
 * keys a second in one slot it repeats after 278 years (C2.1).
 */
struct key *key_take(ks_key_t *handle)
{
    uint32_t index = slot_take();
    if (!index)
        return NULL;
    struct key *key = &keys[index];
    key->incarnation++;
    *handle = key->incarnation << HANDLE_INCARNATION_SHIFT | (ks_key_t)index << HANDLE_INDEX_SHIFT;
    key->heaps = NULL;
    store_relaxed(&key->terminated, 0u);
    store_relaxed(&key->generation, (uint64_t)0);
    store_relaxed(&key->resets, (uint64_t)0);
    store_relaxed(&key->resets_timed, (uint64_t)0);
    store_relaxed(&key->charged, (uint64_t)0);
    store_relaxed(&key->charged_peak, (uint64_t)0);
    store_relaxed(&key->refused_at_home, (uint64_t)0);
    for (size_t i = 0; i < sizeof key->refusals / sizeof *key->refusals; i++)
        store_relaxed(&key->refusals[i], (uint64_t)0);
    /* Release: a stale handle's key_reference may find the slot in use and look at it. */
    store_release(&key->refs, 1u);
    return key;
}

/* The slot that a handle names; NULL where no key ever had it (C8.4). */
static struct key *slot_of(ks_key_t handle)
{
    uint32_t index = KEY_INDEX(handle);
    return index && index < load_acquire(&next_slot) ? &keys[index] : NULL;
}

/*
 * A reference is taken only from a count that is not 0, so a free slot stays free; the handle is compared
 * after that, when the slot can no longer change hands (C2.2).
 */
struct key *key_reference(ks_key_t handle)
{
    struct key *key = slot_of(handle);
    if (!key || load_relaxed(&key->control) != handle)
        return NULL;
    POINT("reference: handle seen");
    uint32_t refs = load_relaxed(&key->refs);
    do {
        if (!refs)
            return NULL;
    } while (!cas(&key->refs, &refs, refs + 1));
    POINT("reference: counted");
    if (key_is_live(key, handle))
        return key;
    key_release(key);
    return NULL;
}

/* Each key is looked at under a reference (C2.2). */
void keys_visit(void (*visit)(const struct key *))
{
    for (uint32_t index = 1; index < load_acquire(&next_slot); index++) {
        struct key *key = key_reference(load_relaxed(&keys[index].control));
        if (!key)
            continue;
        visit(key);
        key_release(key);
    }
}

/* Nothing is done on the strength of the answer but choosing a status (C2.5). */
bool key_exists(ks_key_t handle)
{
    struct key *key = slot_of(handle);
    return key && load_acquire(&key->control) == handle;
}

/* Exactly one thread takes the count to 0, and recycles (C2.3). */
void key_release(struct key *key)
{
    uint32_t before = fetch_sub(&key->refs, 1);
    CHECKED(assert(before));
    if (before != 1)
        return;
    POINT("release: last one");
    for (struct heap *heap = key->heaps, *next; heap; heap = next) {
        next = heap->key_next;
        heap_recycle(heap);
    }
    arena_leave(key->arena);
    pool_push(&free_slots, (uint32_t)(key - keys));
}
