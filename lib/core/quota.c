#include "core/quota.h"

/*
 * Looks and charges in one exchange: two threads cannot both take the last of the quota, and a request that is refused
 * is at no moment charged, so that it cannot make another one fail for which there is enough (C8.1).
 */
static bool charge(struct heap *heap, size_t bytes)
{
    struct key *key = heap->key;
    uint64_t charged = load_relaxed(&key->charged);
    do {
        POINT("charge: looked");
        if (key->quota && (bytes > key->quota || charged > key->quota - bytes))
            return false;
    } while (!cas(&key->charged, &charged, charged + bytes));
    owner_add(&heap->arena_bytes, bytes);
    uint64_t peak = load_relaxed(&key->charged_peak);
    while (peak < charged + bytes && !cas(&key->charged_peak, &peak, charged + bytes))
        ;
    return true;
}

/* A sum that any thread may lower (C8.1). */
static void discharge(struct heap *heap, size_t bytes)
{
    owner_add(&heap->arena_bytes, -bytes);
    fetch_sub(&heap->key->charged, bytes);
}

void *quota_take(struct heap *heap, size_t bytes, size_t alignment, ks_status *status)
{
    *status = KS_QUOTA;
    if (!charge(heap, bytes))
        return NULL;
    void *start = arena_take(heap->key->arena, bytes, alignment);
    *status = start ? KS_OK : KS_NO_MEMORY;
    if (!start)
        discharge(heap, bytes);
    return start;
}

void quota_give(struct heap *heap, void *start, size_t bytes)
{
    arena_give(heap->key->arena, start, bytes);
    discharge(heap, bytes);
}

void quota_abandon(struct heap *heap, void *start, size_t bytes)
{
    platform_discard(start, bytes);
    discharge(heap, bytes);
}
