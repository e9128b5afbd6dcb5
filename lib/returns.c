#include "returns.h"

#include "quarantine.h"
#include "report.h"

/* ------------------------------------------------------------------ opening and closing */

/* C0.1. */
static void outbox_arm(struct outbox *box, struct magazine *magazine)
{
    packed *floor = magazine_words(magazine);
    box->limit = floor + box->room;
    store_relaxed(&box->floor, floor);
    store_relaxed(&box->top, floor);
}

/* The blocks that one of `open` boxes of a home holds when it is sent, so that together they hold no more than `bytes`. */
static uint32_t room_of(size_t bytes, uint32_t open, const struct class *kind)
{
    size_t blocks = kind->bytes ? bytes / open / kind->bytes : 0;
    return blocks < 1 ? 1 : blocks < kind->magazine ? (uint32_t)blocks : kind->magazine;
}

static uint32_t *account_of(struct heap *heap, uint64_t tag)
{
    return &heap->accounts[tag % OUTBOXES];
}

/* Shares an account among its open boxes anew. What is in a box that is too full now is sent. */
static void account_divide(struct thread *thread, struct heap *heap, uint32_t *account)
{
    for (struct outbox *box = heap->outboxes; box < heap->outboxes + OUTBOXES; box++) {
        if (!box->tag || account_of(heap, box->tag) != account)
            continue;
        box->room = room_of(heap->key->outbox_bytes, *account, &heap->classes->table[box->class]);
        box->limit = box->floor + box->room;
        if (box->top >= box->limit)
            outbox_send(thread, heap, box);
    }
}

/* The magazine, with whatever is in it, is no longer the box's. C0.1. */
static void outbox_shut(struct heap *heap, struct outbox *box)
{
    --*account_of(heap, box->tag);
    heap->boxes--;
    box->tag = 0;
    box->limit = NULL;
    store_relaxed(&box->floor, NULL);
    store_relaxed(&box->top, NULL);
}

/* Its share goes to the home's other boxes. */
static void outbox_close(struct thread *thread, struct heap *heap, struct outbox *box)
{
    uint32_t *account = account_of(heap, box->tag);
    magazine_put(thread, magazine_of(box->floor + 1));
    outbox_shut(heap, box);
    account_divide(thread, heap, account);
}

/* C6.6. */
bool outbox_open(struct thread *thread, struct heap *heap, struct outbox *box, struct heap *home, uint64_t tag,
                 uint32_t class)
{
    if (box->tag)
        outbox_send(thread, heap, box);
    if (box->tag)
        outbox_close(thread, heap, box);
    struct magazine *magazine = magazine_get(thread);
    if (!magazine)
        return false;
    box->home = home;
    box->tag = tag;
    store_relaxed(&box->class, class);
    box->born = heap->events;
    box->room = 1;
    outbox_arm(box, magazine);
    heap->boxes++;
    ++*account_of(heap, tag);
    account_divide(thread, heap, account_of(heap, tag));
    return true;
}

/* ------------------------------------------------------------------ sending */

/* The bytes of a large block that is about to be sent. C6.1. */
static size_t carried_bytes(packed word)
{
    size_t offset = (size_t)((word & CARRIED_MASK) - (uintptr_t)range.base);
    return load_relaxed(&arena_slab(offset)->block_bytes);
}

/*
 * The incarnation that the magazine is for travels with it. The home may have been reset, or be another key's
 * by now; its structure is there for ever, and its owner throws away what is not for it. C6.2.
 */
void outbox_send(struct thread *thread, struct heap *heap, struct outbox *box)
{
    uint32_t count = (uint32_t)(box->top - box->floor);
    if (!count)
        return;
    struct magazine *magazine = magazine_of(box->top);
    magazine->tag = box->tag;
    magazine->class = box->class;
    magazine->count = count;
    owner_add(&heap->shelves[box->class].sent, count);
    if (box->class == CLASS_LARGE) {
        magazine->bytes = carried_bytes(*box->floor);
        owner_add(&heap->large_sent, magazine->bytes);
    }
    POINT("send: filled");
    stack_push(&box->home->returns, &magazine->entry);
    POINT("send: pushed");

    box->born = heap->events;
    magazine = magazine_get(thread);
    if (magazine)
        outbox_arm(box, magazine);
    else
        outbox_shut(heap, box);
}

#define EACH_OPEN_BOX(box, heap)                                                                                       \
    for (struct outbox *box = (heap)->outboxes; (heap)->boxes && box < (heap)->outboxes + OUTBOXES; box++)             \
        if (box->tag)

void outboxes_send(struct thread *thread, struct heap *heap, uint32_t age)
{
    EACH_OPEN_BOX(box, heap)
    {
        uint32_t waited = heap->events - box->born;
        if (box->top != box->floor && waited >= age)
            outbox_send(thread, heap, box);
        else if (box->top == box->floor && age && waited >= 2 * age)
            outbox_close(thread, heap, box);
    }
}

void outboxes_close(struct thread *thread, struct heap *heap)
{
    outboxes_send(thread, heap, 0);
    EACH_OPEN_BOX(box, heap)
    outbox_close(thread, heap, box);
}

void outboxes_discard(struct thread *thread, struct heap *heap)
{
    EACH_OPEN_BOX(box, heap)
    {
        magazine_put(thread, magazine_of(box->floor + 1));
        outbox_shut(heap, box);
    }
}

/* ------------------------------------------------------------------ at home */

/* C6.3. */
void returns_take(struct thread *thread, struct heap *heap)
{
    if (stack_is_empty(&heap->returns))
        return;
    platform_entry *next;
    for (platform_entry *entry = stack_take_all(&heap->returns); entry; entry = next) {
        POINT("take: taken");
        next = entry->next;
        struct magazine *magazine = (struct magazine *)entry;
        if (magazine->tag == heap->tag)
            TAILQ_INSERT_TAIL(&heap->shelves[magazine->class].returned, magazine, link);
        else
            magazine_put(thread, magazine);
    }
}

/*
 * Whatever the freeing thread misread while a slab changed hands, and however late a second free of the same
 * block comes: the block is free now only if its slab is still this incarnation's, of this class, and the
 * block has not been freed since the state was read. C6.4.
 */
static struct slab *slab_at_home(const struct heap *heap, uint32_t class, uintptr_t block)
{
    struct slab *slab = arena_slab(block - (uintptr_t)range.base);
    /* Freed twice, its slab may be another heap's by now: that one writes. */
    return load_relaxed(&slab->tag) == heap->tag && slab->class == class ? slab : NULL;
}

/* C6.4. */
FAST_PATH bool block_is_good(struct slab *slab, size_t within, uint16_t carried, struct place *place)
{
    return slab_judge(slab, within, place) && carried_of(place->value, slab->life) == carried;
}

/* The good blocks of a magazine from afar become free, and slots from `floor` up; the others are reported. */
static uint32_t magazine_unpack(struct thread *thread, struct heap *heap, const struct magazine *magazine,
                                struct slot *floor)
{
    uint32_t class = magazine->class;
    const packed *words = magazine_words(magazine);
    size_t block_bytes = class == CLASS_LARGE ? magazine->bytes : heap->classes->table[class].bytes;
    struct slot *top = floor;
    struct slab *slab = NULL;
    uintptr_t start = 0;
    for (uint32_t i = 0; i < magazine->count; i++) {
        uintptr_t block = words[i] & CARRIED_MASK;
        /* Its first line is in the other thread's cache, and will be written to by whoever is given the block next. */
        prefetch_for_write((void *)block);
        /* A run of one slab is looked up once. */
        if (!slab || block - start >= SLAB_BYTES) {
            slab = slab_at_home(heap, class, block);
            start = block & ~(SLAB_BYTES - 1);
        }
        struct place place;
        if (likely(slab && block_is_good(slab, block - start, (uint16_t)(words[i] >> CARRIED_SHIFT), &place))) {
            state_take_back(place);
            *top++ = (struct slot){(void *)block, place.state};
        } else {
            report_refused(thread, heap, KS_DOUBLE_FREE, (void *)block, block_bytes, true);
        }
    }
    return (uint32_t)(top - floor);
}

/* The blocks are copied: a magazine that has been in another thread's hands lies in that thread's cache. C6.3. */
bool returns_judge(struct thread *thread, struct heap *heap, uint32_t class, struct slot *floor, uint32_t room,
                   uint32_t *count)
{
    struct shelf *shelf = &heap->shelves[class];
    struct magazine *magazine = TAILQ_FIRST(&shelf->returned);
    if (!magazine || magazine->count > room)
        return false;
    if (!report_room(thread, magazine->count)) {
        thread->crowded = true;
        return false;
    }
    TAILQ_REMOVE(&shelf->returned, magazine, link);
    POINT("judge: begun");
    owner_add(&shelf->received, magazine->count);
    if (class == CLASS_LARGE)
        owner_add(&heap->large_received, magazine->bytes);
    *count = magazine_unpack(thread, heap, magazine, floor);
    if (heap->key->paranoid && class != CLASS_LARGE)
        poison_fill(heap, class, floor, *count);
    owner_add(&shelf->freed_remote, *count);
    magazine_put(thread, magazine);
    return true;
}
