#include "depot.h"

#include "magazine.h"
#include "slab.h"

void depot_shelve(struct thread *thread, struct heap *heap, struct magazine *magazine, uint32_t class)
{
    struct slot *floor = magazine_floor(magazine, heap->classes, class);
    for (uint32_t i = 0; i < magazine->count; i++)
        slab_shelve(heap, floor[i]);
    magazine_put(thread, magazine);
}

void depot_push(struct bin *bin, struct shelf *shelf, struct magazine *magazine)
{
    TAILQ_INSERT_HEAD(&bin->depot, magazine, link);
    shelf->depot_count++;
}

struct magazine *depot_remove(struct bin *bin, struct shelf *shelf, struct magazine *magazine)
{
    TAILQ_REMOVE(&bin->depot, magazine, link);
    owner_add(&bin->parked, -(uint64_t)magazine->count);
    if (--shelf->depot_count < shelf->depot_low)
        shelf->depot_low = shelf->depot_count;
    return magazine;
}

void depot_trim(struct thread *thread, struct heap *heap, uint32_t class, uint32_t count)
{
    struct bin *bin = &heap->bins[class];
    struct shelf *shelf = &heap->shelves[class];
    while (count--) {
        struct magazine *cold = TAILQ_LAST(&bin->depot, magazine_list);
        depot_shelve(thread, heap, depot_remove(bin, shelf, cold), class);
    }
}
