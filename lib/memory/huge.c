#include "memory/huge.h"

#include "memory/range.h"

/*
 * A word for each huge page of the range, in range.pages, 0 for ordinary ones:
 *
 *     IS_HUGE | pieces of it that are in use
 *     IS_HUGE | GIVING | process, while that process gives it back: nothing of it is in use
 */
#define IS_HUGE ((uint32_t)1 << 31)
#define GIVING  ((uint32_t)1 << 30)

static uint32_t *page_at(const char *address)
{
    return &range.pages[(size_t)(address - range.base) / HUGE_PAGE];
}

/* The end of the last page that memory reaches into. */
static uint32_t *page_after(const char *start, size_t bytes)
{
    return page_at(start + bytes - 1) + 1;
}

/* Before anybody else can have the memory (C8.7). */
void huge_begin(const char *start, size_t bytes)
{
    for (size_t at = 0; at + HUGE_PAGE <= bytes; at += HUGE_PAGE)
        store_relaxed(page_at(start + at), IS_HUGE);
}

static uint32_t giving(void)
{
    return IS_HUGE | GIVING | platform_process();
}

/* What a thread was giving back that is not in this process, the child of a fork, is free (C8.7). */
static void page_use(uint32_t *page)
{
    uint32_t state = load_relaxed(page);
    while (state & IS_HUGE) {
        if (state & GIVING && state == giving()) {
            platform_yield();
            state = load_relaxed(page);
        } else if (cas(page, &state, state & GIVING ? IS_HUGE | 1 : state + 1)) {
            return;
        }
    }
}

void huge_use(const char *start, size_t bytes)
{
    for (uint32_t *page = page_at(start); page < page_after(start, bytes); page++)
        page_use(page);
    POINT("huge: used");
}

/* Before the memory goes back to its arena (C8.7). */
void huge_leave(const char *start, size_t bytes)
{
    for (uint32_t *page = page_at(start); page < page_after(start, bytes); page++)
        if (load_relaxed(page) & IS_HUGE)
            fetch_sub(page, 1);
}

/* A piece of one page, or the page (C8.7). */
static bool piece_discard(char *start, size_t bytes)
{
    uint32_t *page = page_at(start);
    uint32_t unused = IS_HUGE;
    if (!cas(page, &unused, giving()))
        return platform_discard(start, bytes);
    POINT("huge: giving");
    bool discarded = platform_discard(range.base + (size_t)(page - range.pages) * HUGE_PAGE, HUGE_PAGE);
    store_release(page, IS_HUGE);
    return discarded;
}

bool huge_discard(void *start, size_t bytes)
{
    bool discarded = true;
    char *end = (char *)start + bytes;
    for (char *piece = start, *next; piece < end; piece = next) {
        next = (char *)((uintptr_t)piece / HUGE_PAGE * HUGE_PAGE + HUGE_PAGE);
        discarded &= piece_discard(piece, (size_t)((next < end ? next : end) - piece));
    }
    return discarded;
}
