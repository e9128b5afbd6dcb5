/* The operations, each of which decodes its arguments, calls the library, and compares. */
#ifndef TESTS_FUZZ_OPERATIONS_H
#define TESTS_FUZZ_OPERATIONS_H

#include "reference.h"

#define SLOTS      4
#define NO_KEY     KEYS_MOST
#define BULK_MOST  120
#define LARGE_MOST 8 /* per input, to keep it quick */
#define TOO_LARGE  ((size_t)1 << 47)
#define ALL_STATES (1u << LIVE | 1u << AWAY | 1u << FREE | 1u << DROPPED)

/* A place for a key; `handle` stays when the key is destroyed. */
struct slot {
    uint32_t key;
    ks_key_t handle;
};

struct input {
    const uint8_t *at;
    const uint8_t *end;
    uint32_t hand_outs, large, checks;
};

struct operation {
    struct input *input;
    uint32_t thread;
    struct slot *slot;
    uint32_t variant; /* 0 to 15 */
};

extern struct slot slots[SLOTS];

/* ------------------------------------------------------------------ reading the input: 0 behind its end */

uint32_t next_byte(struct input *input);
uint32_t next_word(struct input *input);

/* Small sizes, frames, the edges of classes, now and then a large block or more than there is. */
size_t next_size(struct input *input);

/* A block in one of the states, or NULL. */
struct block *next_block(struct input *input, unsigned states);

/* ------------------------------------------------------------------ threads and keys */

/* The simulated thread goes on. */
void become(uint32_t thread);

/* It ends, and is a new one when it goes on. */
void leave(uint32_t thread);

/* NULL where the slot has none, or a destroyed one. */
struct key *key_of(const struct slot *slot);

/* The slot whose key the block belongs to, where it is there still, else the operation's. */
struct slot *slot_of_block(const struct operation *op, const struct block *block);

void key_start(struct slot *slot, const struct ks_key_options *options);
void destroy(struct slot *slot);
void purge_by_janitor(struct slot *slot);

void operate_create(struct operation *op);
void operate_reset(struct operation *op);
void operate_terminate(struct operation *op);
void operate_destroy(struct operation *op);
void operate_purge(struct operation *op);
void operate_flush(struct operation *op);
void operate_leave(struct operation *op);
void operate_check(struct operation *op);

/* ------------------------------------------------------------------ allocating and resizing */

/* Learns the size classes from the statistics of a key. */
void classes_learn(const struct ks_key_stats *stats);

void operate_alloc(struct operation *op);
void operate_calloc(struct operation *op);
void operate_aligned(struct operation *op);
void operate_alloc_bulk(struct operation *op);
void operate_size(struct operation *op);
void operate_realloc(struct operation *op);
void operate_verify(struct operation *op);

/* ------------------------------------------------------------------ freeing */

/* A pointer that is about to be handed in, and what may be said about it. */
struct given {
    const struct operation *op;
    struct slot *slot;
    const void *address;
    struct block *block; /* it lies in this one, or NULL */
    uint32_t allowed;
};

/* Judges the pointer, and looks whether a live block is as it was. */
struct given give(const struct operation *op, struct slot *slot, const void *address);

/* The answer was a refusal. */
void refused(const struct given *given, ks_status status);

void operate_free(struct operation *op);
void operate_misuse(struct operation *op);
void operate_garbage(struct operation *op);
void operate_free_bulk(struct operation *op);

#endif
