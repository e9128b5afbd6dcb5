#include "core/message.h"

#include "base/pool.h"
#include "base/stretch.h"

#define MESSAGES_MOST ((size_t)1 << 36) /* bytes of address space */
#define LINKS_STEP    ((size_t)16 << 10)
#define CHUNK         32 /* messages that are mapped at once */
#define CHAIN         16 /* messages that move between a thread and the pool at once */
#define KEPT          48 /* most that a thread keeps */
#define PAGE_MESSAGES (PAGE / MESSAGE_BYTES)

static struct pool chains;  /* members: the first message of each chain */
static struct pool emptied; /* members: pages of messages whose contents the system has taken back */
static struct message *messages;
static struct stretch stretch;
/* The links of `emptied`, by page: a link inside the page would make it resident again. */
static struct stretch page_links;
static uint64_t messages_next; /* any, atomic: the first that was never used; 0 is no message */

static_assert(MESSAGES_MOST / MESSAGE_BYTES <= POOL_INDEX_MASK, "a pool's index names any message");
static_assert(CHUNK % PAGE_MESSAGES == 0, "a page's messages are mapped together");

bool message_start(void)
{
    size_t most = window_share(MESSAGES_MOST);
    if (!stretch_start(&stretch, most, CHUNK * MESSAGE_BYTES) ||
        !stretch_start(&page_links, most / PAGE * sizeof(uint32_t), LINKS_STEP))
        return false;
    messages = (struct message *)stretch.base;
    messages_next = CHUNK;
    chains = (struct pool){
        .members = (char *)messages,
        .stride = MESSAGE_BYTES,
        .link_offset = offsetof(struct message, pool_link),
    };
    emptied = (struct pool){.members = page_links.base, .stride = sizeof(uint32_t)};
    return true;
}

static uint32_t index_of(const struct message *message)
{
    return (uint32_t)(message - messages);
}

/* `count` messages that lie side by side. */
static struct message *chain_up(struct message *first, uint32_t count)
{
    for (uint32_t i = 0; i + 1 < count; i++)
        first[i].link.tqe_next = &first[i + 1];
    first[count - 1].link.tqe_next = NULL;
    first->count = count;
    return first;
}

/* The memory is mapped before it is counted (C8.4). */
static struct message *chunk_new(void)
{
    uint64_t index = load_relaxed(&messages_next);
    do {
        size_t end = (index + CHUNK) * MESSAGE_BYTES;
        if (!stretch_reach(&stretch, end) || !stretch_reach(&page_links, end / PAGE * sizeof(uint32_t)))
            return NULL;
    } while (!cas(&messages_next, &index, index + CHUNK));
    return chain_up(&messages[index], CHUNK);
}

/* From the pools, else new ones (C0.5). */
static SLOW_PATH struct message *chain_take(void)
{
    uint32_t index = pool_pop(&chains);
    if (index)
        return &messages[index];
    index = pool_pop(&emptied);
    if (index)
        return chain_up(&messages[index * PAGE_MESSAGES], PAGE_MESSAGES);
    return chunk_new();
}

/* The push releases what the chain links (C0.5). */
static void chain_give(struct message *first, uint32_t count)
{
    first->count = count;
    pool_push(&chains, index_of(first));
}

struct message *message_get(struct thread *thread)
{
    if (!thread->empties) {
        thread->empties = chain_take();
        if (!thread->empties)
            return NULL;
        thread->empties_count = thread->empties->count;
    }
    struct message *message = thread->empties;
    thread->empties = message->link.tqe_next;
    thread->empties_count--;
    message->count = 0;
    return message;
}

void message_put(struct thread *thread, struct message *message)
{
    message->link.tqe_next = thread->empties;
    thread->empties = message;
    if (++thread->empties_count <= KEPT)
        return;
    struct message *last = message;
    for (uint32_t i = 1; i < CHAIN; i++)
        last = last->link.tqe_next;
    thread->empties = last->link.tqe_next;
    thread->empties_count -= CHAIN;
    last->link.tqe_next = NULL;
    chain_give(message, CHAIN);
}

void message_put_list(struct thread *thread, struct message_list *list)
{
    for (struct message *message; (message = TAILQ_FIRST(list));) {
        TAILQ_REMOVE(list, message, link);
        message_put(thread, message);
    }
}

void message_put_all(struct thread *thread)
{
    if (thread->empties)
        chain_give(thread->empties, thread->empties_count);
    thread->empties = NULL;
    thread->empties_count = 0;
}

/* The link lies outside of the page, which would be resident again otherwise (C0.5). */
static void page_release(struct message *page)
{
    platform_discard(page, PAGE);
    pool_push(&emptied, index_of(page) / PAGE_MESSAGES);
}

/* Every message that is in the pool at this moment, in one chain (C0.5). */
static struct message *pool_drain(void)
{
    struct message *idle = NULL;
    for (uint32_t index; (index = pool_pop(&chains));) {
        struct message *last = &messages[index];
        while (last->link.tqe_next)
            last = last->link.tqe_next;
        last->link.tqe_next = idle;
        idle = &messages[index];
    }
    return idle;
}

/* Pages of which every message is idle are given back; the other messages go back into the pool as one chain (C8.4). */
void message_purge(void)
{
    size_t pages = load_relaxed(&messages_next) / PAGE_MESSAGES;
    uint8_t *idle_of_page = platform_map(pages);
    if (!idle_of_page)
        return;
    struct message *idle = pool_drain();
    for (struct message *m = idle; m; m = m->link.tqe_next)
        idle_of_page[index_of(m) / PAGE_MESSAGES]++;

    struct message *kept = NULL;
    struct message *released = NULL;
    uint32_t kept_count = 0;
    for (struct message *next; idle; idle = next) {
        next = idle->link.tqe_next;
        uint32_t index = index_of(idle);
        bool whole_page = idle_of_page[index / PAGE_MESSAGES] == PAGE_MESSAGES;
        if (whole_page && index % PAGE_MESSAGES)
            continue;
        idle->link.tqe_next = whole_page ? released : kept;
        *(whole_page ? &released : &kept) = idle;
        kept_count += !whole_page;
    }
    for (struct message *next; released; released = next) {
        next = released->link.tqe_next;
        page_release(released);
    }
    if (kept)
        chain_give(kept, kept_count);
    platform_unmap(idle_of_page, pages);
}
