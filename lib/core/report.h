/*
 * Refused blocks: counted in the key at once, reported to its error hook when the operation is over, so that the
 * hook may call the library again.
 */
#ifndef LIB_CORE_REPORT_H
#define LIB_CORE_REPORT_H

#include "core/model.h"

#define REPORTS_SINGLE 8 /* kept for callers that refuse one block and do not ask */

/*
 * Counts a block refused with `status` in the heap's key, and notes it for the hook. A thread has room for
 * REPORTS: a caller that refuses many in one operation asks report_room first.
 */
void report_refused(struct thread *thread, const struct heap *heap, ks_status status, const void *block,
                    size_t class_size, bool at_home);

/* The same for a free block that was written to; only counted where there is no room. */
void report_damaged(struct thread *thread, const struct heap *heap, const void *block, size_t class_size);

/* Whether `count` more reports fit before the operation ends. */
static inline bool report_room(const struct thread *thread, uint32_t count)
{
    return thread->reports_count + count + REPORTS_SINGLE <= REPORTS;
}

/* Calls the hooks. The thread is outside every operation. */
void report_deliver(struct thread *thread);

#endif
