#include "past.h"

#include "key.h"

static struct past *lives_of(const struct slab *slab)
{
    return range.pasts[slab - range.slabs].lives;
}

/* C7.4. */
static struct past life_load(const struct past *from)
{
    return (struct past){
        .tag = load_relaxed(&from->tag),
        .handle = load_relaxed(&from->handle),
        .bytes = load_relaxed(&from->bytes),
        .step = load_relaxed(&from->step),
    };
}

/* C7.4. */
static void life_store(struct past *to, struct past life)
{
    store_relaxed(&to->tag, life.tag);
    store_relaxed(&to->handle, life.handle);
    store_relaxed(&to->bytes, life.bytes);
    store_relaxed(&to->step, life.step);
}

/*
 * How far the life has handed out the slab, in blocks: what it has put into magazines only, at its end, does not count. A slab
 * inside of a large block has no states of its own.
 */
static uint32_t reach_of(const struct slab *slab)
{
    uint32_t blocks = slab->carved;
    if (slab->class == CLASS_COVERED)
        return blocks;
    /* Eight at a time, from the end of the word that the last one is in. */
    const packed *words = (const packed *)slab->states;
    uint32_t count = (uint32_t)((blocks + sizeof *words - 1) / sizeof *words);
    while (count && !words[count - 1])
        count--;
    if (blocks > count * sizeof *words)
        blocks = (uint32_t)(count * sizeof *words);
    while (blocks && slab->states[blocks - 1] == STATE_FRESH)
        blocks--;
    return blocks;
}

static uint32_t step_of(const struct slab *slab)
{
    if (slab->class == CLASS_COVERED)
        return 0;
    return slab->class == CLASS_LARGE ? SLAB_BYTES : (uint32_t)slab->block_bytes;
}

/*
 * The newest comes first. One that reached no further is covered by it for good, and one of a destroyed key answers
 * nothing that a foreign address would not. Of more than there is room for, the one that reached furthest goes.
 */
uint32_t past_remember(struct slab *slab)
{
    uint32_t reach = reach_of(slab);
    struct past *lives = lives_of(slab);
    struct past next = {slab->tag & ~TAG_GIVEN, slab->handle, reach * slab->block_bytes, step_of(slab)};
    if (!next.tag || !next.bytes)
        return reach;
    struct past stack[PASTS + 1] = {next};
    uint32_t count = 1;
    for (uint32_t i = 0; i < PASTS; i++) {
        struct past old = life_load(&lives[i]);
        if (old.tag && old.bytes > next.bytes && key_exists(old.handle))
            stack[count++] = old;
    }
    for (uint32_t i = 0; i < PASTS; i++)
        life_store(&lives[i], stack[i]);
    return reach;
}

bool past_at(const struct slab *slab, size_t within, struct past *life)
{
    const struct past *lives = lives_of(slab);
    for (uint32_t i = 0; i < PASTS; i++) {
        *life = life_load(&lives[i]);
        if (!life->tag)
            return false;
        if (within < life->bytes)
            return true;
    }
    return false;
}
