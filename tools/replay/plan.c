#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void plan_begin(struct plan *plan, struct trace_reader *reader, uint32_t workers, bool reset_apart)
{
    *plan = (struct plan){.reader = reader, .workers = workers, .reset_apart = reset_apart};
}

void plan_end(struct plan *plan)
{
    for (uint32_t i = 0; i < plan->workers; i++)
        free(plan->work[i].ops);
    free(plan->slots);
    free(plan->empty);
    free(plan->pendings);
    live_free(&plan->live);
}

uint64_t plan_bytes(const struct plan *plan)
{
    uint64_t bytes = plan->slots_room * (sizeof *plan->slots + sizeof *plan->empty) +
                     plan->live.room * sizeof *plan->live.blocks + plan->pendings_room * sizeof *plan->pendings;
    for (uint32_t i = 0; i < plan->workers; i++)
        bytes += plan->work[i].room * sizeof *plan->work[i].ops;
    return bytes;
}

static bool fail(struct plan *plan, const char *problem)
{
    plan->problem = problem;
    return false;
}

/* An array with room for one more, twice as much when it has to grow. NULL without memory. */
static void *grow(void *array, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room)
        return array;
    uint32_t more = *room ? *room * 2 : 1024;
    void *grown = realloc(array, more * size);
    if (grown)
        *room = more;
    return grown;
}

/* ------------------------------------------------------------------ slots */

static bool take_slot(struct plan *plan, uint32_t *slot)
{
    if (plan->usable) {
        *slot = plan->empty[--plan->usable];
        plan->empty[plan->usable] = plan->empty[--plan->empty_count];
        return true;
    }
    if (plan->slots_used == plan->slots_room) {
        uint32_t room = plan->slots_room;
        void *slots = grow(plan->slots, plan->slots_used, &room, sizeof *plan->slots);
        if (!slots)
            return fail(plan, "out of memory");
        plan->slots = slots;
        void *empty = realloc(plan->empty, room * sizeof *plan->empty);
        if (!empty)
            return fail(plan, "out of memory");
        plan->empty = empty;
        plan->slots_room = room;
    }
    *slot = plan->slots_used++;
    plan->slots[*slot] = (struct slot){.live = false};
    return true;
}

static void leave_slot(struct plan *plan, uint32_t slot)
{
    plan->slots[slot].live = false;
    plan->empty[plan->empty_count++] = slot;
}

/* ------------------------------------------------------------------ operations */

static bool add(struct plan *plan, uint32_t worker, struct op op)
{
    struct work *work = &plan->work[worker];
    void *ops = grow(work->ops, work->count, &work->room, sizeof *work->ops);
    if (!ops)
        return fail(plan, "out of memory");
    op.time = plan->now;
    work->ops = ops;
    work->ops[work->count++] = op;
    plan->operations++;
    return true;
}

static uint32_t worker_of(const struct plan *plan, uint32_t thread)
{
    return plan->workers > 1 ? thread % plan->workers : 0;
}

static bool key_of(struct plan *plan, uint64_t number, uint16_t *key)
{
    for (uint32_t i = 0; i < plan->keys_count; i++)
        if (plan->keys[i] == number) {
            *key = (uint16_t)i;
            return true;
        }
    if (plan->keys_count == KEYS_PLANNED)
        return fail(plan, "more than 1000 keys");
    *key = (uint16_t)plan->keys_count;
    plan->keys[plan->keys_count++] = number;
    return true;
}

/* The slot of the block at an address, which is taken from there. */
static bool take_block(struct plan *plan, uint64_t address, uint32_t *slot)
{
    struct live_block block;
    if (!live_take(&plan->live, address, &block) || block.life != plan->lives[block.key])
        return false;
    *slot = block.size;
    return true;
}

static bool put_block(struct plan *plan, const struct trace_event *event, uint32_t worker, uint32_t slot)
{
    uint32_t before;
    uint16_t key;
    if (!live_reserve(&plan->live))
        return fail(plan, "out of memory");
    if (!key_of(plan, event->key, &key))
        return false;
    if (take_block(plan, event->address, &before)) {
        /* Its free is missing in the trace. */
        if (!add(plan, worker, (struct op){.kind = OP_FREE, .slot = before, .key = plan->slots[before].key}))
            return false;
        leave_slot(plan, before);
    }
    plan->slots[slot].key = key;
    plan->slots[slot].worker = worker;
    plan->slots[slot].live = true;
    live_put(&plan->live,
             &(struct live_block){.address = event->address, .size = slot, .key = key, .life = plan->lives[key]});
    return true;
}

static struct op op_of(const struct plan *plan, const struct trace_event *event, uint32_t slot, uint8_t kind)
{
    return (struct op){
        .size = event->size,
        .slot = slot,
        .key = plan->slots[slot].key,
        .kind = kind,
        .alignment_shift = event->alignment_shift,
        .zeroed = event->zeroed,
    };
}

static bool plan_alloc(struct plan *plan, const struct trace_event *event, uint32_t worker)
{
    uint32_t slot;
    return take_slot(plan, &slot) && put_block(plan, event, worker, slot) &&
           add(plan, worker, op_of(plan, event, slot, OP_ALLOC));
}

static bool plan_free(struct plan *plan, const struct trace_event *event, uint32_t worker)
{
    uint32_t slot;
    if (!take_block(plan, event->address, &slot)) {
        plan->unmatched++;
        return true;
    }
    leave_slot(plan, slot);
    return add(plan, worker, op_of(plan, event, slot, OP_FREE));
}

/* A block that nobody has seen is a new one. */
static bool plan_realloc(struct plan *plan, const struct trace_event *event, uint32_t worker, bool found, uint32_t from)
{
    uint32_t slot;
    if (!found) {
        plan->unmatched++;
        return plan_alloc(plan, event, worker);
    }
    leave_slot(plan, from);
    if (!take_slot(plan, &slot) || !put_block(plan, event, worker, slot))
        return false;
    struct op op = op_of(plan, event, slot, OP_REALLOC);
    op.from = from;
    return add(plan, worker, op);
}

static struct pending *pending_of(struct plan *plan, uint32_t thread)
{
    while (plan->pendings_room <= thread) {
        uint32_t room = plan->pendings_room;
        void *pendings = grow(plan->pendings, room, &room, sizeof *plan->pendings);
        if (!pendings) {
            fail(plan, "out of memory");
            return NULL;
        }
        plan->pendings = pendings;
        memset(plan->pendings + plan->pendings_room, 0, (room - plan->pendings_room) * sizeof *plan->pendings);
        plan->pendings_room = room;
    }
    return &plan->pendings[thread];
}

static bool plan_move(struct plan *plan, const struct trace_event *event, uint32_t worker)
{
    struct pending *pending = pending_of(plan, event->thread);
    if (!pending)
        return false;
    if (event->kind == TRACE_MOVED_FROM) {
        pending->moving = take_block(plan, event->address, &pending->slot);
        return true;
    }
    bool moving = pending->moving;
    pending->moving = false;
    return plan_realloc(plan, event, worker, moving, pending->slot);
}

/* Every block of the key goes; where the allocator knows no reset, one by one, each in the thread that allocated it. */
static bool plan_reset(struct plan *plan)
{
    uint16_t key;
    plan->reset_waits = false;
    if (!key_of(plan, plan->reset_key, &key))
        return false;
    plan->lives[key]++;
    for (uint32_t slot = 0; slot < plan->slots_used; slot++) {
        if (!plan->slots[slot].live || plan->slots[slot].key != key)
            continue;
        leave_slot(plan, slot);
        if (!plan->reset_apart)
            atomic_store_explicit(&plan->slots[slot].block, NULL, memory_order_relaxed);
        else if (!add(plan, plan->slots[slot].worker, (struct op){.kind = OP_FREE, .slot = slot, .key = key}))
            return false;
    }
    return plan->reset_apart ||
           add(plan, worker_of(plan, plan->reset_thread), (struct op){.kind = OP_RESET, .key = key});
}

static bool plan_event(struct plan *plan, const struct trace_event *event)
{
    uint32_t worker = worker_of(plan, event->thread);
    uint32_t slot = 0;
    uint16_t key;
    switch (event->kind) {
    case TRACE_ALLOC:
        return plan_alloc(plan, event, worker);
    case TRACE_FREE:
        return plan_free(plan, event, worker);
    case TRACE_RESIZE: {
        bool found = take_block(plan, event->address, &slot);
        return plan_realloc(plan, event, worker, found, slot);
    }
    case TRACE_MOVED_FROM:
    case TRACE_MOVED_TO:
        return plan_move(plan, event, worker);
    case TRACE_RESET:
        plan->reset_waits = true;
        plan->reset_key = event->key;
        plan->reset_thread = event->thread;
        return true;
    default:
        if (!key_of(plan, event->key, &key))
            return false;
        memcpy(plan->names[key], event->name, sizeof plan->names[key]);
        return true;
    }
}

bool plan_window(struct plan *plan)
{
    uint64_t before = plan->operations;
    for (uint32_t i = 0; i < plan->workers; i++)
        plan->work[i].count = 0;
    plan->usable = plan->empty_count;
    if (plan->reset_waits)
        return plan_reset(plan);
    while (plan->operations - before < WINDOW && !plan->reset_waits) {
        const struct trace_event *event;
        enum trace_result result = trace_next(plan->reader, &event);
        if (result == TRACE_BROKEN)
            return fail(plan, trace_problem(plan->reader));
        if (result == TRACE_END)
            return plan->operations > before;
        plan->now = event->time - trace_info(plan->reader)->time;
        if (!plan_event(plan, event))
            return false;
    }
    return true;
}
