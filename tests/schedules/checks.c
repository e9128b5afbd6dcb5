/* Paranoid keys, configs, and statistics. */
#include "common.h"

#include <sys/mman.h>
#include <unistd.h>

/* ------------------------------------------------------------------ quarantine */

static bool owner_has_freed, owner_was_second;

static void begin_quarantine(void)
{
    begin_with(&(struct ks_key_options){.checks = KS_CHECKS_PARANOID, .outbox_bytes = 1 << 20});
    owner_has_freed = false;
}

static void free_and_say_so(void)
{
    free_first();
    owner_has_freed = true;
}

/* A block that waits is free for everybody. */
static void free_what_waits(void)
{
    bool waits = owner_has_freed;
    free_second();
    HOLDS(!waits || freed[1] == KS_DOUBLE_FREE);
    owner_was_second |= !waits && freed[1] == KS_OK;
    ks_flush();
}

static void end_quarantine(void)
{
    HOLDS(freed[0] == KS_OK && among(freed[1], KS_OK, KS_DOUBLE_FREE));
    struct ks_key_stats s = end_live();
    HOLDS(s.freed_local == 1 && s.freed_remote == 0 && s.live == 0 && !s.damaged);
    HOLDS(s.refused_at_home == (freed[1] == KS_OK) && s.double_free == 1);
}

static bool both_were_first(void)
{
    return owner_was_second;
}

/* So many wait that with each free another block leaves, and is handed out at random. */
enum { WAITING = 19 };

static void prepare_waiting(void)
{
    for (int i = 0; i < 4 + WAITING; i++)
        blocks[i] = ks_alloc(key, big, NULL);
    for (int i = 4; i < 4 + WAITING; i++)
        HOLDS(ks_free(key, blocks[i]) == KS_OK);
}

static void end_waiting(void)
{
    HOLDS(allocated[0] == KS_OK);
    struct ks_key_stats s = end_live();
    unsigned accepted = (freed[1] == KS_OK) + (freed[2] == KS_OK);
    HOLDS(s.freed_remote + s.refused_at_home == accepted && s.freed_local == WAITING && !s.damaged);
    HOLDS(s.freed_remote == 1u || taken[0] == blocks[0]);
}

/* ------------------------------------------------------------------ guards */

enum { OVER_GUARD = 2048 };

/* The block that lies highest in a slab: where blocks are larger, the guard begins before it. */
static void prepare_over_guard(void)
{
    enum { FULL = (256 - 4) * 1024 / OVER_GUARD };
    for (int i = 0; i < FULL; i++) {
        char *block = ks_alloc(key, OVER_GUARD, NULL);
        memset(block, 0x5a, OVER_GUARD);
        if (block > (char *)blocks[0])
            blocks[0] = block;
    }
}

static void reset_and_set_guard(void)
{
    reset_key();
    allocate(0, big);
}

static void resize_over_guard(void)
{
    taken[1] = ks_realloc(key, blocks[0], 3 * OVER_GUARD, &freed[1]);
}

static bool copied, stale;

/* The resize came first, and has every byte; or the reset did, and by now blocks may begin elsewhere. */
static void end_guard(void)
{
    HOLDS(allocated[0] == KS_OK && (among(freed[1], KS_OK, KS_STALE) || freed[1] == KS_BAD_BLOCK));
    HOLDS(!taken[1] == (freed[1] != KS_OK));
    for (size_t i = 0; taken[1] && i < OVER_GUARD; i++)
        HOLDS(((const char *)taken[1])[i] == 0x5a);
    *(taken[1] ? &copied : &stale) = true;
    end_live();
}

static bool guard_and_copy_met(void)
{
    return copied && stale;
}

/* ------------------------------------------------------------------ a config is replaced */

static ks_key_t other;

/* Files in memory, each opened anew by its name. */
static const char *config_file(int which)
{
    static const char *const texts[] = {"[defaults]\nclasses = 512, 65536\nquota = 1 MiB\n",
                                        "[defaults]\nclasses = 1024, 65536\nquota = 2 MiB\n"};
    static char paths[2][32];
    if (!*paths[which]) {
        int file = memfd_create("config", 0);
        HOLDS(file >= 0 && write(file, texts[which], strlen(texts[which])) == (ssize_t)strlen(texts[which]));
        snprintf(paths[which], sizeof paths[which], "/proc/self/fd/%d", file);
    }
    return paths[which];
}

static void begin_configured(void)
{
    begin();
    HOLDS(ks_config_load(config_file(0), NULL, NULL) == KS_OK);
}

static void create_other(void)
{
    HOLDS(ks_key_create(NULL, &other) == KS_OK);
}

static void replace_config(void)
{
    HOLDS(ks_config_load(config_file(1), NULL, NULL) == KS_OK);
}

static void replace_config_twice(void)
{
    replace_config();
    HOLDS(ks_config_load(config_file(0), NULL, NULL) == KS_OK);
}

/* All of its settings are of one config, whichever. */
static void end_configured(void)
{
    struct ks_key_stats s;
    HOLDS(ks_key_stats(other, &s) == KS_OK);
    HOLDS(s.quota == (uint64_t)ks_key_good_size(other, 1) << 11);
    HOLDS(ks_key_destroy(other) == KS_OK && ks_config_load(NULL, NULL, NULL) == KS_OK);
    end_live();
}

/* ------------------------------------------------------------------ statistics */

enum { PASS = 1024 };

/* The next allocation of the class ends its countdown. */
static void prepare_renewal(void)
{
    for (int i = 1; i < PASS; i++)
        HOLDS(ks_free(key, ks_alloc(key, SMALL, NULL)) == KS_OK);
}

static void allocate_three(void)
{
    for (int i = 0; i < 3; i++)
        blocks[i] = ks_alloc(key, SMALL, NULL);
}

/* No count is ever lost, and none is made up. */
static void look_twice(void)
{
    uint64_t before = PASS - 1;
    for (int i = 0; i < 2; i++) {
        struct ks_key_stats s = stats_now();
        HOLDS(s.allocated >= before && s.allocated <= PASS - 1 + 3 && s.freed_local == PASS - 1);
        HOLDS(s.live == s.allocated - s.freed_local);
        before = s.allocated;
    }
}

static void end_renewal(void)
{
    struct ks_key_stats s = end_live();
    HOLDS(s.allocated == PASS - 1 + 3 && s.live == 3);
}

static const struct scenario all[] = {
    {"a config is replaced while a key is created",
     begin_configured,
     {{.act = create_other}, {.act = replace_config_twice}, {.act = replace_config}},
     end_configured,
     "config create ",
     .preemptions = UNBOUNDED},
    {"allocations are counted while the countdown is renewed",
     begin,
     {{.prepare = prepare_renewal, .act = allocate_three}, {.act = look_twice}},
     end_renewal,
     "renew stats ",
     .preemptions = 2},
    {"a paranoid key: a block that waits is freed by another",
     begin_quarantine,
     {{.prepare = prepare_small, .act = free_and_say_so}, {.act = free_what_waits}},
     end_quarantine,
     "operation free find validate quarantine add send take accept ",
     .preemptions = 3,
     .covered = both_were_first},
    {"a paranoid key: two threads free a block, others leave the quarantine",
     begin_quarantine,
     {{.prepare = prepare_waiting, .act = allocate_first},
      {.act = free_and_flush_second},
      {.act = free_and_flush_third}},
     end_waiting,
     "free send take accept quarantine alloc ",
     .preemptions = 2},
    {"a paranoid key: a guard is set where a block is copied",
     begin_paranoid,
     {{.prepare = prepare_over_guard, .act = reset_and_set_guard}, {.act = resize_over_guard}},
     end_guard,
     "realloc guard epoch drop reset key ",
     .preemptions = 4,
     .covered = guard_and_copy_met},
};

const struct scenarios check_scenarios = {all, COUNT(all)};
