/*
 * Tables of misuses: each row arranges pointers that must be refused, and is run at every size, through every
 * call that takes a block, in the thread that arranged it and in another.
 */
#ifndef TESTS_MISUSE_H
#define TESTS_MISUSE_H

#include "test.h"

enum { GOOD = 6, ATTEMPTS_MOST = 13000 };

#define TOP_CLASS ((size_t)65536)      /* above it blocks are large */
#define SLAB_SPAN ((uintptr_t)1 << 18) /* addresses of each slab; it takes all of them here */

/* small, medium, large */
extern const size_t misused_sizes[7];

/* What the error hook has been told. */
struct heard {
    unsigned count;
    unsigned at_home;
    struct ks_error last;
};

struct attempt {
    ks_key_t key;
    void *block;
    ks_status
        instead; /* of what the row says: the answer, the counter and what the hook hears; KS_OK for no difference */
    size_t class_size; /* that the hook must hear then */
};

/* One case: a key whose blocks are misused, another key, and good blocks that must survive. */
struct stage {
    const char *name; /* NULL between cases */
    const char *way;
    size_t size;
    ks_key_t key;
    ks_key_t other;
    struct heard heard;
    void *good[GOOD]; /* of the key; NULL where there is none */
    size_t count;
    struct attempt attempts[ATTEMPTS_MOST];
};

/* What the hook must be told of the block's size. */
enum class_told { NO_CLASS, OWN_CLASS, ANY_CLASS };

struct misuse {
    const char *name;
    void (*arrange)(struct stage *);
    ks_status answer;  /* what the caller is told */
    ks_status counted; /* what the key counts and the hook is told; KS_OK for nothing */
    enum class_told told;
    size_t largest; /* the row makes no sense above; 0 for no limit */
};

/* Two more threads, for all cases of the program. */
extern struct worker others[2];

int misuse_start(void **state);
int misuse_end(void **state);

/* After each test: names the case that failed, where one did. */
int misuse_tell(void **state);

/* The one stage, with two fresh keys. `name` and `way` are for messages. */
struct stage *stage_begin(const char *name, const char *way, size_t size);

/* The key that is misused has other options. */
struct stage *stage_begin_with(const char *name, const char *way, size_t size, struct ks_key_options options);

/* Every good call still works, and no block is handed out twice; then both keys end, and the case counts. */
void stage_end(struct stage *stage);

/* Runs every row at every size and through every call. */
void misuse_run(const struct misuse *rows, size_t count);

/* ------------------------------------------------------------------ what rows are made of */

/* The stage's good blocks, from now on. */
void good_begin(struct stage *stage);

static inline void *block_new(struct stage *stage)
{
    return alloc_ok(stage->key, stage->size);
}

static inline struct attempt *attempt_new(struct stage *stage, ks_key_t key, void *block)
{
    assert_true(stage->count < ATTEMPTS_MOST);
    stage->attempts[stage->count] = (struct attempt){.key = key, .block = block};
    return &stage->attempts[stage->count++];
}

static inline void refuse_with(struct stage *stage, ks_key_t key, void *block)
{
    attempt_new(stage, key, block);
}

static inline void refuse(struct stage *stage, void *block)
{
    attempt_new(stage, stage->key, block);
}

/* Whatever the row says. */
static inline void refuse_as(struct stage *stage, void *block, ks_status status, size_t class_size)
{
    struct attempt *attempt = attempt_new(stage, stage->key, block);
    attempt->instead = status;
    attempt->class_size = class_size;
}

/*
 * An address that no block of the key has had since the slab of `young`, a live small block of it, was begun:
 * KS_STALE with the class of `young` where a block of that slab may begin, KS_BAD_BLOCK where none may. False in
 * another slab, which is left to the caller.
 */
bool refuse_beside(struct stage *stage, void *address, const void *young, size_t size);

/* The same beside any of the good blocks, unless it is one of them; KS_BAD_BLOCK everywhere else. */
void refuse_unless_good(struct stage *stage, void *address);

/* One of the good blocks. */
bool is_good(const struct stage *stage, const void *block);

/* What another thread is asked to do with blocks of a key. */
struct errand {
    ks_key_t key;
    size_t size;
    void **blocks;
    size_t count;
};

void errand_allocate(void *errand);
void errand_free(void *errand);
void errand_flush(void *errand);

/* In others[0]. */
void *block_new_elsewhere(struct stage *stage);
void free_elsewhere(struct stage *stage, void *block);
void flush_elsewhere(void);

#endif
