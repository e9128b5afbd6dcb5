/*
 * The data model: every structure of the library, its invariants, and the thread that may touch each field.
 *
 *   key      what the host creates, resets and destroys
 *   heap     one key in one thread: the owner of slabs
 *   slab     256 KiB of addresses; what is taken of them is cut into blocks of one class, or is one large block; its descriptor
 *            lies out of line
 *   group    32 neighbouring blocks of a slab; a bit of one word says whether a block is free, and nothing else does
 *   bin      one class of a heap: the group that allocations take from
 *   entry    the blocks of one group that another thread has freed: what a message consists of
 *   thread   one running thread: its table of heaps, by key
 *
 * Words on ownership, above each group of fields:
 *   owner    only the owner thread of the heap writes it; others read it, so it is accessed by relaxed atomics
 *   private  only the owner thread reads or writes it: plain accesses
 *   any      any thread, by atomics, as the comment says
 *   fixed    written once, before any other thread can see the structure
 *
 * The owner thread of a heap is the thread whose address stands in heap.owner, or the one that has locked the heap
 * to reclaim memory (ownership.h).
 *
 * "C4.3" in a comment is that paragraph of docs/concurrency.md: the argument why the code is safe there.
 */
#ifndef LIB_CORE_MODEL_H
#define LIB_CORE_MODEL_H

#include "base/platform.h"
#include "classes/classes.h"
#include "config/settings.h"
#include "keyslab/keyslab.h"
#include "memory/arena.h"

#include <sys/queue.h>

#define KEYS_MAX  65536               /* index 0 is no key */
#define HEAPS_MAX ((uint32_t)1 << 20) /* index 0 is no heap */
#define BATCHES   32
#define REPORTS   120

/* ------------------------------------------------------------------ group
 *
 *     bit i of `free` is set  <=>  block i of the group may be handed out
 *     no bit is set of a block that does not exist, or lies beyond the guard
 *     clock is odd; it rises by CLOCK_STEP with each allocation from the group, once for a run of a bulk call, and never falls within an
 *     epoch of the slab; a group that begins anew goes on from what its record holds
 *     born[i] == 0     <=>  block i has not been handed out in this epoch of the slab
 *     born[i] == b != 0 =>  the block's last allocation raised the clock to a value c with c % 2^16 == b or, where that is long ago
 *                           (BORN_AGE_MOST), to an earlier one
 *
 * A thread that frees another's block reads `free` and `clock` as one word, and sends the clock along, as the stamp
 * of an entry. The owner accepts the block if it has not been handed out since (C6.4).
 */
#define CLOCK_STEP  2u
#define CLOCK_SHIFT 32

struct group {
    /* owner, in one store; any thread reads it, in one load */
    union {
        uint64_t word; /* clock << CLOCK_SHIFT | free */
        struct {
            uint32_t free;
            uint32_t clock;
        };
    };
    /* owner; any thread reads them to tell why it is refused */
    uint16_t born[GROUP_BLOCKS];
};

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "free is the lower half of a group's word");

/* ------------------------------------------------------------------ slab
 *
 *     carved <= limit <= capacity, and carved is a multiple of GROUP_BLOCKS, or limit
 *     limit * block_bytes <= guard or, without one, taken
 *     taken <= SLAB_BYTES, but with a large block
 *     tag == heap.tag            =>  the slab is on one of the heap's lists: nobody but its owner thread writes to it
 *     on heap.slabs              =>  tag == heap.tag, class is not the large one
 *     on heap.empty              =>  no block of it is live in the current generation
 *     on its class's partial list <=>  on heap.slabs, and a bit of its summary is set
 *     bit k of the summary is set  =>  group k has been carved and has free blocks, and is neither the bin's nor a recent one
 *     a carved group with free blocks is in the summary, is a recent one, or is the bin's
 *
 * The tag is the owner heap's incarnation. Equal tags mean: my block, of this key, of this generation. A slab that is
 * given back to the arena is marked so in its tag, before anybody else can get it, and keeps the rest: a late free is
 * refused with the right status.
 */
#define TAG_INDEX_BITS 20
#define TAG_INDEX_MASK (((uint64_t)1 << TAG_INDEX_BITS) - 1)
#define TAG_GIVEN      ((uint64_t)1 << 63)

struct slab {
    /* owner; any thread reads. One line: all that a free has to know. */
    uint64_t tag; /* incarnation << TAG_INDEX_BITS | index of the heap; 0: no block of ours has ever lain here */
    uint64_t reciprocal;
    char *groups; /* the first group; the next is `stride` bytes further */
    uint32_t stride;
    uint32_t carved; /* blocks of the groups that have been begun in this epoch */
    size_t block_bytes;
    ks_key_t handle;
    uint32_t class;
    uint32_t bin;   /* where in its heap the class's bin lies */
    uint32_t place; /* its epoch, one more each time that it begins anew, and its class; the group is 0. PLACE */
    /* owner */
    uint32_t capacity CACHE_ALIGNED; /* blocks that SLAB_BYTES have room for: an address anywhere in them has a bit */
    uint32_t limit;                  /* blocks that may be carved */
    /* private */
    uint32_t busy;   /* the group that was in use when slab_is_empty last looked: it looks there first */
    bool is_partial; /* on the class's partial list */
    bool is_shared;  /* other threads have freed blocks of it, whose cache lines they have */
    size_t taken;    /* from the arena: bytes that are charged */
    size_t guard;    /* bytes from the slab's start on to those without access; 0: there are none. checks/guard.h */
    TAILQ_ENTRY(slab) link;     /* heap.slabs, heap.large, heap.empty or heap.dropped_large */
    TAILQ_ENTRY(slab) of_class; /* supply.partial */
};

static_assert(sizeof(struct slab) == 128, "two cache lines: the one that frees read, the one that the owner writes");

TAILQ_HEAD(slab_list, slab);

/* ------------------------------------------------------------------ messages
 *
 * An entry names blocks of one group that a thread other than the owner has freed:
 *
 *     mask != 0, and every bit is of a block that was live when the group's clock was `stamp`; of a large block, bit 0 is, and above
 *     it stand the pages that it has
 *
 * Whatever becomes of the slab meanwhile, the owner finds out by the tag of the message, the epoch and the stamp
 * (C6.4).
 */
struct remote_entry {
    uint32_t slab;  /* its index in the range */
    uint32_t stamp; /* the group's clock */
    uint32_t mask;
    uint32_t place; /* where the address was found: the slab's epoch, its class, the group */
};

#define PLACE_GROUP_BITS    9
#define PLACE_CLASS_BITS    7
#define LARGE_PAGES(mask)   ((size_t)((mask) >> 1))
#define PLACE_GROUP(place)  ((place) & ((1u << PLACE_GROUP_BITS) - 1))
#define PLACE_CLASS(place)  ((place) >> PLACE_GROUP_BITS & ((1u << PLACE_CLASS_BITS) - 1))
#define PLACE_EPOCH_STEP    (1u << (PLACE_CLASS_BITS + PLACE_GROUP_BITS))
#define PLACE_SLAB(place)   ((place) & ~((1u << PLACE_GROUP_BITS) - 1))
#define PLACE(epoch, class) (((epoch) & ~(PLACE_EPOCH_STEP - 1)) | (uint32_t)(class) << PLACE_GROUP_BITS)

static_assert(SLAB_BYTES / CLASS_LEAST / GROUP_BLOCKS <= 1u << PLACE_GROUP_BITS, "a place holds a group");
static_assert(CLASS_LIMIT < 1u << PLACE_CLASS_BITS, "a place holds a class");

#define MESSAGE_BYTES   ((size_t)1024)
#define MESSAGE_ENTRIES 60u

struct message {
    platform_entry entry;      /* heap.queue */
    uint64_t tag;              /* the incarnation of the heap that it is for */
    TAILQ_ENTRY(message) link; /* heap.pending, supply.waiting; `next` alone chains empty ones */
    uint32_t count;            /* entries; in the first of a chain of empty ones: messages */
    uint32_t accepted;         /* of a pending one: entries that have been dealt with */
    uint32_t pool_link;        /* any, atomic: the pool's next chain */
    struct remote_entry entries[MESSAGE_ENTRIES] CACHE_ALIGNED;
};

static_assert(sizeof(struct message) == MESSAGE_BYTES, "a header and its entries fill a kibibyte");

TAILQ_HEAD(message_list, message);

/*
 * A remote-free batch: what a heap's owner has freed of the blocks of one other heap, and not sent yet.
 *
 *     tag == BATCH_CLOSED <=> unused, message == NULL
 *     `last` is the entry of the message that the next block may join; its mask is 0 where the message is empty
 *     held < most == key.outbox_bytes
 */
struct batch {
    /* private */
    uint64_t tag;
    struct remote_entry *last;
    struct message *message;
    struct heap *home;
    size_t held; /* bytes of the blocks */
    size_t most;
    uint32_t opened; /* heap.slow_paths when it was opened, or sent last */
} CACHE_ALIGNED;

/* ------------------------------------------------------------------ heap
 *
 * A bin is what the fast paths need of a class; a supply is the rest. For each class of a heap
 *
 *     group is a carved group of a slab of the heap, or group_none; base is its first block
 *     top points behind the last of the recent groups: groups with free blocks that are in no summary, in the order in which they have
 *     become so
 *     allocated == target - countdown, blocks since the heap joined the key
 *     allocated == live + freed + freed_remote + dropped (live: held by the program, or freed and pending)
 *     carved == live + blocks whose bit is set + blocks that wait in quarantine
 */
#define PASS_ALLOCATIONS 1024u /* blocks of a class between two maintenance passes */

/* A recent group: its record and its first block, whose lowest bit is set if remote frees have made it recent. */
struct recent {
    struct group *group;
    uintptr_t base;
};

/*
 * The recent groups of a class, the oldest first. They lie where their addresses tell an empty list and a full one: the first place is
 * never used.
 */
#define RECENTS_BYTES 256u
#define RECENTS       (RECENTS_BYTES / sizeof(struct recent) - 1)
#define RECENT_REMOTE ((uintptr_t)1)

struct recents {
    struct recent places[RECENTS + 1];
} __attribute__((aligned(RECENTS_BYTES)));

struct bin {
    /* private */
    struct group *group;
    char *base;
    struct recent *top;
    /* owner */
    uint64_t countdown; /* allocations until the next maintenance pass */
    uint64_t target;    /* allocations at that time; odd while the countdown is renewed, which counts as 0 then */
    uint64_t freed;     /* blocks that the owner has freed */
    uint64_t sent;      /* blocks of other heaps that this one's owner has freed, of this generation */
    /* private */
    size_t block_bytes;
} CACHE_ALIGNED;

static_assert(sizeof(struct bin) == CACHE_LINE && CACHE_LINE == BIN_BYTES, "one line for each class");

struct supply {
    /* owner */
    uint64_t carved;       /* blocks of the groups that have been begun */
    uint64_t slabs;        /* slabs of this generation; large blocks */
    uint64_t freed_remote; /* accepted */
    uint64_t dropped;
    uint64_t received; /* blocks of this generation taken from the queue, refused ones included */
    /* private */
    struct slab *carving;        /* has groups left to carve, or NULL */
    uint64_t seen;               /* allocated, when the last window of maintenance passes ended */
    struct slab_list partial;    /* slabs with groups in their summary */
    struct message_list waiting; /* of a paranoid key: checks/quarantine.h */
    uint32_t waiting_count;
};

/*
 * Slabs inside of a large block have a class, too. None of its blocks is ever handed out, but an address that is looked up while such a slab begins
 * anew may be counted there (C6.1).
 */
#define CLASSES (CLASS_COVERED + 1)

struct heap {
    struct bin bins[CLASSES]; /* first: heap_bin */
    /* owner; any thread reads: a line that frees of other threads look at, and that changes rarely */
    uint64_t tag;                  /* incarnation << TAG_INDEX_BITS | index: new at each reset and each change of key */
    const struct classes *classes; /* the key's; fixed while the heap belongs to it */
    uint64_t generation;           /* of the key, that the heap's blocks belong to */
    uint32_t low_memory;           /* the owner waits for blocks: send at once */
    /* any, atomic: the owner thread, see ownership.h */
    uintptr_t owner;
    struct entry *entry;      /* any, atomic: the table entry of the owner that names this heap */
    struct thread *reclaimer; /* any, atomic: the thread that has locked it */
#if defined(KS_CHECK) && KS_CHECK
    struct thread *worker; /* any, atomic: the reclaimer, where the owner leaves it alone: C5.1 is asserted */
#endif
    /* fixed while the heap belongs to the key; atomic, because a thread may look at a heap that it has lost */
    ks_key_t handle;
    struct key *key;
    struct heap *key_next; /* key.heaps */
    uint32_t index;
    uint32_t pool_link; /* any, atomic: the pool's next */
    /* any: messages from other threads */
    platform_stack queue CACHE_ALIGNED;
    /* any: an enum wanted, of a reclaimer that found the owner inside an operation; the owner does the work */
    uint32_t wanted;
    /* any, atomic: hints of threads that look after heaps whose owners sleep (C6.8) */
    uint32_t idle_mark; /* slow_paths, when one looked */
    int64_t idle_since; /* milliseconds: since when slow_paths has been that, or the last trim */
    /* owner */
    uint64_t arena_bytes CACHE_ALIGNED; /* that this heap has taken from the arena, charged to the key */
    uint64_t empty_count;
    uint64_t large_allocated; /* bytes of large blocks */
    uint64_t large_out;       /* bytes of large blocks that are out */
    uint64_t large_dropped;
    uint64_t large_sent;     /* bytes of large blocks of this generation pushed to other heaps */
    uint64_t large_received; /* bytes of large blocks of this generation taken from the queue */
    /* private */
    uint64_t used;          /* a bit for each class that has had a slab since the last reset */
    bool exchanged;         /* blocks have been sent to other heaps or received from them since then */
    struct slab_list slabs; /* of this generation */
    struct slab_list large;
    struct slab_list empty;         /* slabs without blocks, or of an old generation */
    struct slab_list dropped_large; /* still to be given back */
    struct message_list pending;    /* taken from the queue, not accepted yet: there was no room to report refusals */
    uint64_t empty_low;             /* least empty_count in this window of maintenance passes */
    uint64_t surplus;               /* empty slabs that were not needed in the last one, still to be given back */
    uint32_t passes;
    uint32_t slow_paths; /* so far; wraps; the owner's, other threads read it */
    uint32_t
        timed; /* slow_paths when a block was last recorded in a trace; another number once the heap has a new owner */
    uint32_t visited;       /* slow_paths at the last visit from another heap of the thread */
    uint32_t trimmed;       /* slow_paths when it was trimmed, and no operation has entered it since; others read it */
    struct heap *neighbour; /* of the key, that was looked after last, or itself */
    uint32_t batches_open;
    uint64_t random; /* of a paranoid key: the next block's */
    struct batch batches[BATCHES];
    struct recents recents[CLASS_LIMIT];
    struct supply supplies[CLASSES];
};

/* ------------------------------------------------------------------ checks
 *
 * What a key with paranoid checks does beside; the checks layer fills the table in. All are called by the owner of the heap.
 */
struct checks {
    /* Blocks have been freed, and their bits are still clear: they are filled, and wait. */
    void (*freed)(struct heap *heap, struct slab *slab, uint32_t group, uint32_t mask);
    /* Those of the group's blocks that wait. Any thread may ask. */
    uint32_t (*waiting)(const struct slab *slab, uint32_t group);
    /* One bit of `free`, which is not 0. */
    uint32_t (*choose)(struct heap *heap, uint32_t free);
    /* A block is about to be handed out. */
    void (*handed_out)(struct heap *heap, const struct bin *bin, uint32_t block);
    /* All that waits becomes free. */
    void (*release)(struct heap *heap);
    /* A reset has dropped all that waits. */
    void (*dropped)(struct heap *heap);
    /* A slab begins anew, and its blocks take `bytes`; it ends, and false where its memory is of no use any more. */
    void (*slab_begun)(struct slab *slab, size_t bytes);
    bool (*slab_ended)(struct slab *slab);
    size_t slab_tail; /* bytes that blocks leave of every extent */
};

/* ------------------------------------------------------------------ key
 *
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
    uint64_t incarnation; /* written by the thread that takes the slot */
    const struct classes *classes;
    const struct checks
        *checks; /* of a paranoid key: no thread's table names it, so every operation takes the slow path */
    size_t quota;
    size_t outbox_bytes;
    size_t slab_bytes;
    uint64_t retain_least; /* empty slabs that a heap keeps when it gives back what is free */
    uint64_t retain_most;  /* above which each slow path gives some back; RETAIN_AUTO where the setting is no size */
    uint32_t flush;        /* slow paths of a heap until its batches are sent */
    uint32_t response;     /* to refused blocks: ON_ERROR_STATUS, ... */
    uint64_t seed;         /* of a paranoid key's order of blocks */
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
 *     entry.handle == h != 0  =>  entry.heap belongs to key h and this thread owns it, at the key's generation as far
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
    /* private: the block that was handed out last, and where it is; 0 where its bin may have another group by now */
    const void *last;
    uintptr_t last_place; /* its bin's address, and its number in the group */
    uint64_t number;      /* fixed: 1, 2, ... */
    struct entry table[KEYS_MAX - 1] __attribute__((aligned(sizeof(struct entry)))); /* of keys 1, 2, ... */
    struct thread *next;     /* fixed: all threads there have ever been at once */
    uint32_t taken;          /* any: 1 while a running thread has it */
    bool leaving;            /* the exit hook has run: each operation releases its heaps at its end */
    struct message *empties; /* chained by link.tqe_next */
    uint32_t empties_count;
    uint32_t reports_count;
    bool reports_full; /* messages were left pending, because their refusals might not find room */
    uint32_t entries;  /* the first, by index; see entry_first */
    uint32_t cursor;   /* the next to visit */
    struct report reports[REPORTS];
};

static_assert(offsetof(struct thread, table) == sizeof(struct entry), "the flag stands in the place of entry 0");

#endif
