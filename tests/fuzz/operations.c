/*
 * libFuzzer over the whole interface: the bytes of an input are operations of a few simulated threads on a few keys, good
 * and bad ones. Every answer is compared with that of the reference, the statistics at intervals, and at the end
 * everything must be gone.
 *
 * One operating system thread runs them all, so an input does the same each time.
 */
#include "operations.h"

#include <stdlib.h>

#include "account.h"
#include "base/testing.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct slot slots[SLOTS];

/* ------------------------------------------------------------------ reading the input */

uint32_t next_byte(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

uint32_t next_word(struct input *input)
{
    uint32_t low = next_byte(input);
    return low | next_byte(input) << 8;
}

static size_t next_large(struct input *input, size_t value)
{
    static const size_t impossible[] = {SIZE_MAX, SIZE_MAX - 4095, SIZE_MAX / 2 + 1, TOO_LARGE};
    if (value & 1)
        return impossible[value / 2 % 4];
    if (input->large++ >= LARGE_MOST)
        return CLASS_TOP;
    return CLASS_TOP + 1 + value * 64;
}

size_t next_size(struct input *input)
{
    uint32_t word = next_word(input);
    size_t value = word >> 3;
    switch (word & 7) {
    case 0:
    case 1:
        return value & 127;
    case 2:
    case 3:
        return value & 2047;
    case 4:
        return ks_good_size(value & 4095);
    case 5:
        return ks_good_size(value & 4095) + 1;
    case 6:
        return value * 8;
    default:
        return next_large(input, value);
    }
}

struct block *next_block(struct input *input, unsigned states)
{
    uint32_t count = reference.slots_used;
    if (!count)
        return NULL;
    uint32_t start = (count > 256 ? next_word(input) : next_byte(input)) % count;
    for (uint32_t i = 0; i < count; i++) {
        struct block *block = &reference.blocks[(start + i) % count];
        if (block->used && states & 1u << block->state)
            return block;
    }
    return NULL;
}

/* ------------------------------------------------------------------ running an input */

struct kind {
    const char *name;
    void (*operate)(struct operation *op);
};

static const struct kind kinds[] = {
    {"alloc", operate_alloc},         {"free", operate_free},       {"alloc bulk", operate_alloc_bulk},
    {"free bulk", operate_free_bulk}, {"misuse", operate_misuse},   {"realloc", operate_realloc},
    {"calloc", operate_calloc},       {"aligned", operate_aligned}, {"size", operate_size},
    {"create", operate_create},       {"reset", operate_reset},     {"terminate", operate_terminate},
    {"destroy", operate_destroy},     {"purge", operate_purge},     {"flush", operate_flush},
    {"leave", operate_leave},         {"check", operate_check},     {"garbage", operate_garbage},
    {"verify", operate_verify},
};

#define KINDS (sizeof kinds / sizeof *kinds)

static void operate(struct input *input)
{
    const struct kind *kind = &kinds[next_byte(input) % KINDS];
    uint32_t byte = next_byte(input);
    struct operation op = {input, byte % JANITOR, &slots[byte / 4 % SLOTS], byte / 16};
    reference.operation++;
    reference.name = kind->name;
    become(op.thread);
    kind->operate(&op);
    account_settle(op.thread);
    heaps_touch(op.thread);
}

static void start(void)
{
    static const struct ks_key_options with_hook = {.name = "fuzz", .on_error = account_hook};
    reference_start();
    account_start();
    for (struct slot *slot = slots; slot < slots + SLOTS; slot++)
        *slot = (struct slot){.key = NO_KEY};
    key_start(&slots[0], &with_hook);
}

/* Everything gets home, and its contents are as they were; then everything goes. */
static void finish(void)
{
    reference.name = "the end";
    reference.operation++;
    const struct block *block;
    for (uint32_t i = 0; (block = block_in_order(i)); i++)
        if (block->state == LIVE)
            block_verify(block);
    for (struct slot *slot = slots; slot < slots + SLOTS; slot++) {
        if (!key_of(slot))
            continue;
        account_check(slot->key);
        purge_by_janitor(slot);
        destroy(slot);
    }
    for (uint32_t thread = THREADS; thread-- > 0;)
        leave(thread);
    expect_number("heaps of destroyed keys", ks_leaks(), 0);
}

static int by_index(const void *a, const void *b)
{
    uint16_t index_a = (uint16_t) * (const ks_key_t *)a;
    uint16_t index_b = (uint16_t) * (const ks_key_t *)b;
    return (index_a < index_b) - (index_a > index_b);
}

/* The next input finds the keys' indices in the same order, and with them the arenas. */
static void restore_indices(void)
{
    ks_key_t keys[SLOTS];
    for (size_t i = 0; i < SLOTS; i++)
        expect_status("ks_key_create", ks_key_create(NULL, &keys[i]), KS_OK);
    qsort(keys, SLOTS, sizeof *keys, by_index);
    for (size_t i = 0; i < SLOTS; i++)
        expect_status("ks_key_destroy", ks_key_destroy(keys[i]), KS_OK);
    leave(0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {.at = data, .end = data + size};
    /* The reference knows no time. */
    ks_sleep_set(KS_SLEEP_NEVER);
    start();
    while (input.at < input.end)
        operate(&input);
    finish();
    if (reference.keys_count > 1)
        restore_indices();
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    static struct ks_key_stats stats;
    ks_key_t key;
    reference.name = "start";
    expect_status("ks_key_create", ks_key_create(NULL, &key), KS_OK);
    expect_status("ks_key_stats", ks_key_stats(key, &stats), KS_OK);
    classes_learn(&stats);
    expect_status("ks_key_destroy", ks_key_destroy(key), KS_OK);
    restore_indices();
    return 0;
}
