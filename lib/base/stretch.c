#include "base/stretch.h"

#define WINDOW_BYTES   ((size_t)5 << 38) /* the range is four fifths of it; all stretches together are 1.245 TiB */
#define SHRINKS_MOST   8u                /* halvings of the window, where the machine has little room */
#define STRETCH_ALIGNS HUGE_PAGE

static struct {
    char *next; /* the first byte that is no stretch's */
    size_t left;
    unsigned shrinks;
} window;

static uint32_t grower; /* any, atomic: the process of the thread that grows something, or 0 */

/* ------------------------------------------------------------------ the window */

bool window_start(void)
{
    for (unsigned shrinks = 0; !window.next && shrinks <= SHRINKS_MOST; shrinks++) {
        window.shrinks = shrinks;
        window.left = WINDOW_BYTES >> shrinks;
        window.next = platform_window(window.left);
    }
    return window.next;
}

size_t window_share(size_t most)
{
    return most >> window.shrinks;
}

bool stretch_start(struct stretch *stretch, size_t most, size_t step)
{
    size_t taken = (most + STRETCH_ALIGNS - 1) & ~(STRETCH_ALIGNS - 1);
    if (taken > window.left)
        return false;
    *stretch = (struct stretch){.base = window.next, .most = taken, .step = step};
    window.next += taken;
    window.left -= taken;
    return true;
}

/* ------------------------------------------------------------------ growing */

/* A grower of another process does not exist in this one, the child of a fork: the caller takes its place (C8.9). */
void growth_begin(void)
{
    uint32_t self = platform_process();
    uint32_t before = 0;
    while (!cas(&grower, &before, self))
        if (before == self) {
            platform_pause();
            before = 0;
        }
}

/* Release: the next thread sees what this one has mapped (C8.9). */
void growth_end(void)
{
    store_release(&grower, 0u);
}

/* Completes what a thread was mapping that a fork left behind: it is mapped as a whole, or not at all (C8.9). */
static bool stretch_recover(struct stretch *stretch)
{
    size_t bytes = stretch->tried - stretch->end;
    if (bytes && platform_map_at(stretch->base + stretch->end, bytes) == MAPPED_REFUSED)
        return false;
    store_release(&stretch->end, stretch->tried);
    return true;
}

/* Release: a thread that reads the new end finds the memory there (C8.9). */
bool stretch_extend(struct stretch *stretch, size_t end)
{
    if (end > stretch->most || !stretch_recover(stretch))
        return false;
    size_t from = stretch->end;
    if (end <= from)
        return true;
    size_t to = (end + stretch->step - 1) / stretch->step * stretch->step;
    stretch->tried = to < stretch->most ? to : stretch->most;
    if (platform_map_at(stretch->base + from, stretch->tried - from) != MAPPED) {
        stretch->tried = from;
        return false;
    }
    POINT("growth: mapped");
    store_release(&stretch->end, stretch->tried);
    return true;
}

/* What no other thread can know of yet is unmapped again (C8.9). */
void stretch_cut(struct stretch *stretch, size_t end)
{
    if (end >= stretch->end)
        return;
    store_release(&stretch->end, end);
    if (platform_unmap(stretch->base + end, stretch->tried - end))
        stretch->tried = end;
}

/* Only a thread that needs more than is mapped enters the growth (C8.9). */
bool stretch_reach(struct stretch *stretch, size_t end)
{
    if (end <= load_acquire(&stretch->end))
        return true;
    growth_begin();
    bool reached = stretch_extend(stretch, end);
    growth_end();
    return reached;
}
