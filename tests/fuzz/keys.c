/* Operations on keys and threads. */
#include "account.h"
#include "entries.h"
#include "operations.h"

#include <string.h>

#include "base/testing.h"

#define CHECKS_MOST 4                  /* per input, to keep it quick */
#define OUTBOX      ((size_t)64 << 10) /* bytes that are collected where the key does not say */

static void *tokens[THREADS];
static uint32_t running; /* the thread that is being simulated */

void become(uint32_t thread)
{
    if (thread == running)
        return;
    tokens[running] = ks_thread_switch(tokens[thread]);
    running = thread;
}

void leave(uint32_t thread)
{
    become(thread);
    ks_thread_leave();
    account_settle(thread);
    tokens[thread] = NULL;
    heaps_abandon(thread);
    account_left(thread);
}

struct key *key_of(const struct slot *slot)
{
    return slot->key != NO_KEY && reference.keys[slot->key].live ? &reference.keys[slot->key] : NULL;
}

struct slot *slot_of_block(const struct operation *op, const struct block *block)
{
    for (struct slot *slot = slots; block && slot < slots + SLOTS; slot++)
        if (slot->key == block->key)
            return slot;
    return op->slot;
}

void key_start(struct slot *slot, const struct ks_key_options *options)
{
    struct key *key = &reference.keys[reference.keys_count];
    slot->key = reference.keys_count++;
    memset(key, 0, sizeof *key);
    key->live = true;
    key->quota = options->quota;
    key->outbox = options->outbox_bytes ? options->outbox_bytes : OUTBOX;
    key->slab_bytes = options->slab_bytes ? options->slab_bytes : SLAB_BYTES;
    key->retain = options->retain;
    key->hooked = options->on_error != NULL;
    struct ks_key_options with_context = *options;
    with_context.on_error_context = key;
    expect_status("ks_key_create", ks_key_create(&with_context, &slot->handle), KS_OK);
    key->handle = slot->handle;
}

void operate_create(struct operation *op)
{
    struct input *input = op->input;
    struct ks_key_options options = {.name = "fuzz", .on_error = account_hook};
    if (key_of(op->slot) || reference.keys_count == KEYS_MOST) {
        options.reserved[op->variant % (sizeof options.reserved / sizeof *options.reserved)] = 1;
        ks_key_t none = 0;
        expect_status("a reserved member", ks_key_create(&options, &none), KS_INVALID);
        expect_status("no key", ks_key_create(NULL, NULL), KS_INVALID);
        return;
    }
    if (op->variant & 8)
        options.slab_bytes = SLAB_BYTES >> op->variant % 3;
    if (op->variant & 1)
        options.quota = (1 + next_byte(input) % 12) * SLAB_BYTES;
    if (op->variant & 2)
        options.outbox_bytes = (size_t)1 << (4 + next_byte(input) % 14);
    if ((op->variant & 12) == 12)
        options.on_error = NULL;
    if ((op->variant & 12) == 8)
        options.retain = (size_t)(next_byte(input) % 12) * SLAB_BYTES;
    if ((op->variant & 12) == 8 && !options.retain)
        options.retain = KS_RETAIN_NONE;
    key_start(op->slot, &options);
}

void operate_reset(struct operation *op)
{
    struct key *key = key_of(op->slot);
    if (key)
        account_sync(op->slot->key);
    expect_status("ks_key_reset", ks_key_reset(op->slot->handle), key ? KS_OK : KS_BAD_KEY);
    if (!key)
        return;
    /* A heap that has not seen the reset yet sees it before it looks at what comes home: nothing of it is judged. */
    blocks_drop(op->slot->key, true);
    entries_sent_in(op->slot->key);
    account_forgive(op->slot->key);
    key->generation++;
}

void operate_terminate(struct operation *op)
{
    struct key *key = key_of(op->slot);
    expect_status("ks_key_terminate", ks_key_terminate(op->slot->handle), key ? KS_OK : KS_BAD_KEY);
    if (key)
        key->terminated = true;
}

void destroy(struct slot *slot)
{
    struct key *key = key_of(slot);
    expect_status("ks_key_destroy", ks_key_destroy(slot->handle), key ? KS_OK : KS_BAD_KEY);
    if (!key)
        return;
    expect_status("a second ks_key_destroy", ks_key_destroy(slot->handle), KS_BAD_KEY);
    expect_number("heaps of destroyed keys", ks_leaks(), 0);
    blocks_drop(slot->key, false);
    account_forgive(slot->key);
    heaps_end(slot->key);
    key->live = false;
}

void operate_destroy(struct operation *op)
{
    destroy(op->slot);
}

void purge_by_janitor(struct slot *slot)
{
    uint32_t thread = running;
    become(JANITOR);
    expect_status("ks_key_purge", ks_key_purge(slot->handle), KS_OK);
    account_settle(JANITOR);
    leave(JANITOR);
    become(thread);
    blocks_settle(slot->key);
    entries_sent_in(slot->key);
    account_check_purged(slot->key);
}

/* A thread that has a heap in the key settles it first, and gets blocks from the others after that. */
void operate_purge(struct operation *op)
{
    if (!key_of(op->slot)) {
        expect_status("ks_key_purge", ks_key_purge(op->slot->handle), KS_BAD_KEY);
    } else if (op->variant & 1) {
        purge_by_janitor(op->slot);
    } else {
        expect_status("ks_key_purge", ks_key_purge(op->slot->handle), KS_OK);
        entries_sent_in(op->slot->key);
        heaps_touch_key(op->slot->key, true);
    }
}

void operate_flush(struct operation *op)
{
    ks_flush();
    entries_sent_by(op->thread);
}

void operate_leave(struct operation *op)
{
    leave(op->thread);
}

void operate_check(struct operation *op)
{
    static struct ks_key_stats stats;
    if (!key_of(op->slot))
        expect_status("ks_key_stats", ks_key_stats(op->slot->handle, &stats), KS_BAD_KEY);
    else if (op->input->checks++ < CHECKS_MOST)
        account_check(op->slot->key);
}
