/*
 * keyslab: memory for packet experts, owned by keys.
 *
 * An expert key owns every block that is allocated in it. Any thread may allocate, free, resize and query in
 * any live key without registering first; the thread that has allocated a block owns it, and a free by another
 * thread reaches the owner through a lock-free queue; and one call drops a whole key, whatever its threads are
 * doing at that moment.
 *
 * Unless a function says otherwise: it may be called from any thread at any time; unless memory has to come from
 * or go to the operating system, it takes no lock, never waits for another thread, and makes no system call; and
 * sizes are in bytes. Not callable from a signal handler, but for ks_thread_is_inside. No pointer handed in is read before it
 * is known to be ours.
 */
#ifndef KEYSLAB_KEYSLAB_H
#define KEYSLAB_KEYSLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KS_API          __attribute__((visibility("default")))
#define KS_ALLOCATES(n) __attribute__((malloc, alloc_size(n), warn_unused_result))
#define KS_RESIZES(n)   __attribute__((alloc_size(n), warn_unused_result))
#else
#define KS_API
#define KS_ALLOCATES(n)
#define KS_RESIZES(n)
#endif

#define KS_VERSION_MAJOR 0
#define KS_VERSION_MINOR 1
#define KS_VERSION_PATCH 0

/*
 * A key: an index and a generation in one word, never an address. Zero is no key. A destroyed key's value gets
 * KS_BAD_KEY for ever, also when its index serves a new key. The same value, cast, is NetMon's HEXPERTKEY.
 */
typedef uintptr_t ks_key_t;

/*
 * What a call returns or stores. A pointer that is no live block of the key gets the first of these that is true:
 *
 *     KS_BAD_BLOCK     it is not the address of a block: foreign, inside of one, or where no block can begin
 *     KS_WRONG_KEY     the memory there belongs to another live key
 *     KS_STALE         a reset has dropped the block, or none has been handed out at this address since the memory
 *                      there was last divided into blocks
 *     KS_DOUBLE_FREE   the block is free
 *
 * So a dropped or freed block is refused until its address is handed out again. The key knows what its memory is
 * now, not what it was: memory that is used anew for blocks of another size may turn KS_STALE or KS_DOUBLE_FREE
 * into KS_BAD_BLOCK or KS_STALE.
 */
typedef enum ks_status {
    KS_OK = 0,
    KS_NO_MEMORY,   /* the operating system or the arena has no more */
    KS_QUOTA,       /* the key's quota is used up */
    KS_TERMINATED,  /* the host has terminated the key: clean up and return */
    KS_BAD_KEY,     /* no such key, or a destroyed one */
    KS_BAD_BLOCK,   /* not the address of a block */
    KS_WRONG_KEY,   /* a block of another key */
    KS_DOUBLE_FREE, /* a block of the key that is free already */
    KS_STALE,       /* dropped by a reset, or not handed out since the memory was used anew */
    KS_TOO_LARGE,   /* the size overflows, or exceeds what can be addressed */
    KS_INVALID,     /* an argument outside its range: an alignment that is no power of two, a NULL result pointer */
    KS_DAMAGED,     /* only reported to the error hook, by keys with KS_CHECKS_PARANOID: a free block was written to */
} ks_status;

/* One line of English for a status, static storage, never NULL: "unknown status" for other values. Constant time. */
KS_API const char *ks_strerror(ks_status status);

/* The library's version, "major.minor.patch", static storage. */
KS_API const char *ks_version(void);

/* ------------------------------------------------------------------ keys */

/*
 * A refused block, as the error hook sees it. `at_home`: the owner has found the misuse when another thread's free
 * arrived, whose caller got KS_OK long before. Otherwise the caller got `status`.
 */
struct ks_error {
    ks_status status; /* KS_BAD_BLOCK, KS_WRONG_KEY, KS_DOUBLE_FREE, KS_STALE or KS_DAMAGED */
    bool at_home;
    ks_key_t key;
    const void *block;
    size_t class_size; /* bytes of the block's size class, 0 where the block is not ours */
    uint64_t thread;   /* number of the thread that found it, counted from 1 */
    uint64_t reserved[2];
};

/*
 * Called once for each refused block, in the thread that found it, after the operation and outside of it: the
 * hook may call any function of this library. It must return.
 */
typedef void ks_error_hook(void *context, const struct ks_error *error);

enum ks_response { KS_RESPONSE_UNSET, KS_RESPONSE_STATUS, KS_RESPONSE_LOG, KS_RESPONSE_ABORT };
enum ks_checks { KS_CHECKS_UNSET, KS_CHECKS_STANDARD, KS_CHECKS_PARANOID };
enum ks_arena { KS_ARENA_UNSET, KS_ARENA_SHARED, KS_ARENA_KEY, KS_ARENA_NODE };
enum ks_huge_pages { KS_HUGE_PAGES_UNSET, KS_HUGE_PAGES_OFF, KS_HUGE_PAGES_ON };
enum ks_trace { KS_TRACE_UNSET, KS_TRACE_OFF, KS_TRACE_ON };

#define KS_QUOTA_NONE  SIZE_MAX /* no limit, whatever the config file says */
#define KS_RETAIN_NONE SIZE_MAX /* nothing idle is kept, which 0 would leave to the config file */

/*
 * Zero-initialise, then set what you need. A member that is zero is as the config file has it for keys of that name
 * (ks_config_load, keyslab.conf(5)), or else as it is built in. Unknown members are refused.
 */
struct ks_key_options {
    const char *name;        /* copied, cut after 63 bytes; for statistics; default "" */
    size_t quota;            /* most bytes to take from the arena; built in: no limit; see ks_key_stats */
    ks_error_hook *on_error; /* default none */
    void *on_error_context;
    size_t outbox_bytes; /* most bytes of freed blocks that a thread collects for one owner thread; built in: 64 KiB */
    /* sizes of the key's classes, rising, copied; as in keyslab.conf(5); built in: those of docs/size-classes.md */
    const uint32_t *classes;
    uint32_t class_count;      /* 1 to 47 */
    uint32_t flush;            /* slow paths until collected blocks are sent, 1 to 1,000,000; built in: 64 */
    enum ks_response response; /* to a refused block; log and abort write a line on standard error; built in: status */
    enum ks_checks checks;     /* paranoid: see keyslab.conf(5); built in: standard */
    enum ks_arena arena;       /* shared with other keys, the key's own, or shared by NUMA node; built in: shared */
    enum ks_trace trace;       /* whether the key is traced; built in: after ks_trace_start it is */
    enum ks_huge_pages huge;   /* whether the system is asked for pages of 2 MiB; built in: off */
    size_t slab_bytes;         /* taken from the arena at once: 64, 128 or 256 KiB; built in: 256 KiB */
    /* bytes of empty slabs that each thread keeps, up to 1024 GiB, or KS_RETAIN_NONE; built in: what it has needed lately */
    size_t retain;
    size_t alignment; /* of blocks, 8, 16, 32 or 64, which their classes are multiples of: see ks_alloc; built in: 64 */
    uint64_t reserved[2]; /* zero: a later version may name them */
};

/*
 * Creates a key; `options` may be NULL. No memory is taken for it until it is needed: a microsecond or less.
 * KS_INVALID for a NULL `key`, a member out of its range or a reserved one that is not zero; KS_NO_MEMORY when 65,535 keys are
 * live, or 2,048 with arenas of their own, and from every call where the first one could not get what the library needs from the
 * system. The first key's creation reads the config file, where there is one; the first that has certain classes makes
 * their table, in some ten microseconds.
 */
KS_API ks_status ks_key_create(const struct ks_key_options *options, ks_key_t *key);

/*
 * Drops every block of the key, also those whose free is pending. Safe at any time, concurrently with every other
 * call on the key; an allocation that overlaps the reset may be dropped by it. Costs two stores for each thread
 * that uses the key, whatever the number of blocks; each thread re-uses the dropped memory when it next
 * allocates, and ks_key_purge gives it back. A dropped block is refused until its address is handed out again.
 * KS_BAD_KEY.
 */
KS_API ks_status ks_key_reset(ks_key_t key);

/*
 * From now on allocation in the key returns NULL with KS_TERMINATED, and a free releases its block and returns
 * KS_TERMINATED, so that an expert's own clean-up works and every call says that it should return. Lasts until the key
 * is destroyed. Cost as ks_key_reset. KS_BAD_KEY.
 */
KS_API ks_status ks_key_terminate(ks_key_t key);

/*
 * Ends the key: drops every block and gives the memory back. The handle gets KS_BAD_KEY from now on.
 * Safe concurrently with every other call on the key. Costs a membarrier(2) and work in proportion to the
 * key's slabs. Memory of a thread that is inside an operation at that moment is given back by that thread
 * when it next calls. KS_BAD_KEY, for the second of two destroys too. KS_NO_MEMORY: the calling thread could not be
 * registered, and nothing has changed.
 */
KS_API ks_status ks_key_destroy(ks_key_t key);

/*
 * Gives the key's unused memory back to the operating system: what a reset dropped, what is free in all its
 * threads' caches, of sleeping and ended threads too; a thread that is inside an operation at that moment gives its
 * part back when it next calls. Safe at any time. Costs a membarrier(2) and work in proportion to the memory that is
 * free. Where the key has a size to retain, each thread's heap keeps so much. KS_BAD_KEY; KS_NO_MEMORY: the calling thread could not
 * be registered, and nothing has changed.
 */
KS_API ks_status ks_key_purge(ks_key_t key);

/* ------------------------------------------------------------------ blocks */

/*
 * Allocation. The block is uninitialised (ks_calloc: zeroed), belongs to the key, and is the caller's until
 * freed, or until the key is reset or destroyed. Aligned to 16 bytes, requests of 512 bytes and more to 64; of a key
 * with another alignment the former to 8 where that is 8, and the latter to 32 where it is 32, to 16 where it is less.
 * Zero bytes give a unique block. Returns NULL with the reason in `*status` where `status` is not NULL, which
 * KS_OK overwrites on success: KS_NO_MEMORY, KS_QUOTA, KS_TERMINATED, KS_BAD_KEY, KS_TOO_LARGE, KS_INVALID.
 * Costs a few nanoseconds: a bit of a word that only this thread writes. Memory comes from the arena a slab at a time.
 */
KS_API void *ks_alloc(ks_key_t key, size_t size, ks_status *status) KS_ALLOCATES(2);
KS_API void *ks_calloc(ks_key_t key, size_t count, size_t size, ks_status *status)
    __attribute__((malloc, alloc_size(2, 3), warn_unused_result));

/* `alignment` is a power of two up to 1 GiB, else KS_INVALID. `size` need not be a multiple of it. */
KS_API void *ks_aligned_alloc(ks_key_t key, size_t alignment, size_t size, ks_status *status) KS_ALLOCATES(3);

/*
 * Resizes: stays in place where the size class fits, else moves, keeping the contents up to the smaller size. NULL
 * allocates; zero bytes free the block and return NULL with KS_OK. On failure the block is untouched. A block of
 * another thread may be resized: the old one is freed as by ks_free. The result is aligned as that of ks_alloc.
 * Errors as ks_alloc and ks_free.
 */
KS_API void *ks_realloc(ks_key_t key, void *block, size_t size, ks_status *status) KS_RESIZES(3);

/*
 * Frees a block of any thread. NULL is KS_OK. Takes any 64-bit value: KS_BAD_BLOCK, KS_WRONG_KEY, KS_DOUBLE_FREE,
 * KS_STALE, KS_BAD_KEY, and nothing has changed; KS_TERMINATED, and the block is free. KS_NO_MEMORY: another
 * thread's block could not be sent to its owner for want of a kibibyte; it is still live, and may be freed again.
 * Costs a few nanoseconds, for another thread's block too: those are sent in batches.
 *
 * A free of another thread's block is pending until its owner takes it. A second free in that time gets
 * KS_DOUBLE_FREE at once where this thread has just freed the same block. Otherwise it gets KS_OK; the owner refuses
 * it, counts it, and reports it through the error hook, with `at_home`. So it is with a ks_realloc of the block. The
 * owner can tell, unless the block has been handed out again in the meantime, and 8,192 allocations from the same 32
 * neighbouring blocks have followed; or the 256 KiB that they lie in have been used anew 65,536 times.
 */
KS_API ks_status ks_free(ks_key_t key, void *block);

/*
 * Usable bytes of a live block of the key, as many as were asked for or more; 0 for anything else. A block whose
 * free is pending counts as live.
 */
KS_API size_t ks_size(ks_key_t key, const void *block);

/*
 * Bytes that a block of `size` bytes would really have; 0 where it would be refused as too large. Keys may have size classes
 * of their own: the second tells what a block of that key would have, 0 for no live key too; the first what it would have in a
 * key with the built-in classes. Constant time.
 */
KS_API size_t ks_good_size(size_t size);
KS_API size_t ks_key_good_size(ks_key_t key, size_t size);

/*
 * Up to `count` blocks of one size at once. Returns how many were stored, from `blocks[0]` on; fewer only
 * with a reason in `*status`.
 */
KS_API size_t ks_alloc_bulk(ks_key_t key, size_t size, void **blocks, size_t count, ks_status *status);

/*
 * Frees `count` blocks of any sizes and threads. Returns how many were freed: the others are skipped, and the
 * first reason is stored in `*status`. NULL counts as freed. In a terminated key all good blocks are freed and
 * counted, and `*status` is KS_TERMINATED.
 */
KS_API size_t ks_free_bulk(ks_key_t key, void *const *blocks, size_t count, ks_status *status);

/*
 * Sends what this thread has freed of other threads' blocks to their owners, in all keys. A thread that frees others'
 * blocks and then goes idle calls this; batches are also sent when they are full, with age, and at thread exit.
 */
KS_API void ks_flush(void);

/*
 * Whether the calling thread is inside a call of this library, between its first step and its last: never where the program itself asks, only
 * where a signal handler does that has interrupted a call, one of keyslab/inline.h too. A handler that leaves with siglongjmp, as a host
 * does which stops an expert, must not do so where this is true: the call would stay half done. The one function that may be
 * called from a signal handler. Two loads.
 */
KS_API bool ks_thread_is_inside(void);

/* ------------------------------------------------------------------ config */

/* An error of a config file, or a warning: "file:line: [section] setting: what is wrong: expected what", without a newline. */
typedef void ks_config_error(void *context, const char *text);

/*
 * Reads a config file (keyslab.conf(5), docs/config.md); its settings are those of keys that are created from now on. NULL: built-in
 * settings from now on. A program that never calls this has the file that the environment names by KEYSLAB_CONF, else the
 * system's, where there is one: it is read when the first key is created, and if it is bad the library says so on standard
 * error, once, and goes on with built-in settings.
 *
 * KS_INVALID for a file that cannot be read, or with errors: each of them is passed to `tell`, or goes to standard error where that is
 * NULL, and what was in effect stays. KS_NO_MEMORY. Waits for the file, and for a thread that is reading one for the first key.
 *
 * A setting that an earlier version had and this one has not is passed over with a warning. It goes where errors go, and does not make
 * the file bad: what `tell` gets before KS_OK are warnings.
 */
KS_API ks_status ks_config_load(const char *path, ks_config_error *tell, void *context);

/* ------------------------------------------------------------------ traces */

/*
 * Records what traced keys do into a file for `keyslab tune` and `keyslab replay` (docs/trace-format.md): every allocation, free and
 * resize that succeeds, resets, and destroys as resets, of all threads, with times. `sample`: one of so many blocks; 0 or 1 for all.
 *
 * Keys are traced, for as long as they live, that are created from now on, unless their option or section says off, and those
 * whose option or section says on. A traced key takes the slow path for everything, and a thread that is ahead of the file waits for it: nothing
 * is lost. Other keys are not slowed. The recording ends with ks_trace_stop or with the program. A child of a fork records
 * nothing, until it calls this itself. Where the file cannot be written any more, a line on standard error says so, once.
 *
 * KS_INVALID, with errno: no path, the file or a thread cannot be had, or a recording runs (EBUSY). The config file can begin one too:
 * `trace file` in keyslab.conf(5). Replaces a file that is there.
 */
KS_API ks_status ks_trace_start(const char *path, uint32_t sample);

/*
 * Ends the recording, and completes its file. What other threads do meanwhile may be missing. KS_OK where none runs; KS_INVALID with
 * errno: the file is not whole.
 */
KS_API ks_status ks_trace_stop(void);

/* ------------------------------------------------------------------ statistics */

/*
 * What arenas come from, for all keys of the process: jemalloc where it was loaded with the program, and the library's own extents
 * elsewhere, as where the library is opened late, with dlopen. docs/jemalloc.md.
 */
enum ks_backend { KS_BACKEND_JEMALLOC = 1, KS_BACKEND_EXTENTS };

#define KS_CLASSES_MAX 64 /* entries in ks_key_stats.classes, of which class_count are used */

/*
 * One size class of a key; the last one, whose size is 0, holds the blocks above the top class.
 *
 *     allocated == freed_local + freed_remote + live + dropped
 *     in_flight <= freed_remote
 */
struct ks_class_stats {
    uint64_t size;
    uint64_t allocated;    /* blocks handed out since the key was created */
    uint64_t freed_local;  /* by the thread that owns them */
    uint64_t freed_remote; /* by other threads; pending ones included */
    uint64_t dropped;      /* by resets, those whose free was pending included */
    uint64_t live;         /* blocks that the program holds */
    uint64_t in_flight;    /* whose free is pending: in batches and message queues */
    uint64_t held;         /* free, in groups of 32 that have been begun */
    uint64_t slabs;        /* slabs with blocks of this generation */
    uint64_t live_bytes;
    uint64_t reserved[4];
};

/*
 * Exact when no thread is inside a call on the key; never negative, and self-consistent at any time. A block of which
 * two frees are pending is in flight twice, at the expense of `live`.
 */
struct ks_key_stats {
    char name[64];
    ks_key_t key;
    uint64_t generation; /* resets so far */
    bool terminated;
    uint64_t heaps;       /* threads that have used the key and not been succeeded by another */
    uint64_t quota;       /* bytes, 0 for none */
    uint64_t arena_bytes; /* taken from the arena: slabs and large blocks, in use or kept for reuse */
    uint64_t arena_peak;
    uint64_t allocated, freed_local, freed_remote, dropped, live, in_flight, held; /* blocks, sums of the classes */
    uint64_t live_bytes;
    uint64_t allocated_bytes;
    uint64_t dropped_bytes;
    uint64_t slabs;                                                            /* with blocks of this generation */
    uint64_t slabs_aside;                                                      /* empty, kept for reuse */
    uint64_t refused_memory, refused_quota, refused_terminated, refused_large; /* allocations, by reason */
    uint64_t bad_block, wrong_key, double_free, stale;                         /* frees and resizes, by reason */
    uint64_t refused_at_home;                                                  /* of double_free: found by the owner */
    uint64_t damaged; /* free blocks that were found written to; see KS_CHECKS_PARANOID */
    uint64_t reserved[15];
    uint32_t class_count;
    enum ks_backend backend; /* the same for every key of the process */
    struct ks_class_stats classes[KS_CLASSES_MAX];
};

/* Fills `*stats`. Cost in proportion to threads times classes. KS_BAD_KEY; KS_INVALID for NULL. */
KS_API ks_status ks_key_stats(ks_key_t key, struct ks_key_stats *stats);

enum ks_stats_format { KS_STATS_TEXT, KS_STATS_JSON };

/*
 * Writes a key's statistics of this moment, or statistics taken before, through `write`, in pieces: a table
 * for people, or one JSON object, in UTF-8 whatever bytes the key's name has: keyslab(1). KS_INVALID for a format that is none, a
 * NULL `write` or NULL statistics; KS_BAD_KEY.
 */
KS_API ks_status ks_key_stats_print(ks_key_t key, enum ks_stats_format format,
                                    void (*write)(void *context, const char *text), void *context);
KS_API ks_status ks_stats_print(const struct ks_key_stats *stats, enum ks_stats_format format,
                                void (*write)(void *context, const char *text), void *context);

/*
 * Walks every structure of the key and checks its invariants. Only while no other thread is inside a call on
 * the key, and only in builds with -Dcheck=true, which test suites use; elsewhere KS_INVALID. KS_OK, or
 * KS_BAD_BLOCK after naming the broken invariant on standard error.
 */
KS_API ks_status ks_key_check(ks_key_t key);

#ifdef __cplusplus
}
#endif

#endif
