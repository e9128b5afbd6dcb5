#include "slab.h"

#include "guard.h"
#include "past.h"

#define WORD_BITS   64
#define SIDE_COLORS (PAGE / 2 / CACHE_LINE)
#define SMALL_SIDES (PAGE / SMALL_SIDE_BYTES) /* in a page */

/* Where the blocks end short of the slab's end, the index of that tail has a state too, which is never live.
 */
static size_t states_count(uint32_t capacity, size_t block_bytes)
{
    return capacity + (capacity * block_bytes < SLAB_BYTES);
}

static size_t states_bytes(uint32_t capacity)
{
    return ((size_t)capacity + 1 + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
}

static size_t bitmap_words(uint32_t capacity)
{
    return ((size_t)capacity + WORD_BITS - 1) / WORD_BITS;
}

static size_t side_bytes(uint32_t capacity)
{
    return states_bytes(capacity) + bitmap_words(capacity) * sizeof(uint64_t);
}

/*
 * Side areas lie a multiple of a page apart, and would all start in the same cache set: neighbours start some lines apart, as far
 * as the class leaves room, in the one page where it needs no more. So do those that lie in one page, and those of the next page.
 */
static uint8_t *states_of(const struct slab *slab, uint32_t capacity)
{
    size_t index = (size_t)(slab - range.slabs);
    size_t needed = side_bytes(capacity);
    if (needed <= SMALL_SIDE_BYTES) {
        size_t colors = (SMALL_SIDE_BYTES - needed) / CACHE_LINE + 1;
        return range.small_sides + index * SMALL_SIDE_BYTES + index / SMALL_SIDES % colors * CACHE_LINE;
    }
    size_t colors = ((needed < PAGE ? PAGE : SIDE_BYTES) - needed) / CACHE_LINE + 1;
    return range.sides + index * SIDE_BYTES + index % (colors < SIDE_COLORS ? colors : SIDE_COLORS) * CACHE_LINE;
}

/* Its holder's; who comes too late with an old index may read there for a state, so it is written as states are. C7.2. */
static uint64_t *bitmap_of(const struct slab *slab)
{
    return (uint64_t *)(slab->states + states_bytes(slab->capacity));
}

static_assert(offsetof(struct heap, accounts) <= UINT16_MAX && offsetof(struct heap, odd) <= UINT16_MAX,
              "bins and outboxes lie where 16 bits can tell");
static_assert(SLAB_BYTES / CLASS_LEAST + CACHE_LINE + SLAB_BYTES / CLASS_LEAST / 8 <= SIDE_BYTES,
              "a side area holds the states and the bitmap of the smallest class");

/* Eight at a time; the states behind them are fresh. C7.2. */
static void states_start(uint8_t *states, size_t count)
{
    uint64_t *words = (uint64_t *)states;
    for (size_t i = 0; i < (count + sizeof *words - 1) / sizeof *words; i++)
        store_relaxed(&words[i], (uint64_t)STATE_FRESH);
}

/*
 * All states start afresh: those of the last life that were handed out, if they lay in the same places. A free that is still
 * under way from an earlier life was sent with that life's count; its
 * magazine is thrown away as a whole if it is for another incarnation of the heap. C7.2.
 */
static void slab_start_life(struct heap *heap, struct slab *slab, uint32_t class, size_t block_bytes)
{
    const struct class *kind = &heap->classes->table[class];
    uint8_t *states = states_of(slab, kind->capacity);
    size_t dirty = past_remember(slab);
    if (slab->tag && (states != slab->states || kind->capacity != slab->capacity))
        dirty = states_count(kind->capacity, block_bytes);
    store_relaxed(&slab->reciprocal, kind->reciprocal);
    store_relaxed(&slab->states, states);
    store_relaxed(&slab->handle, heap->handle);
    store_relaxed(&slab->block_bytes, block_bytes);
    store_relaxed(&slab->class, class);
    slab->bin = (uint16_t)(class * BIN_BYTES);
    store_relaxed(&slab->box, (uint16_t)outbox_place(heap->tag, class));
    store_relaxed(&slab->carved, 0u);
    slab->capacity = kind->capacity;
    slab->limit = kind->bytes ? (uint32_t)((slab->taken - guard_least(heap->key)) / kind->bytes) : 1;
    slab->shelved = 0;
    states_start(states, dirty);
    /* Release: who reads the new life reads no state of the old one; who reads the new tag, nothing old at all. */
    store_release(&slab->life, (uint8_t)(slab->life + 1));
    POINT("life: states fresh");
    store_release(&slab->tag, heap->tag);
    if (heap->key->paranoid)
        guard_set(slab, slab->limit * block_bytes);
}

/* The slab that was set aside longest ago, off the list; NULL when there is none. */
static struct slab *aside_take(struct heap *heap)
{
    struct slab *slab = TAILQ_FIRST(&heap->aside);
    if (!slab)
        return NULL;
    TAILQ_REMOVE(&heap->aside, slab, link);
    owner_add(&heap->aside_count, -1ul);
    if (heap->aside_low > heap->aside_count)
        heap->aside_low = heap->aside_count;
    return slab;
}

/*
 * Extents begin at multiples of SLAB_BYTES, so nobody else's lies in what an extent leaves of its last SLAB_BYTES of addresses:
 * whoever else had some of them would still be their owner.
 */
static void slab_expect_vacant(const struct slab *slab)
{
    (void)slab;
    CHECKED(assert(!slab->tag || slab->tag & TAG_GIVEN));
}

struct slab *slab_take(struct heap *heap, size_t bytes, size_t alignment, ks_status *status)
{
    char *start = arena_take(heap, bytes, alignment, status);
    if (!start)
        return NULL;
    struct slab *slab = arena_slab((size_t)(start - range.base));
    CHECKED(assert(arena_slab_start(slab) == start));
    slab_expect_vacant(slab);
    slab->taken = bytes;
    return slab;
}

struct slab *slab_begin(struct heap *heap, uint32_t class, ks_status *status)
{
    struct slab *slab = aside_take(heap);
    if (slab && !guard_lift(slab)) {
        slab_give(heap, slab);
        slab = NULL;
    }
    if (!slab) {
        slab = slab_take(heap, heap->key->slab_bytes, SLAB_BYTES, status);
        if (!slab)
            return NULL;
    }
    slab_start_life(heap, slab, class, heap->classes->table[class].bytes);
    TAILQ_INSERT_TAIL(&heap->slabs, slab, link);
    owner_add(&heap->shelves[class].slabs, 1);
    *status = KS_OK;
    return slab;
}

/*
 * A slab inside of a large block, up to `bytes` of it. It has the state of the block, and nothing in it can be freed. C7.2.
 */
static void slab_cover(struct heap *heap, struct slab *slab, size_t bytes, uint8_t *states)
{
    slab_expect_vacant(slab);
    past_remember(slab);
    store_relaxed(&slab->reciprocal, heap->classes->table[CLASS_COVERED].reciprocal);
    store_relaxed(&slab->states, states);
    store_relaxed(&slab->handle, heap->handle);
    store_relaxed(&slab->block_bytes, bytes);
    store_relaxed(&slab->class, (uint32_t)CLASS_COVERED);
    store_relaxed(&slab->carved, 1u);
    store_release(&slab->life, (uint8_t)(slab->life + 1));
    store_release(&slab->tag, heap->tag);
}

/* C7.2. */
void slab_begin_large(struct heap *heap, struct slab *slab, size_t bytes)
{
    slab_start_life(heap, slab, CLASS_LARGE, bytes);
    store_relaxed(&slab->carved, 1u);
    size_t left = bytes;
    for (size_t i = 1; left > SLAB_BYTES; i++) {
        left -= SLAB_BYTES;
        slab_cover(heap, slab + i, left < SLAB_BYTES ? left : SLAB_BYTES, slab->states);
    }
    TAILQ_INSERT_TAIL(&heap->large, slab, link);
    owner_add(&heap->shelves[CLASS_LARGE].slabs, 1);
}

/* C7.2. */
uint32_t slab_carve(struct heap *heap, struct slab *slab, struct slot *floor, uint32_t most)
{
    uint32_t left = slab->limit - slab->carved;
    uint32_t count = left < most ? left : most;
    char *block = arena_slab_start(slab) + slab->carved * slab->block_bytes;
    uint8_t *state = slab->states + slab->carved;
    for (uint32_t i = count; i-- > 0; block += slab->block_bytes)
        floor[i] = (struct slot){block, state++};
    store_relaxed(&slab->carved, slab->carved + count);
    owner_add(&heap->shelves[slab->class].carved, count);
    return count;
}

static void slab_unlink_partial(struct heap *heap, struct slab *slab)
{
    TAILQ_REMOVE(&heap->shelves[slab->class].partial, slab, shelf);
}

/* C7.2. */
uint32_t slab_unshelve(struct heap *heap, struct slab *slab, struct slot *floor, uint32_t most)
{
    uint32_t count = slab->shelved < most ? slab->shelved : most;
    uint64_t *bitmap = bitmap_of(slab);
    char *start = arena_slab_start(slab);
    size_t word = 0;
    for (uint32_t i = count; i-- > 0;) {
        while (!bitmap[word])
            word++;
        size_t index = word * WORD_BITS + (size_t)__builtin_ctzl(bitmap[word]);
        store_relaxed(&bitmap[word], bitmap[word] & (bitmap[word] - 1));
        floor[i] = (struct slot){start + index * slab->block_bytes, slab->states + index};
    }
    slab->shelved -= count;
    owner_add(&heap->shelves[slab->class].shelved, -(uint64_t)count);
    if (!slab->shelved)
        slab_unlink_partial(heap, slab);
    return count;
}

/* Every carved block is back: the slab leaves its class. */
static void slab_set_aside(struct heap *heap, struct slab *slab)
{
    struct shelf *shelf = &heap->shelves[slab->class];
    slab_unlink_partial(heap, slab);
    TAILQ_REMOVE(&heap->slabs, slab, link);
    if (shelf->carving == slab)
        shelf->carving = NULL;
    owner_add(&shelf->carved, -(uint64_t)slab->carved);
    owner_add(&shelf->shelved, -(uint64_t)slab->shelved);
    owner_add(&shelf->slabs, -1ul);
    TAILQ_INSERT_TAIL(&heap->aside, slab, link);
    owner_add(&heap->aside_count, 1);
}

/* C7.2. */
void slab_shelve(struct heap *heap, struct slot slot)
{
    struct slab *slab = arena_slab((size_t)((char *)slot.block - range.base));
    size_t index = (size_t)(slot.state - slab->states);
    uint64_t *bitmap = bitmap_of(slab);
    if (!slab->shelved++) {
        for (size_t word = 0; word < bitmap_words(slab->capacity); word++)
            store_relaxed(&bitmap[word], (uint64_t)0);
        TAILQ_INSERT_TAIL(&heap->shelves[slab->class].partial, slab, shelf);
    }
    uint64_t *word = &bitmap[index / WORD_BITS];
    store_relaxed(word, *word | (uint64_t)1 << index % WORD_BITS);
    owner_add(&heap->shelves[slab->class].shelved, 1);
    if (slab->shelved == slab->carved)
        slab_set_aside(heap, slab);
}

/* With all that a large block covers. C7.3. */
void slab_give(struct heap *heap, struct slab *slab)
{
    for (struct slab *covered = slab; covered < slab + arena_slabs(slab->taken); covered++)
        if (covered->tag)
            store_relaxed(&covered->tag, covered->tag | TAG_GIVEN);
    POINT("give: marked");
    if (guard_lift(slab))
        arena_give(heap, arena_slab_start(slab), slab->taken);
    else
        arena_abandon(heap, arena_slab_start(slab), slab->taken);
}

uint64_t slab_give_aside(struct heap *heap, uint64_t most)
{
    uint64_t given = 0;
    struct slab *slab;
    while (given < most && (slab = aside_take(heap))) {
        slab_give(heap, slab);
        given++;
    }
    return given;
}
