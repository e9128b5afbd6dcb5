/*
 * The data model: every structure of the library, its invariants, and who may touch each field.
 *
 *   key      what the host creates, resets and destroys
 *   heap     one key in one thread: the owner of slabs
 *   slab     256 KiB of addresses; what is taken of them is cut into blocks of one class, or is one large block; its descriptor
 *            lies out of line
 *   magazine up to 60 free blocks of one class: the currency of everything below the public calls
 *   thread   one running thread: its table of heaps, by key
 *
 * Words on ownership, above each group of fields:
 *   owner    only the thread that holds the heap; others read it, so it is accessed by relaxed atomics
 *   private  only the holder reads or writes it: plain accesses
 *   any      any thread, by atomics, as the comment says
 *   fixed    written once, before any other thread can see the structure
 *
 * "Holder" is the thread whose address stands in heap.holder; that thread, or one that has shut the heap
 * (holder.h).
 *
 * "C4.3" in a comment is that paragraph of docs/concurrency.md: the argument why what is done there is safe.
 */
#ifndef LIB_MODEL_H
#define LIB_MODEL_H

#include "keyslab/keyslab.h"
#include "platform.h"
#include "settings.h"

#include <sys/queue.h>

#define KEYS_MAX  65536               /* index 0 is no key */
#define HEAPS_MAX ((uint32_t)1 << 20) /* index 0 is no heap */
#define OUTBOXES  32
#define REPORTS   (2 * MAGAZINE_SLOTS)

/* ------------------------------------------------------------------ blocks
 *
 * A block has one state byte, in its slab's array: an incarnation count whose lowest bit says live.
 * Allocation and the free that counts increment it, from 254 on past 0, so at all times
 *
 *     state is odd          <=>  the block is out: held by the program, or on its way home
 *     state is even         <=>  the block is in a magazine of its heap, in its slab's bitmap, or not carved yet
 *     state is STATE_FRESH  <=>  the block has not been handed out in this life of its slab
 *
 * Only the holder of the owning heap writes it. A thread that frees another's block reads it, and sends the value that it
 * read along with the pointer, with the count of the slab's lives; the owner accepts the block only if both are still
 * the same.
 */
#define STATE_LIVE  1u
#define STATE_FRESH 0u

/* ------------------------------------------------------------------ slab
 *
 *     carved <= limit <= capacity
 *     limit * block_bytes <= guard or, without one, taken
 *     taken <= SLAB_BYTES, but with a large block
 *     shelved == number of bits set in the bitmap <= carved
 *     on heap.slabs              =>  tag == heap.tag, class is not the large one
 *     on a shelf's partial list <=>  on heap.slabs and 0 < shelved
 *     on heap.aside              =>  no block of it is live in the current generation
 *     tag == heap.tag            =>  the slab is on one of the heap's lists: nobody but its holder writes to it
 *
 * The tag is the owner heap's incarnation. Equal tags mean: my block, of this key, of this generation. A slab that is
 * given back to the arena is marked so in its tag, before anybody else can get it, and keeps the rest: a late free is
 * told what it is (KS_STALE, KS_DOUBLE_FREE).
 */
#define TAG_INDEX_BITS 20
#define TAG_INDEX_MASK (((uint64_t)1 << TAG_INDEX_BITS) - 1)
#define TAG_GIVEN      ((uint64_t)1 << 63)

struct slab {
    /* owner; any thread reads. One line: all that a free has to know. */
    uint64_t tag; /* incarnation << TAG_INDEX_BITS | index of the heap; 0: no block of ours has ever lain here */
    uint64_t reciprocal;
    uint8_t *states;
    ks_key_t handle;
    size_t block_bytes;
    uint32_t class;
    uint16_t bin;    /* where in its heap the class's bin lies */
    uint16_t box;    /* where in any other heap the outbox for it lies, if there is one */
    uint32_t carved; /* blocks handed to magazines in this life */
    uint8_t life;    /* counts, and wraps */
    /* private */
    uint32_t capacity CACHE_ALIGNED; /* blocks that SLAB_BYTES have room for: an address anywhere in them has a state */
    uint32_t limit;                  /* blocks that may be carved */
    uint32_t shelved;
    size_t taken;            /* from the arena: bytes that are charged */
    size_t guard;            /* bytes from the slab's start on to those without access; 0: there are none. guard.h */
    TAILQ_ENTRY(slab) link;  /* heap.slabs, heap.large, heap.aside or heap.aside_large */
    TAILQ_ENTRY(slab) shelf; /* shelf.partial */
};

static_assert(sizeof(struct slab) == 128, "two cache lines: the one that frees read, the one that the owner writes");

TAILQ_HEAD(slab_list, slab);

/*
 * What lay in a slab before its present life, the newest first, each reaching further than those before it:
 *
 *     lives[i].bytes < lives[i + 1].bytes, up to the first whose tag is 0
 */
#define PASTS 4

struct past {
    /* owner of the slab; any thread reads */
    uint64_t tag;
    ks_key_t handle;
    size_t bytes; /* from the slab's start: how far it was handed out; the size of a large block */
    uint32_t
        step; /* from one block to the next: the class's bytes; SLAB_BYTES for a large block; 0 where no block began */
};

struct pasts {
    struct past lives[PASTS];
} CACHE_ALIGNED;

/* ------------------------------------------------------------------ magazine
 *
 * A slot names a block, and where its state is, so that an allocation need not look for it. Blocks fill the slots from the
 * class's floor up to the end of the 1,024 bytes. A pointer to the slot above the topmost block is all that the fast path
 * keeps:
 *
 *     top == floor                  the magazine is empty
 *     top is a multiple of 1,024    it is full
 *
 * A magazine that travels holds one word a block, from its first slot on: the pointer, with state and life that were read at the
 * free in its upper 16 bits.
 */
#define MAGAZINE_BYTES_SHIFT 10
#define MAGAZINE_SIZE        ((size_t)1 << MAGAZINE_BYTES_SHIFT)

struct slot {
    void *block;
    uint8_t *state;
};

/* A word of a magazine that travels, where slots lie. */
typedef uint64_t __attribute__((may_alias)) packed;

struct magazine {
    platform_entry entry;       /* heap.returns */
    uint64_t tag;               /* travelling: the incarnation that it is for */
    TAILQ_ENTRY(magazine) link; /* a depot, heap.returned; `next` alone chains empty ones */
    uint32_t class;
    uint32_t count;     /* blocks, while not loaded; in the first of a chain of empty ones: how many */
    size_t bytes;       /* travelling: of a large block, as it was when it was sent */
    uint32_t pool_link; /* any, atomic: the pool's next chain */
    struct slot slots[MAGAZINE_SLOTS] CACHE_ALIGNED;
};

static_assert(sizeof(struct magazine) == MAGAZINE_SIZE, "a magazine's end is a multiple of its size");

TAILQ_HEAD(magazine_list, magazine);

/* ------------------------------------------------------------------ heap
 *
 * A bin is what the fast path needs of a class; a shelf is the rest. For each class of a heap
 *
 *     blocks in the loaded magazine + parked == held
 *     carved == held + shelved + out             (out: live, or on the way home)
 *     allocated == due - credit, blocks since the heap joined the key
 *     allocated == out + freed_local + freed_remote + dropped
 */
#define BEAT 1024u /* blocks of a class from one heap_beat to the next */

struct bin {
    /* owner */
    struct slot *top;
    struct slot *floor;
    uint64_t credit; /* allocations until the next heap_beat */
    uint64_t due;    /* allocations at that time; odd while the beat renews the credit, which counts as 0 then */
    uint64_t parked; /* blocks in the spare magazine and the depot */
    /* private */
    struct magazine *
        spare; /* full, empty or NULL: keeps a free and an allocation at an edge from taking turns at it. quarantine.h */
    struct magazine_list depot; /* judged, not empty, hot end first */
} CACHE_ALIGNED;

static_assert(sizeof(struct bin) == CACHE_LINE && CACHE_LINE == BIN_BYTES, "one line for each class");

struct shelf {
    /* owner */
    uint64_t carved;       /* blocks of this generation that slabs have handed to magazines, once or more often */
    uint64_t shelved;      /* blocks in bitmaps */
    uint64_t slabs;        /* slabs of this generation; large blocks */
    uint64_t freed_remote; /* accepted at home */
    uint64_t dropped;
    uint64_t sent;     /* blocks of this generation pushed to other heaps */
    uint64_t received; /* blocks of this generation taken from the queue and judged, refused ones included */
    /* private */
    uint32_t depot_count;
    uint32_t depot_low;            /* least depot_count since the last tick: what the working set does not need */
    struct slab *carving;          /* has uncarved blocks left, or NULL */
    struct slab_list partial;      /* slabs with shelved blocks */
    struct magazine_list returned; /* taken from the queue, not judged yet */
};

/*
 * Blocks of one other heap and one class, on their way there. The boxes of a heap whose homes share an account share the
 * bytes that the key lets a thread hold for another:
 *
 *     tag == 0 <=> unused, top == floor == limit == NULL
 *     floor <= top < limit == floor + room
 *     accounts[i] == number of boxes with tag % OUTBOXES == i
 *     sum of (room - 1) * class bytes over the boxes of an account <= key.outbox_bytes
 */
struct outbox {
    /* owner */
    packed *top;
    packed *floor;
    /* private */
    packed *limit;
    uint64_t tag;
    struct heap *home;
    uint32_t class;
    uint32_t born; /* heap.events when it was opened, or sent last */
    uint32_t room; /* blocks that are sent at once */
} CACHE_ALIGNED;

struct heap {
    struct bin bins[CLASS_LIMIT]; /* first: heap_bin */
    /* owner; any thread reads: a line that frees of other threads look at, and that changes rarely */
    uint64_t tag; /* incarnation << TAG_INDEX_BITS | index: new at each rewind and each change of key */
    const struct classes *classes; /* the key's; fixed while the heap belongs to it */
    uint64_t generation;           /* of the key, that the heap's blocks belong to */
    uint32_t hungry;               /* the owner waits for blocks: send at once */
    /* any, atomic: the thread that holds the heap, see heap.h */
    uintptr_t holder;
    struct entry *entry;    /* any, atomic: the table entry of the holder that names this heap */
    struct thread *visitor; /* any, atomic: who has shut it */
#if defined(KS_CHECK) && KS_CHECK
    struct thread *worker; /* any, atomic: the visitor, where the holder leaves it alone: C5.1 is asserted */
#endif
    /* fixed while the heap belongs to the key; atomic, because a thread may look at a heap that it has lost
     */
    ks_key_t handle;
    struct key *key;
    struct heap *key_next; /* key.heaps */
    uint32_t index;
    uint32_t pool_link; /* any, atomic: the pool's next */
    /* any: magazines on their way home */
    platform_stack returns CACHE_ALIGNED;
    /* any: an enum wanted, of a visitor that found the holder inside an operation; the holder does the work */
    uint32_t wanted;
    /* owner */
    uint64_t arena_bytes CACHE_ALIGNED; /* charged to the key on this heap's account */
    uint64_t aside_count;
    uint64_t large_allocated; /* bytes of large blocks */
    uint64_t large_out;       /* bytes of large blocks that are out */
    uint64_t large_dropped;
    uint64_t large_sent;     /* bytes of large blocks of this generation pushed to other heaps */
    uint64_t large_received; /* bytes of large blocks of this generation taken from the queue */
    /* private */
    struct slab_list slabs; /* of this generation */
    struct slab_list large;
    struct slab_list aside;       /* empty or of an old generation, the longest set aside first */
    struct slab_list aside_large; /* dropped, still to be given back */
    uint64_t aside_low;
    uint32_t events; /* slow paths; wraps */
    uint32_t
        timed; /* events when a trace was last told of a block; no number of them: the heap has changed hands since */
    uint32_t visited; /* events at the last visit from another heap of the thread */
    uint32_t settled; /* events when such a visit settled it */
    uint32_t boxes;   /* outboxes that are open */
    uint64_t random;  /* of a paranoid key: the next block's */
    struct shelf shelves[CLASS_LIMIT];
    uint32_t accounts[OUTBOXES]; /* outboxes that are open, by tag % OUTBOXES */
    struct outbox outboxes[OUTBOXES];
    char odd[CACHE_LINE]; /* an odd number of lines: neighbouring heaps' bins fall in different cache sets */
};

/* ------------------------------------------------------------------ key
 *
 * Where a key's memory comes from: one slot of the arena layer's table, or, with a set of shared arenas for each NUMA node, the slot's
 * like in the set of the node that asks.
 */
struct arena_choice {
    uint32_t slot;
    bool by_node;
    bool huge; /* its pages */
};

/*
 *     refs == 0 <=> the slot is free
 *     refs == 1 for the key until it is destroyed + 1 for each heap + 1 for each call that looks at it
 *     control == handle of the live key, or 0
 *     charged == sum of heap.arena_bytes <= quota, where there is one
 */
struct key {
    /* any, atomic */
    ks_key_t control;
    uint64_t generation;
    uint64_t resets;       /* begun, and a destroy: >= generation; counted where the key is traced */
    uint64_t resets_timed; /* of those, how many have their time in the trace: <= resets */
    uint32_t refs;
    uint32_t terminated;
    struct heap *heaps; /* pushed to; heaps leave only when refs == 0 */
    uint32_t pool_link;
    /* fixed while the key lives */
    struct arena_choice arena;
    uint64_t incarnation; /* private to the slot's taker */
    const struct classes *classes;
    size_t quota;
    size_t outbox_bytes;
    size_t slab_bytes;
    uint64_t retain_least; /* empty slabs that a heap keeps when it gives back what is free */
    uint64_t retain_most;  /* above which each slow path gives some back; RETAIN_AUTO where the setting is no size */
    uint32_t flush;        /* slow paths of a heap until what waits is sent */
    uint32_t response;     /* to refused blocks: ON_ERROR_STATUS, ... */
    uint64_t seed;         /* of a paranoid key's order of blocks */
    bool paranoid;         /* no thread's table names the key: every operation takes the slow path */
    uint32_t trace;        /* its number in traces; 0: it is not traced, and no trace names it */
    ks_error_hook *on_error;
    void *on_error_context;
    char name[KEY_NAME_BYTES];
    /* any, atomic */
    uint64_t charged CACHE_ALIGNED;
    uint64_t charged_peak;
    uint64_t refusals[KS_DAMAGED + 1]; /* by status */
    uint64_t refused_at_home;
};

/*
 * A handle is incarnation << 21 | index << 5: the index stands where it is an offset into a table of 32-byte entries.
 */
#define HANDLE_INDEX_SHIFT       5
#define HANDLE_INCARNATION_SHIFT 21
#define HANDLE_OFFSET(handle)    ((handle) & (uint64_t)(KEYS_MAX - 1) << HANDLE_INDEX_SHIFT)
#define KEY_INDEX(handle)        ((uint32_t)(HANDLE_OFFSET(handle) >> HANDLE_INDEX_SHIFT))

/*
 * What stands in a thread's table for a traced key. Its index is another one than the entry's, so that it equals no value that
 * leads there, and it is never 0.
 */
#define HANDLE_TRACED(handle) (~(handle))

/* ------------------------------------------------------------------ thread
 *
 * Threads are never unmapped, so that anyone may look at `busy` of a thread that has ended.
 *
 *     entry.handle == h != 0  =>  entry.heap belongs to key h and this thread holds it, at the key's generation as far
 *                                 as the thread knows; reset, terminate, purge and destroy write 0 into it
 *     entry.handle == HANDLE_TRACED(h)  =>  the same, and h is traced
 *     on thread.entries      <=>  entry.heap != NULL
 */
struct entry {
    ks_key_t handle; /* any, atomic: the owner sets it, any thread clears it */
    /* private */
    struct heap *heap;
    const struct classes *tuned; /* the heap's size classes; NULL for the default ones */
    uint32_t next;               /* on thread.entries, by index; 0 is none */
    uint32_t previous;
};

static_assert(sizeof(struct entry) == 1 << HANDLE_INDEX_SHIFT, "a handle holds an offset into a table of entries");

struct report {
    struct ks_error error;
    ks_error_hook *hook; /* may be NULL */
    void *context;
    uint32_t response;
    char name[KEY_NAME_BYTES]; /* of the key, for a line of the log */
};

/*
 * What leads a thread to its heaps starts with the flag, in the place of entry 0, which is no key's: a handle that leads there
 * is compared with the raised flag, and is never equal to it, so that no handle needs to be compared with 0.
 */
#define BUSY ((uint64_t)1 << HANDLE_INDEX_SHIFT)

struct thread {
    /* owner: BUSY from the start of each operation to its end, else 0. Purge and destroy of other threads read it. */
    uint64_t busy;
    struct thread *next; /* fixed: all threads there have ever been at once */
    uint64_t number;     /* fixed: 1, 2, ... */
    /* any: 1 while a running thread has it */
    uint32_t taken;
    /* private */
    struct entry table[KEYS_MAX - 1] __attribute__((aligned(sizeof(struct entry)))); /* of keys 1, 2, ... */
    bool leaving;             /* the exit hook has run: each operation lets go of its heaps */
    struct magazine *empties; /* chained by link.tqe_next */
    uint32_t empties_count;
    uint32_t reports_count;
    bool crowded;     /* returned magazines were left unjudged, because their refusals might not find room */
    uint32_t entries; /* the first, by index; see entry_first */
    uint32_t cursor;  /* the next to visit */
    struct report reports[REPORTS];
};

static_assert(offsetof(struct thread, table) == sizeof(struct entry), "the flag stands in the place of entry 0");

#endif
