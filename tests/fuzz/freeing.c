/* Operations that hand in pointers, good and bad ones. */
#include "account.h"
#include "entries.h"
#include "operations.h"
#include "slabs.h"

static bool is_one(uint32_t allowed)
{
    return !(allowed & (allowed - 1));
}

static ks_status the_one(uint32_t allowed)
{
    return (ks_status)__builtin_ctz(allowed);
}

struct given give(const struct operation *op, struct slot *slot, const void *address)
{
    struct given given = {.op = op, .slot = slot, .address = address};
    if (!key_of(slot))
        given.allowed = ONLY(KS_BAD_KEY);
    else if (!address)
        given.allowed = ONLY(KS_OK);
    else
        given.allowed = judge(slot->key, address, &given.block);
    if (given.block && given.block->state == LIVE)
        block_verify(given.block);
    return given;
}

/* A free that finds the block in the thread's open entry is refused at once; otherwise its home will see that it was freed before. */
static uint32_t allowed_to_free(const struct given *given)
{
    bool joins = given->allowed & ONLY(KS_OK) && given->block && key_of(given->slot);
    switch (joins ? block_joins(given->op->thread, given->block) : JOINS_NOT) {
    case JOINS:
        return ONLY(KS_DOUBLE_FREE);
    case MAY_JOIN:
        return given->allowed | ONLY(KS_DOUBLE_FREE);
    default:
        return given->allowed;
    }
}

/* What the hook is told of the class, where that is certain. */
static size_t class_size_of(const struct given *given, ks_status status)
{
    if (status == KS_BAD_BLOCK || !given->block || !block_is_in_place(given->block))
        return slab_class_size(given->address, status);
    return given->block->usable;
}

void refused(const struct given *given, ks_status status)
{
    if (!(given->allowed & ONLY(status)))
        fail("%p: one of %#x expected, got %s", given->address, given->allowed, ks_strerror(status));
    account_refused(given->slot->key, given->address, status, class_size_of(given, status));
    /* A second free that is refused, not because of the thread's own, shows that the first is home. */
    if (given->block && given->block->start == given->address && given->block->key == given->slot->key &&
        given->block->state == AWAY && block_joins(given->op->thread, given->block) == JOINS_NOT)
        given->block->state = FREE;
}

static void freed(const struct given *given, ks_status status)
{
    if (!key_of(given->slot) || !given->address)
        return;
    if (status != KS_OK) {
        refused(given, status);
        return;
    }
    if (!(given->allowed & ONLY(KS_OK)))
        fail("%p was freed, one of %#x expected", given->address, given->allowed);
    block_freed(given->block, given->op->thread);
}

/* In a terminated key, and in a bulk, only the hook tells one answer from another. */
static bool is_undecidable(const struct given *given)
{
    return !is_one(given->allowed) && !key_of(given->slot)->hooked;
}

static ks_status decide(const struct given *given)
{
    return is_one(given->allowed) ? the_one(given->allowed) : account_told(given->slot->key, given->address);
}

static ks_status call_free(const struct given *given)
{
    void *address = (void *)(uintptr_t)given->address;
    if (given->op->variant != 15)
        return ks_free(given->slot->handle, address);
    ks_status status = KS_INVALID;
    void *none = address ? ks_realloc(given->slot->handle, address, 0, &status) : NULL;
    if (none)
        fail("a block of no bytes from ks_realloc");
    return address ? status : ks_free(given->slot->handle, NULL);
}

static void free_one(const struct operation *op, struct slot *slot, const void *address)
{
    if (!address) {
        expect_status("a free of NULL", ks_free(slot->handle, NULL), KS_OK);
        return;
    }
    struct given given = give(op, slot, address);
    given.allowed = allowed_to_free(&given);
    struct key *key = key_of(slot);
    bool terminated = key && key->terminated;
    if (terminated && is_undecidable(&given))
        return;
    if (key)
        heap_enter(op->thread, slot->key);
    ks_status status = call_free(&given);
    if (!key || terminated)
        expect_status("a free", status, key ? KS_TERMINATED : KS_BAD_KEY);
    freed(&given, terminated ? decide(&given) : status);
}

/* A live block, of whichever thread. */
void operate_free(struct operation *op)
{
    struct block *block = next_block(op->input, 1u << LIVE);
    if (block)
        free_one(op, slot_of_block(op, block), block->start);
}

static const void *foreign(uint32_t byte)
{
    static const uint64_t local = 1;
    const void *addresses[] = {
        NULL,
        &local,
        (void *)(uintptr_t)1,
        (void *)(uintptr_t)4096,
        (void *)UINTPTR_MAX,
        (void *)(uintptr_t)0x8000000000000000u,
        (void *)(uintptr_t)0x0000800000000000u,
        &reference,
    };
    return addresses[byte % 8];
}

/* Any address that is not far from a block. */
static const void *near(const struct block *block, uint32_t distance)
{
    return (const void *)((uintptr_t)block->start + (uintptr_t)((intptr_t)distance - 32768) * 64);
}

void operate_misuse(struct operation *op)
{
    struct input *input = op->input;
    unsigned states = op->variant & 8 ? 1u << LIVE : ALL_STATES & ~(1u << LIVE);
    struct block *block = next_block(input, states);
    if (!block || (op->variant & 7) == 0) {
        free_one(op, op->slot, foreign(next_byte(input)));
        return;
    }
    switch (op->variant & 7) {
    case 1:
    case 2:
    case 3:
        free_one(op, op->slot, block->start); /* with whatever key */
        break;
    case 4:
        free_one(op, slot_of_block(op, block), block->start + next_word(input) % block->usable);
        break;
    case 5:
        free_one(op, slot_of_block(op, block), near(block, next_word(input)));
        break;
    default:
        free_one(op, slot_of_block(op, block), block->start);
    }
}

/* Handles that were never handed out: of an index that is in use, and of none. */
void operate_garbage(struct operation *op)
{
    struct block *block = next_block(op->input, ALL_STATES);
    struct slot garbage = {.key = NO_KEY};
    ks_key_t handles[] = {0, UINTPTR_MAX, op->slot->handle + ((ks_key_t)1 << 44), 65536,
                          op->slot->handle | (ks_key_t)1 << 60};
    garbage.handle = handles[op->variant % 5];
    struct operation with_garbage = {op->input, op->thread, &garbage, op->variant};
    operate_alloc(&with_garbage);
    operate_reset(&with_garbage);
    operate_terminate(&with_garbage);
    operate_destroy(&with_garbage);
    operate_purge(&with_garbage);
    operate_check(&with_garbage);
    free_one(&with_garbage, &garbage, block ? block->start : NULL);
}

/* One of a bulk: mostly the next live block, now and then the one before again, one that is dead, or none at all. */
static const void *bulk_next(const struct operation *op, uint32_t *at, uint32_t spice, const void *before)
{
    if (spice == 1)
        return before;
    if (spice == 2)
        return foreign(*at);
    for (uint32_t i = 0; i < reference.slots_used; i++) {
        const struct block *block = &reference.blocks[(*at)++ % reference.slots_used];
        if (block->used && (spice == 3 || (block->state == LIVE && block->key == op->slot->key)))
            return block->start;
    }
    return NULL;
}

/*
 * Whether the reference can follow: each address once, but for the second free of one that is certain to be accepted the
 * first time, and nothing undecidable.
 */
static bool bulk_takes(const struct given *all, size_t count, const struct given *one)
{
    /* Whether its entry is still open then depends on what is freed before it in the same call. */
    if (one->block && key_of(one->slot) && !key_of(one->slot)->hooked &&
        block_joins(one->op->thread, one->block) != JOINS_NOT)
        return false;
    /* A heap that is nobody's may be looked after between the two. */
    bool certain = one->allowed == ONLY(KS_OK) && one->block && one->block->state == LIVE &&
                   reference.heaps[one->block->heap].holder != NOBODY;
    for (size_t i = 0; i < count; i++)
        if (all[i].address && all[i].address == one->address)
            return certain && key_of(one->slot)->hooked;
    return !is_undecidable(one);
}

static size_t bulk_fill(struct operation *op, struct given *all, size_t count)
{
    uint32_t at = next_word(op->input);
    uint32_t spice = 1 + next_byte(op->input);
    const void *before = NULL;
    size_t filled = 0;
    for (size_t i = 0; i < count && reference.slots_used; i++) {
        before = bulk_next(op, &at, i % spice == spice - 1 ? 1 + op->variant % 3 : 0, before);
        struct given one = give(op, op->slot, before);
        one.allowed = allowed_to_free(&one);
        if (bulk_takes(all, filled, &one))
            all[filled++] = one;
    }
    return filled;
}

/* Of several frees of one address the hook does not tell which was refused: until the last of them it may have been a later one. */
static bool is_decided(const struct given *all, size_t i, size_t count)
{
    if (is_one(all[i].allowed))
        return true;
    for (size_t j = i + 1; j < count; j++)
        if (all[j].address == all[i].address)
            return false;
    return true;
}

/*
 * A free that would find the block in an open entry does not, where a slow path of the same call has sent that entry: for its age, when what was
 * freed of other homes has made up messages.
 */
static uint32_t allowed_in_bulk(const struct given *given, bool is_first)
{
    uint32_t allowed = allowed_to_free(given);
    bool joins = allowed == ONLY(KS_DOUBLE_FREE) && given->allowed & ONLY(KS_OK);
    return joins && !is_first ? allowed | ONLY(KS_OK) : allowed;
}

/* The answers one after another, as the reference has them. */
static void bulk_check(struct given *all, size_t count, size_t freed_count, ks_status status)
{
    const struct key *key = key_of(all->slot);
    uint32_t firsts = 0;
    bool decided = false;
    size_t good = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i].address) {
            all[i].allowed = judge(all[i].slot->key, all[i].address, &all[i].block);
            all[i].allowed = allowed_in_bulk(&all[i], i == 0);
        }
        ks_status real = decide(&all[i]);
        freed(&all[i], real);
        good += real == KS_OK;
        if (real != KS_OK && !decided) {
            firsts |= ONLY(real);
            decided = is_decided(all, i, count);
        }
    }
    expect_number("ks_free_bulk", freed_count, good);
    if (key->terminated && count)
        firsts = ONLY(KS_TERMINATED);
    if (!((firsts ? firsts : ONLY(KS_OK)) & ONLY(status)))
        fail("ks_free_bulk: one of %#x expected, got %s", firsts, ks_strerror(status));
}

void operate_free_bulk(struct operation *op)
{
    struct given all[BULK_MOST];
    void *addresses[BULK_MOST];
    size_t count = next_byte(op->input) % (BULK_MOST + 1);
    ks_status status = KS_INVALID;
    if (!key_of(op->slot)) {
        addresses[0] = NULL;
        expect_number("ks_free_bulk", ks_free_bulk(op->slot->handle, addresses, 1, &status), 0);
        expect_status("ks_free_bulk", status, KS_BAD_KEY);
        return;
    }
    count = bulk_fill(op, all, count);
    for (size_t i = 0; i < count; i++)
        addresses[i] = (void *)(uintptr_t)all[i].address;
    size_t done = ks_free_bulk(op->slot->handle, addresses, count, &status);
    if (!count) {
        expect_status("ks_free_bulk of nothing", status, KS_OK);
        return;
    }
    heap_enter(op->thread, op->slot->key);
    bulk_check(all, count, done, status);
}
