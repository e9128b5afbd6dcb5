#include "traced.h"

#include "trace/writer.h"

#include <string.h>

static uint32_t numbers; /* any, atomic: given to keys so far */

/* C13.4. */
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

/* All but the name, which few events have. */
static void event_fill(struct trace_event *event, enum trace_kind kind, const struct key *key, uint64_t time)
{
    event->kind = (uint8_t)kind;
    event->time = time;
    event->key = key->trace;
    event->address = 0;
    event->size = 0;
    event->alignment_shift = 0;
    event->zeroed = false;
}

static void record_block(const struct heap *heap, enum trace_kind kind, uint64_t time, const void *block, size_t size)
{
    struct trace_event event;
    event_fill(&event, kind, heap->key, time);
    event.address = (uintptr_t)block;
    event.size = size;
    trace_record(&event);
}

/* Whether the heap's blocks are dropped, or about to be. C13.3. */
static bool is_dropped(const struct heap *heap)
{
    return load_ordered(&heap->key->resets) != heap->generation;
}

/* What a reset drops at once is free at once. C13.3. */
void traced_allocs(const struct heap *heap, void *const *blocks, size_t count, size_t size, size_t alignment,
                   bool zeroed)
{
    struct trace_event event;
    event_fill(&event, TRACE_ALLOC, heap->key, trace_now());
    bool dropped = is_dropped(heap);
    event.size = size;
    event.alignment_shift = alignment <= CLASS_GRANULE ? 0 : (uint8_t)__builtin_ctzl(alignment);
    event.zeroed = zeroed;
    for (size_t i = 0; i < count; i++) {
        event.address = (uintptr_t)blocks[i];
        trace_record(&event);
        if (dropped)
            record_block(heap, TRACE_FREE, event.time, blocks[i], 0);
    }
}

/* C13.2. */
uint64_t traced_before(const struct heap *heap)
{
    uint64_t now = trace_now();
    return is_dropped(heap) ? 0 : now;
}

void traced_free(const struct heap *heap, const void *block, uint64_t before)
{
    if (before)
        record_block(heap, TRACE_FREE, before, block, 0);
}

/* Where a reset has begun the old block is gone with it, and the new one is recorded as an allocation that it has dropped. */
void traced_realloc(const struct heap *heap, const void *old, uint64_t before, void *block, size_t size)
{
    uint64_t now = trace_now();
    bool moved = block != old;
    if (moved && (!before || is_dropped(heap))) {
        traced_free(heap, old, before);
        traced_allocs(heap, &block, 1, size, CLASS_GRANULE, false);
        return;
    }
    if (moved)
        record_block(heap, TRACE_MOVED_FROM, before, old, 0);
    if (moved || !is_dropped(heap))
        record_block(heap, moved ? TRACE_MOVED_TO : TRACE_RESIZE, now, block, size);
}

/* C13.3. */
void traced_reset(struct key *key)
{
    fetch_add(&key->resets, 1);
    struct trace_event event;
    event_fill(&event, TRACE_RESET, key, trace_now());
    trace_record(&event);
}
