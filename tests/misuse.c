#include "misuse.h"

#include <keyslab/netmon.h>
#include <stdio.h>
#include <stdlib.h>

const size_t misused_sizes[7] = {1, 64, 1500, 9000, 65536, 65537, 1 << 20};

struct worker others[2];

static struct stage the_stage;
static uint64_t numbers[2]; /* of this thread, and of others[0] */
static unsigned cases;

/* ------------------------------------------------------------------ errands */

void errand_allocate(void *argument)
{
    struct errand *errand = argument;
    for (size_t i = 0; i < errand->count; i++)
        errand->blocks[i] = alloc_ok(errand->key, errand->size);
}

void errand_free(void *argument)
{
    struct errand *errand = argument;
    for (size_t i = 0; i < errand->count; i++)
        assert_status(ks_free(errand->key, errand->blocks[i]), KS_OK);
}

void errand_flush(void *argument)
{
    (void)argument;
    ks_flush();
}

void *block_new_elsewhere(struct stage *stage)
{
    void *block;
    worker_do(&others[0], errand_allocate, &(struct errand){stage->key, stage->size, &block, 1});
    return block;
}

void free_elsewhere(struct stage *stage, void *block)
{
    worker_do(&others[0], errand_free, &(struct errand){stage->key, stage->size, &block, 1});
}

void flush_elsewhere(void)
{
    for (size_t i = 0; i < COUNT(others); i++)
        worker_do(&others[i], errand_flush, NULL);
}

/* ------------------------------------------------------------------ the stage */

static void hear(void *context, const struct ks_error *error)
{
    struct heard *heard = context;
    heard->count++;
    heard->at_home += error->at_home;
    heard->last = *error;
}

static ks_key_t key_heard(struct heard *heard, struct ks_key_options options)
{
    ks_key_t key;
    options.on_error = hear;
    options.on_error_context = heard;
    assert_status(ks_key_create(&options, &key), KS_OK);
    return key;
}

struct stage *stage_begin(const char *name, const char *way, size_t size)
{
    return stage_begin_with(name, way, size, (struct ks_key_options){0});
}

struct stage *stage_begin_with(const char *name, const char *way, size_t size, struct ks_key_options options)
{
    struct stage *stage = &the_stage;
    stage->name = name;
    stage->way = way;
    stage->size = size;
    stage->count = 0;
    stage->heard = (struct heard){0};
    memset(stage->good, 0, sizeof stage->good);
    stage->key = key_heard(&stage->heard, options);
    stage->other = key_new();
    return stage;
}

void good_begin(struct stage *stage)
{
    for (size_t i = 0; i < GOOD; i++)
        stage->good[i] = block_new(stage);
}

bool is_good(const struct stage *stage, const void *block)
{
    for (size_t i = 0; i < GOOD; i++)
        if (stage->good[i] == block)
            return true;
    return false;
}

bool refuse_beside(struct stage *stage, void *address, const void *young, size_t size)
{
    size_t bytes = ks_good_size(size);
    size_t offset = (uintptr_t)address % SLAB_SPAN;
    if ((uintptr_t)address / SLAB_SPAN != (uintptr_t)young / SLAB_SPAN)
        return false;
    bool begins = offset % bytes == 0 && offset + bytes <= SLAB_SPAN;
    refuse_as(stage, address, begins ? KS_STALE : KS_BAD_BLOCK, begins ? bytes : 0);
    return true;
}

void refuse_unless_good(struct stage *stage, void *address)
{
    if (is_good(stage, address))
        return;
    for (size_t i = 0; stage->size <= TOP_CLASS && i < GOOD; i++)
        if (refuse_beside(stage, address, stage->good[i], stage->size))
            return;
    refuse_as(stage, address, KS_BAD_BLOCK, 0);
}

static int by_address(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;
    return (*left > *right) - (*left < *right);
}

/* Together with the good ones that are still live. */
static void assert_no_block_comes_twice(struct stage *stage)
{
    enum { BLOCKS = 200 };
    char *blocks[BLOCKS + GOOD];
    size_t count = 0;
    for (size_t i = 0; i < GOOD; i++)
        if (stage->good[i])
            blocks[count++] = stage->good[i];
    for (int i = 0; i < BLOCKS; i++)
        blocks[count++] = block_new(stage);
    qsort(blocks, count, sizeof *blocks, by_address);
    for (size_t i = 0; i < count; i++) {
        assert_true(ks_size(stage->key, blocks[i]) >= stage->size);
        assert_true(i == 0 || (size_t)(blocks[i] - blocks[i - 1]) >= ks_good_size(stage->size));
    }
    for (size_t i = 0; i < count; i++)
        assert_status(ks_free(stage->key, blocks[i]), KS_OK);
}

void stage_end(struct stage *stage)
{
    unsigned heard = stage->heard.count;
    assert_key_whole(stage->key);
    assert_stats_balance(stage->key);
    if (!stats_of(stage->key).terminated) {
        assert_no_block_comes_twice(stage);
        flush_elsewhere();
        ks_flush();
        assert_status(ks_key_purge(stage->key), KS_OK);
        assert_int_equal(stats_of(stage->key).in_flight, 0);
        assert_stats_balance(stage->key);
    }
    assert_int_equal(stage->heard.count, heard);
    key_end(stage->key);
    key_end(stage->other);
    stage->name = NULL;
    cases++;
}

/* Learns the number under which a thread is named to error hooks. */
static void number_learn(void *argument)
{
    struct heard heard = {0};
    ks_key_t key = key_heard(&heard, (struct ks_key_options){0});
    assert_status(ks_free(key, &heard), KS_BAD_BLOCK);
    *(uint64_t *)argument = heard.last.thread;
    key_end(key);
}

int misuse_start(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(others); i++)
        worker_start(&others[i]);
    number_learn(&numbers[0]);
    worker_do(&others[0], number_learn, &numbers[1]);
    assert_int_not_equal(numbers[0], 0);
    assert_int_not_equal(numbers[0], numbers[1]);
    return 0;
}

int misuse_tell(void **state)
{
    (void)state;
    if (the_stage.name)
        print_error("in the case: %s, %zu bytes, %s\n", the_stage.name, the_stage.size, the_stage.way);
    the_stage.name = NULL;
    return 0;
}

int misuse_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(others); i++)
        worker_end(&others[i]);
    printf("%u misuse cases\n", cases);
    return 0;
}

/* ------------------------------------------------------------------ calls that take a block */

static DWORD netmon_error(ks_status status)
{
    if (status == KS_TERMINATED)
        return NMERR_EXPERT_TERMINATE;
    return status == KS_BAD_KEY ? NMERR_INVALID_EXPERT_HANDLE : NMERR_INVALID_PARAMETER;
}

static bool by_free(struct stage *stage, const struct attempt *attempt, ks_status answer)
{
    (void)stage;
    return ks_free(attempt->key, attempt->block) == answer;
}

static bool resized(const struct attempt *attempt, size_t size, ks_status answer)
{
    ks_status status = KS_OK;
    return !ks_realloc(attempt->key, attempt->block, size, &status) && status == answer;
}

static bool by_growing(struct stage *stage, const struct attempt *attempt, ks_status answer)
{
    return resized(attempt, stage->size * 2 + 1, answer);
}

static bool by_shrinking(struct stage *stage, const struct attempt *attempt, ks_status answer)
{
    return resized(attempt, stage->size / 2 + 1, answer);
}

static bool by_emptying(struct stage *stage, const struct attempt *attempt, ks_status answer)
{
    (void)stage;
    return resized(attempt, 0, answer);
}

static bool by_size(struct stage *stage, const struct attempt *attempt, ks_status answer)
{
    (void)stage;
    (void)answer;
    return ks_size(attempt->key, attempt->block) == 0;
}

/* `times` the bad block in the middle of good ones. Those are freed by the first such call, and NULL in the next. */
static bool in_bulk(struct stage *stage, const struct attempt *attempt, ks_status answer, size_t times)
{
    void *blocks[GOOD + 2];
    size_t count = 0;
    for (size_t i = 0; i < GOOD / 2; i++)
        blocks[count++] = stage->good[i];
    for (size_t i = 0; i < times; i++)
        blocks[count++] = attempt->block;
    for (size_t i = GOOD / 2; i < GOOD; i++)
        blocks[count++] = stage->good[i];
    ks_status status = KS_OK;
    size_t freed = ks_free_bulk(attempt->key, blocks, count, &status);
    if (answer == KS_BAD_KEY)
        return freed == 0 && status == answer;
    memset(stage->good, 0, sizeof stage->good);
    return freed == GOOD && status == answer;
}

static bool by_bulk(struct stage *stage, const struct attempt *attempt, ks_status answer)
{
    return in_bulk(stage, attempt, answer, 1);
}

static bool by_bulk_twice(struct stage *stage, const struct attempt *attempt, ks_status answer)
{
    return in_bulk(stage, attempt, answer, 2);
}

static bool by_expert_free(struct stage *stage, const struct attempt *attempt, ks_status answer)
{
    (void)stage;
    return ExpertFreeMemory((HEXPERTKEY)attempt->key, attempt->block) == netmon_error(answer);
}

static bool by_expert_resize(struct stage *stage, const struct attempt *attempt, ks_status answer)
{
    DWORD error = NMERR_SUCCESS;
    void *moved = ExpertReallocMemory((HEXPERTKEY)attempt->key, attempt->block, stage->size * 2 + 1, &error);
    return !moved && error == netmon_error(answer);
}

static bool by_expert_size(struct stage *stage, const struct attempt *attempt, ks_status answer)
{
    (void)stage;
    (void)answer;
    return ExpertMemorySize((HEXPERTKEY)attempt->key, attempt->block) == 0;
}

struct way {
    const char *name;
    bool (*use)(struct stage *, const struct attempt *, ks_status answer);
    unsigned refusals; /* of each use */
    bool resizes;      /* asks for memory first: a terminated key does not look at the block */
    bool elsewhere;    /* in another thread */
};

static const struct way ways[] = {
    {"ks_free", by_free, 1, false, false},
    {"ks_free elsewhere", by_free, 1, false, true},
    {"ks_realloc to more", by_growing, 1, true, false},
    {"ks_realloc to more elsewhere", by_growing, 1, true, true},
    {"ks_realloc to less", by_shrinking, 1, true, false},
    {"ks_realloc to nothing", by_emptying, 1, false, false},
    {"ks_size", by_size, 0, false, false},
    {"ks_size elsewhere", by_size, 0, false, true},
    {"ks_free_bulk", by_bulk, 1, false, false},
    {"ks_free_bulk elsewhere", by_bulk, 1, false, true},
    {"ks_free_bulk, twice in it", by_bulk_twice, 2, false, false},
    {"ExpertFreeMemory", by_expert_free, 1, false, false},
    {"ExpertReallocMemory", by_expert_resize, 1, true, false},
    {"ExpertMemorySize", by_expert_size, 0, false, false},
};

/* ------------------------------------------------------------------ a case */

struct trial {
    struct stage *stage;
    const struct misuse *misuse;
    const struct way *way;
    unsigned refusals;             /* that each attempt must cause */
    const struct attempt *failing; /* the first that was not answered as it must be */
};

static ks_status answer_to(const struct trial *trial, const struct attempt *attempt)
{
    return attempt->instead ? attempt->instead : trial->misuse->answer;
}

static ks_status counted_for(const struct trial *trial, const struct attempt *attempt)
{
    return attempt->instead ? attempt->instead : trial->misuse->counted;
}

static bool class_is_right(const struct trial *trial, const struct attempt *attempt)
{
    size_t told = trial->stage->heard.last.class_size;
    if (attempt->instead)
        return told == attempt->class_size;
    if (trial->misuse->told == ANY_CLASS)
        return true;
    return told == (trial->misuse->told == OWN_CLASS ? ks_good_size(trial->stage->size) : 0);
}

static bool heard_is_right(const struct trial *trial, const struct attempt *attempt)
{
    const struct ks_error *error = &trial->stage->heard.last;
    return error->status == counted_for(trial, attempt) && !error->at_home && error->key == attempt->key &&
           error->block == attempt->block && class_is_right(trial, attempt) &&
           error->thread == numbers[trial->way->elsewhere];
}

static void attempt_all(void *argument)
{
    struct trial *trial = argument;
    struct stage *stage = trial->stage;
    for (size_t i = 0; i < stage->count && !trial->failing; i++) {
        const struct attempt *attempt = &stage->attempts[i];
        unsigned heard = stage->heard.count;
        if (!trial->way->use(stage, attempt, answer_to(trial, attempt)) ||
            stage->heard.count - heard != trial->refusals || (trial->refusals && !heard_is_right(trial, attempt)))
            trial->failing = attempt;
    }
}

static unsigned refusals_of(const struct misuse *misuse, const struct way *way)
{
    if (misuse->counted == KS_OK || (way->resizes && misuse->answer == KS_TERMINATED))
        return 0;
    return way->refusals;
}

static uint64_t refusals_with(const struct trial *trial, ks_status status)
{
    uint64_t refusals = 0;
    for (size_t i = 0; i < trial->stage->count; i++)
        if (counted_for(trial, &trial->stage->attempts[i]) == status)
            refusals += trial->refusals;
    return refusals;
}

/* Every counter of refused blocks is what it was, but for those of this misuse. */
static void assert_counted(const struct trial *trial, const struct ks_key_stats *before)
{
    struct ks_key_stats after = stats_of(trial->stage->key);
    assert_int_equal(after.bad_block - before->bad_block, refusals_with(trial, KS_BAD_BLOCK));
    assert_int_equal(after.wrong_key - before->wrong_key, refusals_with(trial, KS_WRONG_KEY));
    assert_int_equal(after.double_free - before->double_free, refusals_with(trial, KS_DOUBLE_FREE));
    assert_int_equal(after.stale - before->stale, refusals_with(trial, KS_STALE));
    assert_int_equal(after.refused_at_home, before->refused_at_home);
    bool asked = trial->way->resizes && trial->misuse->answer == KS_TERMINATED;
    assert_int_equal(after.refused_terminated - before->refused_terminated, asked ? trial->stage->count : 0);
    struct ks_key_stats other = stats_of(trial->stage->other);
    assert_int_equal(other.bad_block + other.wrong_key + other.double_free + other.stale, 0);
}

static size_t good_left(const struct stage *stage)
{
    size_t left = 0;
    for (size_t i = 0; i < GOOD; i++)
        left += stage->good[i] != NULL;
    return left;
}

static void case_run(const struct misuse *misuse, const struct way *way, size_t size)
{
    struct stage *stage = stage_begin(misuse->name, way->name, size);
    misuse->arrange(stage);
    assert_int_not_equal(stage->count, 0);
    size_t good = good_left(stage);
    struct ks_key_stats before = stats_of(stage->key);
    struct ks_key_stats other = stats_of(stage->other);
    struct trial trial = {.stage = stage, .misuse = misuse, .way = way, .refusals = refusals_of(misuse, way)};
    if (way->elsewhere)
        worker_do(&others[0], attempt_all, &trial);
    else
        attempt_all(&trial);
    if (trial.failing)
        fail_msg("key %#zx, block %p: not answered as it must be; last refused: %s", (size_t)trial.failing->key,
                 trial.failing->block, ks_strerror(stage->heard.last.status));
    assert_counted(&trial, &before);
    assert_int_equal(stats_of(stage->key).live, before.live - (good - good_left(stage)));
    assert_int_equal(stats_of(stage->other).live, other.live);
    stage_end(stage);
}

void misuse_run(const struct misuse *rows, size_t count)
{
    for (size_t r = 0; r < count; r++)
        for (size_t s = 0; s < COUNT(misused_sizes); s++)
            for (size_t w = 0; w < COUNT(ways); w++)
                if (!rows[r].largest || misused_sizes[s] <= rows[r].largest)
                    case_run(&rows[r], &ways[w], misused_sizes[s]);
}
