/* Operations that hand out blocks, and those that ask for or change their sizes. */
#include "entries.h"
#include "operations.h"
#include "slabs.h"

#include <string.h>

#define BULK_BYTES      ((size_t)256 * 1024)
#define HAND_OUTS_MOST  2000 /* per input, to keep it quick */
#define ZEROED_MOST     2048 /* beyond the large ones of an input */
#define ALIGNMENT_LEAST 16
#define STRICT_FROM     512 /* requests from here on are aligned to a cache line */

static uint64_t class_sizes[KS_CLASSES_MAX];
static uint32_t class_count;

void classes_learn(const struct ks_key_stats *stats)
{
    class_count = stats->class_count;
    for (uint32_t i = 0; i < class_count; i++)
        class_sizes[i] = stats->classes[i].size;
}

/* ------------------------------------------------------------------ allocating */

struct request {
    struct slot *slot;
    size_t size;
    size_t alignment; /* 0 for what every block has */
    bool zeroed;
};

static uint32_t class_of(size_t usable, bool large)
{
    if (large)
        return class_count - 1;
    for (uint32_t class = 0; class < class_count - 1; class ++)
        if (class_sizes[class] == usable)
            return class;
    fail("%zu bytes are no class", usable);
}

/* The last thing that was tried did not fit: nothing has been given back since. */
static void check_quota(const struct slot *slot, size_t size)
{
    static struct ks_key_stats stats;
    const struct key *key = key_of(slot);
    size_t need = size > CLASS_TOP ? ks_good_size(size) : key->slab_bytes;
    expect_status("ks_key_stats", ks_key_stats(slot->handle, &stats), KS_OK);
    if (!key->quota || stats.arena_bytes + need <= key->quota)
        fail("refused by a quota of %zu, with %zu bytes in use, for %zu", key->quota, (size_t)stats.arena_bytes, need);
}

/* What the key answers to every allocation, or KS_OK. The thread enters a key that is there. */
static ks_status enter_to_allocate(const struct operation *op, const struct slot *slot)
{
    struct key *key = key_of(slot);
    if (!key)
        return KS_BAD_KEY;
    heap_enter(op->thread, slot->key);
    heaps_touch(op->thread);
    if (key->quota)
        heaps_touch_key(slot->key, key->retain != 0);
    return key->terminated ? KS_TERMINATED : KS_OK;
}

static void check_refusal(const struct request *request, ks_status expected, ks_status got)
{
    if (expected == KS_OK && request->size >= TOO_LARGE)
        expected = KS_TOO_LARGE;
    if (expected == KS_OK && got == KS_QUOTA && !request->alignment)
        check_quota(request->slot, request->size);
    else if (expected != KS_OK || got != KS_QUOTA || !key_of(request->slot)->quota)
        expect_status("the reason", got, expected);
    if (got != KS_BAD_KEY)
        key_of(request->slot)->refused[got]++;
}

static void check_zeroed(const char *start, size_t size)
{
    static const char zeros[256];
    for (size_t at = 0; at < size; at += at < 4096 ? sizeof zeros : 1024) {
        size_t some = size - at < sizeof zeros ? size - at : sizeof zeros;
        if (memcmp(start + at, zeros, some) != 0)
            fail("%p of %zu bytes is not zeroed at %zu", (const void *)start, size, at);
    }
}

static struct block *handed_out(const struct operation *op, const struct request *request, void *start)
{
    struct slot *slot = request->slot;
    size_t least = request->size >= STRICT_FROM ? 64 : ALIGNMENT_LEAST;
    if (request->alignment > least)
        least = request->alignment;
    if ((uintptr_t)start & (least - 1))
        fail("%p of %zu bytes is not aligned to %zu", start, request->size, least);
    size_t usable = ks_size(slot->handle, start);
    if (usable < request->size)
        fail("%p has %zu bytes, fewer than %zu", start, usable, request->size);
    if (!request->alignment)
        expect_number("ks_size of a new block", usable, ks_good_size(request->size));
    if (request->zeroed)
        check_zeroed(start, request->size);
    bool large = usable > CLASS_TOP || request->alignment > CLASS_TOP;
    op->input->hand_outs++;
    return block_add(op->thread, slot->key, start, usable, class_of(usable, large), large);
}

static void check_allocation(const struct operation *op, const struct request *request, void *start, ks_status status)
{
    ks_status expected = enter_to_allocate(op, request->slot);
    if (!start) {
        check_refusal(request, expected, status);
        return;
    }
    expect_status("an allocation", status, expected);
    block_sign(handed_out(op, request, start));
}

static bool room_for(const struct operation *op, uint32_t blocks)
{
    return op->input->hand_outs + blocks <= HAND_OUTS_MOST && blocks_room(blocks) == blocks;
}

void operate_alloc(struct operation *op)
{
    struct request request = {.slot = op->slot, .size = next_size(op->input)};
    if (!room_for(op, 1))
        return;
    ks_status status = KS_INVALID;
    void *start = op->variant & 1 ? ks_realloc(op->slot->handle, NULL, request.size, &status)
                                  : ks_alloc(op->slot->handle, request.size, &status);
    check_allocation(op, &request, start, status);
}

void operate_calloc(struct operation *op)
{
    size_t count = (size_t)1 << op->variant % 4;
    size_t size = next_size(op->input) / count;
    if (op->variant >= 12)
        size = SIZE_MAX / 2;
    if (size * count > ZEROED_MOST && size < TOO_LARGE / 16 && op->input->large++ >= LARGE_MOST)
        size = ZEROED_MOST / count;
    struct request request = {.slot = op->slot, .zeroed = true};
    if (__builtin_mul_overflow(count, size, &request.size))
        request.size = SIZE_MAX;
    if (!room_for(op, 1))
        return;
    ks_status status = KS_INVALID;
    void *start = ks_calloc(op->slot->handle, count, size, &status);
    check_allocation(op, &request, start, status);
}

void operate_aligned(struct operation *op)
{
    static const size_t wrong[] = {0, 3, 24, (size_t)1 << 31};
    uint32_t byte = next_byte(op->input);
    struct request request = {.slot = op->slot, .size = next_size(op->input)};
    ks_status status = KS_OK;
    if (byte >= 128) {
        if (ks_aligned_alloc(op->slot->handle, wrong[byte % 4], request.size, &status))
            fail("an alignment of %zu was accepted", wrong[byte % 4]);
        expect_status("a wrong alignment", status, KS_INVALID);
        return;
    }
    request.alignment = (size_t)1 << byte % 21;
    if (!room_for(op, 1) || (request.alignment > CLASS_TOP && op->input->large++ >= LARGE_MOST))
        return;
    void *start = ks_aligned_alloc(op->slot->handle, request.alignment, request.size, &status);
    check_allocation(op, &request, start, status);
}

void operate_alloc_bulk(struct operation *op)
{
    void *blocks[BULK_MOST];
    struct request request = {.slot = op->slot, .size = next_size(op->input)};
    size_t count = next_byte(op->input) % (BULK_MOST + 1);
    if (request.size < TOO_LARGE && count * request.size > BULK_BYTES)
        count = BULK_BYTES / request.size;
    if (!room_for(op, (uint32_t)count))
        return;
    ks_status status = KS_INVALID;
    size_t done = ks_alloc_bulk(op->slot->handle, request.size, blocks, count, &status);
    ks_status expected = enter_to_allocate(op, op->slot);
    if (done > count)
        fail("%zu blocks for %zu", done, count);
    if (done < count || expected != KS_OK)
        check_refusal(&request, expected, status);
    else
        expect_status("ks_alloc_bulk", status, KS_OK);
    for (size_t i = 0; i < done; i++)
        block_sign(handed_out(op, &request, blocks[i]));
}

/* ------------------------------------------------------------------ sizes and resizing */

void operate_size(struct operation *op)
{
    size_t size = next_size(op->input);
    size_t good = ks_good_size(size);
    if (size >= TOO_LARGE ? good != 0 : good < size || ks_good_size(good) != good)
        fail("a good size of %zu for %zu", good, size);
    struct block *block = next_block(op->input, ALL_STATES);
    if (!block)
        return;
    struct slot *slot = op->variant & 1 ? op->slot : slot_of_block(op, block);
    struct given given = give(op, slot, block->start + (op->variant & 8 ? op->variant : 0));
    if (key_of(slot))
        heap_enter(op->thread, slot->key);
    size_t got = ks_size(slot->handle, given.address);
    if (got && !(given.allowed & ONLY(KS_OK)))
        fail("%p: expected no size, got %zu", given.address, got);
    if (got || given.allowed == ONLY(KS_OK))
        expect_number("ks_size", got, block->usable);
}

static void check_resized(const struct given *given, size_t size, void *moved)
{
    struct block *block = given->block;
    bool fits = size <= block->usable && size > block->usable / 2;
    if (moved == block->start) {
        if (size > block->usable)
            fail("%p was to grow from %zu to %zu, and has not moved", moved, block->usable, size);
        return;
    }
    if (fits || ks_good_size(size) == block->usable)
        fail("%p of %zu bytes has moved for %zu", (void *)block->start, block->usable, size);
    size_t usable = block->usable;
    if (block->state == LIVE)
        pattern_verify(moved, size < usable ? size : usable, usable, block->serial);
    struct request request = {.slot = given->slot, .size = size};
    struct block *new = handed_out(given->op, &request, moved);
    block_freed(block, given->op->thread);
    block_sign(new);
}

/* The new block was there before the old one was refused. */
static void check_resized_in_vain(const struct given *given, size_t size)
{
    uint32_t class = class_of(ks_good_size(size), size > CLASS_TOP);
    struct count *count = &reference.keys[given->slot->key].counts[class];
    uint32_t heap = heap_of(given->op->thread, given->slot->key);
    count->allocated++;
    count->freed_local++;
    slabs_doubt(heap);
    entries_doubt(heap);
}

/* Whether the free that ends a resize may be refused, which no resize in place makes. */
static bool may_resize_in_vain(const struct given *given, size_t size)
{
    const struct block *block = given->block;
    return block && given->allowed & ONLY(KS_OK) && block_joins(given->op->thread, block) != JOINS_NOT &&
           !(size <= block->usable && size > block->usable / 2) && ks_good_size(size) != block->usable;
}

static void resize(const struct given *given, size_t size)
{
    const struct request request = {.slot = given->slot, .size = size};
    ks_status status = KS_INVALID;
    void *moved = ks_realloc(given->slot->handle, (void *)(uintptr_t)given->address, size, &status);
    ks_status expected = enter_to_allocate(given->op, given->slot);
    if (status == KS_OK && expected == KS_OK && moved) {
        if (!(given->allowed & ONLY(KS_OK)))
            fail("%p was resized, one of %#x expected", given->address, given->allowed);
        check_resized(given, size, moved);
        return;
    }
    if (moved)
        fail("a block, and yet %s", ks_strerror(status));
    if (expected == KS_OK && status == KS_DOUBLE_FREE && may_resize_in_vain(given, size)) {
        struct given refusal = *given;
        refusal.allowed = ONLY(KS_DOUBLE_FREE);
        refused(&refusal, status);
        check_resized_in_vain(given, size);
        return;
    }
    if (expected != KS_OK || given->allowed & ONLY(KS_OK))
        check_refusal(&request, expected, status);
    else
        refused(given, status);
}

/* Whether the freed block is certain to stay out of reach of its home until the resize is over, which frees it again. */
static bool stays_away(const struct operation *op, const struct block *block)
{
    uint32_t holder = reference.heaps[block->heap].holder;
    return block_is_surely_away(block) && holder != NOBODY && holder != op->thread;
}

void operate_realloc(struct operation *op)
{
    size_t size = next_size(op->input);
    struct block *block = next_block(op->input, op->variant & 3 ? 1u << LIVE : ALL_STATES);
    if (!block || !size || !room_for(op, 1) || !block->used)
        return;
    struct slot *slot = op->variant & 4 ? op->slot : slot_of_block(op, block);
    struct given given = give(op, slot, block->start + (op->variant == 8 ? 16 : 0));
    if (!given.block || given.block->state != AWAY || stays_away(op, given.block))
        resize(&given, size);
}

void operate_verify(struct operation *op)
{
    const struct block *block = next_block(op->input, 1u << LIVE);
    if (block)
        block_verify(block);
}
