/*
 * One block, freed by its owner and by two other threads, freed again and handed out again in every order of a few
 * steps: what each step is answered, and what has become of the block, against a model.
 */
#include "freers.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { ALL_STEPS = 4, MORE_ORDERS = 500 };
#else
enum { ALL_STEPS = 5, MORE_ORDERS = 10000 };
#endif

static ks_key_t key;
static unsigned orders;

/* ------------------------------------------------------------------ every order
 *
 *     o      the owner frees the block
 *     n      the owner allocates: the block again, if it is free, since it is the lowest of its group; else another one
 *     a b    one of the others frees it
 *     A B    it sends what it holds back
 *     t      the owner takes in what was sent
 *     r      a reset
 */
static const char letters[] = "onabABtr";

enum { STEPS_MOST = 12, PENDING_MOST = STEPS_MOST };

/*
 * A free on its way: how often the group had been allocated from when it was made, and which reset had been the last.
 */
struct entry {
    unsigned clock;
    unsigned resets;
};

struct entries {
    struct entry list[PENDING_MOST];
    size_t count;
};

/* What must be, step for step. */
struct model {
    bool live;
    bool handed_out; /* since the last reset */
    unsigned clock;
    unsigned born; /* the clock at its last allocation */
    unsigned resets;
    unsigned others; /* live blocks beside it */
    struct entries held[FREERS];
    unsigned held_resets[FREERS]; /* the last reset that the freer has seen */
    struct entries queue;
    struct {
        uint64_t double_free, at_home, stale, dropped, freed_local, freed_remote;
    } count;
};

static void entries_add(struct entries *entries, struct entry entry)
{
    assert_true(entries->count < PENDING_MOST);
    entries->list[entries->count++] = entry;
}

static ks_status model_refuse(struct model *model)
{
    if (model->handed_out)
        model->count.double_free++;
    else
        model->count.stale++;
    return model->handed_out ? KS_DOUBLE_FREE : KS_STALE;
}

static ks_status model_free(struct model *model)
{
    if (!model->live)
        return model_refuse(model);
    model->live = false;
    model->count.freed_local++;
    return KS_OK;
}

static void model_send(struct model *model, size_t freer)
{
    struct entries *held = &model->held[freer];
    for (size_t i = 0; i < held->count; i++)
        entries_add(&model->queue, held->list[i]);
    held->count = 0;
}

/* A free that joins the entry of the one before it is found out at once. */
static ks_status model_free_remote(struct model *model, size_t freer, bool at_once)
{
    struct entries *held = &model->held[freer];
    if (model->held_resets[freer] != model->resets)
        held->count = 0;
    model->held_resets[freer] = model->resets;
    if (!model->live)
        return model_refuse(model);
    if (held->count && held->list[held->count - 1].clock == model->clock) {
        model->count.double_free++;
        return KS_DOUBLE_FREE;
    }
    entries_add(held, (struct entry){model->clock, model->resets});
    if (at_once)
        model_send(model, freer);
    return KS_OK;
}

static void model_take(struct model *model)
{
    for (size_t i = 0; i < model->queue.count; i++) {
        const struct entry *entry = &model->queue.list[i];
        if (entry->resets != model->resets)
            continue;
        if (model->live && model->born <= entry->clock) {
            model->live = false;
            model->count.freed_remote++;
        } else {
            model->count.at_home++;
            model->count.double_free++;
        }
    }
    model->queue.count = 0;
}

/* Whether it is the block. */
static bool model_allocate(struct model *model)
{
    model->clock++;
    if (model->live) {
        model->others++;
        return false;
    }
    model->live = model->handed_out = true;
    model->born = model->clock;
    return true;
}

static void model_reset(struct model *model)
{
    model->count.dropped += model->others + model->live;
    model->resets++;
    model->others = 0;
    model->live = model->handed_out = false;
}

struct play {
    char steps[STEPS_MOST + 1];
    bool at_once; /* what is freed is sent at once */
    struct model model;
    char *block;
    uint64_t large; /* blocks that the owner has had on the side */
};

static void fail_in(const struct play *play, size_t step, const char *what)
{
    fail_msg("in \"%s\"%s, step %zu: %s", play->steps, play->at_once ? ", sent at once" : "", step + 1, what);
}

static void expect_status(const struct play *play, size_t step, ks_status status, ks_status expected)
{
    if (status != expected)
        fail_in(play, step, ks_strerror(status));
}

static void play_step(struct play *play, size_t step)
{
    struct model *model = &play->model;
    char letter = play->steps[step];
    switch (letter) {
    case 'o':
        expect_status(play, step, ks_free(key, play->block), model_free(model));
        break;
    case 'n':
        /* After a reset its slab begins anew, for which what was sent is looked for first. */
        if (!model->handed_out)
            model_take(model);
        if ((alloc_ok(key, 64) == play->block) != model_allocate(model))
            fail_in(play, step, "another block than it must be");
        break;
    case 'a':
    case 'b':
        expect_status(play, step, free_in((size_t)(letter - 'a'), key, play->block),
                      model_free_remote(model, (size_t)(letter - 'a'), play->at_once));
        break;
    case 'A':
    case 'B':
        flush_in((size_t)(letter - 'A'));
        model_send(model, (size_t)(letter - 'A'));
        break;
    case 't':
        owner_takes(key);
        play->large++;
        model_take(model);
        break;
    case 'r':
        assert_status(ks_key_reset(key), KS_OK);
        model_reset(model);
        break;
    default:
        fail_in(play, step, "no such step");
    }
    if ((ks_size(key, play->block) == 64) != model->live)
        fail_in(play, step, model->live ? "it must be live" : "it must not be live");
}

static void play_end(struct play *play, size_t steps)
{
    static const char last[] = "ABt";
    memcpy(play->steps + steps, last, sizeof last);
    for (size_t step = steps; play->steps[step]; step++)
        play_step(play, step);
    const struct model *model = &play->model;
    struct ks_key_stats stats = stats_of(key);
    uint64_t live = model->others + model->live;
    if (stats.double_free != model->count.double_free || stats.refused_at_home != model->count.at_home ||
        stats.stale != model->count.stale)
        fail_in(play, steps, "refusals are not as they must be");
    if (stats.freed_local != model->count.freed_local + play->large ||
        stats.freed_remote != model->count.freed_remote || stats.dropped != model->count.dropped ||
        stats.live != live || stats.in_flight)
        fail_in(play, steps, "frees are not as they must be");
    assert_int_equal(stats.bad_block + stats.wrong_key, 0);
    assert_stats_balance(key);
}

static void play_all(struct play play, size_t steps)
{
    assert_status(ks_key_create(&(struct ks_key_options){.outbox_bytes = play.at_once ? 1 : 0}, &key), KS_OK);
    play.block = alloc_ok(key, 64);
    model_allocate(&play.model);
    for (size_t step = 0; step < steps; step++)
        play_step(&play, step);
    play_end(&play, steps);
    key_end(key);
    orders++;
}

/*
 * The others are alike: the first that does anything is the first of them. A thread that sends without having freed
 * is no new order.
 */
static bool is_redundant(const char *steps)
{
    const char *a = strpbrk(steps, "aA");
    const char *b = strpbrk(steps, "bB");
    return !a || *a == 'A' || (b && (*b == 'B' || b < a));
}

static void play_orders(size_t steps, bool at_once)
{
    size_t all = 1;
    for (size_t i = 0; i < steps; i++)
        all *= strlen(letters);
    for (size_t order = 0; order < all; order++) {
        struct play play = {.at_once = at_once};
        size_t left = order;
        for (size_t i = 0; i < steps; i++, left /= strlen(letters))
            play.steps[i] = letters[left % strlen(letters)];
        if (!is_redundant(play.steps) && !(at_once && strpbrk(play.steps, "AB")))
            play_all(play, steps);
    }
}

static void every_order_of_a_few_steps(void **state)
{
    (void)state;
    for (size_t steps = 1; steps <= ALL_STEPS; steps++) {
        play_orders(steps, false);
        play_orders(steps, true);
    }
}

/* Longer ones, here and there. */
static void orders_of_more_steps(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int i = 0; i < MORE_ORDERS; i++) {
        struct play play = {.at_once = i % 4 == 0};
        size_t steps = STEPS_MOST - 3;
        for (size_t step = 0; step < steps; step++)
            play.steps[step] = letters[(size_t)rand_r(&seed) % strlen(letters)];
        play_all(play, steps);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_of_a_few_steps),
        cmocka_unit_test(orders_of_more_steps),
    };
    int failed = cmocka_run_group_tests_name("remote", tests, freers_start, freers_end);
    printf("%u orders\n", orders);
    return failed;
}
