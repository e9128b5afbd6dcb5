#include "core/slab.h"

#include "core/quota.h"
#include "core/thread.h"

#include <string.h>

#define WORD_BITS   64u
#define SIDE_COLORS (PAGE / 2 / CACHE_LINE)
#define SMALL_SIDES (PAGE / SMALL_SIDE_BYTES) /* in a page */

/* ------------------------------------------------------------------ records
 *
 * Beside each slab lie, from its first cache line on: the summary, a line; the groups' records; and a word for each group that only
 * paranoid keys use.
 */
#define SUMMARY_BYTES ((size_t)CACHE_LINE)

static size_t groups_of(uint32_t capacity)
{
    return ((size_t)capacity + GROUP_BLOCKS - 1) / GROUP_BLOCKS;
}

static size_t side_bytes(const struct class *kind)
{
    size_t bytes = SUMMARY_BYTES + groups_of(kind->capacity) * (kind->stride + sizeof(uint32_t));
    return (bytes + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
}

static_assert(SUMMARY_BYTES * 8 >= SLAB_BYTES / CLASS_LEAST / GROUP_BLOCKS, "the summary has a bit for each group");

/*
 * Side areas lie a multiple of a page apart, and would all start in the same cache set: neighbours start some lines apart, as far
 * as the class leaves room, in the one page where it needs no more. So do those that lie in one page, and those of the next page.
 */
static char *side_of(const struct slab *slab, const struct class *kind)
{
    size_t index = slab_index(slab);
    size_t needed = side_bytes(kind);
    CHECKED(assert(needed <= SIDE_BYTES));
    if (needed <= SMALL_SIDE_BYTES) {
        size_t colors = (SMALL_SIDE_BYTES - needed) / CACHE_LINE + 1;
        return (char *)range.small_sides + index * SMALL_SIDE_BYTES + index / SMALL_SIDES % colors * CACHE_LINE;
    }
    size_t colors = ((needed < PAGE ? PAGE : SIDE_BYTES) - needed) / CACHE_LINE + 1;
    return (char *)range.sides + index * SIDE_BYTES +
           index % (colors < SIDE_COLORS ? colors : SIDE_COLORS) * CACHE_LINE;
}

/*
 * The owner's. A late reader, a thread that looks up a block while the slab begins anew, may take it for a record,
 * so everything beside the slab is written by atomic stores, as records are (C7.2).
 */
static uint64_t *summary_of(const struct slab *slab)
{
    return (uint64_t *)(slab->groups - SUMMARY_BYTES);
}

/* Behind the records; a late reader that mixes two epochs is led to another word beside the slab (C7.2). */
uint32_t *slab_waiting(const struct slab *slab, uint32_t group)
{
    size_t records = groups_of(load_relaxed(&slab->capacity)) * load_relaxed(&slab->stride);
    return (uint32_t *)(load_relaxed(&slab->groups) + records) + group;
}

/* ------------------------------------------------------------------ epochs */

/*
 * The fields change before the epoch does. A thread that reads the new epoch reads nothing old; one that has read
 * an old epoch, and a mixture of fields, sends an entry of that epoch, which the owner refuses (C7.2).
 */
static void slab_begin_epoch(struct heap *heap, struct slab *slab, uint32_t class, size_t block_bytes)
{
    const struct class *kind = &heap->classes->table[class];
    const struct checks *checks = heap->key->checks;
    char *side = side_of(slab, kind);
    store_relaxed(&slab->carved, 0u);
    POINT("epoch: nothing carved");
    store_relaxed(&slab->reciprocal, kind->reciprocal);
    POINT("epoch: blocks cut");
    store_relaxed(&slab->groups, side + SUMMARY_BYTES);
    POINT("epoch: records placed");
    store_relaxed(&slab->stride, kind->stride);
    store_relaxed(&slab->handle, heap->handle);
    POINT("epoch: key's");
    store_relaxed(&slab->block_bytes, block_bytes);
    store_relaxed(&slab->class, class);
    store_relaxed(&slab->bin, (uint32_t)(class * BIN_BYTES));
    store_relaxed(&slab->capacity, kind->capacity);
    size_t tail = checks ? checks->slab_tail : 0;
    store_relaxed(&slab->limit, kind->bytes ? (uint32_t)((slab->taken - tail) / kind->bytes) : 1);
    slab->busy = 0;
    slab->is_partial = slab->is_shared = false;
    POINT("epoch: fields changed");
    store_release(&slab->place, PLACE(slab->place + PLACE_EPOCH_STEP, slab->class));
    POINT("epoch: counted");
    /* Release: a thread that reads the new tag reads nothing older than the epoch. */
    store_release(&slab->tag, heap->tag);
    POINT("epoch: tagged");
}

/* Nothing but the epoch changes (C7.2). */
static void slab_begin_same(const struct heap *heap, struct slab *slab)
{
    store_relaxed(&slab->carved, 0u);
    POINT("epoch: nothing carved");
    slab->busy = 0;
    slab->is_partial = false;
    store_release(&slab->place, PLACE(slab->place + PLACE_EPOCH_STEP, slab->class));
    POINT("epoch: counted");
    store_release(&slab->tag, heap->tag);
    POINT("epoch: tagged");
}

static void slab_begun(const struct heap *heap, struct slab *slab)
{
    if (heap->key->checks)
        heap->key->checks->slab_begun(slab, slab->limit * slab->block_bytes);
}

/* The one that was in use last, off the list; NULL when there is none. */
static struct slab *empty_take(struct heap *heap, struct slab *slab)
{
    if (!slab)
        return NULL;
    TAILQ_REMOVE(&heap->empty, slab, link);
    owner_add(&heap->empty_count, -1ul);
    if (heap->empty_low > heap->empty_count)
        heap->empty_low = heap->empty_count;
    return slab;
}

/*
 * Extents begin at multiples of SLAB_BYTES, so no other extent lies in what this one leaves of its last SLAB_BYTES
 * of addresses: its owner would still own the slab.
 */
static void slab_expect_vacant(const struct slab *slab)
{
    (void)slab;
    CHECKED(assert(!slab->tag || slab->tag & TAG_GIVEN));
}

struct slab *slab_take(struct heap *heap, size_t bytes, size_t alignment, ks_status *status)
{
    char *start = quota_take(heap, bytes, alignment, status);
    if (!start)
        return NULL;
    struct slab *slab = slab_at((size_t)(start - range.base));
    CHECKED(assert(slab_start(slab) == start));
    slab_expect_vacant(slab);
    slab->taken = bytes;
    return slab;
}

static bool slab_end(const struct heap *heap, struct slab *slab)
{
    return !heap->key->checks || heap->key->checks->slab_ended(slab);
}

#define LOOKED_AT_FIRST 4 /* slabs, before another one is taken from the arena */

/* An empty slab of the heap, whatever its class was. */
static struct slab *slab_reuse(struct heap *heap)
{
    if (TAILQ_EMPTY(&heap->empty))
        slabs_find_empty(heap, LOOKED_AT_FIRST);
    struct slab *slab = empty_take(heap, TAILQ_FIRST(&heap->empty));
    if (!slab || slab_end(heap, slab))
        return slab;
    slab_give(heap, slab);
    return NULL;
}

struct slab *slab_begin(struct heap *heap, uint32_t class, ks_status *status)
{
    struct slab *slab = slab_reuse(heap);
    if (!slab)
        slab = slab_take(heap, heap->key->slab_bytes, SLAB_BYTES, status);
    if (!slab)
        return NULL;
    slab_begin_epoch(heap, slab, class, heap->classes->table[class].bytes);
    slab_begun(heap, slab);
    TAILQ_INSERT_TAIL(&heap->slabs, slab, link);
    owner_add(&heap->supplies[class].slabs, 1);
    heap->used |= (uint64_t)1 << class;
    *status = KS_OK;
    return slab;
}

void slab_restart(struct heap *heap, struct slab *slab)
{
    slab_begin_same(heap, slab);
    TAILQ_INSERT_TAIL(&heap->slabs, slab, link);
    owner_add(&heap->supplies[slab->class].slabs, 1);
    heap->used |= (uint64_t)1 << slab->class;
}

/* A slab inside of a large block, up to `bytes` of it. No address in it is a block's first byte (C7.2). */
static void slab_cover(struct heap *heap, struct slab *slab, size_t bytes)
{
    slab_expect_vacant(slab);
    slab->taken = 0;
    slab_begin_epoch(heap, slab, CLASS_COVERED, bytes);
}

/* As a small slab begins and hands out its one block; then the slabs behind it are covered (C7.2). */
void slab_begin_large(struct heap *heap, struct slab *slab, size_t bytes)
{
    slab_begin_epoch(heap, slab, CLASS_LARGE, bytes);
    slab_begun(heap, slab);
    slab_carve(heap, slab);
    struct group *group = slab_group(slab, 0);
    born_set(group, 0, clock_next(group->word));
    group_take(group, group->word - 1);
    size_t left = bytes;
    for (size_t i = 1; left > SLAB_BYTES; i++) {
        left -= SLAB_BYTES;
        slab_cover(heap, slab + i, left < SLAB_BYTES ? left : SLAB_BYTES);
    }
    TAILQ_INSERT_TAIL(&heap->large, slab, link);
    owner_add(&heap->supplies[CLASS_LARGE].slabs, 1);
    heap->used |= (uint64_t)1 << CLASS_LARGE;
}

/* `count` free blocks, none of them born. The clock goes on from whatever the record holds (C7.2). */
FAST_PATH void group_begin(struct group *group, uint32_t count)
{
    born_set_all(group, 0);
    POINT("carve: none born");
    uint64_t clock = (group->clock | 1) + CLOCK_STEP;
    uint64_t blocks = ((uint64_t)1 << count) - 1;
    store_relaxed(&group->word, clock << CLOCK_SHIFT | blocks);
    POINT("carve: begun");
}

static uint32_t at_most_a_group(uint32_t blocks)
{
    return blocks < GROUP_BLOCKS ? blocks : GROUP_BLOCKS;
}

/* The group's record is begun before the slab says that the group is carved (C7.2). */
uint32_t slab_carve(struct heap *heap, struct slab *slab)
{
    uint32_t next = group_of(slab->carved);
    uint32_t count = at_most_a_group(slab->limit - slab->carved);
    if (next % WORD_BITS == 0)
        store_relaxed(&summary_of(slab)[next / WORD_BITS], (uint64_t)0);
    if (heap->key->checks)
        store_relaxed(slab_waiting(slab, next), 0u);
    group_begin(slab_group(slab, next), count);
    store_release(&slab->carved, slab->carved + count);
    POINT("carve: counted");
    owner_add(&heap->supplies[slab->class].carved, count);
    return next;
}

/* slab_begin_same and slab_carve in one (C7.2). */
uint32_t slab_rewind(const struct heap *heap, struct slab *slab)
{
    uint32_t count = at_most_a_group(slab->limit);
    slab_begin_same(heap, slab);
    store_relaxed(&summary_of(slab)[0], (uint64_t)0);
    group_begin(slab_group(slab, 0), count);
    store_release(&slab->carved, count);
    POINT("carve: counted");
    return count;
}

/* ------------------------------------------------------------------ summaries */

/* The owner's word, stored as atomics are because a late reader may take it for a record (C7.2). */
void slab_summarize(struct heap *heap, struct slab *slab, uint32_t group)
{
    uint64_t *word = &summary_of(slab)[group / WORD_BITS];
    store_relaxed(word, *word | (uint64_t)1 << group % WORD_BITS);
    if (slab->is_partial)
        return;
    slab->is_partial = true;
    TAILQ_INSERT_TAIL(&heap->supplies[slab->class].partial, slab, of_class);
}

static void slab_unlink_partial(struct heap *heap, struct slab *slab)
{
    slab->is_partial = false;
    TAILQ_REMOVE(&heap->supplies[slab->class].partial, slab, of_class);
}

static bool summary_is_empty(const struct slab *slab)
{
    uint64_t any = 0;
    for (uint32_t word = 0; word * WORD_BITS < groups_carved(slab); word++)
        any |= summary_of(slab)[word];
    return !any;
}

/* Owner-only stores; late readers may read them as a record (C7.2). */
static void summary_clear(struct heap *heap, struct slab *slab, uint32_t group)
{
    uint64_t *word = &summary_of(slab)[group / WORD_BITS];
    store_relaxed(word, *word & ~((uint64_t)1 << group % WORD_BITS));
    if (!*word && summary_is_empty(slab))
        slab_unlink_partial(heap, slab);
}

bool slab_leave_summary(struct heap *heap, struct slab *slab, uint32_t group)
{
    bool is_there = summary_of(slab)[group / WORD_BITS] >> group % WORD_BITS & 1;
    if (is_there)
        summary_clear(heap, slab, group);
    return is_there;
}

uint32_t slab_unsummarize(struct heap *heap, struct slab *slab)
{
    const uint64_t *words = summary_of(slab);
    uint32_t word = 0;
    while (!words[word])
        word++;
    uint32_t group = word * WORD_BITS + (uint32_t)__builtin_ctzl(words[word]);
    summary_clear(heap, slab, group);
    return group;
}

/* ------------------------------------------------------------------ empty slabs */

static bool group_is_idle(const struct slab *slab, uint32_t group)
{
    return slab_group(slab, group)->free == group_blocks(slab, group);
}

static bool slab_has(const struct slab *slab, const struct group *group)
{
    const char *record = (const char *)group;
    return record >= slab->groups && record < slab->groups + (size_t)groups_carved(slab) * slab->stride;
}

/* The class goes on with the slab after a reset, and has not needed it since. */
static bool slab_is_unused(const struct slab *slab)
{
    const record_word *born = (const record_word *)slab_group(slab, 0)->born;
    uint64_t any = 0;
    for (size_t i = 0; i < sizeof slab_group(slab, 0)->born / (sizeof *born); i++)
        any |= born[i];
    return slab->carved <= GROUP_BLOCKS && !any;
}

/* That of a bin's group is in use, or soon will be again. */
static bool slab_is_empty(const struct heap *heap, struct slab *slab)
{
    if (!group_is_idle(slab, slab->busy) || (slab_has(slab, heap->bins[slab->class].group) && !slab_is_unused(slab)))
        return false;
    for (uint32_t group = 0; group < groups_carved(slab); group++)
        if (!group_is_idle(slab, group)) {
            slab->busy = group;
            return false;
        }
    return true;
}

/* Its groups are not recent any more. */
static void recents_leave(struct heap *heap, const struct slab *slab)
{
    struct bin *bin = &heap->bins[slab->class];
    struct recent *kept = heap->recents[slab->class].places + 1;
    for (struct recent *recent = kept; recent < bin->top; recent++)
        if (!slab_has(slab, recent->group))
            *kept++ = *recent;
    bin->top = kept;
}

void slab_set_empty(struct heap *heap, struct slab *slab)
{
    struct supply *supply = &heap->supplies[slab->class];
    struct bin *bin = &heap->bins[slab->class];
    last_forget();
    if (slab_has(slab, bin->group))
        bin->group = &group_none;
    recents_leave(heap, slab);
    if (slab->is_partial)
        slab_unlink_partial(heap, slab);
    TAILQ_REMOVE(&heap->slabs, slab, link);
    if (supply->carving == slab)
        supply->carving = NULL;
    owner_add(&supply->carved, -(uint64_t)slab->carved);
    owner_add(&supply->slabs, -1ul);
    TAILQ_INSERT_HEAD(&heap->empty, slab, link);
    owner_add(&heap->empty_count, 1);
}

void slabs_find_empty(struct heap *heap, uint64_t most)
{
    struct slab *last = TAILQ_LAST(&heap->slabs, slab_list);
    while (most-- && last) {
        struct slab *slab = TAILQ_FIRST(&heap->slabs);
        bool is_last = slab == last;
        TAILQ_REMOVE(&heap->slabs, slab, link);
        TAILQ_INSERT_TAIL(&heap->slabs, slab, link);
        if (slab_is_empty(heap, slab))
            slab_set_empty(heap, slab);
        if (is_last)
            return;
    }
}

/* ------------------------------------------------------------------ giving back */

/* Marks the slab, and those that a large block covers, before anybody else can have them (C7.3). */
void slab_give(struct heap *heap, struct slab *slab)
{
    for (struct slab *covered = slab; covered < slab + slabs_of(slab->taken); covered++)
        if (covered->tag)
            store_relaxed(&covered->tag, covered->tag | TAG_GIVEN);
    POINT("give: marked");
    if (slab_end(heap, slab))
        quota_give(heap, slab_start(slab), slab->taken);
    else
        quota_abandon(heap, slab_start(slab), slab->taken);
    POINT("give: given");
}

void slabs_give_empty(struct heap *heap, uint64_t most)
{
    struct slab *slab;
    while (most-- && (slab = empty_take(heap, TAILQ_LAST(&heap->empty, slab_list))))
        slab_give(heap, slab);
}
