/* Pointers that are no block of ours, pointers into blocks, words that are no key, terminated keys: see misuse.h. */
#include "misuse.h"

#include <stdlib.h>
#include <sys/mman.h>

/* ------------------------------------------------------------------ pointers into blocks */

static void refuse_unless_past(struct stage *stage, char *block, size_t offset, size_t usable)
{
    if (offset > 0 && offset < usable)
        refuse(stage, block + offset);
}

/* Up to 1,536 bytes every offset; then around every multiple of 16; in a large block around what its slabs are made of. */
static void refuse_interior(struct stage *stage, void *block)
{
    size_t usable = ks_good_size(stage->size);
    size_t step = usable <= 1536 ? 1 : 16;
    if (usable > TOP_CLASS)
        step = 4096;
    for (size_t offset = step; offset < usable; offset += step)
        for (size_t o = step == 1 ? offset : offset - 1; o <= offset + (step > 1); o++)
            refuse_unless_past(stage, block, o, usable);
    refuse_unless_past(stage, block, usable - 1, usable);
    for (size_t bit = 1; bit < usable; bit *= 2) {
        refuse_unless_past(stage, block, bit, usable);
        refuse_unless_past(stage, block, usable - bit, usable);
    }
}

static void into_a_live_block(struct stage *stage)
{
    good_begin(stage);
    refuse_interior(stage, block_new(stage));
}

static void into_a_free_block(struct stage *stage)
{
    good_begin(stage);
    void *block = block_new(stage);
    assert_status(ks_free(stage->key, block), KS_OK);
    refuse_interior(stage, block);
}

static void into_a_dropped_block(struct stage *stage)
{
    void *block = block_new(stage);
    assert_status(ks_key_reset(stage->key), KS_OK);
    refuse_interior(stage, block);
}

static void into_a_block_of_another_thread(struct stage *stage)
{
    good_begin(stage);
    refuse_interior(stage, block_new_elsewhere(stage));
}

/* The short way to an open outbox makes the same checks. */
static void into_a_block_whose_neighbour_is_on_its_way(struct stage *stage)
{
    good_begin(stage);
    void *block = block_new_elsewhere(stage);
    void *neighbour = block_new_elsewhere(stage);
    assert_status(ks_free(stage->key, neighbour), KS_OK);
    refuse_interior(stage, block);
}

static void into_a_block_of_another_key(struct stage *stage)
{
    good_begin(stage);
    refuse_interior(stage, alloc_ok(stage->other, stage->size));
}

static void into_an_aligned_block(struct stage *stage)
{
    good_begin(stage);
    ks_status status;
    char *block = ks_aligned_alloc(stage->key, 8192, stage->size, &status);
    assert_status(status, KS_OK);
    for (size_t offset = 1; offset < stage->size; offset *= 2)
        refuse(stage, block + offset);
    refuse(stage, block + 1);
}

static void pointers_into_blocks(void **state)
{
    (void)state;
    static const struct misuse rows[] = {
        {"live", into_a_live_block, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS, 0},
        {"free", into_a_free_block, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS, 0},
        {"dropped", into_a_dropped_block, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS, 0},
        {"of another thread", into_a_block_of_another_thread, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS, 0},
        {"neighbour on its way", into_a_block_whose_neighbour_is_on_its_way, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS, 0},
        {"of another key", into_a_block_of_another_key, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS, 0},
        {"aligned", into_an_aligned_block, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS, 0},
    };
    misuse_run(rows, COUNT(rows));
}

/* ------------------------------------------------------------------ pointers to something else */

enum { MEMORY = 8192 };

static char static_memory[MEMORY] __attribute__((aligned(64)));
static const char constant_memory[MEMORY] = "constant";

/* Mapped in the program, from its start to its end. */
static void refuse_memory(struct stage *stage, const void *memory)
{
    static const size_t offsets[] = {0, 1, 8, 16, 64, 512, 4096, MEMORY - 1};
    for (size_t i = 0; i < COUNT(offsets); i++)
        refuse(stage, (char *)memory + offsets[i]);
}

static void program_memory(struct stage *stage)
{
    good_begin(stage);
    char *stack = __builtin_frame_address(0);
    for (int offset = -64; offset <= 64; offset++)
        refuse(stage, stack + offset);
    refuse_memory(stage, static_memory);
    refuse_memory(stage, constant_memory);
    refuse(stage, stage);
    refuse(stage, stage->good);
}

/* The program's own heap: what the size asked for, kept until the next case. */
static void malloc_memory(struct stage *stage)
{
    static char *block;
    free(block);
    block = malloc(stage->size);
    assert_non_null(block);
    good_begin(stage);
    refuse(stage, block);
    refuse(stage, block + stage->size - 1);
    refuse(stage, (char *)((uintptr_t)block - 16));
}

static char *map(int protection)
{
    char *memory = mmap(NULL, MEMORY, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

/* For the whole program: no pages but these may be mapped there. */
static void mapped_memory(struct stage *stage)
{
    static char *forbidden, *readable, *unmapped;
    if (!forbidden) {
        forbidden = map(PROT_NONE);
        readable = map(PROT_READ);
        unmapped = map(PROT_NONE);
        munmap(unmapped, MEMORY);
    }
    good_begin(stage);
    refuse_memory(stage, forbidden);
    refuse_memory(stage, readable);
    refuse_memory(stage, unmapped);
}

static void code(struct stage *stage)
{
    good_begin(stage);
    for (size_t offset = 0; offset < 64; offset++) {
        refuse(stage, (void *)((uintptr_t)ks_alloc + offset));
        refuse(stage, (void *)((uintptr_t)ks_free + offset));
        refuse(stage, (void *)((uintptr_t)code + offset));
    }
}

static void no_addresses(struct stage *stage)
{
    static const uintptr_t words[] = {
        (uintptr_t)1 << 46,
        ((uintptr_t)1 << 47) - 1,
        (uintptr_t)1 << 47,
        (uintptr_t)1 << 48,
        (uintptr_t)1 << 63,
        (uintptr_t)0xffff800000000000,
        (uintptr_t)0xffffffff80000000,
        (uintptr_t)0xdeadbeefdeadbeef,
        (uintptr_t)0xa5a5a5a5a5a5a5a5,
        UINTPTR_MAX - 4095,
        UINTPTR_MAX - 15,
        UINTPTR_MAX,
    };
    good_begin(stage);
    for (size_t i = 0; i < COUNT(words); i++)
        refuse(stage, (void *)words[i]);
    for (uintptr_t n = 1; n <= 4096; n++)
        refuse(stage, (void *)n);
}

/* Below and above all that was ever handed out, and under its first bytes. */
static void far_from_our_memory(struct stage *stage)
{
    good_begin(stage);
    uintptr_t block = (uintptr_t)stage->good[0];
    for (int bit = 34; bit < 48; bit++) {
        refuse(stage, (void *)(block + ((uintptr_t)1 << bit)));
        refuse(stage, (void *)(block - ((uintptr_t)1 << bit)));
    }
    for (uintptr_t end = (uintptr_t)1 << 48; end; end <<= 1)
        refuse(stage, (void *)(block | end));
}

/* Nothing else lives in this key, so that no flip leads to a block of it, but for its neighbours. */
static void flipped_bits(struct stage *stage)
{
    good_begin(stage);
    for (size_t i = 0; i < GOOD; i++)
        for (int bit = 0; bit < 64; bit++)
            refuse_unless_good(stage, (void *)((uintptr_t)stage->good[i] ^ (uintptr_t)1 << bit));
}

static void never_handed_out(struct stage *stage)
{
    good_begin(stage);
    char *last = NULL;
    for (size_t i = 0; i < GOOD; i++)
        if ((char *)stage->good[i] > last)
            last = stage->good[i];
    refuse(stage, last + ks_good_size(stage->size));
}

static void pointers_to_something_else(void **state)
{
    (void)state;
    static const struct misuse rows[] = {
        {"program memory", program_memory, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS, 0},
        {"malloc", malloc_memory, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS, 0},
        {"mmap", mapped_memory, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS, 0},
        {"code", code, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS, 0},
        {"no addresses", no_addresses, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS, 0},
        {"far away", far_from_our_memory, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS, 0},
        {"flipped bits", flipped_bits, KS_BAD_BLOCK, KS_BAD_BLOCK, NO_CLASS, 0},
        {"never handed out", never_handed_out, KS_STALE, KS_STALE, OWN_CLASS, 9000},
    };
    misuse_run(rows, COUNT(rows));
}

/* ------------------------------------------------------------------ words that are no key */

static void keys_with_a_bit_flipped(struct stage *stage)
{
    good_begin(stage);
    void *block = block_new(stage);
    for (int bit = 0; bit < 64; bit++) {
        ks_key_t flipped = stage->key ^ (ks_key_t)1 << bit;
        if (flipped != stage->other)
            refuse_with(stage, flipped, block);
    }
}

static void keys_that_never_were(struct stage *stage)
{
    good_begin(stage);
    void *block = block_new(stage);
    ks_key_t index = stage->key & 0x1fffff;
    static const ks_key_t words[] = {
        0, 1, 32, 0xffff, 0x10000, 0x1fffff, 0x200000, UINTPTR_MAX, UINTPTR_MAX - 0xffff, 0xdeadbeef};
    for (size_t i = 0; i < COUNT(words); i++)
        refuse_with(stage, words[i], block);
    refuse_with(stage, index, block);
    refuse_with(stage, index | (UINTPTR_MAX - 0x1fffff), block);
    refuse_with(stage, stage->key + 0x200000, block);
    refuse_with(stage, stage->key - 0x200000, block);
    refuse_with(stage, (ks_key_t)block, block);
}

/* Its slot serves the next key, where there is one. */
static void keys_that_were(struct stage *stage)
{
    ks_key_t lost = key_new();
    void *block = alloc_ok(lost, stage->size);
    key_end(lost);
    refuse_with(stage, lost, block);
    good_begin(stage);
    refuse_with(stage, lost, stage->good[0]);
    refuse_with(stage, lost, static_memory);
}

static void words_that_are_no_key(void **state)
{
    (void)state;
    static const struct misuse rows[] = {
        {"a bit flipped", keys_with_a_bit_flipped, KS_BAD_KEY, KS_OK, NO_CLASS, 0},
        {"never a key", keys_that_never_were, KS_BAD_KEY, KS_OK, NO_CLASS, 0},
        {"destroyed", keys_that_were, KS_BAD_KEY, KS_OK, NO_CLASS, 0},
    };
    misuse_run(rows, COUNT(rows));
}

/* ------------------------------------------------------------------ terminated keys
 *
 * Every call answers that the key is terminated; what is wrong with the block is counted and told to the hook.
 */
static void terminate(struct stage *stage)
{
    assert_status(ks_key_terminate(stage->key), KS_OK);
}

static void free_in_a_terminated_key(struct stage *stage)
{
    good_begin(stage);
    void *before = block_new(stage);
    void *after = block_new(stage);
    assert_status(ks_free(stage->key, before), KS_OK);
    terminate(stage);
    assert_status(ks_free(stage->key, after), KS_TERMINATED);
    refuse(stage, before);
    refuse(stage, after);
}

static void foreign_in_a_terminated_key(struct stage *stage)
{
    good_begin(stage);
    terminate(stage);
    refuse_memory(stage, static_memory);
    refuse(stage, (char *)stage->good[0] + 1);
}

static void of_another_key_in_a_terminated_one(struct stage *stage)
{
    good_begin(stage);
    terminate(stage);
    refuse(stage, alloc_ok(stage->other, stage->size));
}

static void dropped_in_a_terminated_key(struct stage *stage)
{
    void *block = block_new(stage);
    terminate(stage);
    assert_status(ks_key_reset(stage->key), KS_OK);
    refuse(stage, block);
}

static void blocks_in_terminated_keys(void **state)
{
    (void)state;
    static const struct misuse rows[] = {
        {"free", free_in_a_terminated_key, KS_TERMINATED, KS_DOUBLE_FREE, OWN_CLASS, 0},
        {"foreign", foreign_in_a_terminated_key, KS_TERMINATED, KS_BAD_BLOCK, NO_CLASS, 0},
        {"of another key", of_another_key_in_a_terminated_one, KS_TERMINATED, KS_WRONG_KEY, OWN_CLASS, 0},
        {"dropped", dropped_in_a_terminated_key, KS_TERMINATED, KS_STALE, OWN_CLASS, 0},
    };
    misuse_run(rows, COUNT(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(pointers_into_blocks, misuse_tell),
        cmocka_unit_test_teardown(pointers_to_something_else, misuse_tell),
        cmocka_unit_test_teardown(words_that_are_no_key, misuse_tell),
        cmocka_unit_test_teardown(blocks_in_terminated_keys, misuse_tell),
    };
    return cmocka_run_group_tests_name("foreign", tests, misuse_start, misuse_end);
}
