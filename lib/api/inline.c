/* keyslab/inline.h against the structures that it names the parts of. */
#include "api/blocks.h"
#include "classes/tables.h"

#include <keyslab/inline.h>

#define SAME_PLACE(type, field, inline_type, inline_field)                                                             \
    static_assert(offsetof(struct type, field) == offsetof(struct inline_type, inline_field) &&                        \
                      sizeof(((struct type *)0)->field) == sizeof(((struct inline_type *)0)->inline_field),            \
                  #inline_type "." #inline_field ": another layout: raise its number")

#define SAME(type, field) SAME_PLACE(type, field, ks_##type##_, field)
#define SAME_SIZE(type)                                                                                                \
    static_assert(sizeof(struct type) == sizeof(struct ks_##type##_), #type ": another layout: raise its number")

SAME(group, word);
SAME(group, born);
SAME_SIZE(group);
SAME(recent, group);
SAME(recent, base);
SAME_SIZE(recent);
SAME(bin, group);
SAME(bin, base);
SAME(bin, top);
SAME(bin, countdown);
SAME(bin, target);
SAME(bin, freed);
SAME(bin, sent);
SAME(bin, block_bytes);
SAME_SIZE(bin);
SAME(heap, bins);
SAME(heap, tag);
SAME(classes, count);
SAME(classes, bins);
SAME(entry, handle);
SAME(entry, heap);
SAME(entry, tuned);
SAME(thread, busy);
SAME(thread, last);
SAME(thread, last_place);
SAME(slab, tag);
SAME(slab, reciprocal);
SAME(slab, groups);
SAME(slab, stride);
SAME(slab, carved);
SAME(slab, block_bytes);
SAME(slab, handle);
SAME_PLACE(slab, class, ks_slab_, size_class);
SAME(slab, bin);
SAME_SIZE(slab);
SAME(range, base);
SAME(range, slabs);
SAME(range, bytes);
SAME(range, high);

static_assert(KS_BUSY_ == BUSY && KS_TABLE_MASK_ == HANDLE_OFFSET(UINT64_MAX), "the thread's table");
static_assert(KS_TOP_ == CLASS_TOP && KS_GRANULE_ == CLASS_GRANULE && KS_CLASSES_ == CLASSES, "size classes");
static_assert(KS_SLAB_SHIFT_ == SLAB_SHIFT && KS_GROUP_BLOCKS_ == GROUP_BLOCKS, "slabs");
static_assert(KS_CLOCK_SHIFT_ == CLOCK_SHIFT && KS_CLOCK_STEP_ == CLOCK_STEP, "groups");
static_assert(KS_RECENTS_ == RECENTS_BYTES, "recent groups");

ks_status ks_free_batched_(ks_key_t key, void *block, struct ks_heap_ *heap, struct ks_thread_ *thread,
                           struct ks_slab_ *slab)
{
    return free_batched(key, block, (struct heap *)heap, (struct thread *)thread, (struct slab *)slab);
}

THREAD_LOCAL struct ks_range_ *ks_range_ = (struct ks_range_ *)&range;
THREAD_LOCAL const struct ks_classes_ *ks_classes_ = (const struct ks_classes_ *)&tables_default;
