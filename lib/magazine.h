/*
 * Magazines: where empty ones come from, and how a bin loads and unloads them.
 *
 * Empty magazines are chained by link.tqe_next, in the thread first, then, a chain at a time, in a pool that
 * all threads share: threads that free send magazines away, threads that allocate are left with them.
 */
#ifndef LIB_MAGAZINE_H
#define LIB_MAGAZINE_H

#include "model.h"

bool magazine_start(void);

/* An empty magazine, or NULL where the system has no more memory. */
struct magazine *magazine_get(struct thread *thread);

void magazine_put(struct thread *thread, struct magazine *magazine);

/* Puts a whole list, at a constant cost. */
void magazine_put_list(struct magazine_list *list, uint32_t count);

/* Before the thread ends. */
void magazine_put_all(struct thread *thread);

/* Gives the pages of magazines that nobody uses back to the system. */
void magazine_purge(void);

/* What a bin without a magazine points to: empty for an allocation and full for a free, so that neither asks.
 */
extern struct slot magazine_none[];

FAST_PATH bool magazine_is_full(const struct slot *top)
{
    return ((uintptr_t)top & (MAGAZINE_SIZE - 1)) == 0;
}

static inline struct slot *magazine_floor(struct magazine *magazine, const struct classes *classes, uint32_t class)
{
    return magazine->slots + MAGAZINE_SLOTS - classes->table[class].magazine;
}

/* Of one that travels. */
static inline packed *magazine_words(const struct magazine *magazine)
{
    return (packed *)magazine->slots;
}

/* The magazine that `top` points into, which may be its end. */
static inline struct magazine *magazine_of(const void *top)
{
    return (struct magazine *)(((uintptr_t)top - 1) & ~(uintptr_t)(MAGAZINE_SIZE - 1));
}

/* C0.1. */
static inline void bin_load(struct bin *bin, struct magazine *magazine, struct slot *floor)
{
    store_relaxed(&bin->floor, floor);
    store_relaxed(&bin->top, floor + magazine->count);
}

/* The loaded magazine, its count brought up to date; NULL where there is none. The bin is left without. C0.1. */
static inline struct magazine *bin_unload(struct bin *bin)
{
    if (bin->floor == magazine_none)
        return NULL;
    struct magazine *magazine = magazine_of(bin->top);
    magazine->count = (uint32_t)(bin->top - bin->floor);
    store_relaxed(&bin->floor, magazine_none);
    store_relaxed(&bin->top, magazine_none);
    return magazine;
}

/* Renews a credit that is used up. A thread that sums up meanwhile sees one count or the other: C0.7. */
static inline void bin_renew(struct bin *bin)
{
    uint64_t due = bin->due;
    store_relaxed(&bin->due, due + 1);
    store_release(&bin->credit, (uint64_t)BEAT);
    store_release(&bin->due, due + BEAT);
}

#endif
