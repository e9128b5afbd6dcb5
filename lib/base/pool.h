/*
 * A lock-free stack of indices, for structures that are recycled and never unmapped: heaps, key slots, chains
 * of empty messages.
 *
 *     head == version << POOL_INDEX_BITS | index of the top member, 0 for none
 *
 * Each member has a link, an index, at a fixed offset. Pop reads the link of a member that another thread may
 * have popped meanwhile: the memory is still there, the link is atomic, and the version, which each change of
 * the head raises, makes the exchange fail. The version wraps after 2^36 changes within one pop.
 */
#ifndef LIB_POOL_H
#define LIB_POOL_H

#include "base/platform.h"

#define POOL_INDEX_BITS 28
#define POOL_INDEX_MASK (((uint64_t)1 << POOL_INDEX_BITS) - 1)

struct pool {
    uint64_t head; /* any, atomic */
    /* fixed after start */
    char *members;
    size_t stride;
    size_t link_offset;
};

static inline uint32_t *pool_link(const struct pool *pool, uint32_t index)
{
    return (uint32_t *)(pool->members + index * pool->stride + pool->link_offset);
}

/* The exchange compares the version too (C0.5). */
static inline void pool_push(struct pool *pool, uint32_t index)
{
    uint64_t head = load_relaxed(&pool->head);
    uint64_t next;
    do {
        store_relaxed(pool_link(pool, index), (uint32_t)(head & POOL_INDEX_MASK));
        next = ((head >> POOL_INDEX_BITS) + 1) << POOL_INDEX_BITS | index;
        /* Release: the thread that pops the member sees what was written to it. */
    } while (!cas(&pool->head, &head, next));
}

/* The index of a member, now the caller's; 0 when there is none (C0.5). */
static inline uint32_t pool_pop(struct pool *pool)
{
    uint64_t head = load_acquire(&pool->head);
    uint64_t next;
    do {
        if (!(head & POOL_INDEX_MASK))
            return 0;
        uint32_t below = load_relaxed(pool_link(pool, (uint32_t)(head & POOL_INDEX_MASK)));
        POINT("pool: link read");
        next = ((head >> POOL_INDEX_BITS) + 1) << POOL_INDEX_BITS | below;
    } while (!cas(&pool->head, &head, next));
    return (uint32_t)(head & POOL_INDEX_MASK);
}

#endif
