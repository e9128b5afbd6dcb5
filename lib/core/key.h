/*
 * Key slots: from a handle to a key that stays as it is while the caller looks at it.
 */
#ifndef LIB_CORE_KEY_H
#define LIB_CORE_KEY_H

#include "core/model.h"

bool key_start(void);

/* A free slot, refs 1, its handle chosen but not live yet; NULL when all are taken. */
struct key *key_take(ks_key_t *handle);

/* The live key of a handle, with a reference that the caller gives back; NULL when it is none. */
struct key *key_reference(ks_key_t handle);

/* Gives a reference back. The thread that gives the last one recycles the heaps and the slot. */
void key_release(struct key *key);

/* Another reference for a heap, by a caller that has one (C2.2). */
static inline void key_retain(struct key *key)
{
    fetch_add(&key->refs, 1);
}

/* The setting is a size, not auto: a heap may keep empty slabs for good, and none above it. */
static inline bool key_has_retain(const struct key *key)
{
    return key->retain_most != RETAIN_AUTO;
}

/* Any thread counts (C0.6). */
static inline void key_count_refusal(struct key *key, ks_status status)
{
    fetch_add(&key->refusals[status], 1);
}

/* False for ever from the exchange in ks_key_destroy on (C2.4). */
static inline bool key_is_live(struct key *key, ks_key_t handle)
{
    return load_ordered(&key->control) == handle;
}

/* Every key that is live all the time. */
void keys_visit(void (*visit)(const struct key *));

/* Whether a handle is that of a live key at this moment, without a reference. */
bool key_exists(ks_key_t handle);

#endif
