/*
 * A second, plain account of what the library does, to compare its answers with: which blocks there are, whose, in which
 * state, and what each key has counted. It follows the contract; where that leaves a choice, and where it takes the
 * library's own books to know, it allows a set of answers, and says why.
 *
 *   key     one that was created in this input; the number of a slot's key changes when it is created anew
 *   heap    what one key has in one thread; the next thread that enters the key takes over one that was left
 *   block   an address that was handed out and has not been covered by another block since
 *   slab    256 KiB of addresses, in which all live blocks are of one heap, generation and class: slabs.h
 *   entry   blocks of one group that a heap's thread has freed for another, and has not sent: entries.h
 */
#ifndef TESTS_FUZZ_REFERENCE_H
#define TESTS_FUZZ_REFERENCE_H

#include <keyslab/keyslab.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THREADS     5 /* the last one only purges and destroys, and has no heaps: what it visits, all gets home */
#define JANITOR     (THREADS - 1)
#define NOBODY      THREADS
#define KEYS_MOST   48
#define HEAPS_MOST  256
#define BLOCKS_MOST 1024
#define SLAB_SHIFT  18
#define SLAB_BYTES  ((size_t)1 << SLAB_SHIFT)
#define CLASS_TOP   ((size_t)65536)
#define ANY_SIZE    SIZE_MAX

/* Sets of statuses. */
#define ONLY(status) (1u << (status))
/* Of an address in a slab of which the reference does not know how it is cut. */
#define LOOSE (ONLY(KS_DOUBLE_FREE) | ONLY(KS_STALE) | ONLY(KS_WRONG_KEY) | ONLY(KS_BAD_BLOCK))

enum state {
    LIVE,
    AWAY, /* freed by another thread than its owner, and not known to be home */
    FREE,
    DROPPED, /* by a reset or the end of its key; also what was free then, and is judged alike */
};

struct block {
    char *start;
    size_t usable;
    uint32_t key;
    uint32_t heap;
    uint32_t serial;   /* makes the pattern in it */
    uint32_t epoch;    /* of its slab, as far as the reference can tell epochs apart */
    uint32_t freed_at; /* AWAY: the operation */
    uint32_t class;    /* index into the statistics */
    enum state state;
    bool large; /* the only block of its slab */
    bool used;
};

struct count {
    uint64_t allocated, freed_local, live, live_bytes;
    uint64_t dropped_least, dropped_most; /* a block that may have got home before the reset makes them differ */
};

struct key {
    ks_key_t handle;
    bool live, terminated, hooked;
    size_t quota;
    size_t outbox; /* bytes that are sent at once */
    size_t slab_bytes;
    size_t retain; /* as the option has it */
    uint64_t generation;
    uint64_t heaps;
    uint64_t refused[KS_INVALID + 1]; /* by status, those at home not among them */
    uint64_t refused_at_home;
    uint64_t pending; /* frees that were accepted and are to be refused at home */
    struct count counts[KS_CLASSES_MAX];
};

struct heap {
    uint32_t key;
    uint32_t holder;     /* a thread, or NOBODY */
    uint32_t touched_at; /* the last operation that may have judged what has come home */
};

struct reference {
    uint32_t input;     /* its number */
    uint32_t operation; /* in it */
    const char *name;   /* of the operation */
    uint32_t keys_count, heaps_count, slots_used, blocks_used;
    uint32_t serial;
    struct key keys[KEYS_MOST];
    struct heap heaps[HEAPS_MOST];
    struct block blocks[BLOCKS_MOST];
};

extern struct reference reference;

/* Says which operation it was, and ends the process. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

void expect_status(const char *what, ks_status got, ks_status expected);
void expect_number(const char *what, uint64_t got, uint64_t expected);

void reference_start(void);

/* ------------------------------------------------------------------ heaps */

/* The thread's heap in the key, as every operation finds or makes it that allocates or frees there. */
uint32_t heap_enter(uint32_t thread, uint32_t key);

/* The same where it is there already, else HEAPS_MOST. */
uint32_t heap_of(uint32_t thread, uint32_t key);

/* The thread has left: others may take over its heaps; those of a key with something to retain it has settled. */
void heaps_abandon(uint32_t thread);

/* The key is destroyed, and they with it. */
void heaps_end(uint32_t key);

/* After an operation of the thread: whatever was on its way to its heaps may be home. */
void heaps_touch(uint32_t thread);

/* Likewise for heaps of the key that nobody holds, or for all. */
void heaps_touch_key(uint32_t key, bool all);

/* ------------------------------------------------------------------ blocks */

/* Room for so many more blocks is made, by forgetting dead ones. How many there is room for. */
uint32_t blocks_room(uint32_t wanted);

/* A block that has just been handed out: it must not overlap a live one. */
struct block *block_add(uint32_t thread, uint32_t key, void *start, size_t usable, uint32_t class, bool large);

/* The block that the address lies in, or NULL. */
struct block *block_at(const void *address);

/* The block whose address is the i-th lowest, or NULL. */
struct block *block_in_order(uint32_t i);

/* Whether the free is certainly not home: nobody has looked since. */
bool block_is_surely_away(const struct block *block);

void block_verify(const struct block *block);

/* Fills a block with a pattern of its own. */
void block_sign(struct block *block);

/* `start` holds what was the beginning of a block that had `usable` bytes and this serial number. */
void pattern_verify(const char *start, size_t kept, size_t usable, uint32_t serial);

/* A free by the thread was accepted. */
void block_freed(struct block *block, uint32_t thread);

/* All blocks of the key are gone; `counted` by a reset. */
void blocks_drop(uint32_t key, bool counted);

/* All that was on its way in the key is home. */
void blocks_settle(uint32_t key);

/* What its home would answer to a free or resize of the address in a live key. `*block`: where it lies, if in one. */
uint32_t judge(uint32_t key, const void *address, struct block **block);

#endif
