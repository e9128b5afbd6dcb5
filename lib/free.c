/* Freeing: ks_free, ks_flush. */
#include "blocks.h"
#include "quarantine.h"

static void free_overflow(struct heap *heap, void *block, struct place place)
{
    if (place.slab->class == CLASS_LARGE)
        large_release(heap, block);
    else
        heap_overflow(heap, place.slab->class, (struct slot){block, place.state});
}

static SLOW_PATH void free_to_quarantine(struct heap *heap, void *block, struct place place)
{
    struct slot slot = {block, place.state};
    state_take_back(place);
    poison_fill(heap, place.slab->class, &slot, 1);
    quarantine_put(thread_self, heap, place.slab->class, slot);
}

/* A live block of the heap's own, on a slow path. */
static void free_home(struct heap *heap, void *block, struct place place)
{
    if (unlikely(heap->key->paranoid && place.slab->class != CLASS_LARGE))
        free_to_quarantine(heap, block, place);
    else if (!heap_free_local(heap, block, place))
        free_overflow(heap, block, place);
}

/* C6.1. */
static ks_status free_remote(struct heap *heap, void *block, const struct verdict *verdict)
{
    struct thread *thread = thread_self;
    uint32_t class = load_relaxed(&verdict->place.slab->class);
    struct outbox *box = heap_outbox(heap, outbox_place(verdict->tag, class));
    if (!outbox_is_for(box, verdict->tag, class) && !outbox_open(thread, heap, box, verdict->home, verdict->tag, class))
        return KS_NO_MEMORY;
    if (outbox_put(box, block, carried_of(verdict->place.value, verdict->life)))
        heap_send(thread, heap, box);
    return KS_OK;
}

static ks_status free_judged(struct heap *heap, void *block, const struct verdict *verdict)
{
    if (verdict->status != KS_OK)
        report_refused(thread_self, heap, verdict->status, block, verdict->class_size, false);
    else if (verdict->home != heap)
        return free_remote(heap, block, verdict);
    else
        free_home(heap, block, verdict->place);
    return verdict->status;
}

ks_status heap_free_again(struct heap *heap, void *block, const struct verdict *before)
{
    struct verdict now = judge_slow(heap, block);
    if (now.status == KS_OK && !is_same_life(&now, before))
        now.status = KS_DOUBLE_FREE;
    return free_judged(heap, block, &now);
}

ks_status heap_free(struct heap *heap, void *block)
{
    struct place place;
    if (judge_local(heap, block, &place)) {
        free_home(heap, block, place);
        return KS_OK;
    }
    struct verdict verdict = judge_slow(heap, block);
    return free_judged(heap, block, &verdict);
}

/* Another thread's block that has an open outbox, without looking for more. C6.1. */
static bool heap_free_away(struct heap *heap, void *block)
{
    size_t within;
    struct away away;
    uint16_t carried;
    struct slab *slab = judge_range(block, &within);
    if (!slab || judge_owner(heap, slab) || !away_find(heap, slab, &away) || !away_judge(&away, within, &carried))
        return false;
    if (outbox_put(away.box, block, carried))
        heap_send(thread_self, heap, away.box);
    return true;
}

/* The time is of before the block goes; it is told when it is gone. */
static ks_status heap_free_traced(struct heap *heap, void *block)
{
    struct place place;
    bool own = judge_local(heap, block, &place);
    uint64_t before = traced_before(heap, own);
    ks_status status = KS_OK;
    if (own)
        free_home(heap, block, place);
    else if (!heap_free_away(heap, block))
        status = heap_free(heap, block);
    if (status == KS_OK)
        traced_free(heap, block, before);
    return status;
}

static SLOW_PATH ks_status free_entered(ks_key_t key, void *block)
{
    ks_status status = KS_OK;
    struct heap *heap = block ? heap_current_or_enter(key, &status) : NULL;
    if (heap) {
        ks_status freed = heap->key->trace ? heap_free_traced(heap, block) : heap_free(heap, block);
        if (status == KS_OK)
            status = freed;
    }
    thread_end_slow();
    return status;
}

/* A block of the caller's own is recorded without more ado. */
static ks_status free_traced(struct heap *heap, void *block, struct place place)
{
    uint64_t before = traced_before(heap, true);
    bool fits = heap_free_local(heap, block, place);
    if (unlikely(!fits))
        free_overflow(heap, block, place);
    traced_free(heap, block, before);
    if (likely(fits))
        thread_end(thread_self);
    else
        thread_end_slow();
    return KS_OK;
}

static __attribute__((noinline)) ks_status free_slow(ks_key_t key, void *block)
{
    struct place place;
    struct heap *heap = heap_current_traced(thread_self, key);
    return heap && judge_local(heap, block, &place) ? free_traced(heap, block, place) : free_entered(key, block);
}

static SLOW_PATH ks_status free_overflow_slow(struct heap *heap, void *block, struct place place)
{
    free_overflow(heap, block, place);
    thread_end_slow();
    return KS_OK;
}

static SLOW_PATH ks_status free_send(struct thread *thread, struct heap *heap, struct outbox *box)
{
    heap_send(thread, heap, box);
    thread_end(thread);
    return KS_OK;
}

/* Another thread's block, where it has an open outbox: apart, so that the way of an own block saves no registers. C6.1. */
static __attribute__((noinline)) ks_status free_away(ks_key_t key, void *block, struct heap *heap,
                                                     struct thread *thread, struct slab *slab)
{
    struct away away;
    uint16_t carried;
    if (unlikely(!away_find(heap, slab, &away)))
        return free_slow(key, block);
    if (unlikely(!away_judge(&away, (uintptr_t)block & (SLAB_BYTES - 1), &carried)))
        return free_slow(key, block);
    POINT("free: state read");
    if (unlikely(outbox_put(away.box, block, carried)))
        return free_send(thread, heap, away.box);
    thread_end(thread);
    return KS_OK;
}

/* 46 instructions to a block of the caller's own. NULL is foreign like any other address outside the range. */
ks_status ks_free(ks_key_t key, void *block)
{
    struct thread *thread = thread_begin();
    struct heap *heap = heap_current(thread, key);
    if (unlikely(!heap))
        return free_slow(key, block);
    size_t within;
    struct slab *slab = judge_range(block, &within);
    if (unlikely(!slab))
        return free_slow(key, block);
    if (unlikely(!judge_owner(heap, slab)))
        return free_away(key, block, heap, thread, slab);
    struct place place;
    if (unlikely(!slab_judge(slab, within, &place)))
        return free_slow(key, block);
    if (unlikely(!heap_free_local(heap, block, place)))
        return free_overflow_slow(heap, block, place);
    thread_end(thread);
    return KS_OK;
}

void ks_flush(void)
{
    struct thread *thread = thread_begin();
    struct entry *entry;
    for (entry = entry_first(thread); entry; entry = entry_next(thread, entry)) {
        struct heap *heap = heap_of_entry(thread, entry);
        if (heap)
            outboxes_send(thread, heap, 0);
    }
    thread_end_slow();
}
