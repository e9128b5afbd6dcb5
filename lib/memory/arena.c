#include "memory/arena.h"

#include "base/pool.h"
#include "memory/huge.h"

#define NODES_MAX  64u /* a node of a higher number shares with another one */
#define SET_MAX    16u /* arenas that keys share; a set for each node, and one for keys that do not ask for a node's */
#define SHARED_MAX ((1 + NODES_MAX) * SET_MAX)
#define OWN_MAX    2048u /* arenas of one key each */

static const struct backend *backend; /* fixed after start */

/*
 * The arenas that keys share, a set for those that do not ask for a node's and one for each node; then those of one key each. In each
 * slot are two, one with ordinary and one with huge pages. An arena is never destroyed, because its address space would be lost: when
 * its key is gone, and all memory is back in it, the next such key gets it.
 */
struct slot_of_arena {
    uint32_t made[2];   /* any, atomic: index of the backend's arena plus one; 0 until memory is first needed from it */
    uint32_t pool_link; /* any, atomic */
    int64_t decay;      /* any, atomic: of one key's; the shared ones have one for all */
};

static struct slot_of_arena arenas[SHARED_MAX + OWN_MAX];
static uint32_t set_count;                   /* arenas of a set that are used */
static int64_t shared_decay = DECAY_AS_EVER; /* any, atomic */
static struct pool own_arenas;
static uint32_t own_next = SHARED_MAX; /* any, atomic: the first that was never taken */

static void begin_huge(void *start, size_t bytes)
{
    platform_advise_huge(start, bytes);
    huge_begin(start, bytes);
}

/*
 * Begins where a huge page does, so that all but what is left behind the last whole one can be such. Shorter ones are drawn where
 * the range is all but used up.
 */
static void *range_draw_huge(size_t bytes, size_t alignment)
{
    if (bytes < HUGE_PAGE)
        return range_draw(bytes, alignment);
    void *start = range_draw(bytes, alignment < HUGE_PAGE ? HUGE_PAGE : alignment);
    if (start)
        begin_huge(start, bytes);
    return start;
}

static bool range_renew_huge(void *start, size_t bytes)
{
    bool renewed = range_renew(start, bytes);
    if (renewed)
        begin_huge(start, bytes);
    return renewed;
}

static const struct extent_source range_source = {
    .draw = range_draw,
    .discard = platform_discard,
    .renew = range_renew,
    .draw_huge = range_draw_huge,
    .discard_huge = huge_discard,
    .renew_huge = range_renew_huge,
    .release = range_release,
};

/* ------------------------------------------------------------------ arenas */

/*
 * The thread that sets a decay and the one that makes the arena each write one word and then look at the other's,
 * so that one of them applies it, or both (C8.6).
 */
static void arena_apply_decay(const struct slot_of_arena *slot)
{
    const int64_t *decay = (uint32_t)(slot - arenas) < SHARED_MAX ? &shared_decay : &slot->decay;
    for (int huge = 0; huge < 2; huge++) {
        uint32_t made = load_ordered(&slot->made[huge]);
        if (made)
            backend->decay(made - 1, load_ordered(decay));
    }
}

/* Stored first, then applied to what there is (C8.6). */
void arena_decay_shared(int64_t decay)
{
    store_ordered(&shared_decay, decay);
    for (uint32_t i = 0; i < SHARED_MAX; i++)
        arena_apply_decay(&arenas[i]);
}

/* A slot belongs to the thread that has popped or counted it (C8.6). */
bool arena_own(int64_t decay, bool huge, struct arena_choice *arena)
{
    uint32_t own = pool_pop(&own_arenas);
    if (!own) {
        own = load_relaxed(&own_next);
        do {
            if (own == SHARED_MAX + OWN_MAX)
                return false;
        } while (!cas(&own_next, &own, own + 1));
    }
    store_ordered(&arenas[own].decay, decay);
    arena_apply_decay(&arenas[own]);
    *arena = (struct arena_choice){.slot = own, .huge = huge};
    return true;
}

struct arena_choice arena_shared(uint32_t number, bool by_node, bool huge)
{
    return (struct arena_choice){.slot = number % set_count, .by_node = by_node, .huge = huge};
}

/* Its memory is back, so the next key may have it (C8.6). */
void arena_leave(struct arena_choice arena)
{
    if (arena.slot >= SHARED_MAX)
        pool_push(&own_arenas, arena.slot);
}

static struct slot_of_arena *slot_on_node(struct arena_choice arena, uint32_t node)
{
    return &arenas[(1 + node) * SET_MAX + arena.slot];
}

/* Where the calling thread is to take memory. */
static struct slot_of_arena *slot_here(struct arena_choice arena)
{
    return arena.by_node ? slot_on_node(arena, platform_node() % NODES_MAX) : &arenas[arena.slot];
}

/* The first to need the arena makes it; the loser of the exchange destroys its own (C8.2). */
static bool arena_of(struct arena_choice choice, unsigned *arena)
{
    bool huge = choice.huge;
    struct slot_of_arena *slot = slot_here(choice);
    uint32_t made = load_acquire(&slot->made[huge]);
    if (!made) {
        unsigned created;
        if (!backend->create(huge, &created))
            return false;
        if (cas(&slot->made[huge], &made, created + 1))
            made = created + 1;
        else
            backend->destroy(created);
        arena_apply_decay(slot);
    }
    *arena = made - 1;
    return true;
}

/* An arena that is made later holds nothing that this purge is for (C8.2). */
static void slot_purge(const struct slot_of_arena *slot, bool with_huge)
{
    for (int huge = 0; huge <= with_huge; huge++) {
        uint32_t made = load_acquire(&slot->made[huge]);
        if (made)
            backend->purge(made - 1);
    }
}

void arena_purge(struct arena_choice arena)
{
    if (!arena.by_node) {
        slot_purge(&arenas[arena.slot], arena.huge);
        return;
    }
    for (uint32_t node = 0; node < NODES_MAX; node++)
        slot_purge(slot_on_node(arena, node), arena.huge);
}

/* ------------------------------------------------------------------ memory */

size_t arena_round(size_t bytes, size_t alignment)
{
    return bytes > range.bytes ? 0 : backend->round(bytes, alignment);
}

/*
 * A huge page is resident as a whole: memory that does not fill what its alignment takes up, as large blocks may not, has ordinary
 * pages, of which the rest costs addresses only.
 */
static struct arena_choice arena_for(struct arena_choice arena, size_t bytes, size_t alignment)
{
    arena.huge &= bytes % alignment == 0;
    return arena;
}

void *arena_take(struct arena_choice choice, size_t bytes, size_t alignment)
{
    unsigned arena;
    bool made = arena_of(arena_for(choice, bytes, alignment), &arena);
    void *start = made ? backend->take(arena, bytes, alignment) : NULL;
    if (start && !range_contains(start)) {
        /* jemalloc's fallback arena, in a thread that is ending, where jemalloc is the program's malloc. */
        backend->give(start);
        start = NULL;
    }
    if (start && choice.huge)
        huge_use(start, bytes);
    return start;
}

void arena_give(struct arena_choice choice, void *start, size_t bytes)
{
    if (choice.huge)
        huge_leave(start, bytes);
    /* The backend finds the extent's arena by its address. */
    backend->give(start);
}

/* ------------------------------------------------------------------ start */

enum ks_backend arena_backend(void)
{
    return backend->kind;
}

bool arena_start(void)
{
    uint32_t processors = platform_processors();
    set_count = processors < SET_MAX ? processors : SET_MAX;
    own_arenas = (struct pool){
        .members = (char *)arenas,
        .stride = sizeof *arenas,
        .link_offset = offsetof(struct slot_of_arena, pool_link),
    };
    backend = backend_choose();
    return backend->start(&range_source);
}
