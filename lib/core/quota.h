/* Memory for a heap, charged to its key. */
#ifndef LIB_CORE_QUOTA_H
#define LIB_CORE_QUOTA_H

#include "core/model.h"

/* Memory from the key's arena, as arena_take gives it. NULL with KS_QUOTA or KS_NO_MEMORY. */
void *quota_take(struct heap *heap, size_t bytes, size_t alignment, ks_status *status);

/* Gives it back, with the bytes that were charged. */
void quota_give(struct heap *heap, void *start, size_t bytes);

/* The same of memory whose guard cannot be lifted: nobody gets it any more, and its pages go back to the system. */
void quota_abandon(struct heap *heap, void *start, size_t bytes);

#endif
