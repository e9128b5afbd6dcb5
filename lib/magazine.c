#include "magazine.h"

#include "pool.h"
#include "stretch.h"

#define MAGAZINES_MOST ((size_t)1 << 36) /* bytes of address space */
#define LINKS_STEP     ((size_t)16 << 10)
#define CHUNK          32 /* magazines that are mapped at once */
#define CHAIN          16 /* magazines that move between a thread and the pool at once */
#define KEPT           48 /* most that a thread keeps */
#define PAGE_MAGAZINES (PAGE / MAGAZINE_SIZE)

struct slot magazine_none[MAGAZINE_SIZE / sizeof(struct slot)] __attribute__((aligned(MAGAZINE_SIZE)));

static struct pool chains;  /* members: the first magazine of each chain */
static struct pool emptied; /* members: pages of magazines whose contents the system has taken back */
static struct magazine *magazines;
static struct stretch stretch;
/* The links of `emptied`, by page: a link inside the page would make it resident again. */
static struct stretch page_links;
static uint64_t magazines_next; /* any, atomic: the first that was never used; 0 is no magazine */

static_assert(MAGAZINES_MOST / MAGAZINE_SIZE <= POOL_INDEX_MASK, "a pool's index names any magazine");
static_assert(CHUNK % PAGE_MAGAZINES == 0, "a page's magazines are mapped together");

bool magazine_start(void)
{
    size_t most = window_share(MAGAZINES_MOST);
    if (!stretch_start(&stretch, most, CHUNK * MAGAZINE_SIZE) ||
        !stretch_start(&page_links, most / PAGE * sizeof(uint32_t), LINKS_STEP))
        return false;
    magazines = (struct magazine *)stretch.base;
    magazines_next = CHUNK;
    chains = (struct pool){
        .members = (char *)magazines,
        .stride = MAGAZINE_SIZE,
        .link_offset = offsetof(struct magazine, pool_link),
    };
    emptied = (struct pool){.members = page_links.base, .stride = sizeof(uint32_t)};
    return true;
}

static uint32_t index_of(const struct magazine *magazine)
{
    return (uint32_t)(magazine - magazines);
}

/* `count` magazines that lie side by side. */
static struct magazine *chain_up(struct magazine *first, uint32_t count)
{
    for (uint32_t i = 0; i + 1 < count; i++)
        first[i].link.tqe_next = &first[i + 1];
    first[count - 1].link.tqe_next = NULL;
    first->count = count;
    return first;
}

/* C8.4. */
static struct magazine *chunk_new(void)
{
    uint64_t index = load_relaxed(&magazines_next);
    do {
        size_t end = (index + CHUNK) * MAGAZINE_SIZE;
        if (!stretch_reach(&stretch, end) || !stretch_reach(&page_links, end / PAGE * sizeof(uint32_t)))
            return NULL;
    } while (!cas(&magazines_next, &index, index + CHUNK));
    return chain_up(&magazines[index], CHUNK);
}

/* C0.5. */
static SLOW_PATH struct magazine *chain_take(void)
{
    uint32_t index = pool_pop(&chains);
    if (index)
        return &magazines[index];
    index = pool_pop(&emptied);
    if (index)
        return chain_up(&magazines[index * PAGE_MAGAZINES], PAGE_MAGAZINES);
    return chunk_new();
}

/* C0.5. */
static void chain_give(struct magazine *first, uint32_t count)
{
    first->count = count;
    pool_push(&chains, index_of(first));
}

struct magazine *magazine_get(struct thread *thread)
{
    if (!thread->empties) {
        thread->empties = chain_take();
        if (!thread->empties)
            return NULL;
        thread->empties_count = thread->empties->count;
    }
    struct magazine *magazine = thread->empties;
    thread->empties = magazine->link.tqe_next;
    thread->empties_count--;
    magazine->count = 0;
    return magazine;
}

void magazine_put(struct thread *thread, struct magazine *magazine)
{
    magazine->link.tqe_next = thread->empties;
    thread->empties = magazine;
    if (++thread->empties_count <= KEPT)
        return;
    struct magazine *last = magazine;
    for (uint32_t i = 1; i < CHAIN; i++)
        last = last->link.tqe_next;
    thread->empties = last->link.tqe_next;
    thread->empties_count -= CHAIN;
    last->link.tqe_next = NULL;
    chain_give(magazine, CHAIN);
}

void magazine_put_list(struct magazine_list *list, uint32_t count)
{
    if (!TAILQ_EMPTY(list))
        chain_give(TAILQ_FIRST(list), count);
    TAILQ_INIT(list);
}

void magazine_put_all(struct thread *thread)
{
    if (thread->empties)
        chain_give(thread->empties, thread->empties_count);
    thread->empties = NULL;
    thread->empties_count = 0;
}

/* C0.5. */
static void page_release(struct magazine *page)
{
    platform_discard(page, PAGE);
    pool_push(&emptied, index_of(page) / PAGE_MAGAZINES);
}

/* Every magazine that is in the pool at this moment, in one chain. C0.5. */
static struct magazine *pool_drain(void)
{
    struct magazine *idle = NULL;
    for (uint32_t index; (index = pool_pop(&chains));) {
        struct magazine *last = &magazines[index];
        while (last->link.tqe_next)
            last = last->link.tqe_next;
        last->link.tqe_next = idle;
        idle = &magazines[index];
    }
    return idle;
}

/* Pages of which every magazine is idle leave; the other magazines go back, one chain in all. C8.4. */
void magazine_purge(void)
{
    size_t pages = load_relaxed(&magazines_next) / PAGE_MAGAZINES;
    uint8_t *idle_of_page = platform_map(pages);
    if (!idle_of_page)
        return;
    struct magazine *idle = pool_drain();
    for (struct magazine *m = idle; m; m = m->link.tqe_next)
        idle_of_page[index_of(m) / PAGE_MAGAZINES]++;

    struct magazine *kept = NULL;
    struct magazine *released = NULL;
    uint32_t kept_count = 0;
    for (struct magazine *next; idle; idle = next) {
        next = idle->link.tqe_next;
        uint32_t index = index_of(idle);
        bool whole_page = idle_of_page[index / PAGE_MAGAZINES] == PAGE_MAGAZINES;
        if (whole_page && index % PAGE_MAGAZINES)
            continue;
        idle->link.tqe_next = whole_page ? released : kept;
        *(whole_page ? &released : &kept) = idle;
        kept_count += !whole_page;
    }
    for (struct magazine *next; released; released = next) {
        next = released->link.tqe_next;
        page_release(released);
    }
    if (kept)
        chain_give(kept, kept_count);
    platform_unmap(idle_of_page, pages);
}
