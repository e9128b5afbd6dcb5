#include "core/remote.h"

#include "core/heap.h"
#include "core/large.h"
#include "core/report.h"

/* ------------------------------------------------------------------ batches */

static void batch_arm(struct batch *batch, struct message *message)
{
    batch->message = message;
    batch->last = message->entries;
    *batch->last = (struct remote_entry){0};
    batch->held = 0;
}

static bool batch_is_empty(const struct batch *batch)
{
    return !batch->last->mask;
}

/* The message, with whatever is in it, is no longer the batch's. */
static void batch_shut(struct heap *heap, struct batch *batch)
{
    batch->tag = BATCH_CLOSED;
    batch->message = NULL;
    heap->batches_open--;
}

static void batch_close(struct thread *thread, struct heap *heap, struct batch *batch)
{
    message_put(thread, batch->message);
    batch_shut(heap, batch);
}

bool batch_open(struct thread *thread, struct heap *heap, struct batch *batch, uint64_t tag)
{
    if (batch->tag != BATCH_CLOSED)
        batch_send(thread, heap, batch);
    if (batch->tag != BATCH_CLOSED)
        batch_close(thread, heap, batch);
    struct message *message = message_get(thread);
    if (!message)
        return false;
    batch->home = heap_at(tag);
    batch->tag = tag;
    batch->most = heap->key->outbox_bytes;
    batch->opened = heap->slow_paths;
    batch_arm(batch, message);
    heap->batches_open++;
    heap->exchanged = true;
    return true;
}

/* The entry of a large block, which is the last one, says how large it is (C6.1). */
static void batch_note_large(struct heap *heap, const struct batch *batch)
{
    struct remote_entry *last = batch->last;
    if (PLACE_CLASS(last->place) != CLASS_LARGE)
        return;
    size_t bytes = load_relaxed(&range.slabs[last->slab].block_bytes);
    last->mask |= (uint32_t)(bytes / PAGE) << 1;
    owner_add(&heap->large_sent, LARGE_PAGES(last->mask) * PAGE);
}

/*
 * The message carries the incarnation that it is for. The heap may have been reset, or belong to another key by
 * now; its structure stays for ever, and its owner throws away messages for another incarnation (C6.2).
 */
void batch_send(struct thread *thread, struct heap *heap, struct batch *batch)
{
    if (batch_is_empty(batch))
        return;
    struct message *message = batch->message;
    message->tag = batch->tag;
    message->count = (uint32_t)(batch->last - message->entries) + 1;
    message->accepted = 0;
    batch_note_large(heap, batch);
    POINT("send: filled");
    stack_push(&batch->home->queue, &message->entry);
    POINT("send: pushed");

    batch->opened = heap->slow_paths;
    message = message_get(thread);
    if (message)
        batch_arm(batch, message);
    else
        batch_shut(heap, batch);
}

#define EACH_OPEN_BATCH(batch, heap)                                                                                   \
    for (struct batch *batch = (heap)->batches; (heap)->batches_open && batch < (heap)->batches + BATCHES; batch++)    \
        if (batch->tag != BATCH_CLOSED)

void batches_send(struct thread *thread, struct heap *heap, uint32_t age)
{
    EACH_OPEN_BATCH (batch, heap) {
        uint32_t waited = heap->slow_paths - batch->opened;
        if (!batch_is_empty(batch) && waited >= age)
            batch_send(thread, heap, batch);
        else if (batch_is_empty(batch) && age && waited >= 2 * age)
            batch_close(thread, heap, batch);
    }
}

void batches_close(struct thread *thread, struct heap *heap)
{
    batches_send(thread, heap, 0);
    EACH_OPEN_BATCH (batch, heap)
        batch_close(thread, heap, batch);
}

void batches_drop(struct thread *thread, struct heap *heap)
{
    EACH_OPEN_BATCH (batch, heap)
        batch_close(thread, heap, batch);
}

/* ------------------------------------------------------------------ the owner's side */

static uint32_t entry_blocks(const struct remote_entry *entry)
{
    return PLACE_CLASS(entry->place) == CLASS_LARGE ? 1 : entry->mask;
}

/*
 * Whatever the freeing thread misread while a slab changed hands, and however late a second free of the same block
 * comes: a block is free now only if its slab is still in the epoch that it was looked up in, it is not free
 * already, and it has not been handed out since. Where it was freed twice the slab may be another heap's by now,
 * whose owner writes the tag: so that is an atomic load (C6.4).
 */
static uint32_t entry_good(const struct heap *heap, const struct remote_entry *entry)
{
    const struct slab *slab = &range.slabs[entry->slab];
    if (load_relaxed(&slab->tag) != heap->tag || slab->place != PLACE_SLAB(entry->place))
        return 0;
    POINT("accept: same epoch");
    uint32_t number = PLACE_GROUP(entry->place);
    const struct group *group = slab_group(slab, number);
    uint32_t taken = group->free;
    if (heap->key->checks)
        taken |= heap->key->checks->waiting(slab, number);
    return blocks_kept(group, entry->stamp, entry_blocks(entry)) & group_blocks(slab, number) & ~taken;
}

/* False where the thread has no room to report all. */
static bool entry_refuse(struct thread *thread, const struct heap *heap, const struct remote_entry *entry,
                         uint32_t refused)
{
    if (!report_room(thread, (uint32_t)__builtin_popcount(refused)))
        return false;
    uint32_t class = PLACE_CLASS(entry->place);
    size_t bytes = class == CLASS_LARGE ? LARGE_PAGES(entry->mask) * PAGE : heap->classes->table[class].bytes;
    const char *base = slab_start(&range.slabs[entry->slab]) + (size_t)PLACE_GROUP(entry->place) * GROUP_BLOCKS * bytes;
    for (; refused; refused &= refused - 1)
        report_refused(thread, heap, KS_DOUBLE_FREE, base + (size_t)__builtin_ctz(refused) * bytes, bytes, true);
    return true;
}

static void entry_free(struct heap *heap, const struct remote_entry *entry, uint32_t good)
{
    struct slab *slab = &range.slabs[entry->slab];
    if (slab->class == CLASS_LARGE)
        large_release(heap, slab);
    else if (heap->key->checks)
        heap->key->checks->freed(heap, slab, PLACE_GROUP(entry->place), good);
    else
        heap_free_remote(heap, slab, PLACE_GROUP(entry->place), good);
}

/* Validates and counts an entry; false where its refusals cannot be reported yet (C6.4). */
static bool entry_accept(struct thread *thread, struct heap *heap, const struct remote_entry *entry)
{
    uint32_t class = PLACE_CLASS(entry->place);
    struct supply *supply = &heap->supplies[class];
    uint32_t blocks = entry_blocks(entry);
    uint32_t good = entry_good(heap, entry);
    POINT("accept: validated");
    if (unlikely(good != blocks) && !entry_refuse(thread, heap, entry, blocks & ~good))
        return false;
    owner_add(&supply->received, (uint64_t)__builtin_popcount(blocks));
    owner_add(&supply->freed_remote, (uint64_t)__builtin_popcount(good));
    if (class == CLASS_LARGE)
        owner_add(&heap->large_received, LARGE_PAGES(entry->mask) * PAGE);
    if (good)
        entry_free(heap, entry, good);
    return true;
}

/* Until there is no room to report refusals. */
static bool message_accept(struct thread *thread, struct heap *heap, struct message *message)
{
    for (; message->accepted < message->count; message->accepted++)
        if (!entry_accept(thread, heap, &message->entries[message->accepted]))
            return false;
    return true;
}

/* One exchange takes the whole queue; messages of another incarnation are thrown away (C6.3). */
static void queue_take(struct thread *thread, struct heap *heap)
{
    if (stack_is_empty(&heap->queue))
        return;
    platform_entry *next;
    for (platform_entry *entry = stack_take_all(&heap->queue); entry; entry = next) {
        POINT("take: taken");
        next = entry->next;
        struct message *message = (struct message *)entry;
        if (message->tag == heap->tag)
            TAILQ_INSERT_HEAD(&heap->pending, message, link);
        else
            message_put(thread, message);
    }
    heap->exchanged = true;
}

void remote_take(struct thread *thread, struct heap *heap)
{
    queue_take(thread, heap);
    struct message *message = TAILQ_FIRST(&heap->pending);
    if (!message)
        return;
    /* What is recorded of a block from now on is later than what others have recorded of it (C13.2). */
    heap->timed = heap->slow_paths - 1;
    /* Other threads read the hint for each entry that they begin: it is written only when it changes (C6.5). */
    if (heap->low_memory)
        store_relaxed(&heap->low_memory, 0u);
    for (; message; message = TAILQ_FIRST(&heap->pending)) {
        POINT("take: accepting");
        if (!message_accept(thread, heap, message)) {
            thread->reports_full = true;
            return;
        }
        TAILQ_REMOVE(&heap->pending, message, link);
        message_put(thread, message);
    }
}
