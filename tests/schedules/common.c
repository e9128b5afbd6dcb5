#include "common.h"

ks_key_t key;
size_t big;
void *blocks[512];
void *taken[ACTORS];
ks_status freed[ACTORS], allocated[ACTORS], ended[ACTORS];
const char *scenario_name;
static bool began;                 /* the noted allocation */
static ks_status answered[ACTORS]; /* `freed` at that moment */

/* ------------------------------------------------------------------ beginnings and ends */

void begin_with(const struct ks_key_options *options)
{
    HOLDS(ks_key_create(options, &key) == KS_OK);
    big = 65536;
    memset(blocks, 0, sizeof blocks);
    memset(taken, 0, sizeof taken);
    for (int i = 0; i < ACTORS; i++)
        freed[i] = allocated[i] = ended[i] = answered[i] = KS_INVALID;
    began = false;
}

void begin(void)
{
    begin_with(NULL);
}

void begin_collecting(void)
{
    begin_with(&(struct ks_key_options){.outbox_bytes = 1 << 20});
}

void begin_small(void)
{
    begin_with(&(struct ks_key_options){.quota = SLAB});
}

void begin_paranoid(void)
{
    begin_with(&(struct ks_key_options){.checks = KS_CHECKS_PARANOID});
    big = 52416; /* before the guard */
}

struct ks_key_stats stats_now(void)
{
    struct ks_key_stats s;
    HOLDS(ks_key_stats(key, &s) == KS_OK);
    HOLDS(s.allocated == s.freed_local + s.freed_remote + s.live + s.dropped);
    return s;
}

struct ks_key_stats end_live(void)
{
    HOLDS(ks_key_check(key) == KS_OK);
    HOLDS(ks_key_purge(key) == KS_OK);
    HOLDS(ks_key_check(key) == KS_OK);
    struct ks_key_stats s = stats_now();
    HOLDS(s.in_flight == 0);
    HOLDS(ks_key_reset(key) == KS_OK && ks_key_purge(key) == KS_OK);
    HOLDS(stats_now().arena_bytes == 0);
    HOLDS(ks_key_destroy(key) == KS_OK);
    HOLDS(ks_leaks() == 0);
    return s;
}

void end_destroyed(void)
{
    HOLDS(ks_key_destroy(key) == KS_BAD_KEY);
    HOLDS(ks_leaks() == 0);
}

/* ------------------------------------------------------------------ what actors do */

void prepare_small(void)
{
    blocks[0] = ks_alloc(key, SMALL, NULL);
}

void prepare_big(void)
{
    for (int i = 0; i < 4; i++)
        blocks[i] = ks_alloc(key, big, NULL);
}

void allocate(int actor, size_t size)
{
    taken[actor] = ks_alloc(key, size, &allocated[actor]);
}

void allocate_first(void)
{
    allocate(0, big);
}

void allocate_second(void)
{
    allocate(1, big);
}

void allocate_small_first(void)
{
    allocate(0, SMALL);
}

void allocate_small_second(void)
{
    allocate(1, SMALL);
}

void allocate_and_free(void)
{
    allocate_small_first();
    if (taken[0])
        free_by(0, taken[0]);
}

void free_by(int actor, void *block)
{
    ks_status status = ks_free(key, block);
    if (among(freed[actor], KS_INVALID, KS_OK))
        freed[actor] = status;
}

void free_first(void)
{
    free_by(0, blocks[0]);
}

void free_second(void)
{
    free_by(1, blocks[0]);
}

void free_third(void)
{
    free_by(2, blocks[0]);
}

void free_and_flush_second(void)
{
    free_second();
    ks_flush();
}

void free_and_flush_third(void)
{
    free_third();
    ks_flush();
}

void reset_key(void)
{
    HOLDS(ks_key_reset(key) == KS_OK);
}

void purge_second(void)
{
    ended[1] = ks_key_purge(key);
}

void purge_third(void)
{
    ended[2] = ks_key_purge(key);
}

void destroy_second(void)
{
    ended[1] = ks_key_destroy(key);
}

void destroy_third(void)
{
    ended[2] = ks_key_destroy(key);
}

void nothing(void)
{
}

/* ------------------------------------------------------------------ when all have acted */

void a_dead_key_is_refused(void)
{
    ks_status status;
    HOLDS(!ks_alloc(key, SMALL, &status) && status == KS_BAD_KEY);
}

void the_key_is_gone(void)
{
    a_dead_key_is_refused();
    HOLDS(ks_leaks() == 0);
}

void a_new_block_lives(void)
{
    void *block = ks_alloc(key, SMALL, NULL);
    HOLDS(block && stats_now().live == 1);
    HOLDS(ks_free(key, block) == KS_OK);
}

/* ------------------------------------------------------------------ an allocation that is looked into */

void note_answers(void)
{
    memcpy(answered, freed, sizeof answered);
    began = true;
}

void allocate_noted(size_t size)
{
    note_answers();
    allocate(0, size);
}

void allocate_noted_first(void)
{
    allocate_noted(big);
}

bool was_answered(int actor)
{
    return answered[actor] != KS_INVALID;
}

bool allocation_began(void)
{
    return began;
}

/* Nobody who was answered KS_OK for the address can have meant the block that was allocated. */
static bool taken_is_nobody_elses(void)
{
    for (int i = 0; i < ACTORS; i++)
        if (freed[i] == KS_OK && !was_answered(i))
            return false;
    return taken[0];
}

void more_blocks_differ(int from)
{
    enum { MORE = 8 };
    void *lives[4 + 1 + MORE];
    size_t count = 0;
    for (int i = from; i < 4; i++)
        lives[count++] = blocks[i];
    if (taken_is_nobody_elses())
        lives[count++] = taken[0];
    for (int i = 0; i < MORE; i++) {
        void *block = ks_alloc(key, big, NULL);
        HOLDS(block);
        for (size_t j = 0; j < count; j++)
            HOLDS(block != lives[j]);
        lives[count++] = block;
    }
    HOLDS(!taken_is_nobody_elses() || ks_size(key, taken[0]));
}

void more_blocks_differ_from_three(void)
{
    more_blocks_differ(1);
}
