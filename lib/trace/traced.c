#include "trace/traced.h"

#include "trace/writer.h"

#include <string.h>

static uint32_t numbers; /* any, atomic: given to keys so far */

/* Numbers are drawn by any thread (C13.4). */
uint32_t traced_number(void)
{
    return fetch_add(&numbers, 1) + 1;
}

void traced_name(const struct key *key)
{
    struct trace_event event = {.kind = TRACE_KEY, .time = trace_now(), .key = key->trace};
    static_assert(sizeof event.name == sizeof key->name, "a key's name fits");
    memcpy(event.name, key->name, sizeof event.name);
    trace_record(&event);
}

static void record(const struct heap *heap, enum trace_kind kind, uint64_t time, const void *block, size_t size)
{
    trace_record_block(kind, time, heap->key->trace, block, size);
}

/* Whether the heap's blocks are dropped, or about to be (C13.3). */
static bool is_dropped(const struct heap *heap)
{
    return load_ordered(&heap->key->resets) != heap->generation;
}

/*
 * The time is later than that of every reset that has begun. Until a reset has its time nobody knows whether what
 * overlaps it is before or after, so this waits for it: for the few instructions of traced_reset (C13.3).
 */
static uint64_t time_behind_resets(const struct key *key)
{
    while (load_ordered(&key->resets_timed) != load_ordered(&key->resets))
        platform_yield();
    return trace_now();
}

/* Whether the heap's blocks are dropped, or about to be: then `time` is later than the resets that do so. */
static bool falls_to_reset(const struct heap *heap, uint64_t *time)
{
    if (likely(!is_dropped(heap)))
        return false;
    *time = time_behind_resets(heap->key);
    return true;
}

/*
 * What other threads did to the addresses that a heap hands out was before they became free there, in a slow path:
 * where the heap has had none since the thread last read the clock, that time is late enough (C13.2).
 */
static uint64_t time_at_home(struct heap *heap)
{
    bool seen = heap->timed == heap->slow_paths;
    heap->timed = heap->slow_paths;
    return seen ? trace_lately() : trace_now();
}

/* What a reset drops at once is free at once (C13.3). */
void traced_alloc(struct heap *heap, const void *block, size_t size)
{
    uint64_t time = time_at_home(heap);
    bool dropped = falls_to_reset(heap, &time);
    record(heap, TRACE_ALLOC, time, block, size);
    if (unlikely(dropped))
        record(heap, TRACE_FREE, time, block, 0);
}

/* A block that no class has comes from the arena, and is timed anew (C13.2). */
void traced_alloc_special(struct heap *heap, const void *block, size_t size, size_t alignment, bool zeroed)
{
    struct trace_event event = {
        .kind = TRACE_ALLOC,
        .time = trace_now(),
        .key = heap->key->trace,
        .address = (uintptr_t)block,
        .size = size,
        .alignment_shift = alignment <= CLASS_GRANULE ? 0 : (uint8_t)__builtin_ctzl(alignment),
        .zeroed = zeroed,
    };
    bool dropped = falls_to_reset(heap, &event.time);
    trace_record(&event);
    if (dropped)
        record(heap, TRACE_FREE, event.time, block, 0);
}

/* Read before the block can go anywhere (C13.2). */
uint64_t traced_before(struct heap *heap, bool own)
{
    uint64_t before = own ? time_at_home(heap) : trace_now();
    return falls_to_reset(heap, &before) ? 0 : before;
}

void traced_free(const struct heap *heap, const void *block, uint64_t before)
{
    if (likely(before))
        record(heap, TRACE_FREE, before, block, 0);
}

/* Where a reset has begun the old block is gone with it, and the new one is recorded as an allocation that it has dropped. */
void traced_realloc(struct heap *heap, const void *old, uint64_t before, void *block, size_t size)
{
    uint64_t now = trace_now();
    bool moved = block != old;
    if (moved && (!before || is_dropped(heap))) {
        traced_free(heap, old, before);
        traced_alloc_special(heap, block, size, CLASS_GRANULE, false);
        return;
    }
    if (moved)
        record(heap, TRACE_MOVED_FROM, before, old, 0);
    if (moved || !is_dropped(heap))
        record(heap, moved ? TRACE_MOVED_TO : TRACE_RESIZE, now, block, size);
}

/* The time lies between the two counts, which the operations that a reset overlaps wait for (C13.3). */
void traced_reset(struct key *key)
{
    fetch_add(&key->resets, 1);
    struct trace_event event = {.kind = TRACE_RESET, .time = trace_now(), .key = key->trace};
    fetch_add(&key->resets_timed, 1);
    trace_record(&event);
}
